//! The table, in the terminal and in `docs/benchmarks.md`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::rows::ROWS;
use crate::engine::EngineKind;
use crate::{airflow, workspace};

const PAGE: &str = "docs/benchmarks.md";
const BEGIN: &str = "<!-- measured: begin (written by `cargo xtask bench`) -->";
const END: &str = "<!-- measured: end -->";

/// What was measured of one engine.
#[derive(Deserialize, Serialize)]
pub(super) struct Column {
    engine: String,
    /// Row name to value, and when it was measured.
    values: BTreeMap<String, (f64, String)>,
}

impl Column {
    fn path(engine: &str) -> Result<PathBuf> {
        Ok(workspace::cache("bench")?.join(format!("{}.json", engine.to_lowercase())))
    }

    /// Reads the last measurement; empty when there was none.
    pub(super) fn read(kind: EngineKind) -> Result<Self> {
        let path = Self::path(kind.name())?;
        if !path.exists() {
            return Ok(Self {
                engine: kind.name().to_owned(),
                values: BTreeMap::new(),
            });
        }
        let named = || format!("failed to read `{}`", path.display());
        serde_json::from_str(&std::fs::read_to_string(&path).with_context(named)?)
            .with_context(named)
    }

    pub(super) fn set(&mut self, row: &str, value: f64) {
        self.values.insert(row.to_owned(), (value, today()));
    }

    pub(super) fn write(&self) -> Result<()> {
        let text = serde_json::to_string_pretty(self).context("failed to write JSON")?;
        std::fs::write(Self::path(&self.engine)?, text).context("failed to store a measurement")
    }

    fn value(&self, name: &str) -> Option<f64> {
        self.values.get(name).map(|(value, _)| *value)
    }

    /// First and last day on which something in the column was measured.
    fn days(&self) -> String {
        let days = || self.values.values().map(|(_, day)| day.as_str());
        match (days().min(), days().max()) {
            (Some(first), Some(last)) if first == last => first.to_owned(),
            (Some(first), Some(last)) => format!("{first} to {last}"),
            _ => "not yet".to_owned(),
        }
    }
}

fn today() -> String {
    let seconds = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |age| age.as_secs());
    let now = i64::try_from(seconds)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    now.map_or_else(String::new, |now| now.strftime("%Y-%m-%d").to_string())
}

pub(super) fn table(airflow: &Column, updraft: &Column) -> String {
    let mut table = format!(
        "| row | what | Airflow {} | Updraft | ratio | first target | verdict |\n\
         |---|---|--:|--:|--:|--:|---|\n",
        airflow::VERSION
    );
    for row in &ROWS {
        let (a, u) = (airflow.value(row.name), updraft.value(row.name));
        let text =
            |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| row.unit.text(value));
        let ratio = match (a, u) {
            (Some(a), Some(u)) => format!("{:.1}×", row.ratio(a, u)),
            _ => "–".to_owned(),
        };
        let verdict = match u.and_then(|value| row.is_met_by(value)) {
            Some(true) => "met",
            Some(false) => "**missed**",
            None => "–",
        };
        let target = row.target_text();
        // Writing to a string does not fail.
        let _ok = writeln!(
            table,
            "| `{}` | {} | {} | {} | {ratio} | {target} | {verdict} |",
            row.name,
            row.what,
            text(a),
            text(u)
        );
    }
    table
}

/// Replaces the measured section of the page, or starts the page.
pub(super) fn write_page(airflow: &Column, updraft: &Column) -> Result<()> {
    let path = workspace::root().join(PAGE);
    let page = std::fs::read_to_string(&path)
        .unwrap_or_else(|_| format!("# Benchmarks\n\n{BEGIN}\n{END}\n"));
    let (head, rest) = page
        .split_once(BEGIN)
        .with_context(|| format!("`{PAGE}` has no line `{BEGIN}`"))?;
    let (_, tail) = rest
        .split_once(END)
        .with_context(|| format!("`{PAGE}` has no line `{END}`"))?;
    let measured = format!(
        "Machine: {}. Airflow measured {}, Updraft {}.\n\n{}",
        machine(),
        airflow.days(),
        updraft.days(),
        table(airflow, updraft)
    );
    std::fs::write(&path, format!("{head}{BEGIN}\n{measured}{END}{tail}"))
        .with_context(|| format!("failed to write `{PAGE}`"))?;
    println!("wrote {PAGE}");
    Ok(())
}

fn machine() -> String {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown CPU", |(_, name)| name.trim());
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kilobytes: Option<f64> = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.split_ascii_whitespace().next()?.parse().ok());
    let gigabytes = kilobytes.unwrap_or_default() / (1024.0 * 1024.0);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!(
        "{cores} cores of {model}, {gigabytes:.0} GB, Linux {}",
        kernel.trim()
    )
}
