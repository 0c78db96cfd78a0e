//! Which parts of a value some keyword has looked at, for `unevaluatedItems` and
//! `unevaluatedProperties`.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::keywords::prefix_length;
use super::walk::Walk;
use crate::python_regex::PythonRegex;

impl<'s> Walk<'s> {
    /// Places of the items that the schema speaks of.
    pub(super) fn evaluated_items(
        &self,
        all: &'s Map<String, Value>,
        items: &[Value],
        depth: usize,
    ) -> Result<BTreeSet<usize>, String> {
        if all.contains_key("items") {
            return Ok((0..items.len()).collect());
        }
        let mut seen: BTreeSet<usize> = (0..prefix_length(all)).collect();
        for keyword in ["contains", "unevaluatedItems"] {
            for (index, item) in items.iter().enumerate() {
                if let Some(rule) = all.get(keyword)
                    && self.holds(rule, item, depth)?
                {
                    seen.insert(index);
                }
            }
        }
        let whole = Value::Array(items.to_vec());
        for schema in self.also_applied(all, &whole, depth)? {
            seen.extend(self.evaluated_items(schema, items, depth + 1)?);
        }
        Ok(seen)
    }

    /// Names of the properties that the schema speaks of.
    pub(super) fn evaluated_properties(
        &self,
        all: &'s Map<String, Value>,
        object: &Map<String, Value>,
        depth: usize,
    ) -> Result<BTreeSet<String>, String> {
        let mut seen = BTreeSet::new();
        if let Some(Value::Object(known)) = all.get("properties") {
            seen.extend(
                object
                    .keys()
                    .filter(|name| known.contains_key(*name))
                    .cloned(),
            );
        }
        for keyword in ["additionalProperties", "unevaluatedProperties"] {
            for (name, item) in object {
                if let Some(rule) = all.get(keyword)
                    && self.holds(rule, item, depth)?
                {
                    seen.insert(name.clone());
                }
            }
        }
        if let Some(Value::Object(patterns)) = all.get("patternProperties") {
            for pattern in patterns.keys() {
                let regex = PythonRegex::new(pattern).map_err(|bad| bad.to_string())?;
                for name in object.keys() {
                    if regex.search(name).map_err(|bad| bad.to_string())? {
                        seen.insert(name.clone());
                    }
                }
            }
        }
        if let Some(Value::Object(dependent)) = all.get("dependentSchemas") {
            for (_, schema) in dependent
                .iter()
                .filter(|(name, _)| object.contains_key(*name))
            {
                if let Some(schema) = schema.as_object() {
                    seen.extend(self.evaluated_properties(schema, object, depth + 1)?);
                }
            }
        }
        let whole = Value::Object(object.clone());
        for schema in self.also_applied(all, &whole, depth)? {
            seen.extend(self.evaluated_properties(schema, object, depth + 1)?);
        }
        Ok(seen)
    }

    /// Other schemas that apply to the same value, and hold.
    fn also_applied(
        &self,
        all: &'s Map<String, Value>,
        value: &Value,
        depth: usize,
    ) -> Result<Vec<&'s Map<String, Value>>, String> {
        let mut applied: Vec<&'s Value> = Vec::new();
        if let Some(Value::String(reference)) = all.get("$ref") {
            applied.push(self.target(reference)?);
        }
        for keyword in ["allOf", "oneOf", "anyOf"] {
            let rules = all.get(keyword).and_then(Value::as_array);
            for rule in rules.into_iter().flatten() {
                if self.holds(rule, value, depth)? {
                    applied.push(rule);
                }
            }
        }
        if let Some(rule) = all.get("if") {
            if self.holds(rule, value, depth)? {
                applied.push(rule);
                applied.extend(all.get("then"));
            } else {
                applied.extend(all.get("else"));
            }
        }
        Ok(applied.into_iter().filter_map(Value::as_object).collect())
    }
}
