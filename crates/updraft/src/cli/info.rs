//! `updraft info` and `updraft version`.

use clap::Args;
use serde_json::json;
use updraft_config::Settings;

use super::access::Access;
use super::failure::Outcome;
use crate::output::{OutputArgs, OutputFormat, Row, row, say, show};

/// The Airflow whose behaviour this program reproduces.
const AIRFLOW_VERSION: &str = "3.3.2";

#[derive(Debug, Args)]
pub(super) struct InfoArgs {
    /// Leave out what tells who and where you are
    #[arg(long)]
    anonymize: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// One section of the report: its title, and names with values.
type Section = (&'static str, Vec<(&'static str, String)>);

pub(super) fn version() -> Outcome {
    say(env!("CARGO_PKG_VERSION"));
    Ok(())
}

pub(super) async fn run(args: &InfoArgs, access: &Access) -> Outcome {
    let settings = access.settings()?;
    let mut sections = vec![
        ("Updraft", about_updraft(&settings)),
        ("System info", about_system(access)),
        ("Paths info", about_paths(&settings)),
    ];
    if access.is_verbose() {
        sections.push(("Store", about_store(&settings, access).await));
    }
    if args.anonymize {
        let home = access.environment().get("HOME").unwrap_or_default();
        let user = access.environment().get("USER").unwrap_or_default();
        anonymize(&mut sections, home, user);
    }
    show_sections(&sections, args.output.output);
    Ok(())
}

fn about_updraft(settings: &Settings) -> Vec<(&'static str, String)> {
    vec![
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("airflow_version", AIRFLOW_VERSION.to_owned()),
        ("executor", settings.core.executors.join(",")),
        ("auth_manager", settings.core.auth_manager.clone()),
        ("sql_alchemy_conn", settings.database.url.to_string()),
        ("dags_folder", shown(&settings.core.dags_folder)),
        ("plugins_folder", shown(&settings.core.plugins_folder)),
        ("base_log_folder", shown(&settings.logging.base_log_folder)),
    ]
}

fn about_system(access: &Access) -> Vec<(&'static str, String)> {
    let variable = |name: &str| {
        access
            .environment()
            .get(name)
            .unwrap_or_default()
            .to_owned()
    };
    vec![
        ("OS", capitalised(std::env::consts::OS)),
        ("architecture", std::env::consts::ARCH.to_owned()),
        ("locale", variable("LANG")),
        ("python_setting", variable("AIRFLOW__UPDRAFT__PYTHON")),
    ]
}

fn about_paths(settings: &Settings) -> Vec<(&'static str, String)> {
    let program = std::env::current_exe().map(|path| shown(&path));
    vec![
        ("airflow_home", shown(&settings.values.home)),
        ("config_file", shown(&settings.values.file)),
        ("program", program.unwrap_or_default()),
    ]
}

async fn about_store(settings: &Settings, access: &Access) -> Vec<(&'static str, String)> {
    let state = match access.store(settings).await {
        Ok(store) => format!("{} is ready", store.place()),
        Err(failure) => failure.to_string(),
    };
    vec![("state", state)]
}

fn shown(path: &std::path::Path) -> String {
    path.display().to_string()
}

fn capitalised(word: &str) -> String {
    let mut characters = word.chars();
    let first = characters
        .next()
        .map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + characters.as_str()
}

fn anonymize(sections: &mut [Section], home: &str, user: &str) {
    for value in sections
        .iter_mut()
        .flat_map(|(_, lines)| lines)
        .map(|(_, value)| value)
    {
        for (secret, stand_in) in [(home, "${HOME}"), (user, "${USER}")] {
            if !secret.is_empty() {
                *value = value.replace(secret, stand_in);
            }
        }
    }
}

fn show_sections(sections: &[Section], format: OutputFormat) {
    if matches!(format, OutputFormat::Json | OutputFormat::Yaml) {
        let all = sections.iter().map(|(title, lines)| {
            let lines = lines
                .iter()
                .map(|(name, value)| ((*name).to_owned(), json!(value)));
            ((*title).to_owned(), lines.collect())
        });
        show(&[all.collect::<Row>()], format);
        return;
    }
    for (title, lines) in sections {
        say(&format!("\n{title}"));
        let rows: Vec<Row> = lines
            .iter()
            .map(|(name, value)| row([("name", json!(name)), ("value", json!(value))]))
            .collect();
        show(&rows, format);
    }
}

#[cfg(test)]
mod tests {
    use super::anonymize;

    #[test]
    fn neither_the_home_nor_the_user_is_left() {
        let mut sections = vec![("Paths", vec![("a", "/home/jo/airflow of jo".to_owned())])];
        anonymize(&mut sections, "/home/jo", "jo");
        assert_eq!(sections[0].1[0].1, "${HOME}/airflow of ${USER}");
    }
}
