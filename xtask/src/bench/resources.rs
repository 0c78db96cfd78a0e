//! Memory and CPU of an engine's processes, read from `/proc`.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::engine::Engine;
use crate::service::{process_tree, stat_field};

/// Long enough to contain several rounds of every loop.
const CPU_WINDOW: Duration = Duration::from_secs(30);
/// Linux reports process times in this unit, on every machine.
const TICKS_PER_SECOND: f64 = 100.0;

/// Where the four CPU times of a process stand in its `stat` line, counted from the state:
/// user, system, and both of the children that have ended.
const CPU_FIELDS: [usize; 4] = [11, 12, 13, 14];

/// All processes of the engine, without a database server: what a managed database costs is
/// somebody else's memory.
fn processes(engine: &Engine) -> BTreeSet<u32> {
    engine
        .root_pids()
        .into_iter()
        .flat_map(process_tree)
        .collect()
}

/// Returns the proportional set size of all processes, in megabytes.
pub(super) fn memory_mb(engine: &Engine) -> Result<f64> {
    let kilobytes: f64 = processes(engine).into_iter().filter_map(pss_kb).sum();
    if kilobytes == 0.0 {
        bail!(
            "found no memory of {}: is /proc readable?",
            engine.kind.name()
        );
    }
    Ok(kilobytes / 1024.0)
}

fn pss_kb(pid: u32) -> Option<f64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = rollup.lines().find(|line| line.starts_with("Pss:"))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Returns the share of one core that the processes use while nothing is asked of them.
pub(super) fn cpu_percent(engine: &Engine) -> f64 {
    let (before, started) = (cpu_ticks(engine), Instant::now());
    std::thread::sleep(CPU_WINDOW);
    let ticks = cpu_ticks(engine) - before;
    100.0 * (ticks / TICKS_PER_SECOND) / started.elapsed().as_secs_f64()
}

fn cpu_ticks(engine: &Engine) -> f64 {
    let of_process = |pid: u32| -> f64 {
        CPU_FIELDS
            .iter()
            .filter_map(|field| stat_field::<f64>(pid, *field))
            .sum()
    };
    processes(engine).into_iter().map(of_process).sum()
}
