//! A broken rule, and which of several tells most.

use std::cmp::Ordering;
use std::collections::VecDeque;

use serde_json::Value;

use super::keywords::is_of_type;
use updraft_model::python_repr::repr_text;

use crate::pretty::indented;

/// A step into a value or a schema.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    Index(usize),
    Key(String),
}

impl From<&str> for Step {
    fn from(key: &str) -> Self {
        Self::Key(key.to_owned())
    }
}

impl From<usize> for Step {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

/// One broken rule. Its paths begin where the rule was applied, be it by the schema itself or by an
/// alternative in it.
#[derive(Clone, Debug)]
pub(super) struct Violation {
    pub(super) message: String,
    /// `None`: the schema `false` allows nothing.
    pub(super) keyword: Option<String>,
    pub(super) schema: Value,
    pub(super) schema_path: VecDeque<Step>,
    pub(super) instance: Value,
    pub(super) path: VecDeque<Step>,
    /// Why each of the alternatives did not hold.
    pub(super) context: Vec<Violation>,
}

impl Violation {
    /// How much it tells; more is better. Higher up in the value beats deeper, later siblings beat
    /// earlier ones, a plain rule beats alternatives, and the wrong type beats a wrong value.
    fn relevance(&self) -> impl Ord + '_ {
        let is_weak = matches!(self.keyword.as_deref(), Some("anyOf" | "oneOf"));
        (
            std::cmp::Reverse(self.path.len()),
            &self.path,
            !is_weak,
            !self.matches_type(),
        )
    }

    fn compare(&self, other: &Self) -> Ordering {
        self.relevance().cmp(&other.relevance())
    }

    fn matches_type(&self) -> bool {
        let expected = match self.schema.get("type") {
            Some(Value::String(name)) => vec![name.as_str()],
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            _ => return false,
        };
        expected.iter().any(|name| is_of_type(&self.instance, name))
    }
}

/// The violation to show: the most relevant one or, where alternatives failed, the least relevant of
/// theirs, as long as that is only one.
pub(super) fn best_match(violations: Vec<Violation>) -> Option<Violation> {
    // The first of several equal ones, as in Python.
    let first_max = |best: Violation, next: Violation| {
        if next.compare(&best).is_gt() {
            next
        } else {
            best
        }
    };
    let mut best = violations.into_iter().reduce(first_max)?;
    while !best.context.is_empty() {
        let mut context: Vec<&Violation> = best.context.iter().collect();
        context.sort_by(|one, other| one.compare(other));
        let is_tie = context
            .get(1)
            .is_some_and(|second| second.compare(context[0]).is_eq());
        if is_tie {
            break;
        }
        best = context[0].clone();
    }
    Some(best)
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let keyword = self
            .keyword
            .as_ref()
            .map_or("None".to_owned(), |keyword| repr_text(keyword));
        let rule = self.schema_path.len().saturating_sub(1);
        write!(
            f,
            "{}\n\nFailed validating {keyword} in schema{}:\n{}\n\nOn instance{}:\n{}",
            self.message,
            shown(self.schema_path.iter().take(rule)),
            indented(&self.schema),
            shown(self.path.iter()),
            indented(&self.instance),
        )
    }
}

fn shown<'s>(steps: impl Iterator<Item = &'s Step>) -> String {
    steps
        .map(|step| match step {
            Step::Index(index) => format!("[{index}]"),
            Step::Key(key) => format!("[{}]", repr_text(key)),
        })
        .collect()
}
