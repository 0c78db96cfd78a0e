//! What the serialized Dag says, in the API's words: Dag details and tasks.
//!
//! Most attributes come from [`SerializedDag`]; a few that mean nothing to scheduling (colours,
//! template fields, documentation) are read from its JSON here.

use jiff::SignedDuration;
use serde::Serialize;
use serde_json::{Map, Value, json};
use updraft_model::serialized::{SerializedDag, Task, WeightRule};

use crate::time::{ApiTime, api_time};

/// A length of time as the API spells it for tasks.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct TimeDelta {
    #[serde(rename = "__type")]
    pub kind: &'static str,
    pub days: i64,
    pub seconds: i64,
    pub microseconds: i64,
}

impl From<SignedDuration> for TimeDelta {
    fn from(duration: SignedDuration) -> Self {
        const DAY_SECS: i64 = 86_400;
        let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        let (seconds, microseconds) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
        Self {
            kind: "TimeDelta",
            days: seconds.div_euclid(DAY_SECS),
            seconds: seconds.rem_euclid(DAY_SECS),
            microseconds,
        }
    }
}

/// A task of the newest version of a Dag.
#[derive(Clone, Debug, Serialize)]
pub struct TaskResponse {
    pub task_id: String,
    pub task_display_name: String,
    pub owner: Option<String>,
    pub start_date: Option<ApiTime>,
    pub end_date: Option<ApiTime>,
    pub trigger_rule: Option<String>,
    pub depends_on_past: bool,
    pub wait_for_downstream: bool,
    pub retries: Option<f64>,
    pub queue: Option<String>,
    pub pool: Option<String>,
    pub pool_slots: Option<f64>,
    pub execution_timeout: Option<TimeDelta>,
    pub retry_delay: Option<TimeDelta>,
    pub retry_exponential_backoff: f64,
    pub priority_weight: Option<f64>,
    pub weight_rule: Option<String>,
    pub ui_color: Option<String>,
    pub ui_fgcolor: Option<String>,
    pub template_fields: Option<Vec<String>>,
    pub downstream_task_ids: Option<Vec<String>>,
    pub doc_md: Option<String>,
    pub operator_name: Option<String>,
    pub params: Option<Value>,
    pub class_ref: Option<Value>,
    pub is_mapped: bool,
    pub extra_links: Vec<String>,
}

impl TaskResponse {
    /// The answer for one task.
    #[must_use]
    pub fn new(dag: &SerializedDag, task: &Task) -> Self {
        let raw = Attributes(dag.raw_task(task.index));
        let names = |name: &str| {
            let list = raw.get(name)?.as_array()?;
            Some(
                list.iter()
                    .filter_map(Value::as_str)
                    .map(str::to_owned)
                    .collect(),
            )
        };
        let mut downstream: Vec<String> = task
            .downstream
            .iter()
            .map(|index| dag.task(*index).task_id.to_string())
            .collect();
        downstream.sort_unstable();
        Self {
            task_id: task.task_id.to_string(),
            task_display_name: display_name(task),
            owner: Some(task.owner.clone()),
            start_date: api_time(task.start_date.or(dag.attributes().start_date)),
            end_date: api_time(task.end_date.or(dag.attributes().end_date)),
            trigger_rule: Some(task.trigger_rule.to_string()),
            depends_on_past: task.depends_on_past,
            wait_for_downstream: task.wait_for_downstream,
            retries: Some(task.retries.count.into()),
            queue: Some(task.queue.clone()),
            pool: Some(task.pool.to_string()),
            pool_slots: Some(task.pool_slots.into()),
            execution_timeout: task.execution_timeout.map(Into::into),
            retry_delay: Some(task.retries.delay.into()),
            retry_exponential_backoff: task.retries.exponential_backoff,
            priority_weight: i32::try_from(task.priority_weight).ok().map(f64::from),
            weight_rule: Some(weight_rule(&task.weight_rule)),
            ui_color: Some(raw.text("ui_color").unwrap_or_else(|| "#fff".to_owned())),
            ui_fgcolor: Some(raw.text("ui_fgcolor").unwrap_or_else(|| "#000".to_owned())),
            template_fields: Some(names("template_fields").unwrap_or_default()),
            downstream_task_ids: Some(downstream),
            doc_md: raw.text("doc_md"),
            operator_name: Some(task.operator_name().to_owned()),
            params: Some(params(raw.get("params"))),
            class_ref: Some(json!({
                "module_path": task.module,
                "class_name": task.task_type,
            })),
            is_mapped: task.is_mapped,
            extra_links: extra_links(raw.get("_operator_extra_links")),
        }
    }
}

/// The tasks of a Dag.
#[derive(Clone, Debug, Serialize)]
pub struct TaskCollectionResponse {
    pub tasks: Vec<TaskResponse>,
    pub total_entries: usize,
}

/// The name people see: the display name, or the id.
#[must_use]
pub fn display_name(task: &Task) -> String {
    task.display_name
        .clone()
        .unwrap_or_else(|| task.task_id.to_string())
}

/// Attributes of a task in JSON; those of a mapped task may stand among its fixed arguments.
struct Attributes<'a>(&'a Value);

impl<'a> Attributes<'a> {
    fn get(&self, name: &str) -> Option<&'a Value> {
        let own = self.0.get(name);
        own.or_else(|| self.0.get("partial_kwargs")?.get(name))
            .filter(|value| !value.is_null())
    }

    fn text(&self, name: &str) -> Option<String> {
        Some(self.get(name)?.as_str()?.to_owned())
    }
}

fn weight_rule(rule: &WeightRule) -> String {
    match rule {
        WeightRule::Downstream => "downstream".to_owned(),
        WeightRule::Upstream => "upstream".to_owned(),
        WeightRule::Absolute => "absolute".to_owned(),
        WeightRule::Custom(class) => class
            .get("__type")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned(),
    }
}

fn extra_links(links: Option<&Value>) -> Vec<String> {
    let mut names: Vec<String> = match links {
        Some(Value::Object(links)) => links.keys().cloned().collect(),
        _ => Vec::new(),
    };
    names.sort_unstable();
    names
}

/// Serialized params, `[[name, param], …]`, as `{name: {value, schema, description, source}}`.
#[must_use]
pub fn params(serialized: Option<&Value>) -> Value {
    let Some(Value::Array(pairs)) = serialized else {
        return Value::Object(Map::new());
    };
    pairs
        .iter()
        .filter_map(|pair| {
            let [name, param] = pair.as_array()?.as_slice() else {
                return None;
            };
            Some((name.as_str()?.to_owned(), param_response(param)))
        })
        .collect()
}

fn param_response(param: &Value) -> Value {
    if param.get("__class").is_none() {
        return json!({"value": plain(param), "schema": {}, "description": null, "source": null});
    }
    json!({
        "value": plain(&param["default"]),
        "schema": param.get("schema").map_or_else(|| json!({}), plain),
        "description": param["description"],
        "source": param["source"],
    })
}

/// A value without the marks of its serialization: maps and lists as themselves, dates and
/// durations as ISO 8601 text.
#[must_use]
pub fn plain(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Object(object) => match (object.get("__type"), object.get("__var")) {
            (Some(Value::String(kind)), inner) => plain_typed(kind, inner.unwrap_or(&Value::Null)),
            _ => object
                .iter()
                .map(|(key, item)| (key.clone(), plain(item)))
                .collect(),
        },
        other => other.clone(),
    }
}

fn plain_typed(kind: &str, inner: &Value) -> Value {
    match (kind, inner.as_f64()) {
        ("timedelta", Some(seconds)) => SignedDuration::try_from_secs_f64(seconds)
            .map_or(Value::Null, |length| iso_duration(length).into()),
        ("datetime", Some(seconds)) => crate::time::time_of_epoch(seconds)
            .map_or(Value::Null, |instant| ApiTime(instant).to_string().into()),
        _ => plain(inner),
    }
}

/// A length of time as ISO 8601 text: `PT3M`, `P1DT2H`, `PT0.5S`.
#[must_use]
pub fn iso_duration(duration: SignedDuration) -> String {
    let sign = if duration.is_negative() { "-" } else { "" };
    let whole = duration.as_secs().unsigned_abs();
    let micros = duration.subsec_micros().unsigned_abs();
    let (days, rest) = (whole / 86_400, whole % 86_400);
    let (hours, minutes, seconds) = (rest / 3_600, rest / 60 % 60, rest % 60);
    let mut clock = String::new();
    for (count, unit) in [(hours, 'H'), (minutes, 'M')] {
        if count > 0 {
            clock.push_str(&format!("{count}{unit}"));
        }
    }
    if micros > 0 {
        let fraction = format!("{micros:06}");
        clock.push_str(&format!("{seconds}.{}S", fraction.trim_end_matches('0')));
    } else if seconds > 0 || (clock.is_empty() && days == 0) {
        clock.push_str(&format!("{seconds}S"));
    }
    let days = if days > 0 {
        format!("{days}D")
    } else {
        String::new()
    };
    let t = if clock.is_empty() { "" } else { "T" };
    format!("{sign}P{days}{t}{clock}")
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use serde_json::json;

    use super::{iso_duration, plain};

    #[test]
    fn durations_are_written_as_short_as_iso_allows() {
        for (seconds, text) in [
            (0.0, "PT0S"),
            (180.0, "PT3M"),
            (7_200.0, "PT2H"),
            (90.5, "PT1M30.5S"),
            (86_400.0, "P1D"),
            (93_600.0, "P1DT2H"),
        ] {
            let duration = SignedDuration::try_from_secs_f64(seconds).expect("in range");
            assert_eq!(iso_duration(duration), text);
        }
    }

    #[test]
    fn marks_of_serialization_disappear() {
        let encoded = json!({"__type": "dict", "__var": {
            "retry_delay": {"__type": "timedelta", "__var": 180.0},
            "ids": {"__type": "set", "__var": ["a"]},
        }});
        assert_eq!(
            plain(&encoded),
            json!({"retry_delay": "PT3M", "ids": ["a"]})
        );
    }
}
