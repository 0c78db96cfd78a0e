//! Human in the loop: whether an answer is one to the question, and what happens without any.
//!
//! Source: scheduling semantics §7.3; HTTP surface §1.8.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Map, Value};
use thiserror::Error;
use updraft_model::hitl::{HitlDetail, HitlQuestion, HitlResponse};

/// Why an answer is none to the question.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadAnswer {
    /// Options that were not offered.
    #[error("Invalid options {}; allowed options are {}.", listed(.chosen), listed(.allowed))]
    UnknownOptions {
        chosen: BTreeSet<String>,
        allowed: BTreeSet<String>,
    },
    /// More than one option where one was asked for.
    #[error(
        "Multiple options chosen but this Human-in-the-loop task accepts only a single option."
    )]
    SeveralOptions,
}

/// Checks the options somebody chose.
///
/// # Errors
/// [`BadAnswer`], in Airflow's words.
pub fn check_answer(question: &HitlQuestion, chosen: &[String]) -> Result<(), BadAnswer> {
    let allowed: BTreeSet<String> = question.options.iter().cloned().collect();
    let unknown: BTreeSet<String> = chosen
        .iter()
        .filter(|option| !allowed.contains(*option))
        .cloned()
        .collect();
    if !unknown.is_empty() {
        return Err(BadAnswer::UnknownOptions {
            chosen: unknown,
            allowed,
        });
    }
    if !question.multiple && chosen.len() > 1 {
        return Err(BadAnswer::SeveralOptions);
    }
    Ok(())
}

/// Whether a user may answer: one of those who were asked, or anybody when nobody was named.
#[must_use]
pub fn may_answer(question: &HitlQuestion, user_id: &str) -> bool {
    let users = &question.assigned_users;
    users.is_empty() || users.iter().any(|user| user.id == user_id)
}

/// What a task that waited long enough goes on with.
#[derive(Clone, Debug, PartialEq)]
pub enum Patience<'a> {
    /// An answer that came just in time.
    Answered(&'a HitlResponse),
    /// Its defaults; they are its answer from now on.
    Defaults(HitlResponse),
    /// Nothing: it fails.
    Nothing,
}

/// Decides what a task goes on with whose time is up.
#[must_use]
pub fn plan_end_of_patience(detail: Option<&HitlDetail>, now: Timestamp) -> Patience<'_> {
    let Some(detail) = detail else {
        return Patience::Nothing;
    };
    if let Some(response) = &detail.response {
        return Patience::Answered(response);
    }
    match &detail.question.defaults {
        Some(defaults) => Patience::Defaults(HitlResponse {
            responded_at: now,
            responded_by: None,
            chosen_options: defaults.clone(),
            params_input: default_input(&detail.question.params),
        }),
        None => Patience::Nothing,
    }
}

/// What a form holds that nobody filled in.
fn default_input(params: &Map<String, Value>) -> Map<String, Value> {
    let default_of = |param: &Value| param.get("value").unwrap_or(param).clone();
    params
        .iter()
        .map(|(name, param)| (name.clone(), default_of(param)))
        .collect()
}

/// As Python prints a sorted list of texts.
fn listed(texts: &BTreeSet<String>) -> String {
    let quoted: Vec<String> = texts
        .iter()
        .map(|text| {
            let escaped = text.replace('\\', "\\\\");
            if escaped.contains('\'') && !escaped.contains('"') {
                format!("\"{escaped}\"")
            } else {
                format!("'{}'", escaped.replace('\'', "\\'"))
            }
        })
        .collect();
    format!("[{}]", quoted.join(", "))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;
    use updraft_model::TaskInstanceId;
    use updraft_model::hitl::{HitlDetail, HitlQuestion, HitlUser};
    use uuid::Uuid;

    use super::{Patience, check_answer, may_answer, plan_end_of_patience};

    fn question(multiple: bool) -> HitlQuestion {
        let params = json!({
            "form": {"value": 3, "description": null, "schema": {}},
            "plain": "x",
        });
        HitlQuestion {
            options: vec!["yes".to_owned(), "it's".to_owned(), "no".to_owned()],
            subject: "Go?".to_owned(),
            body: None,
            defaults: None,
            multiple,
            params: params.as_object().unwrap().clone(),
            assigned_users: Vec::new(),
        }
    }

    fn refusal(multiple: bool, chosen: &[&str]) -> String {
        let chosen: Vec<String> = chosen.iter().map(ToString::to_string).collect();
        match check_answer(&question(multiple), &chosen) {
            Ok(()) => "fine".to_owned(),
            Err(bad) => bad.to_string(),
        }
    }

    #[test]
    fn an_answer_must_be_among_the_options_and_single_unless_several_may_be_chosen() {
        assert_eq!(refusal(false, &["yes"]), "fine");
        assert_eq!(refusal(true, &["yes", "no"]), "fine");
        assert_eq!(
            refusal(false, &["yes", "no"]),
            "Multiple options chosen but this Human-in-the-loop task accepts only a single option."
        );
        assert_eq!(
            refusal(true, &["perhaps", "yes", "Ä"]),
            "Invalid options ['perhaps', 'Ä']; allowed options are [\"it's\", 'no', 'yes']."
        );
    }

    #[test]
    fn only_those_who_were_asked_may_answer() {
        let mut asked = question(false);
        assert!(may_answer(&asked, "anybody"));
        asked.assigned_users.push(HitlUser {
            id: "ada".to_owned(),
            name: "Ada".to_owned(),
        });
        assert!(may_answer(&asked, "ada"));
        assert!(!may_answer(&asked, "Ada"), "ids count, not names");
    }

    #[test]
    fn when_the_time_is_up_an_answer_goes_before_defaults_and_defaults_before_failure() {
        let now = Timestamp::UNIX_EPOCH;
        let mut detail = HitlDetail {
            ti_id: TaskInstanceId(Uuid::nil()),
            question: question(false),
            created_at: now,
            response: None,
        };
        assert_eq!(plan_end_of_patience(None, now), Patience::Nothing);
        assert_eq!(plan_end_of_patience(Some(&detail), now), Patience::Nothing);
        detail.question.defaults = Some(vec!["no".to_owned()]);
        let Patience::Defaults(response) = plan_end_of_patience(Some(&detail), now) else {
            panic!("no defaults");
        };
        assert_eq!(response.chosen_options, ["no"]);
        assert_eq!(
            serde_json::Value::Object(response.params_input.clone()),
            json!({"form": 3, "plain": "x"})
        );
        assert_eq!(response.responded_by, None);
        detail.response = Some(response.clone());
        assert_eq!(
            plan_end_of_patience(Some(&detail), now),
            Patience::Answered(&response)
        );
    }
}
