//! `testdata/ini.json`: what Python's `configparser` makes of a file.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::{IniFile, Interpolation};

#[derive(Deserialize)]
struct Case {
    text: String,
    #[serde(default)]
    refused: Option<String>,
    #[serde(default)]
    sections: BTreeMap<String, BTreeMap<String, Value>>,
}

#[test]
fn a_file_is_read_as_python_reads_it() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("../../testdata/ini.json")).unwrap();
    assert!(cases.len() > 30);
    for case in cases {
        let (file, errors) = IniFile::parse(&case.text);
        assert_eq!(
            case.refused.is_some(),
            !errors.is_empty(),
            "{:?}: {errors:?}",
            case.text
        );
        if case.refused.is_some() {
            continue;
        }
        let sections: BTreeMap<String, BTreeMap<String, Value>> = file
            .sections()
            .map(|section| (section.to_owned(), values(&file, section)))
            .collect();
        assert_eq!(
            sections,
            without_error_names(case.sections),
            "{:?}",
            case.text
        );
    }
}

fn values(file: &IniFile, section: &str) -> BTreeMap<String, Value> {
    let interpolated = |key: &str| {
        let raw = &file.get(section, key).unwrap().raw;
        match (Interpolation { file, section }).apply(raw) {
            Ok(text) => Value::String(text),
            Err(_) => Value::Null,
        }
    };
    file.keys(section)
        .map(|key| (key.to_owned(), interpolated(key)))
        .collect()
}

/// The names of Python's exceptions are not ours; that there is one counts.
fn without_error_names(
    mut sections: BTreeMap<String, BTreeMap<String, Value>>,
) -> BTreeMap<String, BTreeMap<String, Value>> {
    for value in sections.values_mut().flat_map(BTreeMap::values_mut) {
        if value.is_object() {
            *value = Value::Null;
        }
    }
    sections
}
