//! The part of JSON Schema that params use, with the messages of the library Airflow uses.
//!
//! Not here, and therefore not checked: remote references, `dependentSchemas`, `if`/`then`/`else`,
//! `contains`, `propertyNames`. A schema from outside never reaches the network.

use regex::Regex;
use serde_json::{Map, Value};

use crate::pretty::{indented, repr, repr_text};

#[cfg(test)]
mod tests;

/// References may lead in a circle; no sensible schema nests this deep.
const DEPTH_MAX: usize = 64;

/// One broken rule.
struct Violation {
    message: String,
    keyword: String,
    schema: Value,
    schema_path: Vec<String>,
    instance: Value,
    path: Vec<String>,
}

/// Says which rule of `schema` the value breaks, if any: the one nearest to the root.
pub(crate) fn validate(schema: &Value, value: &Value) -> Result<(), String> {
    let mut check = Check {
        root: schema,
        schema_path: Vec::new(),
        path: Vec::new(),
        violations: Vec::new(),
    };
    check.schema(schema, value);
    let weak = |violation: &Violation| matches!(violation.keyword.as_str(), "anyOf" | "oneOf");
    let worst = check
        .violations
        .iter()
        .min_by_key(|violation| (violation.path.len(), weak(violation)));
    worst.map_or(Ok(()), |violation| Err(violation.to_string()))
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let steps =
            |path: &[String]| -> String { path.iter().map(|step| format!("[{step}]")).collect() };
        write!(
            f,
            "{}\n\nFailed validating {} in schema{}:\n{}\n\nOn instance{}:\n{}",
            self.message,
            repr_text(&self.keyword),
            steps(&self.schema_path),
            indented(&self.schema),
            steps(&self.path),
            indented(&self.instance),
        )
    }
}

struct Check<'s> {
    root: &'s Value,
    schema_path: Vec<String>,
    path: Vec<String>,
    violations: Vec<Violation>,
}

impl<'s> Check<'s> {
    fn schema(&mut self, schema: &'s Value, value: &Value) {
        if self.schema_path.len() > DEPTH_MAX {
            return;
        }
        match schema {
            Value::Bool(false) => {
                let message = format!("False schema does not allow {}", repr(value));
                self.report(message, "None", schema, value);
            }
            Value::Object(keywords) => {
                for (keyword, rule) in keywords {
                    self.keyword(keyword, rule, keywords, schema, value);
                }
            }
            _ => {}
        }
    }

    fn keyword(
        &mut self,
        keyword: &str,
        rule: &'s Value,
        all: &'s Map<String, Value>,
        schema: &Value,
        value: &Value,
    ) {
        let message = match keyword {
            "type" => check_type(rule, value),
            "enum" => check_enum(rule, value),
            "const" => (!equal(rule, value)).then(|| format!("{} was expected", repr(rule))),
            "format" => check_format(rule, value),
            "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "multipleOf" => {
                check_number(keyword, rule, value)
            }
            "minLength" | "maxLength" | "pattern" => check_text(keyword, rule, value),
            "minItems" | "maxItems" | "uniqueItems" => check_list(keyword, rule, value),
            "required" | "minProperties" | "maxProperties" => check_object(keyword, rule, value),
            "additionalProperties" if rule == &Value::Bool(false) => check_extra(all, value),
            _ => {
                self.applied(keyword, rule, all, schema, value);
                None
            }
        };
        if let Some(message) = message {
            self.report(message, keyword, schema, value);
        }
    }

    /// Keywords that apply other schemas.
    fn applied(
        &mut self,
        keyword: &str,
        rule: &'s Value,
        all: &'s Map<String, Value>,
        schema: &Value,
        value: &Value,
    ) {
        match (keyword, rule, value) {
            ("$ref", Value::String(reference), _) => {
                if let Some(target) = reference
                    .strip_prefix('#')
                    .and_then(|pointer| self.root.pointer(pointer))
                {
                    self.below(repr_text("$ref"), None, target, value);
                }
            }
            ("properties", Value::Object(properties), Value::Object(object)) => {
                for (name, rule) in properties {
                    if let Some(item) = object.get(name) {
                        let step = format!("'properties'][{}", repr_text(name));
                        self.below(step, Some(repr_text(name)), rule, item);
                    }
                }
            }
            ("additionalProperties", Value::Object(_), Value::Object(object)) => {
                for (name, item) in object {
                    if !is_known(all, name) {
                        self.below(repr_text(keyword), Some(repr_text(name)), rule, item);
                    }
                }
            }
            ("items", _, Value::Array(items)) => {
                for (index, item) in items.iter().enumerate() {
                    self.below(repr_text("items"), Some(index.to_string()), rule, item);
                }
            }
            ("allOf", Value::Array(rules), _) => {
                for (index, rule) in rules.iter().enumerate() {
                    self.below(format!("'allOf'][{index}"), None, rule, value);
                }
            }
            ("anyOf" | "oneOf" | "not", _, _) => {
                if let Some(message) = self.combined(keyword, rule, value) {
                    self.report(message, keyword, schema, value);
                }
            }
            _ => {}
        }
    }

    fn combined(&self, keyword: &str, rule: &'s Value, value: &Value) -> Option<String> {
        if keyword == "not" {
            return self
                .holds(rule, value)
                .then(|| format!("{} should not be valid under {}", repr(value), repr(rule)));
        }
        let rules = rule.as_array()?;
        let holding: Vec<&Value> = rules
            .iter()
            .filter(|rule| self.holds(rule, value))
            .collect();
        match (keyword, holding.len()) {
            (_, 0) => Some(format!(
                "{} is not valid under any of the given schemas",
                repr(value)
            )),
            ("oneOf", 2..) => {
                let each: Vec<String> = holding.iter().map(|rule| repr(rule)).collect();
                Some(format!(
                    "{} is valid under each of {}",
                    repr(value),
                    each.join(", ")
                ))
            }
            _ => None,
        }
    }

    fn holds(&self, schema: &'s Value, value: &Value) -> bool {
        let mut check = Check {
            root: self.root,
            schema_path: self.schema_path.clone(),
            path: Vec::new(),
            violations: Vec::new(),
        };
        check.schema_path.push(String::new());
        check.schema(schema, value);
        check.violations.is_empty()
    }

    fn below(&mut self, step: String, item: Option<String>, schema: &'s Value, value: &Value) {
        self.schema_path.push(step);
        let into_item = item.is_some();
        self.path.extend(item);
        self.schema(schema, value);
        if into_item {
            self.path.pop();
        }
        self.schema_path.pop();
    }

    fn report(&mut self, message: String, keyword: &str, schema: &Value, value: &Value) {
        self.violations.push(Violation {
            message,
            keyword: keyword.to_owned(),
            schema: schema.clone(),
            schema_path: self.schema_path.clone(),
            instance: value.clone(),
            path: self.path.clone(),
        });
    }
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

fn is_of_type(value: &Value, name: &str) -> bool {
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

/// JSON equality: 1 and 1.0 are the same number.
fn equal(one: &Value, other: &Value) -> bool {
    match (one.as_f64(), other.as_f64()) {
        #[expect(clippy::float_cmp, reason = "equality of numbers is what is asked")]
        (Some(one), Some(other)) => one == other,
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

fn check_text(keyword: &str, rule: &Value, value: &Value) -> Option<String> {
    let text = value.as_str()?;
    let length = u64::try_from(text.chars().count()).unwrap_or(u64::MAX);
    match keyword {
        "minLength" if length < rule.as_u64()? => Some(if length == 0 && rule.as_u64()? == 1 {
            format!("{} should be non-empty", repr(value))
        } else {
            format!("{} is too short", repr(value))
        }),
        "maxLength" if length > rule.as_u64()? => Some(format!("{} is too long", repr(value))),
        "pattern" => {
            let regex = Regex::new(rule.as_str()?).ok()?;
            (!regex.is_match(text))
                .then(|| format!("{} does not match {}", repr(value), repr(rule)))
        }
        _ => None,
    }
}

fn check_list(keyword: &str, rule: &Value, value: &Value) -> Option<String> {
    let items = value.as_array()?;
    let length = u64::try_from(items.len()).unwrap_or(u64::MAX);
    match keyword {
        "minItems" if length < rule.as_u64()? => Some(if items.is_empty() && rule.as_u64()? == 1 {
            format!("{} should be non-empty", repr(value))
        } else {
            format!("{} is too short", repr(value))
        }),
        "maxItems" if length > rule.as_u64()? => Some(format!("{} is too long", repr(value))),
        "uniqueItems" if rule == &Value::Bool(true) => {
            let twice = items
                .iter()
                .enumerate()
                .any(|(index, item)| items[..index].iter().any(|other| equal(item, other)));
            twice.then(|| format!("{} has non-unique elements", repr(value)))
        }
        _ => None,
    }
}

fn check_object(keyword: &str, rule: &Value, value: &Value) -> Option<String> {
    let object = value.as_object()?;
    let length = u64::try_from(object.len()).unwrap_or(u64::MAX);
    match keyword {
        "minProperties" if length < rule.as_u64()? => {
            Some(format!("{} does not have enough properties", repr(value)))
        }
        "maxProperties" if length > rule.as_u64()? => {
            Some(format!("{} has too many properties", repr(value)))
        }
        "required" => {
            let mut names = rule.as_array()?.iter().filter_map(Value::as_str);
            let missing = names.find(|name| !object.contains_key(*name))?;
            Some(format!("{} is a required property", repr_text(missing)))
        }
        _ => None,
    }
}

fn is_known(schema: &Map<String, Value>, name: &str) -> bool {
    schema
        .get("properties")
        .and_then(Value::as_object)
        .is_some_and(|properties| properties.contains_key(name))
}

fn check_extra(schema: &Map<String, Value>, value: &Value) -> Option<String> {
    let object = value.as_object()?;
    let extra: Vec<String> = object
        .keys()
        .filter(|name| !is_known(schema, name))
        .map(|name| repr_text(name))
        .collect();
    let verb = if extra.len() == 1 { "was" } else { "were" };
    (!extra.is_empty()).then(|| {
        format!(
            "Additional properties are not allowed ({} {verb} unexpected)",
            extra.join(", ")
        )
    })
}

/// Only the formats that Airflow's installation checks.
fn check_format(rule: &Value, value: &Value) -> Option<String> {
    let text = value.as_str()?;
    let fits = match rule.as_str()? {
        "date" => text.parse::<jiff::civil::Date>().is_ok() && text.len() == 10,
        "email" | "idn-email" => text.contains('@'),
        "ipv4" => text.parse::<std::net::Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<std::net::Ipv6Addr>().is_ok(),
        "uuid" => text.len() == 36 && uuid::Uuid::parse_str(text).is_ok(),
        "regex" => Regex::new(text).is_ok(),
        _ => true,
    };
    (!fits).then(|| format!("{} is not a {}", repr(value), repr(rule)))
}
