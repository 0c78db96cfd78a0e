//! Answers that depend on nothing but the question, as long as the same Python gives them.

use std::collections::HashMap;

use serde_json::Value;

use crate::question::Question;

/// Answers that are kept: one a class and kind of question, for more classes than anybody has.
const ANSWERS_MAX: usize = 512;

/// Answers of one zygote process.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    zygote: Option<u32>,
    answers: HashMap<(&'static str, std::sync::Arc<str>), Value>,
}

impl Cache {
    /// What this zygote's Python said before.
    pub(crate) fn get(&self, zygote: Option<u32>, question: &Question) -> Option<Value> {
        if zygote.is_none() || zygote != self.zygote {
            return None;
        }
        self.answers
            .get(&(question.kind, question.body.clone()))
            .cloned()
    }

    /// Keeps an answer; those of an older process are forgotten.
    pub(crate) fn put(&mut self, zygote: Option<u32>, question: &Question, answer: Value) {
        if zygote != self.zygote || self.answers.len() >= ANSWERS_MAX {
            self.answers.clear();
            self.zygote = zygote;
        }
        self.answers
            .insert((question.kind, question.body.clone()), answer);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{ANSWERS_MAX, Cache};
    use crate::question::Question;

    fn question(body: usize) -> Question {
        Question::new("Describe", "a.B", "b", &json!(body))
    }

    #[test]
    fn answers_are_kept_until_the_zygote_is_replaced() {
        let mut cache = Cache::default();
        cache.put(Some(1), &question(0), json!("old"));
        assert_eq!(cache.get(Some(1), &question(0)), Some(json!("old")));
        assert_eq!(cache.get(Some(1), &question(1)), None);
        assert_eq!(cache.get(Some(2), &question(0)), None);
        cache.put(Some(2), &question(0), json!("new"));
        assert_eq!(cache.get(Some(2), &question(0)), Some(json!("new")));
        assert_eq!(cache.get(None, &question(0)), None);
    }

    #[test]
    fn no_more_answers_are_kept_than_the_limit() {
        let mut cache = Cache::default();
        for number in 0..ANSWERS_MAX * 3 {
            cache.put(Some(1), &question(number), json!(number));
            assert!(cache.answers.len() <= ANSWERS_MAX);
        }
    }
}
