//! Random Dags: each seed is a Dag file, requests, and the outcome that real Airflow made of them.
//!
//! The generator ([`scenario`]) leaves out what real Airflow decides by chance; how it knows
//! stands in [`fate`]. Everything is made anew from the seed; the record holds outcomes only, and a
//! checksum of the Dag file it belongs to.

mod afterwards;
mod build;
mod dag;
mod fate;
mod features;
mod numbers;
mod observe;
mod python;
mod record;
mod rules;
mod scenario;
mod session;
mod stories;
mod waits;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use anyhow::{Result, bail};
use serde_json::Value;

use super::plan::Plan;
use crate::engine::EngineKind;
use observe::Lines;
use record::Recorded;
use scenario::Scenario;

/// How much of a value a difference quotes.
const QUOTED_CHARS_MAX: usize = 200;

/// How the outcome of a set of seeds is to be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Against {
    /// What stands in the record.
    Record(EngineKind),
    /// Real Airflow, now.
    Airflow,
    /// What the generator foresees: states only, but without Airflow.
    Foresight,
}

/// The seeds of the recorded set.
pub(super) fn recorded_seeds(plan: &Plan) -> Vec<u64> {
    let (first, last) = plan.random.seeds;
    let is_recorded = |seed: &u64| !plan.random.excluded.contains_key(seed);
    (first..=last).filter(is_recorded).collect()
}

/// Runs the seeds and fails when an outcome is not the expected one and nothing explains it.
pub(super) fn compare(plan: &Plan, seeds: &[u64], against: Against) -> Result<()> {
    let scenarios: Vec<Scenario> = seeds.iter().copied().map(scenario::of_seed).collect();
    let (engine, expected) = match against {
        Against::Foresight => return compare_with_foresight(plan, &scenarios),
        Against::Record(engine) => (engine, recorded(&scenarios)?),
        Against::Airflow => {
            let seen = session::play(EngineKind::Airflow, plan, &scenarios)?;
            print_surprises(&scenarios, &seen);
            (EngineKind::Updraft, seen)
        }
    };
    let started = Instant::now();
    let found = session::play(engine, plan, &scenarios)?;
    let (mut lines, mut known, mut unexplained) = (0, 0, 0);
    for scenario in &scenarios {
        let expected = &expected[&scenario.seed];
        lines += expected.len();
        for difference in differences(&scenario.dag_ids[0], expected, &found[&scenario.seed]) {
            let Difference { text, is_wrapped } = &difference;
            let reason = if *is_wrapped {
                Some(WRAPPED_BECAUSE)
            } else {
                plan.explanation_of(text)
            };
            if let Some(reason) = reason {
                println!("known     {text}\n          because {reason}");
                known += 1;
            } else {
                println!("DIFFERENT {text}");
                unexplained += 1;
            }
        }
    }
    println!(
        "\nconformance: {} random Dags, {lines} facts compared in {:.0} s; {known} known and \
         {unexplained} unexplained differences",
        scenarios.len(),
        started.elapsed().as_secs_f64()
    );
    if unexplained > 0 {
        bail!("{unexplained} unexplained differences in random Dags");
    }
    Ok(())
}

/// Records the seeds whose Dag files are new or have changed.
pub(super) fn record(plan: &Plan, seeds: &[u64]) -> Result<()> {
    let mut record = record::read()?;
    let scenarios: Vec<Scenario> = seeds.iter().copied().map(scenario::of_seed).collect();
    let is_stale = |scenario: &Scenario| {
        let known = record.get(&scenario.seed);
        known.is_none_or(|known| known.checksum != record::checksum(&scenario.text))
    };
    let stale: Vec<Scenario> = scenarios.into_iter().filter(is_stale).collect();
    let seen = session::play(EngineKind::Airflow, plan, &stale)?;
    print_surprises(&stale, &seen);
    for scenario in &stale {
        let checksum = record::checksum(&scenario.text);
        let lines = seen[&scenario.seed].clone();
        record.insert(scenario.seed, Recorded { checksum, lines });
    }
    record::write(&record)
}

/// Prints the Dag file of a seed.
pub(super) fn print(seed: u64) {
    println!("{}", scenario::of_seed(seed).text);
}

/// Prints the Dag file of a seed and what the engines make of it, now or in the record.
pub(super) fn show(plan: &Plan, seed: u64, against: Against) -> Result<()> {
    let scenario = scenario::of_seed(seed);
    println!("{}", scenario.text);
    let scenarios = [scenario];
    let expected = match against {
        Against::Airflow => session::play(EngineKind::Airflow, plan, &scenarios)?.remove(&seed),
        Against::Record(_) => recorded(&scenarios)?.remove(&seed),
        Against::Foresight => None,
    };
    let found = session::play(EngineKind::Updraft, plan, &scenarios)?;
    let found = &found[&seed];
    let Some(expected) = expected else {
        for (subject, value) in found {
            println!("{subject} = {value}");
        }
        return Ok(());
    };
    for subject in subjects(&expected, found) {
        let text = |lines: &Lines| {
            lines
                .get(subject)
                .map_or("nothing", String::as_str)
                .to_owned()
        };
        let (expected, found) = (text(&expected), text(found));
        if expected == found {
            println!("        {subject} = {found}");
        } else {
            println!("Airflow {subject} = {expected}\nUpdraft {subject} = {found}");
        }
    }
    Ok(())
}

fn recorded(scenarios: &[Scenario]) -> Result<BTreeMap<u64, Lines>> {
    let mut record = record::read()?;
    let mut expected = BTreeMap::new();
    let mut stale = Vec::new();
    for scenario in scenarios {
        match record.remove(&scenario.seed) {
            Some(known) if known.checksum == record::checksum(&scenario.text) => {
                expected.insert(scenario.seed, known.lines);
            }
            _ => stale.push(scenario.seed),
        }
    }
    if !stale.is_empty() {
        bail!(
            "there is no record of seeds {stale:?} as they are generated now; \
             run `cargo xtask conformance --record --random-seeds A..B`"
        );
    }
    Ok(expected)
}

/// Everything that is said in either, in order.
fn subjects<'a>(expected: &'a Lines, found: &'a Lines) -> BTreeSet<&'a String> {
    expected.keys().chain(found.keys()).collect()
}

/// Why real Airflow has text that holds JSON where Updraft has what the JSON says.
const WRAPPED_BECAUSE: &str =
    "real Airflow encodes twice what a trigger leaves to XCom when it ends its task";

struct Difference {
    text: String,
    /// Expected is a text whose content, read as JSON, is what was found.
    is_wrapped: bool,
}

fn is_wrapped(expected: Option<&String>, found: Option<&String>) -> bool {
    let (Some(expected), Some(found)) = (expected, found) else {
        return false;
    };
    let inner = serde_json::from_str::<String>(expected);
    let inner = inner.and_then(|text| serde_json::from_str::<Value>(&text));
    let found = serde_json::from_str::<Value>(found);
    matches!((inner, found), (Ok(inner), Ok(found)) if inner == found)
}

fn differences(dag_id: &str, expected: &Lines, found: &Lines) -> Vec<Difference> {
    let quoted = |value: Option<&String>| {
        let text = value.map_or("nothing", String::as_str);
        text.chars().take(QUOTED_CHARS_MAX).collect::<String>()
    };
    subjects(expected, found)
        .into_iter()
        .filter(|subject| expected.get(*subject) != found.get(*subject))
        .map(|subject| {
            let (expected, found) = (expected.get(subject), found.get(subject));
            let is_wrapped = is_wrapped(expected, found);
            let (expected, found) = (quoted(expected), quoted(found));
            let text = format!("{dag_id} {subject}: expected {expected}, found {found}");
            Difference { text, is_wrapped }
        })
        .collect()
}

/// Runs the seeds on Updraft and fails when a state is not the foreseen one.
fn compare_with_foresight(plan: &Plan, scenarios: &[Scenario]) -> Result<()> {
    let seen = session::play(EngineKind::Updraft, plan, scenarios)?;
    let surprises = print_surprises(scenarios, &seen);
    println!(
        "\nconformance: {} random Dags held against foresight; {surprises} surprises",
        scenarios.len()
    );
    if surprises > 0 {
        bail!("{surprises} states are not the foreseen ones");
    }
    Ok(())
}

/// Prints where an engine does something else than the generator foresaw: if it is real Airflow,
/// the Dag may race.
fn print_surprises(scenarios: &[Scenario], seen: &BTreeMap<u64, Lines>) -> usize {
    let mut count = 0;
    let mut print = |dag_id: &str, subject: &str, foreseen: &str, found: &str| {
        println!("SURPRISE  {dag_id} {subject}: foreseen {foreseen}, found {found}");
        count += 1;
    };
    for scenario in scenarios {
        let (lines, dag_id) = (&seen[&scenario.seed], &scenario.dag_ids[0]);
        for (subject, state) in &scenario.foreseen {
            let found = lines.get(subject).map_or("nothing", String::as_str);
            if !found.starts_with(&format!("{state} ")) {
                print(dag_id, subject, state, found);
            }
        }
        for (subject, value) in lines {
            if subject.ends_with("comes to rest") || subject.ends_with("is imported") {
                print(dag_id, subject, "yes", value);
            }
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::{Lines, differences, is_wrapped};

    fn lines(pairs: &[(&str, &str)]) -> Lines {
        let owned = pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        owned.collect()
    }

    #[test]
    fn what_is_other_missing_or_too_much_is_a_difference() {
        let expected = lines(&[
            ("1 first", "success"),
            ("1 first a", "failed 1/0"),
            ("same", "x"),
        ]);
        let found = lines(&[
            ("1 first", "failed"),
            ("1 first b", "success 1/0"),
            ("same", "x"),
        ]);
        let differences = differences("random_0001", &expected, &found);
        let texts: Vec<String> = differences.into_iter().map(|one| one.text).collect();
        assert_eq!(
            texts,
            [
                "random_0001 1 first: expected success, found failed",
                "random_0001 1 first a: expected failed 1/0, found nothing",
                "random_0001 1 first b: expected nothing, found success 1/0",
            ]
        );
    }

    #[test]
    fn only_json_in_a_text_that_says_the_same_is_wrapped() {
        let wrapped = |expected: &str, found: &str| {
            is_wrapped(Some(&expected.to_owned()), Some(&found.to_owned()))
        };
        assert!(wrapped(r#""{\"number\": 1}""#, r#"{"number":1}"#));
        assert!(wrapped(r#""\"text\"""#, r#""text""#));
        assert!(!wrapped(r#""{\"number\": 2}""#, r#"{"number":1}"#));
        assert!(!wrapped("failed 1/0", "success 1/0"));
        assert!(!is_wrapped(Some(&"1".to_owned()), None));
    }
}
