//! Reads query parameters and finds all of their problems at once.
//!
//! Unknown parameters are ignored and of a repeated single value the last one counts, as Airflow
//! has it.

use jiff::Timestamp;
use serde_json::Value;
use updraft_model::filter::{Pattern, Range};

use crate::issue::{Checked, Issue, under};
use crate::value;

/// The query parameters of a request, and what is wrong with them so far.
#[derive(Debug, Default)]
pub struct Query {
    pairs: Vec<(String, String)>,
    issues: Vec<Issue>,
}

impl Query {
    /// Takes decoded name-value pairs.
    #[must_use]
    pub fn new(pairs: Vec<(String, String)>) -> Self {
        Self {
            pairs,
            issues: Vec::new(),
        }
    }

    /// The last value of a parameter.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        self.pairs
            .iter()
            .rev()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.clone())
    }

    /// All values of a repeatable parameter.
    #[must_use]
    pub fn texts(&self, name: &str) -> Vec<String> {
        self.pairs
            .iter()
            .filter(|(key, _)| key == name)
            .map(|(_, value)| value.clone())
            .collect()
    }

    /// A parameter read by `read`; its text is what `read` sees.
    pub fn read<T>(&mut self, name: &str, read: impl Fn(&Value) -> Checked<T>) -> Option<T> {
        let value = Value::String(self.text(name)?);
        match under(under(read(&value), name), "query") {
            Ok(read) => Some(read),
            Err(found) => {
                self.issues.extend(found);
                None
            }
        }
    }

    /// A parameter that must be there.
    pub fn required<T>(&mut self, name: &str, read: impl Fn(&Value) -> Checked<T>) -> Option<T> {
        if self.text(name).is_none() {
            let missing = Issue::new("missing", "Field required", &Value::Null);
            self.issues.push(missing.under(name).under("query"));
            return None;
        }
        self.read(name, read)
    }

    /// A repeatable parameter whose values are read by `read`.
    pub fn read_all<T>(&mut self, name: &str, read: impl Fn(&Value) -> Checked<T>) -> Vec<T> {
        let mut values = Vec::new();
        for (index, text) in self.texts(name).into_iter().enumerate() {
            match under(
                under(under(read(&Value::String(text)), index), name),
                "query",
            ) {
                Ok(read) => values.push(read),
                Err(found) => self.issues.extend(found),
            }
        }
        values
    }

    /// A truth value.
    pub fn boolean(&mut self, name: &str) -> Option<bool> {
        self.read(name, value::boolean)
    }

    /// A whole number.
    pub fn integer(&mut self, name: &str) -> Option<i64> {
        self.read(name, value::integer)
    }

    /// `x_gte`, `x_gt`, `x_lte`, `x_lt` as instants.
    pub fn instants(&mut self, name: &str) -> Range<Timestamp> {
        self.range(name, value::instant)
    }

    /// `x_gte`, `x_gt`, `x_lte`, `x_lt` as numbers.
    pub fn numbers(&mut self, name: &str) -> Range<f64> {
        self.range(name, value::number)
    }

    /// `x_pattern` and `x_prefix_pattern`.
    #[must_use]
    pub fn pattern(&self, name: &str) -> Pattern {
        Pattern {
            anywhere: self.text(&format!("{name}_pattern")),
            prefix: self.text(&format!("{name}_prefix_pattern")),
        }
    }

    /// Adds a problem that was found elsewhere.
    pub fn refuse(&mut self, issues: Vec<Issue>) {
        self.issues.extend(issues);
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// With every problem found.
    pub fn finish(self) -> Checked<()> {
        if self.issues.is_empty() {
            Ok(())
        } else {
            Err(self.issues)
        }
    }

    fn range<T>(&mut self, name: &str, read: fn(&Value) -> Checked<T>) -> Range<T> {
        Range {
            gte: self.read(&format!("{name}_gte"), read),
            gt: self.read(&format!("{name}_gt"), read),
            lte: self.read(&format!("{name}_lte"), read),
            lt: self.read(&format!("{name}_lt"), read),
        }
    }
}
