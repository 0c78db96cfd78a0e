//! User code that hangs, dies, floods or talks nonsense.

use std::time::{Duration, Instant};

use anyhow::Result;
use updraft_plugins::Error;

use crate::{Home, TIMEOUT, at};

#[tokio::test(flavor = "multi_thread")]
async fn a_timetable_that_hangs_is_killed_with_what_it_started_and_nobody_waits_for_it()
-> Result<()> {
    let home = Home::new().await?;
    // So that a fork is all that the quick one needs.
    home.odd("Other", "fine").await?;
    let began = Instant::now();
    let hanging = home.odd("Odd", "deaf");
    let quick = async {
        let mut longest = Duration::ZERO;
        for _ in 0..20 {
            let asked = Instant::now();
            home.odd("Other", "fine").await?;
            longest = longest.max(asked.elapsed());
        }
        Ok::<Duration, Error>(longest)
    };
    let (hung, longest) = tokio::join!(hanging, quick);
    let hung = hung.unwrap_err();
    assert!(
        matches!(&hung, Error::TimedOut { asked, .. } if asked == "odd_timetables.Odd"),
        "{hung}"
    );
    assert!(began.elapsed() >= TIMEOUT);
    assert!(
        longest? < TIMEOUT,
        "the quick one waited for the one that hangs"
    );
    assert!(!is_running("1234.5"), "what it started has survived");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_hung_is_not_asked_again_at_once_until_plugins_are_loaded_anew() -> Result<()> {
    let home = Home::new().await?;
    home.odd("Odd", "hang").await.unwrap_err();
    let began = Instant::now();
    let refusal = home.odd("Odd", "fine").await.unwrap_err();
    assert!(matches!(refusal, Error::LeftAlone { .. }), "{refusal}");
    assert!(
        refusal.to_string().contains("took more than 5s"),
        "{refusal}"
    );
    assert!(began.elapsed() < TIMEOUT);

    let before = home.zygote.pid();
    home.plugins.reload();
    home.plugins.next_python(before).await?;
    home.odd("Odd", "fine").await?.expect("it is asked again");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_user_code_does_is_an_error_that_names_it_and_the_next_one_is_answered()
-> Result<()> {
    let home = Home::new().await?;
    for (conduct, expected) in [
        ("raises", "ValueError: no such day"),
        ("recurses", "RecursionError"),
        ("nonsense", "AttributeError"),
        ("naive", "expected a date with a time zone"),
        ("unknown", "has no attribute 'unknown'"),
    ] {
        let error = home.odd("Odd", conduct).await.unwrap_err();
        assert!(matches!(error, Error::Raised { .. }), "{conduct}: {error}");
        let text = error.to_string();
        assert!(
            text.contains(expected) && text.contains("odd_timetables.Odd"),
            "{conduct}: {text}"
        );
    }
    let error = home.odd("Odd", "raises").await.unwrap_err();
    let traceback = error.traceback().unwrap();
    assert!(traceback.contains("odd_timetables.py"), "{traceback}");
    let found = home
        .odd("Odd", "flood")
        .await?
        .expect("it answers in the end");
    assert_eq!(found.info.run_after, at("2026-01-05T00:00:00Z"));
    home.odd("Odd", "fine").await?.expect("the helper lives on");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn user_code_that_ends_its_process_is_told_how_and_left_alone() -> Result<()> {
    for (conduct, expected) in [("leave", "exit code 7"), ("exits", "exit code 3")] {
        let home = Home::new().await?;
        let error = home.odd("Odd", conduct).await.unwrap_err();
        assert!(matches!(error, Error::Died { .. }), "{conduct}: {error}");
        assert!(error.to_string().contains(expected), "{error}");
        let refusal = home.odd("Odd", "fine").await.unwrap_err();
        assert!(matches!(refusal, Error::LeftAlone { .. }), "{refusal}");
        home.odd("Other", "fine")
            .await?
            .expect("others are answered");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_helper_that_breaks_the_conversation_is_replaced() -> Result<()> {
    for conduct in ["garbage", "closes"] {
        let home = Home::new().await?;
        let error = home.odd("Odd", conduct).await.unwrap_err();
        assert!(
            matches!(
                error,
                Error::Nonsense { .. } | Error::Died { .. } | Error::TimedOut { .. }
            ),
            "{conduct}: {error}"
        );
        home.odd("Other", "fine")
            .await?
            .expect("another one answers");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_death_of_the_zygote_costs_a_wait_and_no_answer() -> Result<()> {
    let home = Home::new().await?;
    home.odd("Odd", "fine").await?;
    let old = home.zygote.pid().expect("it is there");
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(old.cast_signed()),
        nix::sys::signal::Signal::SIGKILL,
    )?;
    home.plugins.next_python(Some(old)).await?;
    home.odd("Odd", "fine").await?.expect("the new one answers");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_helper_without_work_ends() -> Result<()> {
    let home = Home::with(
        |_| {},
        |options| options.idle_timeout = Duration::from_millis(500),
    )
    .await?;
    home.odd("Odd", "tells_pid").await?;
    let pid = std::fs::read_to_string(home.folder().join("helper.pid"))?;
    let process = std::path::Path::new("/proc").join(pid.trim());
    let deadline = Instant::now() + Duration::from_secs(20);
    while process.exists() {
        assert!(Instant::now() < deadline, "the helper stays");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    home.odd("Odd", "fine").await?.expect("a new one starts");
    Ok(())
}

fn is_running(argument: &str) -> bool {
    std::fs::read_dir("/proc")
        .expect("Linux")
        .flatten()
        .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
        .any(|line| {
            line.split(|byte| *byte == 0)
                .any(|each| each == argument.as_bytes())
        })
}
