//! What a serialized Dag says about deadlines of its runs.

use updraft_model::deadline::{CallbackDefinition, Interval, Reference};
use updraft_runtime::Ids;
use updraft_store::NewDeadlineAlert;
use updraft_task_comms::json::{Json, JsonText};

/// The deadline alerts of a Dag, in their order.
///
/// # Errors
/// When one makes no sense: better an import error now than a deadline that never comes.
pub(super) fn of(document: &Json<'_>, ids: &Ids) -> Result<Vec<NewDeadlineAlert>, String> {
    let deadlines = document.get("dag").and_then(|dag| dag.get("deadline"));
    let Some(Json::Array(deadlines)) = deadlines else {
        return Ok(Vec::new());
    };
    deadlines.iter().map(|each| alert(each, ids)).collect()
}

fn alert(value: &Json<'_>, ids: &Ids) -> Result<NewDeadlineAlert, String> {
    let value = value.get("__var").unwrap_or(value);
    let part = |name: &str| value.get(name).unwrap_or(&Json::Null);
    let checked = |name: &str| part(name).to_serde_value();
    let wrong = |bad: updraft_model::deadline::BadDefinition| bad.to_string();
    Reference::parse(&checked("reference")).map_err(wrong)?;
    Interval::parse(&checked("interval")).map_err(wrong)?;
    CallbackDefinition::parse(&checked("callback")).map_err(wrong)?;
    let text = |name: &str| JsonText::from(part(name)).as_str().to_owned();
    Ok(NewDeadlineAlert {
        id: ids.uuid(),
        name: match part("name") {
            Json::Text(name) => Some(name.to_string()),
            _ => None,
        },
        reference: text("reference"),
        interval: text("interval"),
        callback: text("callback"),
    })
}

#[cfg(test)]
mod tests {
    use updraft_runtime::Ids;
    use updraft_task_comms::json::Json;

    use super::of;
    use crate::dag_hash::dag_hash;

    const ALERTS: &str = include_str!("../../../updraft-model/testdata/deadline-alerts.json");

    fn document(deadlines: &str) -> String {
        format!(r#"{{"__version": 3, "dag": {{"dag_id": "d", "deadline": {deadlines}}}}}"#)
    }

    #[test]
    fn each_alert_is_kept_as_it_was_sent() {
        let text = document(ALERTS);
        let alerts = of(&Json::parse(&text).unwrap(), &Ids::random()).unwrap();
        assert_eq!(alerts.len(), 6);
        assert_eq!(alerts[0].name.as_deref(), Some("one"));
        assert_eq!(alerts[1].name, None);
        assert!(
            alerts[0].interval.contains(":3600.005}"),
            "{}",
            alerts[0].interval
        );
        let none = document("null");
        assert_eq!(of(&Json::parse(&none).unwrap(), &Ids::random()), Ok(vec![]));
    }

    #[test]
    fn an_alert_that_makes_no_sense_is_a_reason_to_refuse_the_dag() {
        let text = document(r#"[{"reference": {"reference_type": "Odd"}}]"#);
        let problem = of(&Json::parse(&text).unwrap(), &Ids::random()).unwrap_err();
        assert!(
            problem.starts_with("reference of a deadline: expected"),
            "{problem}"
        );
    }

    #[test]
    fn the_hash_is_that_of_the_definitions_whatever_their_order_and_names() {
        let (one, two) = (
            r#"{"name": "a", "reference": 1, "interval": 2.0, "callback": {"x": [1]}}"#,
            r#"{"name": null, "reference": 3, "interval": 2.0, "callback": {}}"#,
        );
        let hash = |deadlines: &str| dag_hash(&document(deadlines)).unwrap();
        let first = hash(&format!("[{one}, {two}]"));
        assert_eq!(hash(&format!("[{two}, {one}]")), first);
        let renamed = one.replace("\"a\"", "\"b\"");
        assert_eq!(hash(&format!("[{renamed}, {two}]")), first);
        let longer = one.replace("2.0", "2.5");
        assert_ne!(hash(&format!("[{longer}, {two}]")), first);
        assert_ne!(hash(&format!("[{one}]")), first);
        assert_ne!(hash("null"), first);
    }
}
