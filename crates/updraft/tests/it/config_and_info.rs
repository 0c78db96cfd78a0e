//! `updraft config` and `updraft info`.

use crate::home::Home;

/// `airflow config list --section metrics --show-values`, of 3.3.2.
const METRICS: &str = include_str!("../../testdata/config_list_metrics.txt");

/// The same with `--include-env-vars --include-sources`.
const METRICS_SOURCES: &str = include_str!("../../testdata/config_list_metrics_sources.txt");

#[test]
fn a_section_is_listed_as_airflow_lists_it() {
    let home = Home::empty();
    let list = home.line("config list --section metrics --show-values");
    assert_eq!(list.err, "");
    assert_eq!(list.fine(), METRICS);
    let list = home
        .line("config list --section metrics --show-values --include-env-vars --include-sources");
    // Airflow writes its defaults into the file, and then finds them there.
    assert_eq!(
        list.fine(),
        METRICS_SOURCES.replace("Source: airflow.cfg", "Source: default")
    );
}

#[test]
fn values_are_hidden_unless_they_are_asked_for() {
    let home = Home::empty().with("AIRFLOW__CORE__FERNET_KEY", "hush");
    let list = home.line("config list --section core");
    assert!(list.err.contains("--show-values"), "{list:?}");
    assert!(!list.fine().contains("hush"));
    let list = home
        .line("config list --section core --show-values --hide-sensitive")
        .fine();
    assert!(
        !list.contains("hush") && list.contains("executor = LocalExecutor"),
        "{list}"
    );
}

#[test]
fn one_value_is_printed_raw_and_a_missing_one_is_no_failure() {
    let home = Home::empty().with("AIRFLOW__CORE__PARALLELISM", "7");
    assert_eq!(home.line("config get-value core parallelism").fine(), "7\n");
    let missing = home.line("config get-value core nope");
    assert!(missing.err.contains("[core/nope]"), "{missing:?}");
    assert_eq!(missing.fine(), "");
}

#[test]
fn info_names_the_installation_and_hides_the_home_on_request() {
    let home = Home::empty();
    let info = home.line("info -o json").fine();
    let home_path = home.path().display().to_string();
    assert!(
        info.contains(&home_path) && info.contains("\"airflow_version\": \"3.3.2\""),
        "{info}"
    );
    let info = home.line("info --anonymize").fine();
    assert!(
        !info.contains(&home_path) && info.contains("${HOME}"),
        "{info}"
    );
}
