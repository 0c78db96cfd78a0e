//! Runs the vectors that were recorded from Airflow, for the tests of this crate.

use std::collections::BTreeMap;

use serde_json::Value;

/// Runs `check` on each vector of `testdata/<name>.json` that `select` accepts.
///
/// `unmatched` lists by id, with the reason, those that are deliberately not matched; an entry that
/// would match, or that names no selected vector, is an error too.
pub(crate) fn check_vectors(
    name: &str,
    select: impl Fn(&Value) -> bool,
    unmatched: &[(&str, &str)],
    check: impl Fn(&Value) -> Result<(), String>,
) {
    let text = std::fs::read_to_string(format!("testdata/{name}.json")).unwrap();
    let file: Value = serde_json::from_str(&text).unwrap();
    let mut excused: BTreeMap<&str, &str> = unmatched.iter().copied().collect();
    let mut problems = Vec::new();
    let mut checked = 0;
    for vector in file["vectors"].as_array().unwrap() {
        if !select(vector) {
            continue;
        }
        checked += 1;
        let id = vector["id"].as_str().unwrap();
        match (check(vector), excused.remove(id)) {
            (Ok(()), None) | (Err(_), Some(_)) => {}
            (Ok(()), Some(reason)) => problems.push(format!("{id} matches, no need for: {reason}")),
            (Err(problem), None) => problems.push(format!("{id}: {problem}")),
        }
    }
    problems.extend(
        excused
            .keys()
            .map(|id| format!("{id} is excused but not there")),
    );
    assert!(checked > 0, "no vector of {name} was selected");
    let shown = problems.iter().take(12).cloned().collect::<Vec<_>>();
    assert!(
        problems.is_empty(),
        "{} of {checked} vectors of {name}:\n{}",
        problems.len(),
        shown.join("\n")
    );
}

/// `Ok` when both are the same.
pub(crate) fn expect_eq<T: PartialEq + std::fmt::Debug>(
    what: &str,
    found: T,
    expected: T,
) -> Result<(), String> {
    if found == expected {
        Ok(())
    } else {
        Err(format!("{what}: expected {expected:?}, found {found:?}"))
    }
}
