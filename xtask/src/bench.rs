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

use std::time::Duration;

use anyhow::{Result, bail};

use crate::conformance::copy_folder;
use crate::engine::{Engine, EngineKind, Launch, fresh_home};
use crate::updraft::Profile;
use crate::workspace;
use report::Column;
use rows::{Measure, ROWS, Row};

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
    /// Measure the binary that is there instead of building it first.
    #[arg(long)]
    no_build: bool,
    /// Print the table without writing it to `docs/benchmarks.md`.
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let rows = selected_rows(&arguments.rows)?;
    if arguments.repeat == 0 {
        bail!("`--repeat`: expected at least 1, found 0");
    }
    let mut failures = 0;
    for kind in [EngineKind::Airflow, EngineKind::Updraft] {
        if arguments.only.is_none_or(|only| only == kind) {
            if !arguments.no_build {
                kind.prepare(Profile::Release)?;
            }
            failures += measure(kind, &rows, arguments.repeat)?;
        }
    }
    let airflow = Column::read(EngineKind::Airflow)?;
    let updraft = Column::read(EngineKind::Updraft)?;
    println!("\n{}", report::table(&airflow, &updraft));
    if !arguments.dry_run {
        report::write_page(&airflow, &updraft)?;
    }
    if failures > 0 {
        bail!("{failures} rows could not be measured");
    }
    Ok(())
}

/// Returns the wanted rows in the order in which they are measured.
fn selected_rows(names: &[String]) -> Result<Vec<&'static Row>> {
    for name in names {
        if !ROWS.iter().any(|row| row.name == name) {
            let known: Vec<&str> = ROWS.iter().map(|row| row.name).collect();
            bail!(
                "`--rows`: expected some of {}, found `{name}`",
                known.join(", ")
            );
        }
    }
    let is_wanted = |row: &&Row| names.is_empty() || names.iter().any(|name| name == row.name);
    let mut rows: Vec<&Row> = ROWS.iter().filter(is_wanted).collect();
    rows.sort_by_key(|row| row.measure.order());
    Ok(rows)
}

/// Measures `rows` and stores each value as soon as it is known; returns how many failed.
fn measure(kind: EngineKind, rows: &[&Row], repeat: usize) -> Result<usize> {
    let launch = launch(kind)?;
    let (restarts, others): (Vec<&Row>, Vec<&Row>) =
        rows.iter().partition(|row| row.measure == Measure::Restart);
    let mut column = Column::read(kind)?;
    let mut failures = 0;
    let mut note = |row: &Row, value: Result<f64>| -> Result<()> {
        match value {
            Ok(value) => {
                println!("{:8} {:14} {}", kind.name(), row.name, row.unit.text(value));
                column.set(row.name, value);
                column.write()
            }
            Err(error) => {
                println!("{:8} {:14} failed: {error:#}", kind.name(), row.name);
                failures += 1;
                Ok(())
            }
        }
    };
    for row in restarts {
        note(row, restart(&launch, kind, repeat))?;
    }
    if !others.is_empty() {
        let engine = kind.start(&launch)?;
        workloads::wait_until_loaded(&engine)?;
        for row in others {
            note(row, measure_row(&engine, row, repeat))?;
        }
    }
    Ok(failures)
}

/// Times starts in a home that has been used before: the first start finds its interpreter, makes
/// its keys and migrates its database.
fn restart(launch: &Launch, kind: EngineKind, repeat: usize) -> Result<f64> {
    drop(kind.start(launch)?);
    median_of(repeat, |_| Ok(kind.start(launch)?.ready_after))
}

fn measure_row(engine: &Engine, row: &Row, repeat: usize) -> Result<f64> {
    // Airflow needs minutes to see a file: once must do.
    let file_repeat = if engine.kind == EngineKind::Airflow {
        1
    } else {
        repeat
    };
    match row.measure {
        Measure::Restart => bail!("a restart is measured without a running engine"),
        Measure::MemoryIdle => {
            std::thread::sleep(SETTLE);
            resources::memory_mb(engine)
        }
        Measure::CpuIdle => Ok(resources::cpu_percent(engine)),
        Measure::Run { dag_id, .. } => {
            workloads::run_once(engine, "bench_warm_up")?;
            let seconds = median_of(repeat, |_| workloads::run_once(engine, dag_id))?;
            Ok(row.value_of(seconds))
        }
        Measure::ListDags => list_load::requests_per_second(engine),
        Measure::MemoryLoaded => resources::memory_mb(engine),
        Measure::NewFile => median_of(file_repeat, |i| workloads::new_file_visible(engine, i)),
        Measure::ChangedFile => {
            median_of(file_repeat, |i| workloads::changed_file_visible(engine, i))
        }
    }
}

/// Measures `repeat` times and returns the median in seconds.
fn median_of(repeat: usize, measure: impl Fn(usize) -> Result<Duration>) -> Result<f64> {
    let mut seconds = Vec::with_capacity(repeat);
    for i in 0..repeat {
        seconds.push(measure(i)?.as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    Ok(seconds[seconds.len() / 2])
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
        profile: Profile::Release,
        settings: Vec::new(),
    })
}
