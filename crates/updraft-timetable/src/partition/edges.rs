//! What Airflow's own mappers answer at the edges: offsets in keys, gaps and folds, mappers within
//! mappers, windows backward. Recorded by `testdata/record_partition_edges.py`.

use serde_json::{Value, json};

use super::{MappingError, PartitionMapper};

const FILE: &str = include_str!("../../testdata/partition_edges.json");

#[test]
fn edges_are_answered_as_recorded() {
    let file: Value = serde_json::from_str(FILE).unwrap();
    let vectors = file["vectors"].as_array().unwrap();
    assert_eq!(json!(vectors.len()), file["count"]);
    let surprises: Vec<String> = vectors
        .iter()
        .filter_map(|vector| {
            let answer = answer(vector);
            let is_matched = answer == vector["expect"];
            (is_matched == writes_an_offset_in_a_gap(vector))
                .then(|| format!("{vector}\n  answered {answer}"))
        })
        .collect();
    assert!(
        surprises.is_empty(),
        "{} surprises:\n{}",
        surprises.len(),
        surprises.join("\n")
    );
}

/// What we do not answer as recorded: of a key that lies in a gap at midnight Airflow forgets on
/// which side, and writes the offset of the other.
fn writes_an_offset_in_a_gap(vector: &Value) -> bool {
    let data = &vector["mapper"]["__var"];
    let format = data["output_format"].as_str().unwrap_or_default();
    vector["key"] == "2017-10-15T00:30:00"
        && vector["mapper"]["__type"] == "airflow.partition_mappers.temporal.StartOfDayMapper"
        && data["timezone"] == "America/Sao_Paulo"
        && data["input_format"] == "%Y-%m-%dT%H:%M:%S"
        && format.to_lowercase().contains("%z")
}

fn answer(vector: &Value) -> Value {
    let Ok(mapper) = PartitionMapper::from_serialized(&vector["mapper"]) else {
        return json!({"refused": "ValueError"});
    };
    let key = vector["key"].as_str().unwrap();
    let date = |key: &str| {
        let date = mapper.to_partition_date(key);
        or_error(date.map(|date| json!(date.map(|date| date.to_string()))))
    };
    let op = vector["op"].as_str().unwrap();
    if op == "to_partition_date" {
        return json!({"partition_date": date(key)});
    }
    let keys = mapper.to_downstream(key);
    let only = match keys.as_deref() {
        Ok([only]) if !mapper.gives_lists() => Some(only.clone()),
        _ => None,
    };
    let keys = or_error(keys.map(|keys| json!(keys)));
    let mut answer = json!({"keys": only.as_ref().map_or(keys, |only| json!(only))});
    let Some(key) = only else {
        return answer;
    };
    if op == "rollup" {
        let requirement = mapper.requirement(&key);
        answer["upstream"] = or_error(requirement.map(|each| json!(each.unwrap().expected)));
    }
    if op != "to_downstream" {
        answer["partition_date"] = date(&key);
    }
    answer
}

fn or_error(answer: Result<Value, MappingError>) -> Value {
    answer.unwrap_or_else(|error| {
        let class = match error {
            MappingError::Value(_) => "ValueError",
            MappingError::Type(_) => "TypeError",
            MappingError::NeedsPython { .. } => "NeedsPython",
        };
        json!({"error": class})
    })
}
