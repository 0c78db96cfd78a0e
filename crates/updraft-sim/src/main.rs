//! Runs worlds until one fails or the time is over. `cargo xtask sim` builds and calls it.
#![expect(clippy::print_stdout, reason = "it talks to a person at a terminal")]

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use updraft_sim::{FaultKind, Setup, Verdict, grid, last_entries, shrink, simulate};

/// Entries of the log that a failure prints.
const ENTRIES_SHOWN: usize = 120;

/// Simulates Updraft under every kind of trouble.
#[derive(Parser)]
#[command(name = "cargo xtask sim")]
struct Arguments {
    /// Run this world only.
    #[arg(long)]
    seed: Option<u64>,
    /// Begin with this seed and go on with the next ones.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Run so many worlds.
    #[arg(long)]
    worlds: Option<u64>,
    /// Run worlds for so many hours of real time.
    #[arg(long)]
    hours: Option<f64>,
    /// Machines of the world.
    #[arg(long)]
    hosts: Option<usize>,
    /// Numbers of the Dags.
    #[arg(long, value_delimiter = ',')]
    dags: Option<Vec<usize>>,
    /// Kinds of trouble, or `none`.
    #[arg(long, value_delimiter = ',')]
    faults: Option<Vec<String>>,
    /// How long there is trouble, in simulated minutes.
    #[arg(long)]
    minutes: Option<u64>,
    /// Print the whole log.
    #[arg(long)]
    log: bool,
    /// Go on after a failure.
    #[arg(long)]
    keep_going: bool,
    /// Leave a failing world as large as it is.
    #[arg(long)]
    no_shrink: bool,
    /// Say how long each world took.
    #[arg(long)]
    verbose: bool,
    /// Print what the code under test logs.
    #[arg(long)]
    trace: Option<String>,
}

/// What a series of worlds came to.
#[derive(Default)]
struct Totals {
    worlds: u64,
    failures: u64,
    steps: u64,
    store_calls: u64,
    faults: u64,
    kills: u64,
    tries: u64,
    task_time: Duration,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(filter) = &arguments.trace {
        tracing_subscriber::fmt().with_env_filter(filter).init();
    }
    stay_on_one_core();
    let began = Instant::now();
    let mut totals = Totals::default();
    let mut seed = arguments.seed.unwrap_or(arguments.from);
    loop {
        let setup = match narrowed(&arguments, Setup::of_seed(seed)) {
            Ok(setup) => setup,
            Err(problem) => {
                println!("error: --faults: {problem}");
                return ExitCode::from(2);
            }
        };
        let started = Instant::now();
        let verdict = simulate(&setup);
        totals.add(&verdict);
        if arguments.verbose {
            let took = started.elapsed().as_secs_f64();
            println!("seed {seed}: {} steps in {took:.1} s", verdict.report.steps);
        }
        if arguments.log {
            println!("{}", last_entries(&verdict.report.log, usize::MAX));
        }
        if let Some(problem) = &verdict.problem {
            totals.failures += 1;
            print_failure(&arguments, &verdict, problem);
            if !arguments.keep_going {
                break;
            }
        }
        if is_over(&arguments, &totals, began) {
            break;
        }
        seed += 1;
    }
    totals.print(began.elapsed());
    if totals.failures > 0 {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// A world and the threads of its database take turns: handing over to another core would only
/// cost time.
fn stay_on_one_core() {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut chosen = CpuSet::new();
    let core = usize::try_from(std::process::id()).unwrap_or(0) % cores;
    let done = chosen
        .set(core)
        .and_then(|()| sched_setaffinity(Pid::from_raw(0), &chosen));
    if let Err(error) = done {
        println!("note: the simulator runs on all cores, and slower: {error}");
    }
}

fn narrowed(arguments: &Arguments, mut setup: Setup) -> Result<Setup, String> {
    setup.hosts = arguments.hosts.unwrap_or(setup.hosts);
    if let Some(dags) = &arguments.dags {
        setup.dags.clone_from(dags);
    }
    if let Some(minutes) = arguments.minutes {
        setup.active = Duration::from_secs(60 * minutes);
    }
    if let Some(names) = &arguments.faults {
        let named = names.iter().filter(|name| *name != "none");
        let kinds: Result<BTreeSet<FaultKind>, _> = named.map(|name| name.parse()).collect();
        setup.faults = kinds?;
    }
    Ok(setup)
}

fn is_over(arguments: &Arguments, totals: &Totals, began: Instant) -> bool {
    if arguments.seed.is_some() {
        return true;
    }
    let hours = began.elapsed().as_secs_f64() / 3_600.0;
    match (arguments.worlds, arguments.hours) {
        (Some(worlds), _) if totals.worlds >= worlds => true,
        (_, Some(limit)) => hours >= limit,
        (Some(_), None) => false,
        (None, None) => totals.worlds >= 10,
    }
}

fn print_failure(arguments: &Arguments, verdict: &Verdict, problem: &str) {
    let setup = &verdict.report.setup;
    println!("seed {} failed: {problem}", setup.seed);
    println!("replay: {}", setup.command());
    if arguments.no_shrink {
        println!("{}", grid(&verdict.report.log));
        println!("{}", last_entries(&verdict.report.log, ENTRIES_SHOWN));
        return;
    }
    let (smaller, problem) = shrink(setup, problem);
    let shown = simulate(&smaller);
    println!("smaller: {problem}");
    println!("replay: {}", smaller.command());
    println!("{}", grid(&shown.report.log));
    println!("{}", last_entries(&shown.report.log, ENTRIES_SHOWN));
}

impl Totals {
    fn add(&mut self, verdict: &Verdict) {
        let report = &verdict.report;
        self.worlds += 1;
        self.steps += report.steps;
        self.store_calls += report.store_calls;
        self.faults += report.faults;
        self.kills += report.kills;
        self.tries += report.tries;
        self.task_time += report.task_time;
    }

    fn print(&self, took: Duration) {
        let Self {
            worlds,
            failures,
            steps,
            store_calls,
            faults,
            kills,
            tries,
            task_time,
        } = self;
        let seconds = took.as_secs_f64();
        let hours = task_time.as_secs_f64() / 3_600.0;
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = *steps as f64 / seconds;
        println!(
            "{worlds} worlds, {failures} failed, in {seconds:.1} s: {steps} steps ({rate:.0} a \
             second), {store_calls} store calls, {faults} of them faulty, {kills} kills, {tries} \
             tries, {hours:.0} simulated task-hours"
        );
        println!("{worlds} passed, {failures} failed");
    }
}
