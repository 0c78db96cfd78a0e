//! What commands say: results on standard output, everything else on standard error.
//!
//! The only place in Updraft that writes to either. Nothing is decided here, and nobody hears when
//! the reader went away: the output of `updraft dags list | head` simply ends.
//!
//! Lists have the four forms of Airflow's commands, [`OutputFormat`], each in a file of its own and
//! equal to Airflow's byte for byte (`testdata/forms.json` holds recorded ones), but for one thing:
//! Airflow takes square brackets in a table for colours and swallows them, we show the text.

mod cell;
mod grid;
mod json;
mod plain;
mod table;
mod yaml;

use std::io::{IsTerminal as _, Write as _};

use serde_json::{Value, json};

pub(crate) use cell::shown as python_text;
pub(crate) use grid::grid;
pub(crate) use json::{compact_json, indented_json};
pub(crate) use yaml::yaml;

/// One line of a list: names and values, in the order they are shown in.
pub(crate) type Row = serde_json::Map<String, Value>;

/// Columns of a table that goes into a file or a pipe.
const PIPED_WIDTH: usize = 200;

/// The form of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum OutputFormat {
    Json,
    Yaml,
    Plain,
    #[default]
    Table,
}

/// The flag that nearly every command has.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct OutputArgs {
    /// Output format
    #[arg(short, long, value_enum, ignore_case = true, default_value = "table")]
    pub(crate) output: OutputFormat,
}

/// Makes a row of names and values.
pub(crate) fn row<const N: usize>(columns: [(&str, Value); N]) -> Row {
    columns
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// Shows a list.
pub(crate) fn show(rows: &[Row], format: OutputFormat) {
    write(&rendered(rows, format, width()));
}

/// Prints one row: whole as JSON or YAML, else a line for each of its columns.
pub(crate) fn show_properties(details: Row, format: OutputFormat) {
    if matches!(format, OutputFormat::Json | OutputFormat::Yaml) {
        show(&[details], format);
        return;
    }
    let lines: Vec<Row> = details
        .into_iter()
        .map(|(name, value)| row([("property_name", json!(name)), ("property_value", value)]))
        .collect();
    show(&lines, format);
}

/// Says one line.
pub(crate) fn say(line: &str) {
    write(&format!("{line}\n"));
}

/// Writes text as it is.
pub(crate) fn write(text: &str) {
    let mut out = std::io::stdout().lock();
    // The reader may be gone; there is nobody left to tell.
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .ok();
}

/// Says one line that is not part of the result.
pub(crate) fn remark(line: &str) {
    // As above.
    writeln!(std::io::stderr().lock(), "{line}").ok();
}

/// Asks a question that `y` or `yes` affirms; no answer is a no.
pub(crate) fn confirm(question: &str) -> bool {
    write(&format!("{question} "));
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).is_ok()
        && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}

fn rendered(rows: &[Row], format: OutputFormat, width: usize) -> String {
    let rows: Vec<Row> = rows
        .iter()
        .map(|row| cell::normalized(row, format))
        .collect();
    match format {
        OutputFormat::Json => {
            let list = rows.into_iter().map(Value::Object).collect();
            format!("{}\n", compact_json(&Value::Array(list)))
        }
        OutputFormat::Yaml => {
            let list = rows.into_iter().map(Value::Object).collect();
            format!("{}\n", yaml(&Value::Array(list)))
        }
        OutputFormat::Plain | OutputFormat::Table if rows.is_empty() => {
            "No data found\n".to_owned()
        }
        OutputFormat::Plain => plain::plain(&rows),
        OutputFormat::Table => table::table(&rows, width),
    }
}

/// How wide a table may be.
fn width() -> usize {
    if !std::io::stdout().is_terminal() {
        return PIPED_WIDTH;
    }
    // What the shell says; there is no other way to know without a system call of our own.
    updraft_config::Environment::of_process()
        .get("COLUMNS")
        .and_then(|columns| columns.parse().ok())
        .unwrap_or(PIPED_WIDTH)
}

#[cfg(test)]
mod tests;
