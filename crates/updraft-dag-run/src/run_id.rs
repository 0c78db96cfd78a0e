//! Which run ids may be given.

use updraft_model::DagRunType;
use updraft_timetable::infer_run_type;

use crate::python_regex::matches_start;
use crate::request::{Refusal, RunRules};

/// Ids that are always fine, whatever the settings say.
const BUILT_IN: &str =
    r"^(?:manual|scheduled|asset_triggered)__(?:\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\+00:00)$";

/// Refuses an id that breaks the rules, or that belongs to another type of run.
///
/// # Errors
/// Says what is wrong with the id.
pub fn validate_run_id(
    run_id: &str,
    run_type: DagRunType,
    rules: &RunRules,
) -> Result<(), Refusal> {
    if run_id.contains("..") && !rules.allow_double_dot_in_ids {
        return Err(Refusal::RunId(format!(
            "The run_id '{run_id}' must not contain '..' to prevent path traversal"
        )));
    }
    let pattern = rules.allowed_run_id_pattern.trim();
    // A pattern that cannot be read allows nothing.
    let fits = |pattern: &str| matches_start(pattern, run_id).unwrap_or(false);
    if !fits(BUILT_IN) && (pattern.is_empty() || !fits(pattern)) {
        return Err(Refusal::RunId(format!(
            "The run_id provided '{run_id}' does not match regex pattern '{pattern}' or '{BUILT_IN}'"
        )));
    }
    let named = infer_run_type(run_id);
    if run_type == DagRunType::Manual && named != DagRunType::Manual {
        return Err(Refusal::RunId(format!(
            "A {run_type} DAG run cannot use ID '{run_id}' since it is reserved for {named} runs"
        )));
    }
    Ok(())
}
