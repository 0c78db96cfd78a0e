use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use updraft_model::TriggerId;
use updraft_model::trigger::TriggerKind::{self, Asset, Callback, Task};
use updraft_store::RunKey;

use super::{AFTERLIFE_MAX, AfterDeath, REST_MAX, Roster};

const T: TriggerId = TriggerId(1);
const SECOND: Duration = Duration::from_secs(1);

fn run() -> RunKey {
    RunKey {
        dag_id: "d".into(),
        run_id: "r".into(),
    }
}

/// A roster with one running trigger.
fn running(kind: TriggerKind) -> (Roster, Instant) {
    let mut roster = Roster::default();
    roster.add(&[T]);
    assert_eq!(roster.waiting(9), [T]);
    roster.on_started(T, kind, (kind == Task).then(run));
    assert_eq!(roster.waiting(9), []);
    (roster, Instant::now())
}

fn needed(ids: &[TriggerId]) -> BTreeSet<TriggerId> {
    ids.iter().copied().collect()
}

#[test]
fn a_trigger_of_a_task_goes_when_it_has_finished() {
    let (mut roster, now) = running(Task);
    assert!(roster.knows_run(&run()));
    roster.on_event(T, now);
    assert!(!roster.on_finished(T, false, now));
    assert!(roster.is_empty() && !roster.knows_run(&run()));
}

#[test]
fn a_trigger_that_goes_on_after_its_event_is_stopped_after_a_while() {
    let (mut roster, now) = running(Task);
    roster.on_event(T, now);
    assert_eq!(
        roster.on_needed(&roster.ids(), &needed(&[]), now),
        (vec![], vec![])
    );
    assert_eq!(roster.next_time(), Some(now + AFTERLIFE_MAX));
    assert_eq!(roster.on_time(now + AFTERLIFE_MAX - SECOND), []);
    assert_eq!(roster.on_time(now + AFTERLIFE_MAX), [T]);
    assert_eq!(roster.on_time(now + AFTERLIFE_MAX * 2), []);
    assert_eq!(roster.next_time(), None);
}

#[test]
fn a_trigger_that_nobody_needs_is_stopped_at_once_and_one_that_is_not_started_forgotten() {
    let (mut roster, now) = running(Task);
    let other = TriggerId(2);
    roster.add(&[other]);
    let missing = TriggerId(3);
    let answer = roster.on_needed(&roster.ids(), &needed(&[missing]), now);
    assert_eq!(answer, (vec![T], vec![missing]));
    assert_eq!(roster.waiting(9), []);
    assert_eq!(
        roster.on_needed(&roster.ids(), &needed(&[]), now),
        (vec![], vec![])
    );
    assert_eq!(roster.len(), 1);
    assert!(!roster.on_finished(T, false, now), "it was told to stop");
    assert!(roster.is_empty());
}

#[test]
fn a_trigger_that_was_claimed_after_the_question_is_none_of_its_business() {
    let (mut roster, now) = running(Task);
    let asked = roster.ids();
    let late = TriggerId(2);
    roster.add(&[late]);
    let answer = roster.on_needed(&asked, &needed(&[T]), now);
    assert_eq!(answer, (vec![], vec![]));
    assert!(roster.is_waiting(late));
}

#[test]
fn a_trigger_that_ends_without_a_word_is_noticed() {
    let (mut roster, now) = running(Task);
    assert!(roster.on_finished(T, false, now));
    let (mut roster, now) = running(Task);
    assert!(!roster.on_finished(T, true, now), "its failure is a word");
}

#[test]
fn a_watcher_starts_again_and_waits_longer_the_more_often_it_failed() {
    let (mut roster, mut now) = running(Asset);
    let mut pauses = Vec::new();
    for has_failed in [false, true, true, false, true] {
        if !has_failed {
            roster.on_event(T, now);
        }
        assert!(!roster.on_finished(T, has_failed, now));
        let until = roster.next_time().unwrap();
        pauses.push((until - now).as_secs());
        now = until;
        assert_eq!(roster.on_time(now), []);
        assert_eq!(roster.waiting(9), [T]);
        roster.on_started(T, Asset, None);
    }
    assert_eq!(pauses, [1, 2, 4, 1, 2]);
    for _ in 0..40 {
        roster.on_finished(T, true, now);
        now = roster.next_time().unwrap();
        roster.on_time(now);
        roster.on_started(T, Asset, None);
    }
    roster.on_finished(T, true, now);
    assert_eq!(roster.next_time(), Some(now + REST_MAX));
}

#[test]
fn a_watcher_that_fires_goes_on_running() {
    let (mut roster, now) = running(Asset);
    roster.on_event(T, now);
    assert_eq!(roster.next_time(), None);
    assert_eq!(
        roster.on_needed(&roster.ids(), &needed(&[T]), now),
        (vec![], vec![])
    );
}

#[test]
fn after_a_death_everything_starts_again_but_what_was_on_its_way_out() {
    let (mut roster, now) = running(Task);
    let (leaving, waiting) = (TriggerId(2), TriggerId(3));
    roster.add(&[leaving, waiting]);
    roster.on_started(leaving, Task, Some(run()));
    roster.on_event(leaving, now);
    assert_eq!(roster.on_death(None, now), AfterDeath::default());
    assert_eq!(roster.waiting(9), [T, waiting]);
    assert_eq!(roster.len(), 2);
}

#[test]
fn a_trigger_that_kills_the_child_twice_is_not_started_again() {
    for kind in [Task, Callback] {
        let (mut roster, now) = running(kind);
        let innocent = TriggerId(2);
        roster.add(&[innocent]);
        roster.on_started(innocent, Task, Some(run()));
        assert_eq!(roster.on_death(Some(T), now), AfterDeath::default());
        assert_eq!(roster.waiting(9), [T, innocent]);
        roster.on_started(T, kind, Some(run()));
        roster.on_started(innocent, Task, Some(run()));
        let after = roster.on_death(Some(T), now);
        assert_eq!((after.doomed, after.banned), (Some(T), None));
        assert_eq!(roster.waiting(9), [innocent]);
    }
    let (mut roster, now) = running(Asset);
    roster.on_death(Some(T), now);
    roster.on_started(T, Asset, None);
    let after = roster.on_death(Some(T), now);
    assert_eq!((after.doomed, after.banned), (None, Some(T)));
    assert_eq!(roster.waiting(9), []);
    assert!(roster.next_time().unwrap() > now + REST_MAX);
}

#[test]
fn a_claim_that_is_repeated_changes_nothing() {
    let (mut roster, _) = running(Task);
    roster.add(&[T]);
    assert_eq!(roster.waiting(9), []);
    assert_eq!(roster.len(), 1);
    roster.clear();
    assert!(roster.is_empty() && !roster.knows_run(&run()));
}
