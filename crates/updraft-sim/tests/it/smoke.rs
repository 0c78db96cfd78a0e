//! The simulator is deterministic, and it notices what is wrong.

use std::time::Duration;

use updraft_sim::{FaultKind, Setup, simulate};

/// A world that is over quickly and in which everything goes wrong that can.
fn small_world(seed: u64) -> Setup {
    Setup {
        hosts: 2,
        dags: vec![0, 1],
        faults: FaultKind::ALL.into(),
        active: Duration::from_secs(1_200),
        parallelism: 4,
        is_comparable: false,
        seed,
    }
}

#[test]
fn the_same_seed_tells_the_same_story() {
    let first = simulate(&small_world(7)).report;
    let second = simulate(&small_world(7)).report;
    let story = |report: &updraft_sim::Report| -> Vec<String> {
        let entries = report.log.entries();
        entries.map(|(at, text)| format!("{at:?} {text}")).collect()
    };
    let (one, two) = (story(&first), story(&second));
    let differs = one.iter().zip(&two).find(|(one, two)| one != two);
    assert_eq!(differs, None);
    assert_eq!(first.log.hash(), second.log.hash());
    assert_eq!(first.steps, second.steps);
    assert!(first.kills > 0 && first.faults > 0, "nothing went wrong");
}

#[test]
fn another_seed_tells_another_story() {
    let first = simulate(&small_world(7)).report;
    let second = simulate(&small_world(8)).report;
    assert_ne!(first.log.hash(), second.log.hash());
}

#[test]
fn a_setup_says_how_to_run_it_again() {
    let full = Setup::of_seed(42);
    assert_eq!(full.command(), "cargo xtask sim --seed 42");
    let narrowed = Setup {
        hosts: 5,
        dags: vec![3],
        faults: [FaultKind::Kill].into(),
        active: Duration::from_secs(600),
        ..full
    };
    assert_eq!(
        narrowed.command(),
        "cargo xtask sim --seed 42 --hosts 5 --dags 3 --faults kill --minutes 10"
    );
}
