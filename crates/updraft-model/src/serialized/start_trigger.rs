//! `start_trigger_args`: how a task starts in the triggerer instead of on a worker.

use jiff::SignedDuration;
use serde_json::Value;

use super::error::Error;
use super::fields::{Fields, Object, unwrapped};

/// The trigger in which a task starts, and how it goes on.
#[derive(Clone, Debug, PartialEq)]
pub struct StartTrigger {
    pub trigger_cls: String,
    /// As serialized; the child decodes it.
    pub trigger_kwargs: Value,
    /// The method with which a worker goes on.
    pub next_method: String,
    /// Without the wrapper around it all; the child decodes what is within.
    pub next_kwargs: Value,
    pub timeout: Option<SignedDuration>,
}

impl StartTrigger {
    /// Airflow does not start *mapped* tasks in the triggerer, whatever they ask for.
    pub(super) fn parse(fields: &Fields<'_>, is_mapped: bool) -> Result<Option<Self>, Error> {
        const KEY: &str = "start_trigger_args";
        if is_mapped || !fields.flag("start_from_trigger")?.unwrap_or(false) {
            return Ok(None);
        }
        let Some(args) = fields.find_wrapped(KEY) else {
            return Ok(None);
        };
        let Some(args) = args.as_object() else {
            return Err(fields.place.expected(KEY, "a map", args));
        };
        let args = Fields::new(fields.place, args);
        let text = |key: &str| -> Result<String, Error> {
            let found = args.text(key)?.map(str::to_owned);
            found.ok_or_else(|| args.place.error(key, "expected a value, found none"))
        };
        let kwargs = |key: &str| match args.find_wrapped(key) {
            Some(kwargs) => kwargs.clone(),
            None => Value::Object(Object::new()),
        };
        Ok(Some(Self {
            trigger_cls: text("trigger_cls")?,
            trigger_kwargs: kwargs("trigger_kwargs"),
            next_method: text("next_method")?,
            next_kwargs: unwrapped(&kwargs("next_kwargs")).clone(),
            // No time at all means no limit.
            timeout: args
                .duration("timeout")?
                .filter(|timeout| !timeout.is_zero()),
        }))
    }
}
