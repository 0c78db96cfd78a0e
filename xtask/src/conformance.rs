//! Runs the same Dags on real Airflow and on Updraft and demands the same outcome.
//!
//! The Dags are the examples inside the user's own Airflow packages, unmodified, and those of
//! `conformance/dags/`, which exercise what the examples leave out. What real Airflow made of
//! them is kept in `conformance/airflow-<version>/`, so that a normal run needs no Airflow.

mod compare;
mod outcome;
mod plan;
mod random;
mod record;
mod session;

use anyhow::{Context as _, Result, bail};

pub(crate) use session::copy_folder;

use crate::engine::EngineKind;
use outcome::Outcomes;
use plan::Plan;
use random::Against;
use session::Selection;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Run real Airflow and store what it does as the new record.
    #[arg(long, conflicts_with_all = ["both", "engine"])]
    record: bool,
    /// Run both engines now and compare them directly, without the record.
    #[arg(long, conflicts_with = "engine")]
    both: bool,
    /// The engine that is held against the record.
    #[arg(long, value_enum, default_value = "updraft")]
    engine: EngineKind,
    /// Only these Dags (comma separated); everything else is left alone.
    #[arg(long, value_delimiter = ',')]
    dags: Vec<String>,
    /// Only the random Dags with these seeds, as in `401..500`; both ends are included.
    #[arg(long, value_parser = seeds, conflicts_with = "dags")]
    random_seeds: Option<(u64, u64)>,
    /// Hold random Dags against what their generator foresees, without Airflow and its record.
    #[arg(long, conflicts_with_all = ["record", "both", "engine"])]
    foreseen: bool,
    /// Only the random Dag with this seed; shows its file and what both engines make of it.
    #[arg(long, conflicts_with_all = ["dags", "random_seeds", "record"])]
    seed: Option<u64>,
    /// Only show the file of the random Dag.
    #[arg(long, requires = "seed")]
    print: bool,
}

fn seeds(text: &str) -> Result<(u64, u64), String> {
    let numbers = text.split_once("..").and_then(|(first, last)| {
        let numbers: (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
        (numbers.0 <= numbers.1).then_some(numbers)
    });
    numbers.ok_or_else(|| format!("expected two numbers as in `401..500`, found `{text}`"))
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let plan = Plan::read()?;
    let against = match arguments {
        Arguments { both: true, .. } => Against::Airflow,
        Arguments { foreseen: true, .. } => Against::Foresight,
        Arguments { engine, .. } => Against::Record(*engine),
    };
    if let Some(seed) = arguments.seed {
        if arguments.print {
            random::print(seed);
            return Ok(());
        }
        return random::show(&plan, seed, against);
    }
    if let Some((first, last)) = arguments.random_seeds {
        let seeds: Vec<u64> = (first..=last).collect();
        if arguments.record {
            return random::record(&plan, &seeds);
        }
        return random::compare(&plan, &seeds, against);
    }
    run_written(arguments, &plan)?;
    if arguments.record || !arguments.dags.is_empty() {
        return Ok(());
    }
    random::compare(&plan, &random::recorded_seeds(&plan), against)
}

/// Runs the Dags that somebody wrote: the examples and ours.
fn run_written(arguments: &Arguments, plan: &Plan) -> Result<()> {
    let run_on = |kind: EngineKind, expected: Option<&Outcomes>| {
        let expected = expected
            .into_iter()
            .flat_map(|outcomes| outcomes.dags.keys().cloned());
        let only = &arguments.dags;
        session::run(
            kind,
            &Selection {
                plan,
                only,
                expected: expected.collect(),
            },
        )
    };
    if arguments.record {
        return record::write(&run_on(EngineKind::Airflow, None)?, &arguments.dags);
    }
    let (expected, engine) = if arguments.both {
        (run_on(EngineKind::Airflow, None)?, EngineKind::Updraft)
    } else {
        let recorded = record::read(&arguments.dags);
        let recorded = recorded.context("run `cargo xtask conformance --record` first")?;
        (recorded, arguments.engine)
    };
    let found = run_on(engine, Some(&expected))?;
    report(&expected, &found, plan)
}

/// What the gate runs: Updraft against the record, all Dags.
pub(crate) fn run_against_record() -> Result<()> {
    run(&Arguments {
        record: false,
        both: false,
        engine: EngineKind::Updraft,
        dags: Vec::new(),
        random_seeds: None,
        foreseen: false,
        print: false,
        seed: None,
    })
}

fn report(expected: &Outcomes, found: &Outcomes, plan: &Plan) -> Result<()> {
    let differences = compare::differences(expected, found);
    let (explained, unexplained): (Vec<_>, Vec<_>) = differences
        .into_iter()
        .partition(|difference| plan.explanation(difference).is_some());
    for difference in &explained {
        let reason = plan.explanation(difference).unwrap_or_default();
        println!("known     {difference}\n          because {reason}");
    }
    for difference in &unexplained {
        println!("DIFFERENT {difference}");
    }
    for start in plan.outlived(&explained) {
        println!("gone      {start} (take it out of the plan, unless not all Dags ran)");
    }
    let (dags, instances, xcoms) = expected.sizes();
    println!(
        "\nconformance: {dags} Dags, {instances} task instances, {xcoms} XComs compared; \
         {} excluded; {} known and {} unexplained differences",
        plan.excluded.len(),
        explained.len(),
        unexplained.len()
    );
    if !unexplained.is_empty() {
        bail!("{} unexplained differences", unexplained.len());
    }
    Ok(())
}
