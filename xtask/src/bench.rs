//! Measures Updraft and real Airflow with the same Dag files, the same REST client and the same
//! machine, and writes the table of `docs/benchmarks.md`.
//!
//! Both engines run with their own defaults. Airflow gets what its documentation recommends for
//! production on one machine: LocalExecutor and PostgreSQL. Its table columns are kept in
//! `target/bench/`, so that one engine can be measured again without the other.

mod list_load;
mod report;
mod resources;
mod rows;
mod workloads;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::conformance::copy_folder;
use crate::engine::{Engine, EngineKind, Launch, fresh_home};
use crate::workspace;
use report::Column;
use rows::{ROWS, Row};

/// Rest before the idle measurements: caches are written, workers have gone to sleep.
const SETTLE: Duration = Duration::from_secs(20);

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Measure only this engine; the other column comes from its last measurement.
    #[arg(long, value_enum)]
    only: Option<EngineKind>,
    /// Only these rows (comma separated): the names stand in the table.
    #[arg(long, value_delimiter = ',')]
    rows: Vec<String>,
    /// How often each row is measured; the median counts.
    #[arg(long, default_value_t = 3)]
    repeat: usize,
    /// Print the table without writing it to `docs/benchmarks.md`.
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let rows = selected_rows(&arguments.rows)?;
    if arguments.repeat == 0 {
        bail!("`--repeat`: expected at least 1, found 0");
    }
    for kind in [EngineKind::Airflow, EngineKind::Updraft] {
        if arguments.only.is_none_or(|only| only == kind) {
            let mut column = Column::read(kind)?;
            column.merge(measure(kind, &rows, arguments.repeat)?);
            column.write()?;
        }
    }
    let (airflow, updraft) = (
        Column::read(EngineKind::Airflow)?,
        Column::read(EngineKind::Updraft)?,
    );
    println!("\n{}", report::table(&airflow, &updraft));
    if !arguments.dry_run {
        report::write_page(&airflow, &updraft)?;
    }
    Ok(())
}

fn selected_rows(names: &[String]) -> Result<Vec<&'static Row>> {
    if names.is_empty() {
        return Ok(ROWS.iter().collect());
    }
    let find = |name: &String| {
        ROWS.iter().find(|row| row.name == name).with_context(|| {
            let known: Vec<&str> = ROWS.iter().map(|row| row.name).collect();
            format!(
                "`--rows`: expected some of {}, found `{name}`",
                known.join(", ")
            )
        })
    };
    names.iter().map(find).collect()
}

/// Measures `rows` on a freshly started engine.
fn measure(
    kind: EngineKind,
    rows: &[&'static Row],
    repeat: usize,
) -> Result<BTreeMap<String, f64>> {
    kind.prepare()?;
    let launch = launch(kind)?;
    let mut found = BTreeMap::new();
    let mut note = |row: &Row, value: f64| {
        println!("{:8} {:16} {}", kind.name(), row.name, row.unit.text(value));
        found.insert(row.name.to_owned(), value);
    };
    let has = |name: &str| rows.iter().find(|row| row.name == name);
    if let Some(row) = has("ready") {
        // The first start in a new home finds its interpreter, makes its keys, migrates.
        drop(kind.start(&launch)?);
        let mut times = Vec::new();
        for _ in 0..repeat {
            times.push(kind.start(&launch)?.ready_after.as_secs_f64());
        }
        note(row, median(times));
    }

    let engine = kind.start(&launch)?;
    workloads::wait_until_loaded(&engine)?;
    if let Some(row) = has("memory-idle") {
        workloads::list_all_dags(&engine)?;
        std::thread::sleep(SETTLE);
        note(row, resources::memory_mb(&engine)?);
    }
    if let Some(row) = has("cpu-idle") {
        note(row, resources::cpu_percent(&engine));
    }
    workloads::run_once(&engine, "bench_warm_up")?;
    for row in rows {
        if let Some(workload) = &row.workload {
            let mut times = Vec::new();
            for _ in 0..repeat {
                times.push(workloads::run_once(&engine, workload.dag_id)?.as_secs_f64());
            }
            note(row, row.value_of(median(times)));
        }
    }
    if let Some(row) = has("list-dags") {
        note(row, list_load::requests_per_second(&engine)?);
    }
    if let Some(row) = has("memory-loaded") {
        note(row, resources::memory_mb(&engine)?);
    }
    for (name, visible) in [
        (
            "new-file",
            workloads::new_file_visible as fn(&Engine, usize) -> Result<Duration>,
        ),
        ("changed-file", workloads::changed_file_visible),
    ] {
        if let Some(row) = has(name) {
            // Airflow needs minutes for each: once must do.
            let repeat = if kind == EngineKind::Airflow {
                1
            } else {
                repeat
            };
            let times: Result<Vec<f64>> = (0..repeat)
                .map(|i| Ok(visible(&engine, i)?.as_secs_f64()))
                .collect();
            note(row, median(times?));
        }
    }
    Ok(found)
}

fn launch(kind: EngineKind) -> Result<Launch> {
    let home = fresh_home(&workspace::cache("bench")?, &kind.name().to_lowercase())?;
    copy_folder(
        &workspace::root().join("conformance/bench-dags"),
        &home.join("dags"),
    )?;
    Ok(Launch {
        home,
        with_examples: false,
        settings: Vec::new(),
    })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
