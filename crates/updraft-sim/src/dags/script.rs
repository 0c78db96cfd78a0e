//! What a task does once it runs, whoever lets it run and however often.

use std::time::Duration;

use updraft_runtime::Dice;

use super::TaskModel;

/// Values that a task which is mapped over returns, at most.
const LENGTH_MAX: usize = 4;

/// How an attempt ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Success,
    /// An exception: another try if one is left.
    Failure,
    /// `AirflowFailException`: no other try.
    FailureForGood,
    /// `AirflowSkipException`.
    Skip,
    /// A sensor looks again after this time.
    Reschedule(Duration),
}

/// One thing that an attempt does.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    Work(Duration),
    /// Returns a list of this length.
    Return {
        length: usize,
    },
    /// Skips these tasks below it.
    SkipDownstream(Vec<String>),
    End(Ending),
}

/// Everything a task instance is going to do.
#[derive(Clone, Debug)]
pub(crate) struct Behaviour {
    failures: usize,
    reschedules: usize,
    ending: Ending,
    work: Duration,
    length: Option<usize>,
    skips: Vec<String>,
}

impl Behaviour {
    /// The same for every attempt of a task instance in every world of a seed.
    pub(crate) fn draw(seed: u64, instance: &str, task: &TaskModel) -> Self {
        let mut dice = Dice::of_purpose(seed, instance);
        let failures = dice.below(task.failures_max + 1);
        let reschedules = if task.is_sensor { dice.below(4) } else { 0 };
        let ending = match dice.below(20) {
            0..=4 if task.may_fail_for_good => Ending::FailureForGood,
            5..=9 if task.may_skip_itself => Ending::Skip,
            _ => Ending::Success,
        };
        let seconds = *dice.choose(&[1, 5, 30, 120, 600, 2_400]);
        let shortest = Duration::from_millis(100);
        let work = dice.duration(shortest, Duration::from_secs(seconds));
        let length = task.is_mapped_over.then(|| dice.below(LENGTH_MAX + 1));
        let follows = |_: &&String| dice.chance(0.5);
        let skips = match task.is_branch {
            true => task.downstream.iter().filter(follows).cloned().collect(),
            false => Vec::new(),
        };
        Self {
            failures,
            reschedules,
            ending,
            work,
            length,
            skips,
        }
    }

    /// What the attempt does that begins after so many that ended by themselves.
    pub(crate) fn attempt(&self, ended_before: usize) -> Vec<Step> {
        let work = Step::Work(self.work);
        if ended_before < self.failures {
            return vec![work, Step::End(Ending::Failure)];
        }
        if ended_before < self.failures + self.reschedules {
            let pause = Duration::from_secs(60);
            return vec![
                Step::Work(Duration::from_secs(1)),
                Step::End(Ending::Reschedule(pause)),
            ];
        }
        let mut steps = vec![work];
        if self.ending == Ending::Success {
            steps.extend(self.length.map(|length| Step::Return { length }));
            if !self.skips.is_empty() {
                steps.push(Step::SkipDownstream(self.skips.clone()));
            }
        }
        steps.push(Step::End(self.ending));
        steps
    }
}
