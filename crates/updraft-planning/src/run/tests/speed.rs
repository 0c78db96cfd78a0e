//! Planning stays near-linear. The limits are far above what is needed, so that they only fail
//! when the work grows faster than the run.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::*;

fn time_of(dag_text: &str) -> (Duration, super::super::RunPlan) {
    let dag = dag(dag_text);
    let view = view(&dag, fresh_rows(&dag));
    let start = Instant::now();
    let plan = plan_to_fixpoint(&view, instant(NOW));
    (start.elapsed(), plan)
}

#[test]
fn a_long_chain_of_empty_operators_takes_no_time() {
    let mut text = String::new();
    for number in 0..2_000 {
        // Names descend, so that the alphabet does not help.
        writeln!(text, "t{:05} >> t{:05}", 9_999 - number, 9_998 - number).unwrap();
        writeln!(text, "t{:05}: empty", 9_999 - number).unwrap();
    }
    let (took, plan) = time_of(&text);
    assert_eq!(plan.changes.len(), 2_001);
    assert!(plan.is_settled);
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn a_wide_run_is_one_short_plan() {
    let mut text = String::from("start: empty\n");
    for number in 0..5_000 {
        writeln!(text, "start >> w{number} >> end").unwrap();
    }
    let (took, plan) = time_of(&text);
    assert_eq!(plan.scheduled().count(), 5_000);
    assert!(took < Duration::from_secs(2), "{took:?}");
}
