//! `testdata/resolution.json`: who wins, for every kind of source.

use std::collections::BTreeMap;

use serde::Deserialize;
use updraft_config::{Environment, Lookups, Settings, Values};

use crate::HOME;

#[derive(Deserialize)]
struct Case {
    name: String,
    #[serde(default)]
    env: BTreeMap<String, String>,
    #[serde(default)]
    cfg: String,
    ask: Vec<(String, String)>,
    #[serde(default)]
    answers: Vec<Answer>,
    #[serde(default)]
    refused: Option<String>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    Value(String),
    Missing(bool),
}

impl Case {
    fn values(&self) -> Values {
        let fixed = [("HOME", "/users/ada"), ("AIRFLOW_HOME", HOME)];
        let environment: Environment = fixed
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .chain(self.env.clone())
            .collect();
        // The file of the case lies in the home, wherever AIRFLOW_CONFIG points.
        let file = if self.env.contains_key("AIRFLOW_CONFIG") {
            ""
        } else {
            &self.cfg
        };
        Values::from_text(file, &environment, &Lookups::of_machine())
    }
}

#[test]
fn every_source_wins_and_loses_as_in_airflow() {
    let cases: Vec<Case> =
        serde_json::from_str(include_str!("../../testdata/resolution.json")).unwrap();
    assert!(cases.len() > 30);
    for case in &cases {
        let values = case.values();
        if let Some(reason) = &case.refused {
            let refused = Settings::from_values(values).is_err();
            assert!(refused, "{}: Airflow refuses it: {reason}", case.name);
            continue;
        }
        assert_eq!(
            case.ask.len(),
            case.answers.len(),
            "{}: not recorded",
            case.name
        );
        for ((section, key), expected) in case.ask.iter().zip(&case.answers) {
            let answer = values.get_value(section, key).map(str::to_owned);
            let answer = answer.map_or(Answer::Missing(true), Answer::Value);
            assert_eq!(answer, *expected, "{}: [{section}] {key}", case.name);
        }
    }
}
