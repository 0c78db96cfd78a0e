//! Bulk requests: several creations, updates and deletions in one body.

use serde::Serialize;
use serde_json::{Value, json};

use crate::fields::{Body, Fields, read_body};
use crate::issue::{Checked, Issue, alternatives, under};
use crate::value;

/// What to do with an entity that exists already, or does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Otherwise {
    /// Nothing of the action is applied and an error is reported.
    #[default]
    Fail,
    /// The entity is left out.
    Skip,
    /// The entity is replaced; only for creation.
    Overwrite,
}

/// One action of a bulk request.
#[derive(Clone, Debug)]
pub enum BulkAction<T> {
    Create {
        entities: Vec<T>,
        on_existence: Otherwise,
    },
    Update {
        entities: Vec<Entity<T>>,
        update_mask: Option<Vec<String>>,
        on_non_existence: Otherwise,
    },
    Delete {
        entities: Vec<Deletion<T>>,
        on_non_existence: Otherwise,
    },
}

/// An entity together with the names of the fields the client set and the body as sent.
#[derive(Clone, Debug)]
pub struct Entity<T> {
    pub body: T,
    pub sent: Value,
}

/// What to delete: a plain key, or an object that names it.
#[derive(Clone, Debug)]
pub enum Deletion<T> {
    Key(String),
    Entity(T),
}

/// A bulk request.
#[derive(Clone, Debug)]
pub struct BulkBody<T> {
    pub actions: Vec<BulkAction<T>>,
}

impl<T> Default for BulkBody<T> {
    fn default() -> Self {
        Self {
            actions: Vec::new(),
        }
    }
}

impl<T: Body> Body for BulkBody<T> {
    fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            actions: fields.required("actions", value::list_of(read_action::<T>)),
        }
    }
}

fn read_action<T: Body>(action: &Value) -> Checked<BulkAction<T>> {
    const KINDS: &[&str] = &["create", "update", "delete"];
    let Value::Object(object) = action else {
        let msg = "Input should be a valid dictionary or object to extract fields from";
        return Err(vec![Issue::new("model_attributes_type", msg, action)]);
    };
    let Some(kind) = object.get("action") else {
        let msg = "Unable to extract tag using discriminator 'action'";
        let issue = Issue::new("union_tag_not_found", msg, action);
        return Err(vec![issue.with(json!({"discriminator": "'action'"}))]);
    };
    match kind.as_str() {
        Some("create") => under(read_body::<Create<T>>(action), "create").map(|read| read.0),
        Some("update") => under(read_body::<Update<T>>(action), "update").map(|read| read.0),
        Some("delete") => under(read_body::<Delete<T>>(action), "delete").map(|read| read.0),
        _ => {
            // Airflow answers 500 here; a refusal that says why serves a client better.
            let msg = format!("Input should be {}", alternatives(KINDS));
            Err(vec![Issue::new("literal_error", msg, kind).under("action")])
        }
    }
}

struct Create<T>(BulkAction<T>);
struct Update<T>(BulkAction<T>);
struct Delete<T>(BulkAction<T>);

impl<T: Body> Body for Create<T> {
    fn read(fields: &mut Fields<'_>) -> Self {
        fields.required("action", value::text);
        let entities = fields.required("entities", value::list_of(read_body::<T>));
        let word = fields.or(
            "action_on_existence",
            "fail",
            value::literal(&["fail", "skip", "overwrite"]),
        );
        Self(BulkAction::Create {
            entities,
            on_existence: otherwise(word),
        })
    }
}

impl<T: Body> Body for Update<T> {
    fn read(fields: &mut Fields<'_>) -> Self {
        fields.required("action", value::text);
        let entity = |sent: &Value| {
            read_body::<T>(sent).map(|body| Entity {
                body,
                sent: sent.clone(),
            })
        };
        let entities = fields.required("entities", value::list_of(entity));
        let update_mask = fields.optional("update_mask", value::list_of(value::text));
        let word = fields.or(
            "action_on_non_existence",
            "fail",
            value::literal(&["fail", "skip"]),
        );
        Self(BulkAction::Update {
            entities,
            update_mask,
            on_non_existence: otherwise(word),
        })
    }
}

impl<T: Body> Body for Delete<T> {
    fn read(fields: &mut Fields<'_>) -> Self {
        fields.required("action", value::text);
        let entity = |value: &Value| match value {
            Value::String(key) => Ok(Deletion::Key(key.clone())),
            other => read_body::<T>(other).map(Deletion::Entity),
        };
        let entities = fields.required("entities", value::list_of(entity));
        let word = fields.or(
            "action_on_non_existence",
            "fail",
            value::literal(&["fail", "skip"]),
        );
        Self(BulkAction::Delete {
            entities,
            on_non_existence: otherwise(word),
        })
    }
}

fn otherwise(word: &str) -> Otherwise {
    match word {
        "skip" => Otherwise::Skip,
        "overwrite" => Otherwise::Overwrite,
        _ => Otherwise::Fail,
    }
}

/// What became of the actions of one kind.
#[derive(Clone, Debug, Default, Serialize)]
pub struct BulkActionResponse {
    pub success: Vec<String>,
    pub errors: Vec<BulkError>,
}

/// Why an action was not applied.
#[derive(Clone, Debug, Serialize)]
pub struct BulkError {
    pub error: String,
    pub status_code: u16,
}

/// What became of a bulk request.
#[derive(Clone, Debug, Default, Serialize)]
pub struct BulkResponse {
    pub create: Option<BulkActionResponse>,
    pub update: Option<BulkActionResponse>,
    pub delete: Option<BulkActionResponse>,
}

impl BulkActionResponse {
    /// Notes why an action was not applied.
    pub fn refuse(&mut self, status_code: u16, error: impl Into<String>) {
        self.errors.push(BulkError {
            error: error.into(),
            status_code,
        });
    }
}
