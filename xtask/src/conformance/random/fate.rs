//! Works out how every task of a random Dag ends, in order to refuse Dags that race.
//!
//! This is no second scheduler: it knows only what the generator generates, and nothing is
//! compared with it. It answers one question: may the outcome depend on timing?

mod exclusion;
mod mapped;

use std::collections::BTreeSet;

pub(super) use mapped::{CROSSED, MAP_ADDS, ZIP_FILLS};

use super::dag::{Dag, Ending, Kind, Role, TaskIndex};
use super::rules::{Counts, Decision, Rule, State};

/// What becomes of one task.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fate {
    /// One state an instance, in the order of their map indexes.
    pub(super) states: Vec<State>,
    /// The last try of each instance.
    pub(super) tries: Vec<u32>,
    /// Whether the instances count from 0; otherwise there is one, with map index -1.
    pub(super) expanded: bool,
    /// What other tasks get to be mapped over.
    pub(super) values: Vec<i64>,
}

impl Fate {
    fn single(state: State, tries: u32) -> Self {
        Self {
            states: vec![state],
            tries: vec![tries],
            expanded: false,
            values: Vec::new(),
        }
    }
}

/// Why the outcome of a Dag may depend on timing.
#[derive(Debug)]
pub(super) struct Race {
    pub(super) task: TaskIndex,
    pub(super) reason: &'static str,
}

/// What happened before: the fates so far, and the instances that were cleared since, by task and
/// place in its fate.
pub(super) struct Before<'a> {
    pub(super) fates: &'a [Fate],
    pub(super) cleared: &'a BTreeSet<(TaskIndex, usize)>,
}

/// Works out the fate of each task, or finds the first that races.
pub(super) fn foresee(dag: &Dag, before: Option<&Before<'_>>) -> Result<Vec<Fate>, Race> {
    let mut foresight = Foresight {
        dag,
        before,
        fates: Vec::with_capacity(dag.tasks.len()),
    };
    for task in 0..dag.tasks.len() {
        let fate = foresight.judge(task)?;
        foresight.fates.push(fate);
    }
    Ok(foresight.fates)
}

struct Foresight<'a> {
    dag: &'a Dag,
    before: Option<&'a Before<'a>>,
    /// Those of the tasks judged so far.
    fates: Vec<Fate>,
}

/// The instances of one upstream task that count for a decision.
struct Visible {
    task: TaskIndex,
    states: Vec<State>,
}

impl Foresight<'_> {
    fn judge(&self, task: TaskIndex) -> Result<Fate, Race> {
        if let Some(kept) = self.kept(task) {
            return self.overwritten(task, kept);
        }
        let mapped = self.dag.tasks[task].mapping.as_ref();
        match (self.dag.mapped_group(task), mapped) {
            (None, None) => self.judge_single(task),
            (None, Some(mapping)) => self.judge_mapped(task, mapping),
            (Some(group), None) => self.judge_member(task, group),
            (Some(_), Some(_)) => race(task, "a mapped task in a mapped group"),
        }
    }

    /// What a task of which nothing was cleared came to before.
    fn kept(&self, task: TaskIndex) -> Option<&Fate> {
        let before = self.before?;
        let mut cleared = before.cleared.iter();
        let is_kept = cleared.all(|(other, _)| *other != task);
        is_kept.then(|| &before.fates[task])
    }

    /// What an instance that was not cleared came to before, and with which try.
    fn kept_instance(&self, task: TaskIndex, index: usize) -> Option<(State, u32)> {
        let before = self.before?;
        let fate = &before.fates[task];
        let is_kept = fate.expanded && !before.cleared.contains(&(task, index));
        is_kept.then(|| (fate.states[index], fate.tries[index]))
    }

    /// How many instances the task had before, if it was expanded.
    fn count_before(&self, task: TaskIndex) -> Option<usize> {
        let fate = &self.before?.fates[task];
        fate.expanded.then_some(fate.states.len())
    }

    fn is_kept(&self, task: TaskIndex) -> bool {
        self.kept(task).is_some()
    }

    fn judge_single(&self, task: TaskIndex) -> Result<Fate, Race> {
        let Decision::Becomes(state) = self.decide(task, &self.visible(task))? else {
            let (state, tries) = self.run(task, 0, &self.ending(task));
            let mut fate = Fate::single(state, tries);
            if let Ending::Gives(values, _) = &self.dag.tasks[task].ending
                && state == State::Success
            {
                fate.values.clone_from(values);
            }
            return Ok(fate);
        };
        Ok(Fate::single(state, self.tries_before(task, 0)))
    }

    fn ending(&self, task: TaskIndex) -> Ending {
        let Kind::External { target, .. } = self.dag.tasks[task].kind else {
            return self.dag.tasks[task].ending.clone();
        };
        match self.fates[target].states[0] {
            State::Success => Ending::Returns(String::new()),
            State::Skipped => Ending::Skips,
            State::Failed | State::UpstreamFailed => Ending::Raises,
        }
    }

    /// Every instance of every upstream task.
    fn visible(&self, task: TaskIndex) -> Vec<Visible> {
        let upstream = self.dag.tasks[task].upstream.iter();
        let all = |up: &TaskIndex| Visible {
            task: *up,
            states: self.fates[*up].states.clone(),
        };
        upstream.map(all).collect()
    }

    fn tries_before(&self, task: TaskIndex, index: usize) -> u32 {
        let before = self.before.and_then(|before| before.fates.get(task));
        let tries = before.and_then(|fate| fate.tries.get(index));
        tries.copied().unwrap_or(0)
    }

    /// How one instance ends that runs.
    fn run(&self, task: TaskIndex, index: usize, ending: &Ending) -> (State, u32) {
        let before = self.tries_before(task, index);
        ending.after(before + 1, before + 1 + self.dag.tasks[task].retries)
    }

    /// What trigger rule, setups, branches and short circuits make of a task that sees these
    /// upstream instances.
    fn decide(&self, task: TaskIndex, visible: &[Visible]) -> Result<Decision, Race> {
        if visible.is_empty() {
            return Ok(Decision::Run);
        }
        let rule = self.rule(task);
        let counts = self.counts(visible);
        if self.is_excluded(task, visible)? {
            return Ok(Decision::Becomes(State::Skipped));
        }
        if rule.is_order_sensitive(counts) {
            return race(task, "a failure and a skip above all_success");
        }
        if let Some(state) = self.setup_constraint(task, visible)? {
            return Ok(Decision::Becomes(state));
        }
        Ok(rule.decide(counts))
    }

    fn rule(&self, task: TaskIndex) -> Rule {
        match self.dag.tasks[task].role {
            Role::Teardown { .. } => Rule::AllDoneSetupSuccess,
            Role::Work | Role::Setup => self.dag.tasks[task].rule,
        }
    }

    fn counts(&self, visible: &[Visible]) -> Counts {
        let mut counts = Counts::default();
        for Visible { task, states } in visible {
            for state in states {
                if self.dag.tasks[*task].role == Role::Setup {
                    counts.add_setup(*state);
                } else {
                    counts.add(*state);
                }
            }
        }
        counts
    }

    /// The state that setups further up force on a task, whatever its rule says.
    fn setup_constraint(
        &self,
        task: TaskIndex,
        visible: &[Visible],
    ) -> Result<Option<State>, Race> {
        let is_teardown = matches!(self.dag.tasks[task].role, Role::Teardown { .. });
        if is_teardown || visible.is_empty() || self.rule(task) == Rule::Always {
            return Ok(None);
        }
        let setups = self.relevant_setups(task);
        let states = setups.iter().flat_map(|setup| &self.fates[*setup].states);
        let counts = Counts::of(states.copied());
        if Rule::AllSuccess.is_order_sensitive(counts) {
            return race(task, "a failed and a skipped setup above");
        }
        let Some(forced) = Rule::AllSuccess.early(counts) else {
            return Ok(None);
        };
        let below: BTreeSet<TaskIndex> = setups
            .iter()
            .flat_map(|setup| self.dag.descendants(*setup))
            .collect();
        let independent = visible.iter().filter(|up| !below.contains(&up.task));
        let states = independent.flat_map(|up| &up.states);
        let early = self.rule(task).early(Counts::of(states.copied()));
        match early {
            Some(early) if early != forced => race(task, "a setup against the trigger rule"),
            _ => Ok(Some(forced)),
        }
    }

    /// Setups above, but not directly, that clean up below the task or never.
    fn relevant_setups(&self, task: TaskIndex) -> Vec<TaskIndex> {
        let below = self.dag.descendants(task);
        let is_teardown =
            |other: &TaskIndex| matches!(self.dag.tasks[*other].role, Role::Teardown { .. });
        let is_relevant = |setup: &TaskIndex| {
            if self.dag.tasks[*setup].role != Role::Setup {
                return false;
            }
            let downstream = self.dag.downstream(*setup);
            let teardowns: Vec<TaskIndex> = downstream.into_iter().filter(is_teardown).collect();
            teardowns.is_empty() || teardowns.iter().any(|teardown| below.contains(teardown))
        };
        let direct = &self.dag.tasks[task].upstream;
        let above = self.dag.ancestors(task).into_iter();
        above
            .filter(|setup| is_relevant(setup) && !direct.contains(setup))
            .collect()
    }
}

fn race<T>(task: TaskIndex, reason: &'static str) -> Result<T, Race> {
    Err(Race { task, reason })
}
