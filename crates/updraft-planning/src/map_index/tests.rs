use serde_json::{Value, json};

use super::*;
use crate::vectors::{check_vectors, expect_eq};

fn count(value: &Value) -> u32 {
    u32::try_from(value.as_u64().unwrap()).unwrap()
}

#[test]
fn map_indexes_are_those_of_airflow() {
    check_vectors(
        "map_indexes",
        |_| true,
        &[],
        |vector| {
            let found = match vector["op"].as_str().unwrap() {
                "relevant_upstream" => {
                    let relevant = relevant_indexes(
                        i32::try_from(vector["map_index"].as_i64().unwrap()).unwrap(),
                        count(&vector["ti_count"]),
                        count(&vector["ancestor_ti_count"]),
                        vector["relative_further_mapped"].as_bool().unwrap(),
                    );
                    match relevant {
                        RelevantIndexes::All => Value::Null,
                        RelevantIndexes::One(index) => json!(index),
                        RelevantIndexes::Range(range) => json!([range.start, range.end]),
                    }
                }
                "expand_kwargs_index" => {
                    let lengths = vector["lengths"].as_object().unwrap();
                    let counts: Vec<u32> = lengths.values().map(count).collect();
                    let positions =
                        argument_positions(&counts, count(&vector["map_index"])).unwrap();
                    let named = lengths
                        .keys()
                        .cloned()
                        .zip(positions.into_iter().map(Value::from));
                    Value::Object(named.collect())
                }
                other => panic!("unknown op {other}"),
            };
            expect_eq("result", found, vector["expect"].clone())
        },
    );
}
