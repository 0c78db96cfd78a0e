//! Writes `docs/configuration.md` and `options/descriptions.json` from the doc comments of the
//! typed sections. A stale file is rewritten and fails the test once.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use updraft_config::OptionTable;

/// An option that Updraft acts on, by section, in the order of the struct.
struct Documented {
    section: String,
    options: Vec<(String, String)>,
}

#[test]
fn the_reference_page_is_up_to_date() {
    let sections = documented_sections();
    let page = page(&sections);
    let descriptions = descriptions(&sections);
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let written = [
        (here.join("../../docs/configuration.md"), page),
        (here.join("options/descriptions.json"), descriptions),
    ];
    let stale: Vec<PathBuf> = written
        .into_iter()
        .filter(|(path, text)| fs::read_to_string(path).ok().as_ref() != Some(text))
        .map(|(path, text)| {
            fs::write(&path, text).unwrap();
            path
        })
        .collect();
    assert!(
        stale.is_empty(),
        "{stale:?} were stale and are rewritten; look at them and commit"
    );
}

#[test]
fn every_documented_option_is_in_the_table() {
    let table = OptionTable::built_in();
    for Documented { section, options } in documented_sections() {
        assert!(!options.is_empty(), "[{section}]");
        for (key, _) in options {
            assert!(table.get(&section, &key).is_some(), "[{section}] {key}");
        }
    }
}

#[test]
fn every_option_of_ours_is_documented() {
    let sections = documented_sections();
    let ours = sections.iter().find(|it| it.section == "updraft").unwrap();
    for (key, _) in OptionTable::built_in().options("updraft") {
        assert!(
            ours.options.iter().any(|(documented, _)| documented == key),
            "{key}"
        );
    }
}

fn documented_sections() -> Vec<Documented> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sections");
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
        .iter()
        .map(|file| documented(&fs::read_to_string(file).unwrap()))
        .collect()
}

/// Reads one struct: `/// [section]`, then `/// key: what it does` above each field.
fn documented(source: &str) -> Documented {
    let mut section = String::new();
    let mut options = Vec::new();
    let mut comment = String::new();
    for line in source.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            comment = format!("{comment} {}", text.trim()).trim().to_owned();
            continue;
        }
        if line.starts_with("pub struct ") && comment.starts_with("`[") {
            section = between(&comment, "`[", "]`").unwrap().0.to_owned();
        } else if line.starts_with("pub ")
            && let Some((key, text)) = between(&comment, "`", "`: ")
        {
            options.push((key.to_owned(), text.to_owned()));
        }
        if !line.starts_with("#[") {
            comment.clear();
        }
    }
    Documented { section, options }
}

/// What stands between the two marks at the start of a text, and what follows.
fn between<'a>(text: &'a str, open: &str, close: &str) -> Option<(&'a str, &'a str)> {
    text.strip_prefix(open)?.split_once(close)
}

fn page(sections: &[Documented]) -> String {
    let table = OptionTable::built_in();
    let home = Path::new("{AIRFLOW_HOME}");
    let mut page = String::from(INTRODUCTION);
    for Documented { section, options } in sections {
        page.push_str(&format!(
            "\n## [{section}]\n\n| option | default | what it does |\n"
        ));
        page.push_str("|---|---|---|\n");
        for (key, text) in options {
            let default = table
                .get(section, key)
                .and_then(|option| option.default_in(home));
            page.push_str(&format!("| `{key}` | {} | {text} |\n", shown(default)));
        }
    }
    page
}

/// A default as a cell of the table.
fn shown(default: Option<String>) -> String {
    let text = default.unwrap_or_default();
    let text = text
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', "\\|");
    if text.is_empty() {
        String::new()
    } else {
        format!("`{text}`")
    }
}

fn descriptions(sections: &[Documented]) -> String {
    let by_name: BTreeMap<&str, BTreeMap<&str, &str>> = sections
        .iter()
        .map(|it| {
            let options = it
                .options
                .iter()
                .map(|(key, text)| (key.as_str(), text.as_str()));
            (it.section.as_str(), options.collect())
        })
        .collect();
    let mut text = serde_json::to_string_pretty(&by_name).unwrap();
    text.push('\n');
    text
}

const INTRODUCTION: &str = "\
# Configuration

<!-- Written from the doc comments in crates/updraft-config/src/sections by its tests. -->

Updraft reads the settings of an Airflow installation as Airflow reads them:

1. the environment variable `AIRFLOW__SECTION__KEY` (dots in a section become `_`), then, for
   secrets, `AIRFLOW__SECTION__KEY_CMD` (a command that prints the value) and
   `AIRFLOW__SECTION__KEY_SECRET` (its name in the secrets backend);
2. `airflow.cfg` in `AIRFLOW_HOME` (`~/airflow` unless set), or the file that `AIRFLOW_CONFIG`
   names;
3. for secrets, `key_cmd` and `key_secret` in that file;
4. the default.

An option that was renamed in Airflow 3 is also found under its old name, with a warning.
`~` and `$VARIABLE` are expanded in every value; in the file, a percent sign is written `%%`.
Durations are seconds. All bad settings are reported together when a process starts, each with
the place it comes from; `updraft config list --show-values --include-sources` shows what is in
force.

The tables hold the options that Updraft itself acts on. All other options of Airflow reach the
Python code of your Dags as they are. Connections and variables in `AIRFLOW_CONN_*` and
`AIRFLOW_VAR_*` work as in Airflow. Children that run your code never see the database URL, the
Fernet key, the signing keys or the broker.

Updraft keeps its metadata in a schema of its own. Do not point `[database] sql_alchemy_conn` at
a database that Airflow uses; its default file, `airflow.db`, is taken to mean `updraft.db`.
";
