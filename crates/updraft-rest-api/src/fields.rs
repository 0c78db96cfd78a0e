//! Reads the fields of a request body and finds all of its problems at once.
//!
//! A body type reads its fields in the order of Airflow's document; the problems come out in that
//! order, unknown fields last, as pydantic lists them.

use serde_json::{Map, Value};
use updraft_model::filter::Range;

use crate::issue::{Checked, Issue, under};

/// A request body.
pub trait Body: Sized {
    /// Whether an unknown field is a problem; else it is ignored.
    const IS_STRICT: bool = true;

    /// Reads the fields. What it returns is dropped when a problem was found, so a field that could
    /// not be read may be anything.
    fn read(fields: &mut Fields<'_>) -> Self;
}

/// The fields of one JSON object, and what is wrong with them so far.
pub struct Fields<'a> {
    whole: &'a Value,
    object: &'a Map<String, Value>,
    known: Vec<&'static str>,
    is_strict: bool,
    issues: Vec<Issue>,
}

/// Reads a body that must be an object, mostly without unknown fields.
///
/// # Errors
/// With every problem; places are relative to the object.
pub fn read_body<T: Body>(whole: &Value) -> Checked<T> {
    let Value::Object(object) = whole else {
        return Err(vec![Issue::new(
            "model_attributes_type",
            "Input should be a valid dictionary or object to extract fields from",
            whole,
        )]);
    };
    let mut fields = Fields {
        whole,
        object,
        known: Vec::new(),
        is_strict: T::IS_STRICT,
        issues: Vec::new(),
    };
    let body = T::read(&mut fields);
    fields.finish(body)
}

impl Fields<'_> {
    /// A field that must be there.
    pub fn required<T: Default>(
        &mut self,
        name: &'static str,
        read: impl Fn(&Value) -> Checked<T>,
    ) -> T {
        self.known.push(name);
        match self.object.get(name) {
            Some(value) => self.check(name, read(value)),
            None => {
                self.issues.push(Issue::missing(name, self.whole));
                T::default()
            }
        }
    }

    /// A field that may be absent or `null`.
    pub fn optional<T>(
        &mut self,
        name: &'static str,
        read: impl Fn(&Value) -> Checked<T>,
    ) -> Option<T> {
        self.known.push(name);
        match self.object.get(name) {
            Some(Value::Null) | None => None,
            Some(value) => {
                let checked = read(value).map(Some);
                self.check(name, checked)
            }
        }
    }

    /// A field with a default; `null` is not allowed.
    pub fn or<T: Default>(
        &mut self,
        name: &'static str,
        default: T,
        read: impl Fn(&Value) -> Checked<T>,
    ) -> T {
        self.known.push(name);
        match self.object.get(name) {
            Some(value) => self.check(name, read(value)),
            None => default,
        }
    }

    /// Whether the client sent the field, even as `null`.
    #[must_use]
    pub fn is_set(&self, name: &str) -> bool {
        self.object.contains_key(name)
    }

    /// A field's text as the client wrote it.
    #[must_use]
    pub fn peek(&self, name: &str) -> Option<&str> {
        self.object.get(name)?.as_str()
    }

    /// Four optional fields that bound a value: at least, more than, at most, less than.
    pub fn range<T>(
        &mut self,
        [gte, gt, lte, lt]: [&'static str; 4],
        read: fn(&Value) -> Checked<T>,
    ) -> Range<T> {
        Range {
            gte: self.optional(gte, read),
            gt: self.optional(gt, read),
            lte: self.optional(lte, read),
            lt: self.optional(lt, read),
        }
    }

    /// The names the client sent.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.object.keys().cloned().collect()
    }

    /// Checks a rule about several fields, once each of them is fine by itself.
    pub fn rule(&mut self, holds: bool, msg: &str) {
        if !holds && self.issues.is_empty() {
            self.issues.push(Issue::rule(msg, self.whole));
        }
    }

    /// Adds a problem of one field.
    pub fn refuse(&mut self, name: &'static str, issue: Issue) {
        self.issues.push(issue.under(name));
    }

    fn check<T: Default>(&mut self, name: &'static str, checked: Checked<T>) -> T {
        under(checked, name).unwrap_or_else(|found| {
            self.issues.extend(found);
            T::default()
        })
    }

    fn finish<T>(mut self, body: T) -> Checked<T> {
        let rule = self.issues.iter().position(|issue| issue.loc.is_empty());
        let unknown = self
            .object
            .iter()
            .filter(|(name, _)| self.is_strict && !self.known.contains(&name.as_str()))
            .map(|(name, value)| {
                Issue::new("extra_forbidden", "Extra inputs are not permitted", value)
                    .under(name.as_str())
            })
            .collect::<Vec<_>>();
        if !unknown.is_empty() {
            // A rule about the whole is only looked at when the parts are fine.
            if let Some(rule) = rule {
                self.issues.remove(rule);
            }
            self.issues.extend(unknown);
        }
        if self.issues.is_empty() {
            Ok(body)
        } else {
            Err(self.issues)
        }
    }
}
