//! What branches and short circuits exclude.

use std::collections::BTreeSet;

use super::{Fate, Foresight, Race, Visible, race};
use crate::conformance::random::dag::{Kind, Role, TaskIndex};
use crate::conformance::random::rules::{Counts, Rule, State};

impl Foresight<'_> {
    /// Whether a branch or a short circuit above skips the task.
    ///
    /// The skip is written when the branch ends, over whatever the task is by then but running
    /// or done. So nothing else may decide the task before.
    pub(super) fn is_excluded(&self, task: TaskIndex, visible: &[Visible]) -> Result<bool, Race> {
        let excluding = self.excluding(task);
        if excluding.is_empty() {
            return Ok(false);
        }
        if self.dag.mapped_group(task).is_some() {
            return race(task, "a branch into a mapped group");
        }
        let ruled: BTreeSet<TaskIndex> = excluding
            .iter()
            .flat_map(|above| {
                let mut below = self.dag.descendants(*above);
                below.insert(*above);
                below
            })
            .collect();
        let others = visible.iter().filter(|up| !ruled.contains(&up.task));
        let counts = Counts::of(others.flat_map(|up| up.states.iter().copied()));
        let rule = self.rule(task);
        if rule == Rule::Always || rule.may_run_on(counts) {
            return race(task, "runs before a branch above can skip it");
        }
        // Between a branch and what it excludes there may be a task of the followed branch.
        let within = visible.iter().filter(|up| ruled.contains(&up.task));
        let counts_within = Counts::of(
            within
                .filter(|up| !excluding.contains(&up.task))
                .flat_map(|up| up.states.iter().copied()),
        );
        if rule.early(counts) == Some(State::UpstreamFailed)
            || rule.early(counts_within) == Some(State::UpstreamFailed)
        {
            return race(task, "fails before or after a branch above skips it");
        }
        if !self.relevant_setups(task).is_empty() {
            let setups = self.relevant_setups(task);
            let states = setups.iter().flat_map(|setup| &self.fates[*setup].states);
            if states.into_iter().any(|state| *state != State::Success) {
                return race(task, "a branch and a setup above");
            }
        }
        Ok(true)
    }

    /// The branches and short circuits above that exclude the task.
    fn excluding(&self, task: TaskIndex) -> Vec<TaskIndex> {
        let direct = &self.dag.tasks[task].upstream;
        let above = self.dag.ancestors(task).into_iter();
        let is_teardown = matches!(self.dag.tasks[task].role, Role::Teardown { .. });
        let excludes = |other: &TaskIndex| {
            if self.fates[*other].states != [State::Success] {
                return false;
            }
            let is_direct = direct.contains(other);
            match &self.dag.tasks[*other].kind {
                Kind::Branch { follows, .. } => is_direct && !self.is_followed(task, follows),
                // What is further down is skipped when the short circuit runs, and only then.
                Kind::ShortCircuit {
                    passes,
                    ignores_rules,
                } => {
                    let reaches = is_direct || (*ignores_rules && !self.is_kept(*other));
                    !passes && !is_teardown && reaches
                }
                Kind::Empty
                | Kind::Python { .. }
                | Kind::Bash
                | Kind::LatestOnly
                | Kind::Sensor(_)
                | Kind::Deferral(_)
                | Kind::Written(_)
                | Kind::External { .. } => false,
            }
        };
        above.filter(excludes).collect()
    }

    fn is_followed(&self, task: TaskIndex, follows: &[TaskIndex]) -> bool {
        let mut followed = follows.iter();
        followed.any(|follow| *follow == task || self.dag.descendants(*follow).contains(&task))
    }

    /// A task that was not cleared, below a branch that was: skipped again unless it has run.
    pub(super) fn overwritten(&self, task: TaskIndex, kept: &Fate) -> Result<Fate, Race> {
        let again = self.excluding(task);
        let has_run = |state: &State| matches!(state, State::Success | State::Failed);
        let is_again = again.iter().any(|above| !self.is_kept(*above));
        if is_again && !kept.states.iter().all(has_run) && kept.states != [State::Skipped] {
            return race(task, "a branch that runs again skips what was not cleared");
        }
        Ok(kept.clone())
    }
}
