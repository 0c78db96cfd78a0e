//! JSON Schema as params use it, with the messages of the library that Airflow uses.
//!
//! Every keyword of draft 2020-12 is checked but `$dynamicRef`; other drafts are read as that one.
//! A schema is never fetched: a reference leads into the schema itself, or nowhere.

mod evaluated;
mod format;
mod keywords;
mod violation;
mod walk;

#[cfg(test)]
mod tests;

use serde_json::Value;

use violation::best_match;
use walk::Walk;

/// Says which rule of `schema` the value breaks, if any: the one that tells most, as the library
/// chooses it.
pub(crate) fn validate(schema: &Value, value: &Value) -> Result<(), String> {
    let walk = Walk { root: schema };
    let violations = walk.violations(schema, value, 0)?;
    best_match(violations).map_or(Ok(()), |violation| Err(violation.to_string()))
}
