//! Files that do to their process what files should not do.

use std::time::Duration;

use anyhow::Result;

use crate::scene::{Scene, dag_file, wait_until};

const MENTION: &str = "# airflow dag\n";

fn file(code: &str) -> String {
    format!("{MENTION}import os, sys\n{code}\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_file_does_becomes_its_import_error_and_disturbs_no_other() -> Result<()> {
    let fork = file(
        "if os.fork() == 0:\n    open(os.path.dirname(__file__) + '/../pid', 'w').write(str(os.getpid()))\n    \
         while True: pass\nos._exit(3)",
    );
    let files = [
        (
            "exits.py",
            file("print('so long', flush=True)\nos._exit(7)"),
        ),
        ("forks.py", fork),
        (
            "garbles.py",
            file("os.write(0, b'\\x00\\x00\\x00\\x01\\xc0')\nos.read(0, 1)"),
        ),
        ("killed.py", file("os.kill(os.getpid(), 9)")),
        ("loops.py", file("while True: pass")),
        ("syntax.py", file("def (")),
    ];
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(path, text)| (*path, text.as_str()))
        .collect();
    let scene = Scene::with(&files, |options| {
        options.file_timeout = Duration::from_secs(8);
    })
    .await?;
    scene.write("good.py", &dag_file("good", &["a"]))?;
    scene.wait_for_dag("good", |_| true).await?;
    let errors = scene.wait_for_import_errors(files.len()).await?;
    let expected = [
        "exited with code 7",
        "exited with code 3",
        "no message",
        "SIGKILL",
        "longer than 8 s",
        "SyntaxError",
    ];
    for (error, expected) in errors.iter().zip(expected) {
        let (name, text) = (&error.filename, &error.stacktrace);
        assert!(
            text.contains(expected),
            "{name}: expected `{expected}`, found `{text}`"
        );
    }
    assert!(
        errors[0].stacktrace.contains("so long"),
        "{}",
        errors[0].stacktrace
    );
    assert!(scene.dag("good").await?.is_some_and(|dag| !dag.is_stale));

    // What the file started is gone, too, because it held the channels open.
    let pid = std::fs::read_to_string(scene.bundle().join("../pid"))?;
    let process = std::path::Path::new("/proc").join(pid);
    wait_until("the forked process is gone", || !process.exists()).await?;

    scene.write("syntax.py", &dag_file("healed", &["a"]))?;
    scene.wait_for_dag("healed", |_| true).await?;
    assert_eq!(
        scene.wait_for_import_errors(files.len() - 1).await?.len(),
        files.len() - 1
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_prints_without_end_is_parsed_and_its_log_is_cut() -> Result<()> {
    let loud = dag_file("loud", &["a"]) + "for _ in range(100_000): print('x' * 999)\n";
    let scene = Scene::new(&[("loud.py", &loud)]).await?;
    scene.wait_for_dag("loud", |_| true).await?;
    let log = scene.log("loud.py")?;
    assert!(log.len() < 9 * 1024 * 1024, "{}", log.len());
    assert_eq!(log.matches("the rest is left out").count(), 1);
    Ok(())
}
