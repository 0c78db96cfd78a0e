use serde_json::Value;

use super::validate;

/// Schema and value: here Python is stricter about the order of the bounds.
const UNMATCHED: &[&str] = &[r#"{"format":"regex"} "a{2,1}""#];

#[test]
fn each_keyword_says_what_airflow_says() {
    let recorded: Value = serde_json::from_str(include_str!("../../testdata/params.json")).unwrap();
    let vectors = recorded["vectors"].as_array().unwrap();
    let mut problems = Vec::new();
    for vector in vectors {
        let (schema, value) = (&vector["schema"], &vector["value"]);
        let found = validate(schema, value).err();
        let expected = vector["error"].as_str();
        let name = format!("{schema} {value}");
        if found.as_deref() != expected && !UNMATCHED.contains(&name.as_str()) {
            problems.push(format!(
                "{name}\n  Airflow {expected:?}\n  Updraft {found:?}"
            ));
        }
    }
    assert!(vectors.len() > 370, "{}", vectors.len());
    assert!(
        problems.is_empty(),
        "{} of {}:\n{}",
        problems.len(),
        vectors.len(),
        problems.join("\n")
    );
}

#[test]
fn a_schema_that_leads_in_a_circle_ends() {
    let schema = serde_json::json!({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#"}}});
    let refused = validate(&schema, &Value::Null).unwrap_err();
    assert!(refused.contains("refers to itself"), "{refused}");
}
