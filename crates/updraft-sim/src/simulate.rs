//! From a setup to a verdict.

use std::path::Path;

use crate::setup::Setup;
use crate::world::{Report, World};

/// Memory, where the machine has it: nothing of a world has to survive the simulator.
const FAST_FOLDER: &str = "/dev/shm";

/// How a world went, and whether that is as it should be.
#[derive(Debug)]
pub struct Verdict {
    pub report: Report,
    /// What is wrong, if anything is.
    pub problem: Option<String>,
}

/// Runs the world of a setup; a comparable one also without faults, and compares.
#[must_use]
pub fn simulate(setup: &Setup) -> Verdict {
    let report = run(setup);
    let mut problem = report.violation.clone();
    if problem.is_none() && setup.is_comparable && !setup.faults.is_empty() {
        let measure = run(&setup.without_faults());
        problem = measure
            .violation
            .clone()
            .map(|violation| format!("without faults: {violation}"))
            .or_else(|| difference(&measure, &report));
    }
    Verdict { report, problem }
}

fn run(setup: &Setup) -> Report {
    let parent = Path::new(FAST_FOLDER);
    let folder = if parent.is_dir() {
        tempfile::tempdir_in(parent)
    } else {
        tempfile::tempdir()
    };
    let folder = folder.expect("a folder for temporary files");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime of one thread");
    runtime.block_on(async {
        let world = World::create(setup.clone(), folder.path()).await;
        world.run().await
    })
}

/// The first run that ended otherwise than it would have without trouble.
fn difference(measure: &Report, report: &Report) -> Option<String> {
    for (run, expected) in &measure.outcome {
        match report.outcome.get(run) {
            Some(found) if found == expected => {}
            Some(found) => {
                return Some(format!(
                    "{run} ended as\n  {found}\nand without faults as\n  {expected}"
                ));
            }
            None => return Some(format!("{run} is missing; without faults it is {expected}")),
        }
    }
    None
}
