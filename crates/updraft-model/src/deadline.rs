//! Deadlines of Dag runs: what a Dag says about them, and when one passes.
//!
//! A Dag has alerts, each made of a reference (from when), an interval (how long) and a callback
//! (what then). A run gets a deadline for each alert whose reference means something for it.
//!
//! Source: runtime protocols §4.7, scheduling semantics §7.12.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};
use thiserror::Error;
use uuid::Uuid;

use crate::DagVersionId;
use crate::callback::CallbackType;

/// The class of intervals that a variable holds, in whatever module it is at the time.
const VARIABLE_INTERVAL: &str = "VariableInterval";

/// A row of `deadline_alert`.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadlineAlert {
    pub id: Uuid,
    pub dag_version_id: DagVersionId,
    pub name: Option<String>,
    pub reference: Value,
    pub interval: Value,
    pub callback_def: Value,
    pub created_at: Timestamp,
}

/// A row of `deadline`.
#[derive(Clone, Debug, PartialEq)]
pub struct Deadline {
    pub id: Uuid,
    pub dag_run_id: i64,
    /// `None`: the version of the Dag is gone.
    pub deadline_alert_id: Option<Uuid>,
    /// `None`: not computed yet.
    pub deadline_time: Option<Timestamp>,
    pub missed: bool,
    pub created_at: Timestamp,
    pub last_updated_at: Timestamp,
}

/// From when a deadline counts.
#[derive(Clone, Debug, PartialEq)]
pub enum Reference {
    LogicalDate,
    QueuedAt,
    Fixed(Timestamp),
    /// From now on, as long as earlier runs took on average.
    AverageRuntime {
        /// How many of the last successful runs count.
        max_runs: i64,
        /// With fewer there is no deadline.
        min_runs: i64,
    },
    /// A class of the user's, by path; the object says the rest.
    Custom(String, Map<String, Value>),
}

/// What references of deadlines look at when a run is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewRunFacts {
    pub logical_date: Option<Timestamp>,
    pub queued_at: Option<Timestamp>,
    /// How long the runs took that [`Reference::AverageRuntime`] asks for; `None`: there are too
    /// few, or nobody asks.
    pub average_runtime: Option<SignedDuration>,
    pub now: Timestamp,
}

/// How long a deadline is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Interval {
    Fixed(SignedDuration),
    /// Whole seconds in a variable of this name, read when the run is created.
    Variable(String),
}

/// What is called when a deadline is missed.
#[derive(Clone, Debug, PartialEq)]
pub struct CallbackDefinition {
    pub runs_in: CallbackType,
    /// Module and name of the function or class.
    pub path: String,
    /// In Airflow's serde form.
    pub kwargs: Map<String, Value>,
    /// Of one that an executor runs: which; `None`: the first.
    pub executor: Option<String>,
}

/// Why a definition makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{part} of a deadline: expected {expected}, found `{found}`")]
pub struct BadDefinition {
    pub part: &'static str,
    pub expected: &'static str,
    pub found: String,
}

fn bad(part: &'static str, expected: &'static str, found: &Value) -> BadDefinition {
    BadDefinition {
        part,
        expected,
        found: found.to_string(),
    }
}

impl Reference {
    /// Reads a serialized reference.
    ///
    /// # Errors
    /// [`BadDefinition`].
    pub fn parse(value: &Value) -> Result<Self, BadDefinition> {
        let wrong = |expected| bad("reference", expected, value);
        let object = value.as_object().ok_or_else(|| wrong("an object"))?;
        // A class of the user's may have the name of one of Airflow's.
        if let Some(path) = object.get("__class_path").and_then(Value::as_str) {
            return Ok(Self::Custom(path.to_owned(), object.clone()));
        }
        let number = |name: &str| object.get(name).and_then(Value::as_i64);
        match object.get("reference_type").and_then(Value::as_str) {
            Some("DagRunLogicalDateDeadline") => Ok(Self::LogicalDate),
            Some("DagRunQueuedAtDeadline") => Ok(Self::QueuedAt),
            Some("FixedDatetimeDeadline") => {
                let seconds = object.get("datetime").and_then(Value::as_f64);
                let at = seconds.and_then(timestamp_of);
                at.map(Self::Fixed)
                    .ok_or_else(|| wrong("seconds since 1970 under `datetime`"))
            }
            Some("AverageRuntimeDeadline") => {
                let max_runs = number("max_runs").ok_or_else(|| wrong("a count as `max_runs`"))?;
                Ok(Self::AverageRuntime {
                    max_runs,
                    min_runs: number("min_runs").unwrap_or(max_runs),
                })
            }
            _ => Err(wrong("a known `reference_type` or a `__class_path`")),
        }
    }

    /// From when the deadline of a new run counts, as far as rows say it.
    #[must_use]
    pub fn time_of(&self, run: &NewRunFacts) -> Option<Timestamp> {
        match self {
            Self::LogicalDate => run.logical_date,
            Self::QueuedAt => run.queued_at,
            Self::Fixed(at) => Some(*at),
            Self::AverageRuntime { .. } => run.now.checked_add(run.average_runtime?).ok(),
            Self::Custom(..) => None,
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the bounds are checked, and stored instants end at the microsecond"
)]
fn timestamp_of(seconds: f64) -> Option<Timestamp> {
    let micros = (seconds * 1e6).round();
    (micros.abs() < 9e18)
        .then(|| Timestamp::from_microsecond(micros as i64).ok())
        .flatten()
}

impl Interval {
    /// Reads a serialized interval.
    ///
    /// # Errors
    /// [`BadDefinition`].
    pub fn parse(value: &Value) -> Result<Self, BadDefinition> {
        let wrong = |expected| bad("interval", expected, value);
        let content = value.get("__data__").unwrap_or(value);
        let class = value.get("__classname__").and_then(Value::as_str);
        if class.is_some_and(|class| class.ends_with(VARIABLE_INTERVAL)) {
            let key = content.get("key").and_then(Value::as_str);
            return key
                .map(|key| Self::Variable(key.to_owned()))
                .ok_or_else(|| wrong("the `key` of a variable"));
        }
        let seconds = content.as_f64().ok_or_else(|| wrong("seconds"))?;
        SignedDuration::try_from_secs_f64(seconds)
            .map(Self::Fixed)
            .map_err(|_| wrong("seconds within reason"))
    }

    /// Reads the value of the variable that an interval names.
    ///
    /// # Errors
    /// [`BadDefinition`]: it must be a whole number of seconds.
    pub fn of_variable(value: &str) -> Result<SignedDuration, BadDefinition> {
        value
            .trim()
            .parse()
            .map(SignedDuration::from_secs)
            .map_err(|_| BadDefinition {
                part: "variable for the interval",
                expected: "a whole number of seconds",
                found: value.to_owned(),
            })
    }
}

impl CallbackDefinition {
    /// Reads a serialized callback.
    ///
    /// # Errors
    /// [`BadDefinition`].
    pub fn parse(value: &Value) -> Result<Self, BadDefinition> {
        let wrong = |expected| bad("callback", expected, value);
        let class = value.get("__classname__").and_then(Value::as_str);
        let class = class.and_then(|class| class.rsplit('.').next());
        let runs_in = match class {
            Some("AsyncCallback") => CallbackType::Triggerer,
            Some("SyncCallback") => CallbackType::Executor,
            _ => return Err(wrong("an `AsyncCallback` or a `SyncCallback`")),
        };
        let content = value.get("__data__").unwrap_or(&Value::Null);
        let path = content.get("path").and_then(Value::as_str);
        Ok(Self {
            runs_in,
            path: path.ok_or_else(|| wrong("a `path`"))?.to_owned(),
            kwargs: match content.get("kwargs") {
                None | Some(Value::Null) => Map::new(),
                Some(Value::Object(kwargs)) => kwargs.clone(),
                Some(_) => return Err(wrong("an object as `kwargs`")),
            },
            executor: content
                .get("executor")
                .and_then(Value::as_str)
                .map(str::to_owned),
        })
    }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};
    use serde_json::{Value, json};

    use super::{CallbackDefinition, CallbackType, Interval, NewRunFacts, Reference};

    /// What `airflow.serialization.encoders` 3.3.2 makes of one alert of each kind.
    fn recorded() -> Vec<Value> {
        serde_json::from_str(include_str!("../testdata/deadline-alerts.json")).unwrap()
    }

    #[test]
    fn alerts_of_each_kind_are_understood() {
        let read: Vec<_> = recorded()
            .iter()
            .map(|alert| {
                (
                    Reference::parse(&alert["reference"]).unwrap(),
                    Interval::parse(&alert["interval"]).unwrap(),
                    CallbackDefinition::parse(&alert["callback"]).unwrap(),
                )
            })
            .collect();
        let references: Vec<_> = read.iter().map(|alert| alert.0.clone()).collect();
        let average = |max_runs, min_runs| Reference::AverageRuntime { max_runs, min_runs };
        assert_eq!(
            references[..5],
            [
                Reference::LogicalDate,
                Reference::QueuedAt,
                Reference::Fixed("2026-01-01T05:00:00Z".parse().unwrap()),
                average(10, 10),
                average(5, 2),
            ]
        );
        assert!(matches!(&references[5], Reference::Custom(path, _) if path == "mine.MyRef"));
        let intervals: Vec<_> = read.iter().map(|alert| alert.1.clone()).collect();
        let secs = |seconds| Interval::Fixed(SignedDuration::from_secs(seconds));
        assert_eq!(
            intervals,
            [
                Interval::Fixed(SignedDuration::from_millis(3_600_005)),
                secs(-5),
                secs(0),
                Interval::Variable("dl".to_owned()),
                secs(60),
                secs(60),
            ]
        );
        assert_eq!(read[0].2.runs_in, CallbackType::Triggerer);
        assert_eq!(read[0].2.kwargs["text"], "x");
        assert_eq!(read[1].2.runs_in, CallbackType::Executor);
        assert_eq!(read[1].2.executor.as_deref(), Some("LocalExecutor"));
        assert_eq!(read[2].2.path, "mymod.fn");
        assert_eq!(read[2].2.executor, None);
    }

    #[test]
    fn what_makes_no_sense_says_so() {
        let reference = |value| Reference::parse(&value).unwrap_err().to_string();
        let interval = |value| Interval::parse(&value).unwrap_err().to_string();
        let callback = |value| CallbackDefinition::parse(&value).unwrap_err().to_string();
        assert_eq!(
            reference(json!({"reference_type": "Odd"})),
            "reference of a deadline: expected a known `reference_type` or a `__class_path`, \
             found `{\"reference_type\":\"Odd\"}`"
        );
        assert!(reference(json!(null)).contains("an object"));
        assert!(reference(json!({"reference_type": "FixedDatetimeDeadline"})).contains("1970"));
        let huge = json!({"reference_type": "FixedDatetimeDeadline", "datetime": 1e300});
        assert!(reference(huge).contains("1970"));
        assert!(interval(json!("soon")).contains("seconds"));
        assert!(interval(json!(1e300)).contains("within reason"));
        assert!(callback(json!({"__classname__": "x.Odd"})).contains("AsyncCallback"));
        assert_eq!(
            Interval::of_variable("1.5").unwrap_err().to_string(),
            "variable for the interval of a deadline: expected a whole number of seconds, \
             found `1.5`"
        );
        assert_eq!(
            Interval::of_variable(" 90\n"),
            Ok(SignedDuration::from_secs(90))
        );
        assert_eq!(
            Interval::parse(&json!(90)),
            Ok(Interval::Fixed(SignedDuration::from_secs(90)))
        );
    }

    #[test]
    fn times_beyond_the_calendar_are_no_times() {
        let average = Reference::AverageRuntime {
            max_runs: 1,
            min_runs: 1,
        };
        let now = Timestamp::UNIX_EPOCH;
        let hour = SignedDuration::from_hours(1);
        let run = NewRunFacts {
            logical_date: None,
            queued_at: Some(now - hour),
            average_runtime: Some(hour),
            now,
        };
        let endless = NewRunFacts {
            average_runtime: Some(SignedDuration::MAX),
            ..run
        };
        assert_eq!(average.time_of(&run), Some(now + hour));
        assert_eq!(average.time_of(&endless), None);
        assert_eq!(Reference::QueuedAt.time_of(&run), Some(now - hour));
        assert_eq!(Reference::LogicalDate.time_of(&run), None);
    }
}
