//! The zygote's own life: load, death, replacement, refusal to start.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::task::JoinSet;
use updraft_python::{ChildHandle, ChildKind, ChildStatus, Error, Zygote, kill_leftovers};
use updraft_runtime::Tasks;

use crate::children::{is_alive, wait_until};
use crate::session::{self, LONG, startup_details};
use crate::{Home, zygote_config};

/// Tells a copy of this program to be the victim of a test.
const VICTIM_VARIABLE: &str = "UPDRAFT_TEST_VICTIM_HOME";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_children_at_once_all_succeed() -> Result<()> {
    let home = Home::new().await?;
    let mut sessions = JoinSet::new();
    for _ in 0..50 {
        let zygote = home.zygote.clone();
        sessions.spawn(async move {
            let child = zygote.spawn(ChildKind::Task, Vec::new()).await?;
            session::run(child, startup_details("add")).await
        });
    }
    while let Some(session) = sessions.join_next().await {
        let session = session??;
        assert_eq!(session.request("SucceedTask")?["state"], "success".into());
        assert_eq!(session.exit.status, ChildStatus::Exited(0));
    }
    Ok(())
}

#[tokio::test]
async fn children_outlive_a_killed_zygote_and_a_new_one_takes_over() -> Result<()> {
    let home = Home::new().await?;
    let release = home.folder.path().join("release");
    let child = spawn_sleeper(&home, &release).await?;
    let first = home.zygote.pid().unwrap();
    kill(Pid::from_raw(i32::try_from(first)?), Signal::SIGKILL)?;

    let other = loop {
        // A request may be in flight while the zygote dies. That error must say "try again".
        match home.zygote.spawn(ChildKind::Task, Vec::new()).await {
            Ok(other) => break other,
            Err(error) => assert!(error.is_transient(), "{error}"),
        }
    };
    assert_ne!(home.zygote.pid(), Some(first));
    let session = session::run(other, startup_details("add")).await?;
    assert_eq!(session.exit.status, ChildStatus::Exited(0));

    fs::write(&release, "")?;
    let session = session::run(child, startup_details("sleep_until_told")).await?;
    assert_eq!(session.request("SucceedTask")?["state"], "success".into());
    assert_eq!(session.exit.status, ChildStatus::Exited(0));
    assert_eq!(session.exit.cpu, None, "only the zygote could have known");
    Ok(())
}

#[tokio::test]
async fn the_signal_that_ends_an_orphan_is_known() -> Result<()> {
    let home = Home::new().await?;
    let mut child = home.spawn(ChildKind::Task).await?;
    kill(
        Pid::from_raw(i32::try_from(home.zygote.pid().unwrap())?),
        Signal::SIGKILL,
    )?;
    // A supervisor waits for many things at once: this wait is given up and begun again.
    for _ in 0..2 {
        let given_up = tokio::time::timeout(Duration::from_millis(200), child.exit.wait()).await;
        assert!(given_up.is_err(), "the child lives: {given_up:?}");
    }
    kill(child.pid, Signal::SIGKILL)?;
    let report = tokio::time::timeout(LONG, child.exit.wait()).await?;
    assert!(
        // The zygote may have reaped the child in its last moment.
        matches!(
            report.status,
            ChildStatus::Signaled(9) | ChildStatus::Unknown
        ),
        "{report:?}"
    );
    Ok(())
}

#[tokio::test]
async fn an_old_zygote_is_replaced_while_its_children_run_on() -> Result<()> {
    let home = Home::with(|config| config.children_max = 2).await?;
    let first = home.zygote.pid().unwrap();
    let release = home.folder.path().join("release");
    let early = spawn_sleeper(&home, &release).await?;
    let late = home.spawn(ChildKind::Task).await?;
    wait_until("a new zygote serves", || home.zygote.pid() != Some(first)).await;
    assert!(
        is_alive(Pid::from_raw(i32::try_from(first)?)),
        "it still has children"
    );

    fs::write(&release, "")?;
    let session = session::run(early, startup_details("sleep_until_told")).await?;
    assert_eq!(session.exit.status, ChildStatus::Exited(0));
    assert!(
        session.exit.cpu.is_some(),
        "the old zygote reports to the end"
    );
    session::run(late, startup_details("add")).await?;
    wait_until("the old zygote is gone", || {
        i32::try_from(first).is_ok_and(|pid| !is_alive(Pid::from_raw(pid)))
    })
    .await;
    Ok(())
}

#[tokio::test]
async fn a_zygote_that_cannot_start_says_what_python_printed() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let settings = folder.path().join("config");
    fs::create_dir_all(&settings)?;
    fs::write(
        settings.join("airflow_local_settings.py"),
        "raise RuntimeError('local settings are broken')",
    )?;
    let error = Zygote::start(zygote_config(folder.path())?, &Tasks::new())
        .await
        .unwrap_err();
    assert!(error.is_transient(), "somebody may repair the file");
    assert!(
        error.to_string().contains("local settings are broken"),
        "{error}"
    );
    Ok(())
}

#[tokio::test]
async fn a_missing_interpreter_is_named() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut config = zygote_config(folder.path())?;
    config.interpreter = PathBuf::from("/nonexistent/python");
    let error = Zygote::start(config, &Tasks::new()).await.unwrap_err();
    assert!(error.to_string().contains("/nonexistent/python"), "{error}");
    Ok(())
}

#[tokio::test]
async fn an_environment_that_does_not_fit_is_refused_and_disturbs_nobody() -> Result<()> {
    let home = Home::new().await?;
    let huge = vec![("HUGE".to_owned(), "x".repeat(1_000_000))];
    let error = home.zygote.spawn(ChildKind::Task, huge).await.unwrap_err();
    assert!(
        matches!(error, Error::EnvironmentTooLarge { .. }),
        "{error}"
    );
    let child = home.spawn(ChildKind::Task).await?;
    let session = session::run(child, startup_details("add")).await?;
    assert_eq!(session.exit.status, ChildStatus::Exited(0));
    Ok(())
}

#[tokio::test]
async fn dropping_the_last_handle_ends_the_zygote() -> Result<()> {
    let home = Home::new().await?;
    let pid = Pid::from_raw(i32::try_from(home.zygote.pid().unwrap())?);
    drop(home.zygote);
    assert!(home.tasks.drain(LONG).await);
    assert!(!is_alive(pid));
    Ok(())
}

/// The process that the next test kills. By itself it does nothing.
#[tokio::test]
async fn an_updraft_to_be_killed() -> Result<()> {
    let Some(folder) = std::env::var_os(VICTIM_VARIABLE) else {
        return Ok(());
    };
    let folder = PathBuf::from(folder);
    let tasks = Tasks::new();
    let zygote = Zygote::start(zygote_config(&folder)?, &tasks).await?;
    let mut child = zygote.spawn(ChildKind::Task, Vec::new()).await?;
    let first = rmpv::Value::Array(vec![0.into(), startup_details("sleep_until_told")]);
    session::write_frame(&mut child.requests, &first).await?;
    let rendered = session::read_frame(&mut child.requests)
        .await?
        .context("a request")?;
    let answer = rmpv::Value::Array(vec![rendered[0].clone()]);
    session::write_frame(&mut child.requests, &answer).await?;
    fs::write(folder.join("pid.new"), child.pid.to_string())?;
    fs::rename(folder.join("pid.new"), folder.join("pid"))?;
    std::future::pending().await
}

#[tokio::test]
async fn a_task_that_outlives_a_killed_updraft_is_killed_at_the_next_start() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut victim = std::process::Command::new(std::env::current_exe()?)
        .args(["--exact", "zygote::an_updraft_to_be_killed"])
        .env(VICTIM_VARIABLE, folder.path())
        .stdout(std::process::Stdio::null())
        .spawn()?;
    let file = folder.path().join("pid");
    wait_until("the task runs", || file.exists()).await;
    let child = Pid::from_raw(fs::read_to_string(&file)?.parse()?);
    let runtime_dir = folder.path().join("runtime");
    assert_eq!(kill_leftovers(&runtime_dir)?, 0, "its supervisor lives");

    victim.kill()?;
    victim.wait()?;
    assert!(is_alive(child), "a task does not notice by itself");
    assert!(kill_leftovers(&runtime_dir)? >= 1);
    wait_until("the task is gone", || !is_alive(child)).await;
    Ok(())
}

#[tokio::test]
async fn a_learned_module_that_starts_a_thread_is_forgotten() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let config = zygote_config(folder.path())?;
    let modules = config.shim_dir.with_extension("modules");
    fs::create_dir_all(folder.path().join("config"))?;
    fs::write(
        folder.path().join("config/threaded.py"),
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
    )?;
    fs::write(&modules, "decimal\nmodule_that_was_removed\nthreaded\n")?;
    let zygote = Zygote::start(config, &Tasks::new()).await?;
    assert_eq!(fs::read_to_string(&modules)?, "");
    let child = zygote.spawn(ChildKind::Task, Vec::new()).await?;
    let session = session::run(child, startup_details("add")).await?;
    assert_eq!(session.exit.status, ChildStatus::Exited(0));
    Ok(())
}

/// Starts a child that will wait for the file `release` once it has its first frame.
async fn spawn_sleeper(home: &Home, release: &std::path::Path) -> Result<ChildHandle> {
    let variables = vec![("RELEASE_FILE".to_owned(), release.display().to_string())];
    Ok(home.zygote.spawn(ChildKind::Task, variables).await?)
}
