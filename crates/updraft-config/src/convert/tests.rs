//! `testdata/conversions.json`: what Airflow's getters make of a text.

use serde::Deserialize;
use serde_json::Value;

use super::{boolean, float, integer, list, octal, seconds};

#[derive(Deserialize)]
struct Case {
    text: String,
    getboolean: Option<bool>,
    getint: Value,
    getfloat: Value,
    getlist: Vec<String>,
}

/// Digits of other scripts, and whole numbers that only Python can hold.
const REFUSED_BY_US: [&str; 2] = ["٣", "99999999999999999999"];

#[test]
fn texts_become_what_airflow_makes_of_them() {
    let cases: Vec<Case> =
        serde_json::from_str(include_str!("../../testdata/conversions.json")).unwrap();
    assert!(cases.len() > 30);
    for case in cases {
        let text = case.text.as_str();
        assert_eq!(boolean(text), case.getboolean, "boolean {text:?}");
        assert_eq!(list(text), case.getlist, "list {text:?}");
        if REFUSED_BY_US.contains(&text) {
            assert_eq!(integer(text), None, "integer {text:?}");
            continue;
        }
        assert_eq!(integer(text), case.getint.as_i64(), "integer {text:?}");
        let expected = match &case.getfloat {
            Value::String(endless) => Some(endless.parse::<f64>().unwrap()),
            number => number.as_f64(),
        };
        let equal = match (float(text), expected) {
            (Some(ours), Some(theirs)) => ours == theirs || (ours.is_nan() && theirs.is_nan()),
            (ours, theirs) => ours == theirs,
        };
        assert!(equal, "float {text:?}");
    }
}

#[test]
fn a_duration_is_finite_and_not_negative() {
    assert_eq!(seconds("1.5").map(|it| it.as_millis()), Some(1500));
    for text in ["-1", "inf", "nan", "1e400", ""] {
        assert_eq!(seconds(text), None, "{text:?}");
    }
}

#[test]
fn a_mode_is_octal_with_or_without_its_mark() {
    assert_eq!(octal("0o664"), Some(0o664));
    assert_eq!(octal("664"), Some(0o664));
    assert_eq!(octal("0o9"), None);
}
