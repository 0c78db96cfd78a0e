//! The zygote's own life: load, death, replacement, refusal to start.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::task::JoinSet;
use updraft_python::{ChildHandle, ChildKind, ChildStatus, Error, Zygote, kill_leftovers};
use updraft_runtime::Tasks;

use crate::children::{is_alive, wait_until};
use crate::session::{self, LONG, startup_details};
use crate::{Home, zygote_config};

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

#[tokio::test]
async fn a_running_instance_is_no_leftover() -> Result<()> {
    let home = Home::new().await?;
    assert_eq!(kill_leftovers(home.folder.path()), 0);
    let child = home.spawn(ChildKind::Task).await?;
    let session = session::run(child, startup_details("add")).await?;
    assert_eq!(session.exit.status, ChildStatus::Exited(0));
    Ok(())
}

/// Starts a child that will wait for the file `release` once it has its first frame.
async fn spawn_sleeper(home: &Home, release: &std::path::Path) -> Result<ChildHandle> {
    let variables = vec![("RELEASE_FILE".to_owned(), release.display().to_string())];
    Ok(home.zygote.spawn(ChildKind::Task, variables).await?)
}
