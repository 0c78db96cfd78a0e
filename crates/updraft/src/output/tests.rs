//! The forms against those that Airflow 3.3.2 printed for the same rows.

use serde_json::Value;

use super::{OutputFormat, Row, rendered};

const FORMS: &str = include_str!("../../testdata/forms.json");

fn rows_of(data: &Value) -> Vec<Row> {
    let items = data.as_array().unwrap().iter();
    items
        .map(|item| item.as_object().unwrap().clone())
        .collect()
}

fn assert_form(name: &str, format: OutputFormat, except: &[&str]) {
    let cases: serde_json::Map<String, Value> = serde_json::from_str(FORMS).unwrap();
    let mut checked = 0;
    for (case, entry) in cases
        .iter()
        .filter(|(case, _)| !except.contains(&case.as_str()))
    {
        let wanted = entry[name].as_str().unwrap();
        let found = rendered(&rows_of(&entry["data"]), format, 200);
        for (line, (found, wanted)) in found.split('\n').zip(wanted.split('\n')).enumerate() {
            assert_eq!(found, wanted, "case {case}, line {}", line + 1);
        }
        assert_eq!(found, wanted, "case {case}");
        checked += 1;
    }
    assert!(checked >= 8, "only {checked} cases");
}

#[test]
fn json_is_airflows() {
    assert_form("json", OutputFormat::Json, &[]);
}

#[test]
fn yaml_is_airflows() {
    assert_form("yaml", OutputFormat::Yaml, &[]);
}

#[test]
fn plain_is_airflows() {
    // In `scalars` Airflow reformats numbers and leaves rows of blanks out: nothing to imitate.
    // `wide` it only lines up where Python's `wcwidth` happens to be installed; we always do.
    assert_form("plain", OutputFormat::Plain, &["scalars", "wide"]);
}

#[test]
fn tables_are_airflows() {
    // Quirk: Airflow reads square brackets as colours and names between colons as pictures.
    // `scalars` has characters that move the cursor.
    assert_form("table", OutputFormat::Table, &["markup", "scalars"]);
}
