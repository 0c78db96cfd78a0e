//! What one child does, and how it ends.

use std::fs;
use std::time::Instant;

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;
use updraft_python::{ChildHandle, ChildKind, ChildStatus, send_frame_with_fd, signal_tree};

use crate::Home;
use crate::session::{self, LONG, json, startup_details};

#[tokio::test]
async fn a_task_child_runs_the_task_and_reports_its_cost() -> Result<()> {
    let home = Home::new().await?;
    let child = home.spawn(ChildKind::Task).await?;
    let session = session::run(child, startup_details("add")).await?;
    assert_eq!(session.request("SetXCom")?["value"], 3.into());
    assert_eq!(session.request("SucceedTask")?["state"], "success".into());
    assert_eq!(session.stdout, "1 plus 2\n");
    assert_eq!(session.stderr, "");
    assert!(
        session.logs.contains("::group::Pre Execute"),
        "{}",
        session.logs
    );
    assert_eq!(session.exit.status, ChildStatus::Exited(0));
    assert!(session.exit.cpu.unwrap().as_millis() > 0);
    assert!(session.exit.max_rss_bytes.unwrap() > 10_000_000);
    Ok(())
}

#[tokio::test]
async fn a_parse_child_serializes_the_dags_of_a_file() -> Result<()> {
    let home = Home::new().await?;
    let child = home.spawn(ChildKind::DagParse).await?;
    let request = session::parse_request(&crate::dags(), "behaviours.py");
    let session = session::run(child, request).await?;
    let dags = session.request("DagFileParsingResult")?["serialized_dags"].clone();
    assert_eq!(dags[0]["data"]["dag"]["dag_id"], "behaviours".into());
    assert_eq!(session.exit.status, ChildStatus::Exited(0));
    Ok(())
}

#[tokio::test]
async fn a_parse_child_reports_a_broken_file_as_an_import_error() -> Result<()> {
    let home = Home::new().await?;
    let child = home.spawn(ChildKind::DagParse).await?;
    let request = session::parse_request(&crate::dags(), "broken.py");
    let session = session::run(child, request).await?;
    let errors = &session.request("DagFileParsingResult")?["import_errors"];
    let text = errors["broken.py"].as_str().unwrap();
    assert!(text.contains("this Dag is broken"), "{text}");
    Ok(())
}

#[tokio::test]
async fn a_callback_child_exits_one_when_the_callback_raises() -> Result<()> {
    let home = Home::new().await?;
    for (argument, code) in [(r#""/""#, 0), (r#""/nonexistent/folder""#, 1)] {
        let child = home.spawn(ChildKind::Callback).await?;
        let first = json(&format!(
            r#"{{"type": "ExecuteCallback", "callback_path": "os.listdir",
                "bundle_info": {{"name": "dags-folder", "version": null}},
                "callback_kwargs": {{"path": {argument}}}, "dag_rel_path": "behaviours.py"}}"#
        ));
        let session = session::run(child, first).await?;
        assert_eq!(
            session.exit.status,
            ChildStatus::Exited(code),
            "{session:#?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_helper_child_answers_until_its_socket_is_closed() -> Result<()> {
    let home = Home::new().await?;
    let mut child = home.spawn(ChildKind::Helper).await?;
    for (id, kind) in [(5, "DescribePlugins"), (6, "GetNothing")] {
        let answer = ask(&mut child, id, kind).await?;
        match kind {
            "DescribePlugins" => assert!(answer.contains(r#""import_errors": {}"#), "{answer}"),
            _ => assert!(
                answer.contains(r#"{"raised": {"type": "KeyError""#),
                "{answer}"
            ),
        }
    }
    drop(child.requests);
    assert_eq!(child.exit.wait().await.status, ChildStatus::Exited(0));
    Ok(())
}

/// Asks a helper; gives the text of its answer.
async fn ask(child: &mut ChildHandle, id: u64, kind: &str) -> Result<String> {
    let question =
        format!(r#"[{id}, {{"type": "HelperQuestion", "kind": "{kind}", "body": "{{}}"}}, null]"#);
    session::write_frame(&mut child.requests, &json(&question)).await?;
    let answer = session::read_frame(&mut child.requests).await?;
    let answer = answer.context("an answer")?;
    assert_eq!(answer[0], id.into());
    assert_eq!(answer[1]["type"], "HelperAnswer".into());
    Ok(answer[1]["body"].as_str().context("a text")?.to_owned())
}

#[tokio::test]
async fn plugins_of_the_example_dags_are_loaded_on_request_only() -> Result<()> {
    for wanted in [true, false] {
        let home = Home::with(|config| config.example_plugins = wanted).await?;
        let mut child = home.spawn(ChildKind::Helper).await?;
        let timetables = ask(&mut child, 0, "DescribePlugins").await?;
        assert_eq!(
            timetables.contains("workday.AfterWorkdayTimetable"),
            wanted,
            "{timetables}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_child_sees_its_own_environment_and_no_secret() -> Result<()> {
    let home = Home::new().await?;
    let variables = vec![("FROM_SPAWN".to_owned(), "grüße".to_owned())];
    let child = home.zygote.spawn(ChildKind::Task, variables).await?;
    let session = session::run(child, startup_details("environment")).await?;
    let expected = json(r#"{"FROM_SPAWN": "grüße", "AIRFLOW__CORE__FERNET_KEY": null}"#);
    assert_eq!(session.request("SetXCom")?["value"], expected);
    Ok(())
}

#[tokio::test]
async fn a_child_leads_its_process_group_and_dies_before_the_zygote_when_memory_is_short()
-> Result<()> {
    let home = Home::new().await?;
    let own: i64 = fs::read_to_string("/proc/self/oom_score_adj")?
        .trim()
        .parse()?;
    let child = home.spawn(ChildKind::Task).await?;
    let pid = child.pid.as_raw();
    let session = session::run(child, startup_details("process")).await?;
    let value = &session.request("SetXCom")?["value"];
    assert_eq!(value["pid"], pid.into());
    assert_eq!(value["group"], pid.into());
    assert_eq!(value["oom_score_adj"], (own + 500).min(1000).into());
    Ok(())
}

#[tokio::test]
async fn a_death_by_signal_and_an_exit_code_are_told_apart() -> Result<()> {
    let home = Home::new().await?;
    for (task_id, status) in [
        ("die", ChildStatus::Signaled(Signal::SIGKILL as i32)),
        ("leave", ChildStatus::Exited(7)),
    ] {
        let child = home.spawn(ChildKind::Task).await?;
        let session = session::run(child, startup_details(task_id)).await?;
        assert_eq!(session.exit.status, status);
        assert!(session.request("SucceedTask").is_err());
    }
    Ok(())
}

#[tokio::test]
async fn killing_a_child_reaches_its_descendants_in_other_sessions() -> Result<()> {
    let home = Home::new().await?;
    let mut child = home.spawn(ChildKind::Task).await?;
    let first = rmpv::Value::Array(vec![0.into(), startup_details("shell_in_own_session")]);
    session::write_frame(&mut child.requests, &first).await?;
    let rendered = session::read_frame(&mut child.requests)
        .await?
        .context("a request")?;
    let answer = rmpv::Value::Array(vec![rendered[0].clone()]);
    session::write_frame(&mut child.requests, &answer).await?;
    let shell = Pid::from_raw(read_number(&mut child.stdout, "shell ").await?);
    assert!(is_alive(shell));

    // The child itself first, so that the chain of parents is cut: the marker must do.
    nix::sys::signal::kill(child.pid, Signal::SIGKILL)?;
    let report = child.exit.wait().await;
    assert_eq!(report.status, ChildStatus::Signaled(Signal::SIGKILL as i32));
    assert!(is_alive(shell), "it left the process group");

    assert!(signal_tree(child.pid, &child.marker, Signal::SIGKILL) >= 1);
    wait_until("the shell is gone", || !is_alive(shell)).await;
    Ok(())
}

#[tokio::test]
async fn a_child_takes_a_log_descriptor_attached_to_a_frame() -> Result<()> {
    let home = Home::new().await?;
    // With this variable the task runner asks for a log channel, as it does after an exec.
    let variables = vec![("_AIRFLOW_FORK_EXEC".to_owned(), "1".to_owned())];
    let mut child = home.zygote.spawn(ChildKind::Task, variables).await?;
    let first = rmpv::Value::Array(vec![0.into(), startup_details("add")]);
    session::write_frame(&mut child.requests, &first).await?;
    let asked = session::read_frame(&mut child.requests)
        .await?
        .context("a request")?;
    assert_eq!(asked[1]["type"], "ResendLoggingFD".into());

    let (mut ours, theirs) = UnixStream::pair()?;
    let theirs = theirs.into_std()?;
    theirs.set_nonblocking(false)?;
    let answer = json(&format!(
        r#"[{}, {{"type": "SentFDs", "fds": [0]}}]"#,
        asked[0]
    ));
    let answer = session::encode(&answer)?;
    send_frame_with_fd(
        &mut child.requests,
        &answer,
        std::os::fd::AsFd::as_fd(&theirs),
    )
    .await?;
    drop(theirs);

    let mut line = vec![0; 4096];
    let length = tokio::time::timeout(LONG, ours.read(&mut line)).await??;
    let line = String::from_utf8_lossy(&line[..length]);
    assert!(line.starts_with("{\"timestamp\""), "{line}");
    Ok(())
}

async fn read_number(stream: &mut UnixStream, prefix: &str) -> Result<i32> {
    let mut text = String::new();
    let mut chunk = [0; 256];
    while !text.ends_with('\n') {
        let length = tokio::time::timeout(LONG, stream.read(&mut chunk)).await??;
        anyhow::ensure!(
            length > 0,
            "expected a line that starts with `{prefix}`, found `{text}`"
        );
        text.push_str(std::str::from_utf8(&chunk[..length])?);
    }
    Ok(text
        .strip_prefix(prefix)
        .context("the prefix")?
        .trim()
        .parse()?)
}

pub(crate) fn is_alive(pid: Pid) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|line| {
        !line
            .rsplit(") ")
            .next()
            .unwrap_or_default()
            .starts_with('Z')
    })
}

pub(crate) async fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < LONG, "waited too long until {what}");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}
