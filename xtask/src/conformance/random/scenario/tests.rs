use std::collections::BTreeSet;

use super::super::features::FEATURES;
use super::super::rules::RULES;
use super::of_seed;
use crate::conformance::plan::Plan;
use crate::conformance::random::recorded_seeds;

#[test]
fn a_seed_is_always_the_same_dag_and_no_other_seed_is() {
    let texts: BTreeSet<String> = (1..=40).map(|seed| of_seed(seed).text).collect();
    assert_eq!(texts.len(), 40);
    for seed in 1..=40 {
        assert!(texts.contains(&of_seed(seed).text));
    }
}

#[test]
fn the_recorded_seeds_reach_every_feature_and_every_trigger_rule() {
    let plan = Plan::read().unwrap();
    let scenarios: Vec<_> = recorded_seeds(&plan).into_iter().map(of_seed).collect();
    for (feature, _) in FEATURES {
        let count = scenarios
            .iter()
            .filter(|scenario| scenario.features.contains(feature));
        assert!(count.count() >= 2, "`{feature}` is hardly used");
    }
    for rule in &RULES[1..] {
        let text = format!("trigger_rule=\"{}\"", rule.name());
        let count = scenarios
            .iter()
            .filter(|scenario| scenario.text.contains(&text));
        assert!(count.count() >= 5, "{rule:?} is hardly used");
    }
}

#[test]
fn the_recorded_seeds_come_to_every_end() {
    for state in ["success", "failed", "upstream_failed", "skipped"] {
        let with =
            (1..=100).filter(|seed| of_seed(*seed).foreseen.values().any(|end| *end == state));
        assert!(with.count() >= 10, "hardly any task ends as {state}");
    }
}
