//! Log lines: the recorded ones, and those that are not as they should be.

use bytes::Bytes;
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};
use updraft_task_comms::json::Json;
use updraft_task_comms::line_splitter::{Line, LineSplitter};
use updraft_task_comms::log_line::{Level, Output, child_line, output_line, own_line};
use updraft_task_comms::masker::{MaskerConfig, SecretsMasker};
use updraft_task_comms::session::Event;

use crate::capture::load;
use crate::driver::Driver;

#[test]
fn recorded_child_lines_become_lines_as_the_official_file_has_them() {
    let recorded = load("log-lines.json");
    for session in ["child_success", "child_failure"] {
        for line in recorded[session].as_array().unwrap() {
            let written: Value = serde_json::from_str(&from_child(&line.to_string())).unwrap();
            let mut expected = line.clone();
            let fields = expected.as_object_mut().unwrap();
            if let Some(exception) = fields.shift_remove("exception") {
                fields.insert("error_detail".to_owned(), exception);
            }
            assert_eq!(keys(&written), keys(&expected));
            assert_eq!(written, expected);
        }
    }
}

#[test]
fn the_official_file_is_a_fixed_point() {
    let recorded = load("log-lines.json");
    for line in recorded["official_task_log_file"].as_array().unwrap() {
        let compact = line.to_string();
        assert_eq!(from_child(&compact), compact);
    }
}

#[test]
fn the_three_fixed_keys_come_first() {
    let line = r#"{"ti_id":"x","event":"e","level":"info","k":1.0,"timestamp":"t"}"#;
    let written = r#"{"timestamp":"t","level":"info","event":"e","ti_id":"x","k":1.0}"#;
    assert_eq!(from_child(line), written);
}

#[test]
fn missing_keys_are_filled_in() {
    assert_eq!(
        from_child(r#"{"k":1}"#),
        r#"{"timestamp":"2026-11-21T19:26:28.500000Z","level":"info","event":"","k":1}"#
    );
}

#[test]
fn a_line_that_is_no_object_is_kept_as_text() {
    for line in ["Traceback (most recent", "[1]", r#"{"event":"cut of"#, ""] {
        let written: Value = serde_json::from_str(&from_child(line)).unwrap();
        assert_eq!(written["event"], line);
        assert_eq!(written["logger"], "task");
    }
}

#[test]
fn outputs_have_airflows_loggers_and_levels() {
    let masker = SecretsMasker::new(MaskerConfig::default());
    assert_eq!(
        output_line(Output::Stdout, "hello stdout  \r", &masker, now()),
        r#"{"timestamp":"2026-11-21T19:26:28.500000Z","level":"info","event":"hello stdout","logger":"task.stdout"}"#
    );
    assert_eq!(
        output_line(Output::Stderr, "  indented", &masker, now()),
        r#"{"timestamp":"2026-11-21T19:26:28.500000Z","level":"error","event":"  indented","logger":"task.stderr"}"#
    );
}

#[test]
fn invalid_utf8_becomes_the_replacement_character() {
    let mut driver = Driver::running();
    driver.on(Event::StdLine(Output::Stdout, Line::whole(&b"a\xffb"[..])));
    assert!(driver.log().contains("a\u{fffd}b"));
}

#[test]
fn lines_of_our_own_are_masked_too() {
    let mut masker = SecretsMasker::new(MaskerConfig::default());
    masker.add("hunter22");
    let fields = [
        ("why", Json::from("it was hunter22")),
        ("token", Json::from("abc")),
    ];
    assert_eq!(
        own_line(Level::Warning, "hunter22?", &fields, &masker, now()),
        r#"{"timestamp":"2026-11-21T19:26:28.500000Z","level":"warning","event":"***?","logger":"task","why":"it was ***","token":"***"}"#
    );
}

#[test]
fn a_too_long_line_comes_in_pieces_that_hide_a_secret_across_the_border() {
    let mut driver = Driver::running();
    let mask = json!({"type": "MaskSecret", "value": "s3cr3t-value", "name": null});
    driver.request(1, mask);
    let mut splitter = LineSplitter::with_limit(16);
    splitter.feed(b"0123456789s3cr3t-value and more\nnext\n");
    let mut written = Vec::new();
    while let Some(line) = splitter.next_line() {
        driver.on(Event::StdLine(Output::Stdout, line));
    }
    for line in driver.log().lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        written.push(line["event"].as_str().unwrap().to_owned());
    }
    assert_eq!(written, ["0123456789", "*** and more", "next"]);
}

#[test]
fn a_piece_that_is_all_secret_writes_no_empty_line() {
    let mut driver = Driver::running();
    driver.request(
        1,
        json!({"type": "MaskSecret", "value": "s3cr3t-value", "name": null}),
    );
    let piece = |bytes: &'static [u8], is_last| Line {
        bytes: bytes.into(),
        is_piece: true,
        is_last,
    };
    assert_eq!(
        driver.on(Event::StdLine(Output::Stderr, piece(b"s3cr3t", false))),
        []
    );
    driver.on(Event::StdLine(Output::Stderr, piece(b"-value", true)));
    assert!(driver.log().contains(r#""event":"***""#));
}

#[test]
fn what_is_left_at_the_end_is_a_line() {
    let mut splitter = LineSplitter::default();
    splitter.feed(b"a\n\nb");
    let lines: Vec<_> = std::iter::from_fn(|| splitter.next_line()).collect();
    assert_eq!(lines, [Line::whole("a"), Line::whole("")]);
    assert_eq!(splitter.finish(), Some(Line::whole("b")));
    assert_eq!(splitter.finish(), None);
}

proptest! {
    #[test]
    fn pieces_put_together_are_the_stream(
        text in "[a-z\n é😀]{0,200}",
        limit in 4usize..20,
        chunk in 1usize..20,
    ) {
        let mut splitter = LineSplitter::with_limit(limit);
        let mut lines = Vec::new();
        for chunk in text.as_bytes().chunks(chunk) {
            splitter.feed(chunk);
            lines.extend(std::iter::from_fn(|| splitter.next_line()));
        }
        lines.extend(splitter.finish());
        let mut together = String::new();
        for line in &lines {
            prop_assert!(line.bytes.len() <= limit);
            // A piece ends between two characters.
            together.push_str(std::str::from_utf8(&line.bytes).unwrap());
            if line.is_last {
                together.push('\n');
            }
        }
        let with_break = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        prop_assert_eq!(together, format!("{text}{with_break}"));
    }

    #[test]
    fn a_secret_in_any_position_of_a_long_line_is_hidden(
        before in "[ab]{0,30}",
        after in "[ab]{0,30}",
        limit in 4usize..40,
    ) {
        let secrets = ["abcab", "abcabx", "bcabc"];
        let mut driver = Driver::running();
        driver.request(1, json!({"type": "MaskSecret", "value": secrets, "name": null}));
        let mut splitter = LineSplitter::with_limit(limit);
        for secret in secrets {
            splitter.feed(Bytes::from(format!("{before}{secret}{after}\n")).as_ref());
        }
        while let Some(line) = splitter.next_line() {
            driver.on(Event::StdLine(Output::Stdout, line));
        }
        let events: Vec<String> = driver
            .log()
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["event"].as_str().unwrap().to_owned())
            .collect();
        let together = events.join("");
        for secret in secrets {
            prop_assert!(!together.contains(secret), "{:?}", events);
        }
    }
}

fn from_child(line: &str) -> String {
    child_line(line, &SecretsMasker::new(MaskerConfig::default()), now())
}

fn now() -> Timestamp {
    "2026-11-21T19:26:28.5Z".parse().unwrap()
}

fn keys(line: &Value) -> Vec<&String> {
    line.as_object().unwrap().keys().collect()
}
