use serde_json::Value;
use updraft_model::serialized::Retries;

use super::*;
use crate::scenario::{NOW, instant};
use crate::vectors::{check_vectors, expect_eq};

fn secs(value: &Value) -> Option<SignedDuration> {
    value
        .as_f64()
        .map(|secs| SignedDuration::try_from_secs_f64(secs).unwrap())
}

#[test]
fn delays_are_those_of_airflow() {
    check_vectors(
        "retry_delay",
        |_| true,
        &[],
        |vector| {
            let multiplier = &vector["multiplier"];
            let retries = Retries {
                count: 3,
                delay: secs(&vector["retry_delay_s"]).unwrap(),
                exponential_backoff: match multiplier.as_bool() {
                    Some(on) => f64::from(u8::from(on) * 2),
                    None => multiplier.as_f64().unwrap(),
                },
                max_delay: secs(&vector["max_retry_delay_s"]),
            };
            let failed = FailedTry {
                dag_id: &vector["dag_id"].as_str().unwrap().into(),
                task_id: &vector["task_id"].as_str().unwrap().into(),
                logical_date: vector["logical_date"].as_str().map(instant),
                try_number: i32::try_from(vector["try_number"].as_i64().unwrap()).unwrap(),
                end_date: instant(NOW),
                delay_override_secs: vector["retry_delay_override_s"].as_f64(),
                retries: &retries,
                max_task_retry_delay: SignedDuration::from_hours(24),
            };
            let found = next_retry_at(&failed)
                .duration_since(instant(NOW))
                .as_secs_f64();
            expect_eq("delay", found, vector["expect_delay_s"].as_f64().unwrap())
        },
    );
}

#[test]
fn a_task_with_two_retries_is_tried_three_times() {
    use TaskInstanceState::{Restarting, Running};
    assert!(is_eligible(Running, 2, 2, 2));
    assert!(!is_eligible(Running, 2, 3, 2));
    assert!(
        !is_eligible(Running, 0, 1, 1),
        "a cleared task without retries"
    );
    assert!(is_eligible(Restarting, 0, 9, 0));
}
