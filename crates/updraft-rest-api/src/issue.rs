//! What is wrong with a request: the items of a 422 answer.
//!
//! Clients read `type` and `loc`, people read `msg`; both are those of pydantic 2, because that is
//! what Airflow's clients know.

use serde::Serialize;
use serde_json::{Value, json};

/// One step towards the place of a problem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Step {
    /// A field of an object.
    Field(String),
    /// A place in a list, or a byte of a document.
    Index(usize),
}

impl From<&str> for Step {
    fn from(name: &str) -> Self {
        Self::Field(name.to_owned())
    }
}

/// One problem of a request.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Issue {
    /// The kind of problem.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Where it is, from the outside in.
    pub loc: Vec<Step>,
    /// What was expected.
    pub msg: String,
    /// What was found.
    pub input: Value,
    /// The parameters of the expectation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ctx: Option<Value>,
    /// Where pydantic explains the kind; only in answers of handlers that validate twice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// A value, or everything that is wrong with it.
pub type Checked<T> = Result<T, Vec<Issue>>;

impl Issue {
    /// A problem at the place the caller is looking at.
    #[must_use]
    pub fn new(kind: &'static str, msg: impl Into<String>, input: &Value) -> Self {
        Self {
            kind,
            loc: Vec::new(),
            msg: msg.into(),
            input: input.clone(),
            ctx: None,
            url: None,
        }
    }

    /// The same with the parameters of the expectation.
    #[must_use]
    pub fn with(mut self, ctx: Value) -> Self {
        self.ctx = Some(ctx);
        self
    }

    /// The same, one step further in.
    #[must_use]
    pub fn under(mut self, step: impl Into<Step>) -> Self {
        self.loc.insert(0, step.into());
        self
    }

    /// A required field that is absent from `object`.
    #[must_use]
    pub fn missing(name: &str, object: &Value) -> Self {
        Self::new("missing", "Field required", object).under(name)
    }

    /// A rule about several fields that does not hold.
    #[must_use]
    pub fn rule(msg: impl std::fmt::Display, input: &Value) -> Self {
        Self::new("value_error", format!("Value error, {msg}"), input).with(json!({"error": {}}))
    }

    /// The form of a problem found when a handler validates a partial body once more: without the
    /// outermost place, with an explanation. Quirk of update masks, HTTP surface §1.3.
    #[must_use]
    pub fn found_late(mut self) -> Self {
        if self.loc.first() == Some(&Step::from("body")) {
            self.loc.remove(0);
        }
        self.url = Some(format!(
            "https://errors.pydantic.dev/2.14/v/{kind}",
            kind = self.kind
        ));
        self
    }
}

/// Puts a step in front of every problem.
///
/// # Errors
/// With the problems it was given.
pub fn under<T>(checked: Checked<T>, step: impl Into<Step>) -> Checked<T> {
    let step = step.into();
    checked.map_err(|issues| {
        issues
            .into_iter()
            .map(|issue| issue.under(step.clone()))
            .collect()
    })
}

impl From<usize> for Step {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

impl From<String> for Step {
    fn from(name: String) -> Self {
        Self::Field(name)
    }
}

/// The words pydantic lists alternatives with: `'a', 'b' or 'c'`.
#[must_use]
pub fn alternatives(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        Some((last, _)) => last.clone(),
        None => String::new(),
    }
}
