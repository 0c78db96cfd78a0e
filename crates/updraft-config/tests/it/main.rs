//! Settings, compared with the answers that Airflow 3.3.2 gave (`testdata/record.py`).

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic, too")]

mod bad_settings;
mod child_environment;
mod database_url;
mod listing;
mod recorded;
mod reference_page;
mod typed;

use updraft_config::{BadSettings, Environment, Lookups, Settings, Values};

/// The home that stands in the recorded answers.
const HOME: &str = "/airflow-home";

fn environment(variables: &[(&str, &str)]) -> Environment {
    [("HOME", "/users/ada"), ("AIRFLOW_HOME", HOME)]
        .iter()
        .chain(variables)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// Settings of a file and some variables, on a machine where every command prints its own text
/// in capitals and `false` fails.
fn settings(file: &str, variables: &[(&str, &str)]) -> Result<Settings, Box<BadSettings>> {
    let lookups = Lookups {
        run_command: &|command| match command {
            "false" => Err("\"false\" ended with exit status: 1".to_owned()),
            command => Ok(command.to_uppercase()),
        },
        ask_secrets_backend: &|class, name| match name {
            "nowhere" => Ok(None),
            "broken" => Err(format!("{class} does not answer")),
            name => Ok(Some(format!("{class} holds {name}"))),
        },
    };
    Settings::from_values(Values::from_text(file, &environment(variables), &lookups))
}
