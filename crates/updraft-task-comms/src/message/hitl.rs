//! Human in the loop.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use updraft_model::hitl::{HitlQuestion, HitlResponse, HitlUser};
use uuid::Uuid;

use crate::json::{JsonText, serde_datetime};
use crate::scalar::UtcDateTime;

/// A person who may answer, or who answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HITLUser {
    pub id: String,
    pub name: String,
}

/// Puts a question to people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CreateHITLDetailPayload {
    #[serde(with = "crate::scalar::uuid_text")]
    pub ti_id: Uuid,
    pub options: Vec<String>,
    pub subject: String,
    pub body: Option<String>,
    pub defaults: Option<Vec<String>>,
    /// Whether several options may be chosen. Null means false.
    pub multiple: Option<bool>,
    /// A JSON object.
    pub params: Option<JsonText>,
    pub assigned_users: Option<Vec<HITLUser>>,
}

/// Answers [`CreateHITLDetailPayload`] with the question as stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HITLDetailRequestResult {
    #[serde(with = "crate::scalar::uuid_text")]
    pub ti_id: Uuid,
    pub options: Vec<String>,
    pub subject: String,
    pub body: Option<String>,
    pub defaults: Option<Vec<String>>,
    pub multiple: Option<bool>,
    /// A JSON object.
    pub params: Option<JsonText>,
    pub assigned_users: Option<Vec<HITLUser>>,
}

/// Answers the question in the name of its defaults; only triggers send it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UpdateHITLDetail {
    #[serde(with = "crate::scalar::uuid_text")]
    pub ti_id: Uuid,
    pub chosen_options: Vec<String>,
    /// A JSON object.
    pub params_input: Option<JsonText>,
}

/// Asks for the answer of a person; only triggers send it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GetHITLDetailResponse {
    #[serde(with = "crate::scalar::uuid_text")]
    pub ti_id: Uuid,
}

/// Answers [`UpdateHITLDetail`] and [`GetHITLDetailResponse`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HITLDetailResponseResult {
    pub response_received: bool,
    pub responded_by_user: Option<HITLUser>,
    pub responded_at: Option<UtcDateTime>,
    pub chosen_options: Option<Vec<String>>,
    /// A JSON object.
    pub params_input: Option<JsonText>,
}

impl CreateHITLDetailPayload {
    /// The question as it is stored.
    ///
    /// # Errors
    /// With the name of the field that is wrong, and how.
    pub fn question(&self) -> Result<HitlQuestion, String> {
        if self.options.is_empty() {
            return Err("`options` must not be empty".to_owned());
        }
        let users = self.assigned_users.iter().flatten();
        Ok(HitlQuestion {
            options: self.options.clone(),
            subject: self.subject.clone(),
            body: self.body.clone(),
            defaults: self.defaults.clone(),
            multiple: self.multiple.unwrap_or(false),
            params: object_of("params", self.params.as_ref())?,
            assigned_users: users.map(HitlUser::from).collect(),
        })
    }

    /// The answer to this message.
    pub fn result(self) -> HITLDetailRequestResult {
        HITLDetailRequestResult {
            ti_id: self.ti_id,
            options: self.options,
            subject: self.subject,
            body: self.body,
            defaults: self.defaults,
            multiple: self.multiple,
            params: self.params,
            assigned_users: self.assigned_users,
        }
    }
}

fn object_of(field: &str, text: Option<&JsonText>) -> Result<Map<String, Value>, String> {
    let Some(text) = text.filter(|text| !text.is_null()) else {
        return Ok(Map::new());
    };
    let json = text.to_json();
    match json.map(|json| json.to_serde_value()) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(format!("`{field}` must be an object")),
        Err(error) => Err(format!("`{field}`: {error}")),
    }
}

impl From<&HITLUser> for HitlUser {
    fn from(user: &HITLUser) -> Self {
        Self {
            id: user.id.clone(),
            name: user.name.clone(),
        }
    }
}

impl From<&HitlUser> for HITLUser {
    fn from(user: &HitlUser) -> Self {
        Self {
            id: user.id.clone(),
            name: user.name.clone(),
        }
    }
}

impl HITLDetailResponseResult {
    /// What is known of the answer.
    pub fn of(response: Option<&HitlResponse>) -> Self {
        Self {
            response_received: response.is_some(),
            responded_by_user: response
                .and_then(|response| response.responded_by.as_ref())
                .map(HITLUser::from),
            responded_at: response.map(|response| response.responded_at.into()),
            chosen_options: response.map(|response| response.chosen_options.clone()),
            params_input: response
                .map(|response| JsonText::from(&Value::Object(response.params_input.clone()))),
        }
    }
}

/// The event with which a task goes on that waited for a person: the argument `event` of
/// `execute_complete`.
///
/// Source: runtime protocols §1.9.
pub fn hitl_event(response: &HitlResponse, timed_out: bool) -> JsonText {
    let user = response
        .responded_by
        .as_ref()
        .map(|user| json!({"id": user.id, "name": user.name}));
    let event = json!({
        "chosen_options": response.chosen_options,
        "params_input": response.params_input,
        "responded_at": null,
        "responded_by_user": user,
        "timedout": timed_out,
    });
    JsonText::from(&event)
        .with_entry(
            "responded_at",
            &serde_datetime(response.responded_at.into()),
        )
        .expect("an object of our own")
}

/// The event with which a task goes on, only to fail, because nobody answered in time.
pub fn hitl_timeout_event() -> JsonText {
    JsonText::from(&json!({
        "error": "The Human-in-the-loop response timeout has passed without a response.",
        "error_type": "timeout",
    }))
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use serde_json::json;
    use updraft_model::hitl::{HitlResponse, HitlUser};

    use super::{hitl_event, hitl_timeout_event};
    use crate::json::JsonText;

    fn response(responded_by: Option<HitlUser>) -> HitlResponse {
        let params = json!({"count": 1, "ratio": 1.0, "text": "ä"});
        HitlResponse {
            responded_at: "2026-11-21T19:37:05.25Z".parse().unwrap(),
            responded_by,
            chosen_options: vec!["Approve".to_owned()],
            params_input: params.as_object().unwrap().clone(),
        }
    }

    #[test]
    fn an_answer_becomes_the_event_that_the_operator_reads() {
        let user = HitlUser {
            id: "7".to_owned(),
            name: "ada".to_owned(),
        };
        assert_snapshot!(hitl_event(&response(Some(user)), false), @r#"{"chosen_options":["Approve"],"params_input":{"count":1,"ratio":1.0,"text":"ä"},"responded_by_user":{"id":"7","name":"ada"},"timedout":false,"responded_at":{"__classname__":"datetime.datetime","__version__":2,"__data__":{"timestamp":1795289825.25,"tz":{"__classname__":"builtins.tuple","__version__":1,"__data__":["UTC","pendulum.tz.timezone.Timezone",1,true]}}}}"#);
        assert_snapshot!(hitl_event(&response(None), true), @r#"{"chosen_options":["Approve"],"params_input":{"count":1,"ratio":1.0,"text":"ä"},"responded_by_user":null,"timedout":true,"responded_at":{"__classname__":"datetime.datetime","__version__":2,"__data__":{"timestamp":1795289825.25,"tz":{"__classname__":"builtins.tuple","__version__":1,"__data__":["UTC","pendulum.tz.timezone.Timezone",1,true]}}}}"#);
        assert_snapshot!(hitl_timeout_event(), @r#"{"error":"The Human-in-the-loop response timeout has passed without a response.","error_type":"timeout"}"#);
    }

    #[test]
    fn an_event_joins_the_arguments_that_wait() {
        let event = JsonText::from(&json!({"a": 1.0}));
        let joined = |text: &str| {
            JsonText::from_stored(text)
                .with_entry("event", &event)
                .map(String::from)
                .map_err(|error| error.to_string())
        };
        assert_eq!(joined("null").unwrap(), r#"{"event":{"a":1.0}}"#);
        assert_eq!(
            joined(r#"{"x":1.0,"n":NaN,"event":2}"#).unwrap(),
            r#"{"x":1.0,"n":NaN,"event":{"a":1.0}}"#
        );
        assert_eq!(
            joined("[1]").unwrap_err(),
            "not JSON: expected an object at byte 0"
        );
        assert!(joined("{").is_err());
    }
}
