//! One line on each option that Updraft acts on.
//!
//! `options/descriptions.json` is written from the doc comments of [`crate::sections`] by the
//! test `the_reference_page_is_up_to_date`, which also writes `docs/configuration.md`.

use std::collections::BTreeMap;

/// Descriptions by section and key.
pub(crate) fn all() -> BTreeMap<String, BTreeMap<String, String>> {
    serde_json::from_str(include_str!("../options/descriptions.json"))
        .expect("options/descriptions.json is written by a test")
}
