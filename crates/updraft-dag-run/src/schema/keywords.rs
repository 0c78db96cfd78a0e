//! Keywords that look at one value and apply no other schema.

use std::collections::{BTreeSet, VecDeque};

use serde_json::{Map, Value};

use super::format::has_format;
use super::violation::Violation;
use super::walk::length_of;
use crate::python_regex::PythonRegex;
use updraft_model::python_repr::{repr, repr_text};

/// A violation of the keyword that is being looked at; schema and value are filled in there.
pub(super) fn own(message: String) -> Violation {
    Violation {
        message,
        keyword: None,
        schema: Value::Null,
        schema_path: VecDeque::new(),
        instance: Value::Null,
        path: VecDeque::new(),
        context: Vec::new(),
    }
}

/// As [`own`], under the name of another keyword.
pub(super) fn own_of(keyword: &str, message: String) -> Violation {
    Violation {
        keyword: Some(keyword.to_owned()),
        ..own(message)
    }
}

/// Checks one keyword; unknown ones hold.
pub(super) fn check(
    keyword: &str,
    rule: &Value,
    all: &Map<String, Value>,
    value: &Value,
) -> Result<Option<Violation>, String> {
    let message = match keyword {
        "type" => check_type(rule, value),
        "enum" => check_enum(rule, value),
        "const" => (!equal(rule, value)).then(|| format!("{} was expected", repr(rule))),
        "format" => check_format(rule, value),
        "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "multipleOf" => {
            check_number(keyword, rule, value)
        }
        "minLength" | "maxLength" => check_length(keyword, rule, value),
        "pattern" => check_pattern(rule, value)?,
        "minItems" | "maxItems" | "uniqueItems" => check_list(keyword, rule, value),
        "minProperties" | "maxProperties" => check_size(keyword, rule, value),
        "required" => {
            return Ok(first_missing(rule, value));
        }
        "dependentRequired" => check_dependencies(rule, value),
        "additionalProperties" if rule == &Value::Bool(false) => check_extra(all, value)?,
        _ => None,
    };
    Ok(message.map(own))
}

fn check_type(rule: &Value, value: &Value) -> Option<String> {
    let names: Vec<&str> = match rule {
        Value::String(name) => vec![name],
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        _ => return None,
    };
    let fits = names.iter().any(|name| is_of_type(value, name));
    let quoted: Vec<String> = names.iter().map(|name| repr_text(name)).collect();
    (!fits).then(|| format!("{} is not of type {}", repr(value), quoted.join(", ")))
}

/// Whether a value is of a type of JSON Schema; a number without a fraction is an integer.
pub(super) fn is_of_type(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        _ => false,
    }
}

fn check_enum(rule: &Value, value: &Value) -> Option<String> {
    let known = rule.as_array()?.iter().any(|each| equal(each, value));
    (!known).then(|| format!("{} is not one of {}", repr(value), repr(rule)))
}

/// JSON equality: 1 and 1.0 are the same number, at any depth.
fn equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Array(ones), Value::Array(others)) => {
            ones.len() == others.len()
                && ones
                    .iter()
                    .zip(others)
                    .all(|(one, other)| equal(one, other))
        }
        (Value::Object(ones), Value::Object(others)) => {
            ones.len() == others.len()
                && ones
                    .iter()
                    .all(|(key, one)| others.get(key).is_some_and(|other| equal(one, other)))
        }
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        _ => one == other,
    }
}

fn check_number(keyword: &str, rule: &Value, value: &Value) -> Option<String> {
    let (number, bound) = (value.as_f64()?, rule.as_f64()?);
    let (value, rule) = (repr(value), repr(rule));
    let (holds, problem) = match keyword {
        "minimum" => (number >= bound, "is less than the minimum of"),
        "maximum" => (number <= bound, "is greater than the maximum of"),
        "exclusiveMinimum" => (number > bound, "is less than or equal to the minimum of"),
        "exclusiveMaximum" => (number < bound, "is greater than or equal to the maximum of"),
        _ => ((number / bound).fract() == 0.0, "is not a multiple of"),
    };
    (!holds).then(|| format!("{value} {problem} {rule}"))
}

/// What a bound on a size says when it is broken.
fn size_problem(size: usize, keyword: &str, rule: &Value) -> Option<&'static str> {
    let bound = rule.as_f64()?;
    #[expect(clippy::cast_precision_loss, reason = "no value has 2^52 members")]
    let size = size as f64;
    let (is_least, broken) = match keyword.starts_with("min") {
        true => (true, size < bound),
        false => (false, size > bound),
    };
    let is = |number: f64| (bound - number).abs() < f64::EPSILON;
    match (broken, is_least, keyword) {
        (false, _, _) => None,
        (true, true, _) if is(1.0) => Some("should be non-empty"),
        (true, false, _) if is(0.0) => Some("is expected to be empty"),
        (true, true, "minProperties") => Some("does not have enough properties"),
        (true, false, "maxProperties") => Some("has too many properties"),
        (true, true, _) => Some("is too short"),
        (true, false, _) => Some("is too long"),
    }
}

fn check_length(keyword: &str, rule: &Value, value: &Value) -> Option<String> {
    let problem = size_problem(value.as_str()?.chars().count(), keyword, rule)?;
    Some(format!("{} {problem}", repr(value)))
}

fn check_pattern(rule: &Value, value: &Value) -> Result<Option<String>, String> {
    let (Some(pattern), Some(text)) = (rule.as_str(), value.as_str()) else {
        return Ok(None);
    };
    let regex = PythonRegex::new(pattern).map_err(|bad| bad.to_string())?;
    let fits = regex.search(text).map_err(|bad| bad.to_string())?;
    Ok((!fits).then(|| format!("{} does not match {}", repr(value), repr(rule))))
}

fn check_list(keyword: &str, rule: &Value, value: &Value) -> Option<String> {
    let items = value.as_array()?;
    if keyword == "uniqueItems" {
        let twice = || {
            let mut places = items.iter().enumerate();
            places.any(|(index, item)| items[..index].iter().any(|other| equal(item, other)))
        };
        let wanted = rule.as_bool().unwrap_or(false);
        return (wanted && twice()).then(|| format!("{} has non-unique elements", repr(value)));
    }
    let problem = size_problem(items.len(), keyword, rule)?;
    Some(format!("{} {problem}", repr(value)))
}

fn check_size(keyword: &str, rule: &Value, value: &Value) -> Option<String> {
    let problem = size_problem(value.as_object()?.len(), keyword, rule)?;
    Some(format!("{} {problem}", repr(value)))
}

/// Every missing property is a violation of its own, and all tell as much: the first is shown.
fn first_missing(rule: &Value, value: &Value) -> Option<Violation> {
    let object = value.as_object()?;
    let mut names = rule.as_array()?.iter().filter_map(Value::as_str);
    let missing = names.find(|name| !object.contains_key(*name))?;
    Some(own(format!(
        "{} is a required property",
        repr_text(missing)
    )))
}

fn check_dependencies(rule: &Value, value: &Value) -> Option<String> {
    let object = value.as_object()?;
    let there = rule
        .as_object()?
        .iter()
        .filter(|(name, _)| object.contains_key(*name));
    there
        .flat_map(|(name, needed)| {
            needed
                .as_array()
                .into_iter()
                .flatten()
                .map(move |each| (name, each))
        })
        .find_map(|(name, each)| {
            let missing = each.as_str().filter(|each| !object.contains_key(*each))?;
            Some(format!(
                "{} is a dependency of {}",
                repr_text(missing),
                repr_text(name)
            ))
        })
}

/// The properties that neither `properties` nor `patternProperties` speak of.
pub(super) fn extra_properties<'v>(
    all: &Map<String, Value>,
    object: &'v Map<String, Value>,
) -> Result<Vec<&'v String>, String> {
    let known = all.get("properties").and_then(Value::as_object);
    let patterns = all.get("patternProperties").and_then(Value::as_object);
    let mut regexes = Vec::new();
    for pattern in patterns.into_iter().flat_map(Map::keys) {
        regexes.push(PythonRegex::new(pattern).map_err(|bad| bad.to_string())?);
    }
    let mut extra = Vec::new();
    for name in object.keys() {
        let mut is_known = known.is_some_and(|known| known.contains_key(name));
        for regex in &regexes {
            is_known |= regex.search(name).map_err(|bad| bad.to_string())?;
        }
        if !is_known {
            extra.push(name);
        }
    }
    Ok(extra)
}

fn check_extra(all: &Map<String, Value>, value: &Value) -> Result<Option<String>, String> {
    let Some(object) = value.as_object() else {
        return Ok(None);
    };
    let mut extra = extra_properties(all, object)?;
    if extra.is_empty() {
        return Ok(None);
    }
    extra.sort();
    let names = quoted(extra.iter().map(|name| name.as_str()));
    if let Some(Value::Object(patterns)) = all.get("patternProperties") {
        let mut patterns: Vec<&str> = patterns.keys().map(String::as_str).collect();
        patterns.sort_unstable();
        let verb = if extra.len() == 1 { "does" } else { "do" };
        return Ok(Some(format!(
            "{names} {verb} not match any of the regexes: {}",
            quoted(patterns.into_iter())
        )));
    }
    let verb = was_or_were(extra.len());
    Ok(Some(format!(
        "Additional properties are not allowed ({names} {verb} unexpected)"
    )))
}

fn quoted<'t>(texts: impl Iterator<Item = &'t str>) -> String {
    texts.map(repr_text).collect::<Vec<_>>().join(", ")
}

const fn was_or_were(count: usize) -> &'static str {
    if count == 1 { "was" } else { "were" }
}

/// `items: false` behind so many items that may be there.
pub(super) fn surplus_items(items: &[Value], prefix: usize) -> Option<Violation> {
    let rest = items.get(prefix..).filter(|rest| !rest.is_empty())?;
    let noun = if prefix == 1 { "item" } else { "items" };
    let shown = match rest {
        [one] => repr(one),
        several => repr(&Value::Array(several.to_vec())),
    };
    Some(own(format!(
        "Expected at most {prefix} {noun} but found {} extra: {shown}",
        rest.len()
    )))
}

pub(super) fn unevaluated_items(items: &[Value], seen: &BTreeSet<usize>) -> Option<Violation> {
    let left: Vec<String> = items
        .iter()
        .enumerate()
        .filter(|(index, _)| !seen.contains(index))
        .map(|(_, item)| repr(item))
        .collect();
    let verb = was_or_were(left.len());
    (!left.is_empty()).then(|| {
        own(format!(
            "Unevaluated items are not allowed ({} {verb} unexpected)",
            left.join(", ")
        ))
    })
}

pub(super) fn unevaluated_properties(mut left: Vec<&str>, rule: &Value) -> Option<Violation> {
    if left.is_empty() {
        return None;
    }
    let verb = was_or_were(left.len());
    if rule == &Value::Bool(false) {
        left.sort_unstable();
        let left = quoted(left.into_iter());
        return Some(own(format!(
            "Unevaluated properties are not allowed ({left} {verb} unexpected)"
        )));
    }
    let left = quoted(left.into_iter());
    Some(own(format!(
        "Unevaluated properties are not valid under the given schema ({left} {verb} unevaluated \
         and invalid)"
    )))
}

fn check_format(rule: &Value, value: &Value) -> Option<String> {
    let (name, text) = (rule.as_str()?, value.as_str()?);
    (!has_format(name, text)).then(|| format!("{} is not a {}", repr(value), repr(rule)))
}

/// How many items `prefixItems` speaks of.
pub(super) fn prefix_length(all: &Map<String, Value>) -> usize {
    length_of(all.get("prefixItems"))
}
