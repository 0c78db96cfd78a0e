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
    /// It waits for a trigger.
    Defer(Deferral),
}

/// A wait for a trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deferral {
    pub(crate) fate: Fate,
    /// How long the trigger runs before that.
    pub(crate) after: Duration,
    /// How long the task instance waits at most.
    pub(crate) timeout: Option<Duration>,
}

/// What a trigger comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Fires,
    /// The second event finds nobody.
    FiresTwice,
    /// It has its event and goes on.
    FiresAndStays,
    Raises,
    /// It ends before it had any event.
    EndsSilently,
    /// Only the timeout ends the wait.
    Never,
    /// It ends the task instance without a worker, in this state.
    EndsTask(&'static str),
}

impl Fate {
    const ALL: [Self; 8] = [
        Self::Fires,
        Self::FiresTwice,
        Self::FiresAndStays,
        Self::Raises,
        Self::EndsSilently,
        Self::Never,
        Self::EndsTask("success"),
        Self::EndsTask("skipped"),
    ];

    /// What the trigger is called.
    pub(crate) fn classpath(self) -> &'static str {
        match self {
            Self::Fires => "sim.Fires",
            Self::FiresTwice => "sim.FiresTwice",
            Self::FiresAndStays => "sim.FiresAndStays",
            Self::Raises => "sim.Raises",
            Self::EndsSilently => "sim.EndsSilently",
            Self::Never => "sim.Never",
            Self::EndsTask("success") => "sim.Succeeds",
            Self::EndsTask(_) => "sim.Skips",
        }
    }

    pub(crate) fn of(classpath: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|fate| fate.classpath() == classpath)
    }

    /// Whether the task instance goes on only to fail.
    const fn fails(self) -> bool {
        matches!(self, Self::Raises | Self::EndsSilently | Self::Never)
    }
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
    deferrals: Vec<Deferral>,
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
        let deferrals = (0..dice.below(task.deferrals_max + 1))
            .map(|_| draw_deferral(&mut dice))
            .collect();
        let mut behaviour = Self {
            failures,
            reschedules,
            deferrals,
            ending,
            work,
            length,
            skips,
        };
        behaviour.let_a_trigger_end_it(&mut dice);
        behaviour
    }

    /// The last trigger may end the task instance, as the task would have ended itself.
    fn let_a_trigger_end_it(&mut self, dice: &mut Dice) {
        let is_chosen = dice.chance(0.2);
        let state = match self.ending {
            Ending::Success if self.length.is_none() && self.skips.is_empty() => "success",
            Ending::Skip => "skipped",
            _ => return,
        };
        if let Some(last) = self.deferrals.last_mut().filter(|_| is_chosen) {
            last.fate = Fate::EndsTask(state);
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
        let mut waits = self.deferrals.iter().flat_map(|deferral| {
            let failure = deferral.fate.fails().then_some(Ending::Failure);
            std::iter::once(Ending::Defer(*deferral)).chain(failure)
        });
        let before = self.failures + self.reschedules;
        if let Some(ending) = waits.nth(ended_before - before) {
            return vec![Step::Work(Duration::from_secs(1)), Step::End(ending)];
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

fn draw_deferral(dice: &mut Dice) -> Deferral {
    let fate = *dice.choose(&[
        Fate::Fires,
        Fate::Fires,
        Fate::FiresTwice,
        Fate::FiresAndStays,
        Fate::Raises,
        Fate::EndsSilently,
        Fate::Never,
    ]);
    let seconds = *dice.choose(&[5, 60, 300]);
    let after = dice.duration(Duration::from_secs(1), Duration::from_secs(seconds));
    let is_limited = dice.chance(0.3) || fate == Fate::Never;
    let timeout = Duration::from_secs(*dice.choose(&[30, 120, 600]));
    Deferral {
        fate,
        after,
        timeout: is_limited.then_some(timeout),
    }
}
