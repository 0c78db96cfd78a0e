//! `testdata/listings.json`: what `airflow config list` prints.

use std::collections::BTreeMap;

use serde::Deserialize;
use updraft_config::{Environment, ListOptions, Lookups, Values};

use crate::HOME;

#[derive(Deserialize)]
struct Case {
    flags: Vec<String>,
    env: BTreeMap<String, String>,
    cfg: String,
    printed: String,
}

impl Case {
    fn values(&self) -> Values {
        let fixed = [("HOME", "/users/ada"), ("AIRFLOW_HOME", HOME)];
        let environment: Environment = fixed
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .chain(self.env.clone())
            .collect();
        Values::from_text(&self.cfg, &environment, &Lookups::of_machine())
    }

    fn options(&self) -> ListOptions {
        let has = |flag: &str| self.flags.iter().any(|given| given == flag);
        let section = self.flags.iter().position(|flag| flag == "--section");
        ListOptions {
            section: section.map(|at| self.flags[at + 1].clone()),
            include_sources: has("-s"),
            include_env_vars: has("-V"),
            comment_out_everything: has("-c"),
            exclude_providers: has("--exclude-providers"),
            hide_sensitive: has("--hide-sensitive"),
            show_values: has("--show-values"),
            ..ListOptions::default()
        }
    }
}

#[test]
fn the_list_is_the_one_that_airflow_prints() {
    let cases: Vec<Case> =
        serde_json::from_str(include_str!("../../testdata/listings.json")).unwrap();
    assert!(cases.len() > 10);
    for case in cases {
        // `print` adds the last line break.
        let listed = format!("{}\n", case.values().list(&case.options()));
        assert_eq!(
            without_our_section(&listed),
            case.printed,
            "config list {:?}",
            case.flags
        );
    }
}

/// Cuts out `[updraft]`, which Airflow does not have.
fn without_our_section(listed: &str) -> String {
    let Some(start) = listed.find("[updraft]\n") else {
        return listed.to_owned();
    };
    let end = listed[start + 1..]
        .find("\n[")
        .map_or(listed.len() - 1, |at| start + at + 2);
    format!("{}{}", &listed[..start], &listed[end..])
}

#[test]
fn defaults_come_commented_out_and_with_what_they_do() {
    let values = Values::from_text("", &crate::environment(&[]), &Lookups::of_machine());
    let flags = ListOptions {
        section: Some("triggerer".to_owned()),
        defaults: true,
        show_values: true,
        ..ListOptions::default()
    };
    let listed = values.list(&flags);
    let start = "[triggerer]\n\
        # triggers that one triggerer runs at a time.\n\
        #\n# Variable: AIRFLOW__TRIGGERER__CAPACITY\n#\n# capacity = 1000\n\n";
    assert!(listed.starts_with(start), "{listed}");
}
