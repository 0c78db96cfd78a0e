//! What is refused before anything is done.

use crate::home::Home;

#[test]
fn wrong_flags_and_unknown_commands_exit_with_2() {
    let home = Home::migrated();
    for (line, reason) in [
        (
            "variables list -o xml",
            "possible values: json, yaml, plain, table",
        ),
        ("variables get", "<KEY>"),
        ("variables list --nope", "--nope"),
        ("pools set p x y", "<SLOTS>"),
        ("dags list-runs d --state done", "possible values"),
        ("dag list", "dags"),
        ("jobs check --allow-multiple", "--limit"),
        ("standalone --port 0", "0 is not in 1..=65535"),
    ] {
        let error = home.line(line).refused(2);
        assert!(error.contains(reason), "{line}: {error}");
    }
}

#[test]
fn commands_of_airflow_that_are_missing_are_known_by_name() {
    let home = Home::empty();
    for line in [
        "scheduler --num-runs 1",
        "celery worker -q a",
        "db clean --yes",
        "tasks render d t r",
    ] {
        let error = home.line(line).refused(2);
        let name: Vec<&str> = line
            .split(' ')
            .take_while(|word| !word.starts_with('-'))
            .collect();
        assert!(error.contains("is not available yet"), "{error}");
        assert!(error.contains(name[0]), "{error}");
        assert!(error.contains("hint: "), "{error}");
    }
}

#[test]
fn bad_settings_are_all_told_before_a_command_starts() {
    let home = Home::migrated()
        .with("AIRFLOW__CORE__PARALLELISM", "many")
        .with("AIRFLOW__CORE__FERNET_KEY", "short");
    let error = home.line("variables list").refused(1);
    assert!(
        error.contains("[core] parallelism: expected a count, found \"many\""),
        "{error}"
    );
    assert!(error.contains("hint: "), "{error}");
    // The settings themselves can still be looked at.
    assert_eq!(
        home.line("config get-value core parallelism").fine(),
        "many\n"
    );
}

#[test]
fn help_lists_what_there_is_and_nothing_else() {
    let home = Home::empty();
    let help = home.line("--help").fine();
    assert!(
        help.contains("standalone") && help.contains("connections"),
        "{help}"
    );
    assert!(!help.contains("kerberos"), "{help}");
    assert_eq!(
        home.line("version").fine(),
        concat!(env!("CARGO_PKG_VERSION"), "\n")
    );
}
