//! Applies a schema to a value, and the schemas in it to the values in that one.

use serde_json::{Map, Value};

use super::keywords;
use super::violation::{Step, Violation};
use crate::python_regex::PythonRegex;
use updraft_model::python_repr::{repr, repr_text};

/// References may lead in a circle; no sensible schema nests this deep.
const DEPTH_MAX: usize = 64;

/// All the rules that a value breaks; an `Err` is a schema that cannot be applied at all.
pub(super) type Found = Result<Vec<Violation>, String>;

/// A schema with everything it may refer to.
pub(super) struct Walk<'s> {
    pub(super) root: &'s Value,
}

impl<'s> Walk<'s> {
    pub(super) fn violations(&self, schema: &'s Value, value: &Value, depth: usize) -> Found {
        if depth > DEPTH_MAX {
            return Err(format!(
                "the schema refers to itself more than {DEPTH_MAX} times"
            ));
        }
        let keywords = match schema {
            Value::Bool(false) => return Ok(vec![nothing_allowed(schema, value)]),
            Value::Object(keywords) => keywords,
            _ => return Ok(Vec::new()),
        };
        let mut found = Vec::new();
        for (keyword, rule) in keywords {
            for mut violation in self.keyword(keyword, rule, keywords, value, depth)? {
                let is_own = violation.schema.is_null();
                if is_own {
                    violation.schema = schema.clone();
                    violation.instance = value.clone();
                    violation.keyword.get_or_insert_with(|| keyword.clone());
                }
                // These two stand for the schema they lead to.
                if !matches!(keyword.as_str(), "if" | "$ref") {
                    violation.schema_path.push_front(keyword.as_str().into());
                }
                found.push(violation);
            }
        }
        Ok(found)
    }

    pub(super) fn holds(
        &self,
        schema: &'s Value,
        value: &Value,
        depth: usize,
    ) -> Result<bool, String> {
        Ok(self.violations(schema, value, depth + 1)?.is_empty())
    }

    fn keyword(
        &self,
        keyword: &str,
        rule: &'s Value,
        all: &'s Map<String, Value>,
        value: &Value,
        depth: usize,
    ) -> Found {
        let below = Below { walk: self, depth };
        match (keyword, rule, value) {
            ("$ref", Value::String(reference), _) => {
                self.violations(self.target(reference)?, value, depth + 1)
            }
            ("properties", Value::Object(rules), Value::Object(object)) => {
                let there = rules
                    .iter()
                    .filter_map(|(name, rule)| Some((name, rule, object.get(name)?)));
                below.each(there.map(|(name, rule, item)| {
                    (
                        Some(name.as_str().into()),
                        Some(name.as_str().into()),
                        rule,
                        item,
                    )
                }))
            }
            ("patternProperties", Value::Object(rules), Value::Object(object)) => {
                let mut matching = Vec::new();
                for (pattern, rule) in rules {
                    let regex = PythonRegex::new(pattern).map_err(|bad| bad.to_string())?;
                    for (name, item) in object {
                        if regex.search(name).map_err(|bad| bad.to_string())? {
                            let (step, at) = (pattern.as_str().into(), name.as_str().into());
                            matching.push((Some(step), Some(at), rule, item));
                        }
                    }
                }
                below.each(matching)
            }
            ("additionalProperties", Value::Object(_), Value::Object(object)) => {
                let extra = keywords::extra_properties(all, object)?;
                below.each(
                    extra
                        .into_iter()
                        .map(|name| (None, Some(name.as_str().into()), rule, &object[name])),
                )
            }
            ("propertyNames", _, Value::Object(object)) => {
                let names: Vec<Value> = object.keys().map(|name| name.as_str().into()).collect();
                below.each(names.iter().map(|name| (None, None, rule, name)))
            }
            ("items", _, Value::Array(items)) => {
                let prefix = length_of(all.get("prefixItems"));
                if rule == &Value::Bool(false) {
                    return Ok(keywords::surplus_items(items, prefix).into_iter().collect());
                }
                let rest = items.iter().enumerate().skip(prefix);
                below.each(rest.map(|(index, item)| (None, Some(index.into()), rule, item)))
            }
            ("prefixItems", Value::Array(rules), Value::Array(items)) => {
                let pairs = rules.iter().zip(items).enumerate();
                below.each(pairs.map(|(index, (rule, item))| {
                    (Some(index.into()), Some(index.into()), rule, item)
                }))
            }
            ("allOf", Value::Array(rules), _) => below.each(
                rules
                    .iter()
                    .enumerate()
                    .map(|(index, rule)| (Some(index.into()), None, rule, value)),
            ),
            ("dependentSchemas", Value::Object(rules), Value::Object(object)) => {
                let there = rules.iter().filter(|(name, _)| object.contains_key(*name));
                below
                    .each(there.map(|(name, rule)| (Some(name.as_str().into()), None, rule, value)))
            }
            ("if", _, _) => {
                let branch = if self.holds(rule, value, depth)? {
                    "then"
                } else {
                    "else"
                };
                let there = all.get(branch).into_iter();
                below.each(there.map(|rule| (Some(branch.into()), None, rule, value)))
            }
            ("anyOf" | "oneOf" | "not", _, _) => self.combined(keyword, rule, value, depth),
            ("contains", _, Value::Array(items)) => self.contains(rule, all, items, depth),
            ("unevaluatedItems", _, Value::Array(items)) => {
                let seen = self.evaluated_items(all, items, depth)?;
                Ok(keywords::unevaluated_items(items, &seen)
                    .into_iter()
                    .collect())
            }
            ("unevaluatedProperties", _, Value::Object(object)) => {
                let seen = self.evaluated_properties(all, object, depth)?;
                let mut left = Vec::new();
                for (name, item) in object.iter().filter(|(name, _)| !seen.contains(*name)) {
                    if !self.holds(rule, item, depth)? {
                        left.push(name.as_str());
                    }
                }
                Ok(keywords::unevaluated_properties(left, rule)
                    .into_iter()
                    .collect())
            }
            _ => {
                keywords::check(keyword, rule, all, value).map(|found| found.into_iter().collect())
            }
        }
    }

    /// What a reference within the schema leads to.
    pub(super) fn target(&self, reference: &str) -> Result<&'s Value, String> {
        let Some(pointer) = reference.strip_prefix('#') else {
            return Err(format!("Unresolvable: {reference}"));
        };
        let decoded = percent_decoded(pointer);
        self.root.pointer(&decoded).ok_or_else(|| {
            let (pointer, root) = (repr_text(&decoded), repr(self.root));
            format!("PointerToNowhere: {pointer} does not exist within {root}")
        })
    }

    fn combined(&self, keyword: &str, rule: &'s Value, value: &Value, depth: usize) -> Found {
        if keyword == "not" {
            let holds = self.holds(rule, value, depth)?;
            let message = || format!("{} should not be valid under {}", repr(value), repr(rule));
            return Ok(holds
                .then(|| keywords::own(message()))
                .into_iter()
                .collect());
        }
        let rules = rule.as_array().map_or(&[] as &[Value], Vec::as_slice);
        let mut context = Vec::new();
        let mut first = None;
        for (index, rule) in rules.iter().enumerate() {
            let mut violations = self.violations(rule, value, depth + 1)?;
            if violations.is_empty() {
                first = Some(index);
                break;
            }
            for violation in &mut violations {
                violation.schema_path.push_front(index.into());
            }
            context.extend(violations);
        }
        let Some(first) = first else {
            let message = format!(
                "{} is not valid under any of the given schemas",
                repr(value)
            );
            return Ok(vec![Violation {
                context,
                ..keywords::own(message)
            }]);
        };
        if keyword == "anyOf" {
            return Ok(Vec::new());
        }
        let mut holding = Vec::new();
        for rule in &rules[first + 1..] {
            if self.holds(rule, value, depth)? {
                holding.push(repr(rule));
            }
        }
        if holding.is_empty() {
            return Ok(Vec::new());
        }
        holding.push(repr(&rules[first]));
        let message = format!(
            "{} is valid under each of {}",
            repr(value),
            holding.join(", ")
        );
        Ok(vec![keywords::own(message)])
    }

    fn contains(
        &self,
        rule: &'s Value,
        all: &Map<String, Value>,
        items: &[Value],
        depth: usize,
    ) -> Found {
        let bound = |name: &str| all.get(name).and_then(Value::as_u64);
        let least = bound("minContains").unwrap_or(1);
        let most = bound("maxContains");
        let mut matches = 0;
        for item in items {
            if !self.holds(rule, item, depth)? {
                continue;
            }
            matches += 1;
            if let Some(most) = most.filter(|most| matches > *most) {
                let message =
                    format!("Too many items match the given schema (expected at most {most})");
                return Ok(vec![keywords::own_of("maxContains", message)]);
            }
        }
        Ok(match matches {
            _ if matches >= least => Vec::new(),
            0 => {
                let items = repr(&Value::Array(items.to_vec()));
                vec![keywords::own(format!(
                    "{items} does not contain items matching the given schema"
                ))]
            }
            _ => vec![keywords::own_of(
                "minContains",
                format!(
                    "Too few items match the given schema (expected at least {least} but only \
                     {matches} matched)"
                ),
            )],
        })
    }
}

/// What is below a schema: steps in the schema and in the value, and both.
type Part<'s, 'v> = (Option<Step>, Option<Step>, &'s Value, &'v Value);

struct Below<'w, 's> {
    walk: &'w Walk<'s>,
    depth: usize,
}

impl<'s> Below<'_, 's> {
    fn each<'v>(&self, parts: impl IntoIterator<Item = Part<'s, 'v>>) -> Found {
        let mut found = Vec::new();
        for (schema_step, step, schema, value) in parts {
            for mut violation in self.walk.violations(schema, value, self.depth + 1)? {
                if let Some(step) = &step {
                    violation.path.push_front(step.clone());
                }
                if let Some(step) = &schema_step {
                    violation.schema_path.push_front(step.clone());
                }
                found.push(violation);
            }
        }
        Ok(found)
    }
}

fn nothing_allowed(schema: &Value, value: &Value) -> Violation {
    Violation {
        schema: schema.clone(),
        instance: value.clone(),
        keyword: None,
        ..keywords::own(format!("False schema does not allow {}", repr(value)))
    }
}

pub(super) fn length_of(list: Option<&Value>) -> usize {
    list.and_then(Value::as_array).map_or(0, Vec::len)
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let code = tail.get(..2).filter(|_| *first == b'%');
        let code = code.and_then(|code| std::str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
