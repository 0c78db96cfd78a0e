//! Looks for a smaller world that fails as well.

use std::time::Duration;

use crate::setup::Setup;
use crate::simulate::simulate;

/// Worlds that are tried at most.
const ATTEMPTS_MAX: usize = 60;

/// The smallest failing setup that was found, and its problem.
#[must_use]
pub fn shrink(setup: &Setup, problem: &str) -> (Setup, String) {
    let mut best = (setup.clone(), problem.to_owned());
    let mut attempts = 0;
    loop {
        let smaller = candidates(&best.0).into_iter().find_map(|candidate| {
            if attempts >= ATTEMPTS_MAX {
                return None;
            }
            attempts += 1;
            let problem = simulate(&candidate).problem?;
            Some((candidate, problem))
        });
        match smaller {
            Some(smaller) => best = smaller,
            None => return best,
        }
    }
}

/// Setups with one thing less.
fn candidates(setup: &Setup) -> Vec<Setup> {
    let mut candidates = Vec::new();
    for dag in &setup.dags {
        if setup.dags.len() > 1 {
            let mut fewer = setup.clone();
            fewer.dags.retain(|other| other != dag);
            candidates.push(fewer);
        }
    }
    for kind in &setup.faults {
        let mut fewer = setup.clone();
        fewer.faults.remove(kind);
        candidates.push(fewer);
    }
    if setup.hosts > 1 {
        let hosts = setup.hosts - 1;
        candidates.push(Setup {
            hosts,
            ..setup.clone()
        });
    }
    let shorter = setup.active / 2;
    if shorter >= Duration::from_secs(300) {
        candidates.push(Setup {
            active: shorter,
            ..setup.clone()
        });
    }
    candidates
}
