use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::{Assignment, Desk, HelperId, PENALTY_FIRST, PENALTY_MAX, Verdict, WAITING_MAX};
use crate::Error;
use crate::question::{Ask, Question};

type Answer = oneshot::Receiver<Result<Value, Error>>;

fn ask(asked: &str) -> (Ask, Answer) {
    let (reply, answer) = oneshot::channel();
    let question = Question::new("Describe", asked, "test", &json!({}));
    (Ask { question, reply }, answer)
}

/// A desk at a time of day.
struct Scene {
    desk: Desk,
    now: Instant,
    answers: Vec<Answer>,
}

impl Scene {
    fn new(helpers_max: usize) -> Self {
        Self {
            desk: Desk::new(helpers_max),
            now: Instant::now(),
            answers: Vec::new(),
        }
    }

    fn ask(&mut self, asked: &str) {
        let (ask, answer) = ask(asked);
        self.desk.on_ask(ask, self.now);
        self.answers.push(answer);
    }

    /// Who is asked next, by which helper.
    fn next(&mut self) -> Option<(HelperId, String)> {
        let (id, ask) = match self.desk.next(self.now)? {
            Assignment::ToIdle(id, ask) | Assignment::ToNew(id, ask) => (id, ask),
        };
        let asked = ask.question.asked.to_string();
        // Kept open, as a helper at work does.
        std::mem::forget(ask.reply);
        Some((id, asked))
    }

    fn last_refusal(&mut self) -> Option<Error> {
        self.answers.last_mut()?.try_recv().ok()?.err()
    }
}

fn hung() -> Verdict {
    Verdict::Harmful("it hung".to_owned())
}

#[test]
fn a_class_that_hangs_holds_one_helper_and_others_go_on() {
    let mut scene = Scene::new(3);
    for asked in ["slow", "slow", "slow", "quick", "other"] {
        scene.ask(asked);
    }
    assert_eq!(scene.next(), Some((0, "slow".to_owned())));
    assert_eq!(scene.next(), Some((1, "quick".to_owned())));
    assert_eq!(scene.next(), Some((2, "other".to_owned())));
    assert_eq!(scene.next(), None, "only `slow` waits, and it is busy");
    scene.desk.on_done(1, Verdict::Fine, true, scene.now);
    scene.ask("quick");
    assert_eq!(scene.next(), Some((1, "quick".to_owned())));
}

#[test]
fn what_has_hung_is_left_alone_twice_as_long_each_time() {
    let mut scene = Scene::new(2);
    for pause in [PENALTY_FIRST, PENALTY_FIRST * 2, PENALTY_FIRST * 4] {
        scene.ask("slow");
        let (id, _) = scene.next().unwrap();
        scene.desk.on_done(id, hung(), false, scene.now);
        scene.ask("slow");
        let refusal = scene.last_refusal().unwrap();
        assert!(
            matches!(&refusal, Error::LeftAlone { cause, .. } if cause == "it hung"),
            "{refusal}"
        );
        scene.now += pause - Duration::from_millis(1);
        scene.ask("slow");
        assert!(scene.last_refusal().is_some());
        scene.now += Duration::from_millis(2);
    }
    for _ in 0..20 {
        scene.ask("slow");
        let (id, _) = scene.next().unwrap();
        scene.desk.on_done(id, hung(), false, scene.now);
        scene.now += PENALTY_MAX + Duration::from_secs(1);
    }
}

#[test]
fn questions_that_waited_behind_a_hang_are_refused_with_its_cause() {
    let mut scene = Scene::new(2);
    scene.ask("slow");
    scene.ask("slow");
    let (id, _) = scene.next().unwrap();
    assert_eq!(scene.next(), None);
    scene.desk.on_done(id, hung(), false, scene.now);
    assert_eq!(scene.next(), None);
    assert!(matches!(
        scene.last_refusal(),
        Some(Error::LeftAlone { .. })
    ));
}

#[test]
fn suspects_share_one_place() {
    let mut scene = Scene::new(4);
    for asked in ["a", "b", "c"] {
        scene.ask(asked);
        let (id, _) = scene.next().unwrap();
        scene.desk.on_done(id, hung(), false, scene.now);
    }
    scene.now += PENALTY_FIRST + Duration::from_secs(1);
    for asked in ["a", "b", "c", "sound"] {
        scene.ask(asked);
    }
    assert_eq!(scene.next().unwrap().1, "a");
    assert_eq!(scene.next().unwrap().1, "sound");
    assert_eq!(scene.next(), None);
}

#[test]
fn an_answer_and_a_new_python_end_every_penalty() {
    let mut scene = Scene::new(2);
    scene.ask("slow");
    let (id, _) = scene.next().unwrap();
    scene.desk.on_done(id, hung(), false, scene.now);
    assert_eq!(scene.desk.on_new_python(), Vec::<HelperId>::new());
    scene.ask("slow");
    let (id, _) = scene.next().unwrap();
    scene.desk.on_done(id, Verdict::Fine, true, scene.now);
    assert_eq!(scene.desk.on_new_python(), [id], "idle helpers are old now");
}

#[test]
fn a_missing_python_is_nobodys_fault() {
    let mut scene = Scene::new(2);
    scene.ask("a");
    let (id, _) = scene.next().unwrap();
    scene.desk.on_done(id, Verdict::NotAsked, false, scene.now);
    scene.ask("a");
    assert!(scene.last_refusal().is_none());
    assert!(scene.next().is_some());
}

#[test]
fn no_more_wait_than_the_limit_and_who_went_away_is_not_asked_for() {
    let mut scene = Scene::new(2);
    for _ in 0..WAITING_MAX {
        scene.ask("a");
    }
    scene.ask("a");
    assert!(matches!(scene.last_refusal(), Some(Error::Busy { .. })));
    scene.answers.clear();
    assert_eq!(scene.next(), None);
    scene.ask("b");
    assert_eq!(scene.next().unwrap().1, "b");
}
