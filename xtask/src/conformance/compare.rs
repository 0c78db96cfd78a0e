//! Says in which points two outcomes differ.

use std::fmt;

use serde_json::Value;

use super::outcome::{DagOutcome, InstanceOutcome, Outcomes, RunOutcome, XcomOutcome};

/// How much of an XCom value a difference quotes.
const QUOTED_CHARS_MAX: usize = 160;

/// One point in which the engines disagree.
#[derive(Debug)]
pub(super) struct Difference {
    /// Dag, run, task and what about it, separated by spaces.
    subject: String,
    expected: String,
    found: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            subject,
            expected,
            found,
        } = self;
        write!(f, "{subject}: expected {expected}, found {found}")
    }
}

/// Compares the Dags of `expected` with what was `found`; `found` may hold no other Dag.
pub(super) fn differences(expected: &Outcomes, found: &Outcomes) -> Vec<Difference> {
    let mut all = Differences::default();
    for file in expected
        .import_errors
        .symmetric_difference(&found.import_errors)
    {
        let text = |has: bool| {
            if has {
                "an import error"
            } else {
                "no import error"
            }
        };
        all.push_texts(
            file,
            text(expected.import_errors.contains(file)),
            text(found.import_errors.contains(file)),
        );
    }
    for (dag_id, dag) in &expected.dags {
        match found.dags.get(dag_id) {
            Some(found) => all.compare_dag(dag, found),
            None => all.push_texts(dag_id, "to run", "no such Dag"),
        }
    }
    for dag_id in found
        .dags
        .keys()
        .filter(|dag_id| !expected.dags.contains_key(*dag_id))
    {
        all.push_texts(dag_id, "no such Dag", "that it ran");
    }
    all.found
}

#[derive(Default)]
struct Differences {
    found: Vec<Difference>,
}

impl Differences {
    fn push_texts(&mut self, subject: &str, expected: &str, found: &str) {
        self.found.push(Difference {
            subject: subject.to_owned(),
            expected: expected.to_owned(),
            found: found.to_owned(),
        });
    }

    fn check<T: PartialEq + fmt::Debug>(
        &mut self,
        subject: &str,
        what: &str,
        expected: &T,
        found: &T,
    ) {
        if expected != found {
            let quoted = |value: &T| {
                format!("{value:?}")
                    .chars()
                    .take(QUOTED_CHARS_MAX)
                    .collect::<String>()
            };
            self.push_texts(
                &format!("{subject} {what}"),
                &quoted(expected),
                &quoted(found),
            );
        }
    }

    fn compare_dag(&mut self, expected: &DagOutcome, found: &DagOutcome) {
        let dag_id = &expected.dag_id;
        for (column, value) in &expected.listed {
            let other = found.listed.get(column).unwrap_or(&Value::Null);
            self.check(
                dag_id,
                &format!("`{column}`"),
                &value.to_string(),
                &other.to_string(),
            );
        }
        for run in &expected.runs {
            match found.runs.iter().find(|other| other.run_id == run.run_id) {
                Some(other) => self.compare_run(&format!("{dag_id} {}", run.run_id), run, other),
                None => self.push_texts(&format!("{dag_id} {}", run.run_id), "a run", "none"),
            }
        }
        self.check(dag_id, "callbacks", &expected.callbacks, &found.callbacks);
    }

    fn compare_run(&mut self, subject: &str, expected: &RunOutcome, found: &RunOutcome) {
        self.check(subject, "state", &expected.state, &found.state);
        let key = |instance: &InstanceOutcome| (instance.task_id.clone(), instance.map_index);
        for_each_pair(
            &expected.task_instances,
            &found.task_instances,
            key,
            |(task_id, map_index), pair| {
                let subject = format!("{subject} {task_id}[{map_index}]");
                match pair {
                    (Some(expected), Some(found)) => {
                        self.compare_instance(&subject, expected, found)
                    }
                    (Some(_), None) => self.push_texts(&subject, "a task instance", "none"),
                    (None, _) => self.push_texts(&subject, "no task instance", "one"),
                }
            },
        );
        let key = |xcom: &XcomOutcome| (xcom.task_id.clone(), xcom.map_index, xcom.key.clone());
        for_each_pair(
            &expected.xcoms,
            &found.xcoms,
            key,
            |(task_id, map_index, key), pair| {
                let subject = format!("{subject} {task_id}[{map_index}] XCom `{key}`");
                match pair {
                    (Some(expected), Some(found)) => self.compare_xcom(&subject, expected, found),
                    (Some(_), None) => self.push_texts(&subject, "a value", "none"),
                    (None, _) => self.push_texts(&subject, "none", "a value"),
                }
            },
        );
    }

    fn compare_instance(
        &mut self,
        subject: &str,
        expected: &InstanceOutcome,
        found: &InstanceOutcome,
    ) {
        self.check(subject, "state", &expected.state, &found.state);
        self.check(
            subject,
            "try_number",
            &expected.try_number,
            &found.try_number,
        );
        self.check(subject, "max_tries", &expected.max_tries, &found.max_tries);
        self.check(
            subject,
            "priority_weight",
            &expected.priority_weight,
            &found.priority_weight,
        );
        self.check(subject, "pool", &expected.pool, &found.pool);
        self.check(subject, "operator", &expected.operator, &found.operator);
        let (expected, found) = (&expected.rendered_map_index, &found.rendered_map_index);
        self.check(subject, "rendered_map_index", expected, found);
    }

    fn compare_xcom(&mut self, subject: &str, expected: &XcomOutcome, found: &XcomOutcome) {
        // Without a recorded value the plan has said that it differs from run to run.
        if let (Some(expected), Some(found)) = (&expected.value, &found.value) {
            let text = |value: &Value| value.to_string();
            if expected != found {
                self.check(subject, "value", &text(expected), &text(found));
            }
        }
    }
}

/// Walks two sorted lists and pairs what has the same key.
fn for_each_pair<'a, T, K: Ord>(
    expected: &'a [T],
    found: &'a [T],
    key: impl Fn(&T) -> K,
    mut visit: impl FnMut(K, (Option<&'a T>, Option<&'a T>)),
) {
    let (mut left, mut right) = (expected.iter().peekable(), found.iter().peekable());
    loop {
        let (a, b) = (
            left.peek().map(|item| key(item)),
            right.peek().map(|item| key(item)),
        );
        let (take_left, take_right) = match (&a, &b) {
            (None, None) => return,
            (Some(_), None) => (true, false),
            (None, Some(_)) => (false, true),
            (Some(a), Some(b)) => (a <= b, b <= a),
        };
        let pair = (
            if take_left { left.next() } else { None },
            if take_right { right.next() } else { None },
        );
        if let Some(key) = a.filter(|_| take_left).or(b) {
            visit(key, pair);
        }
    }
}
