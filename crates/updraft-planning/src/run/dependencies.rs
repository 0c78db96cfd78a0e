//! The decision about one task instance: may it run, and if not, has its fate been decided?
//!
//! All dependencies are evaluated, because some of them give the instance a state. Airflow leaves
//! their order open; ours is trigger rule, mapped upstream, branches (§4.5).

use updraft_model::serialized::{Task, TaskIndex};
use updraft_model::{MapIndex, TaskInstanceState, TriggerRule};

use super::board::{At, Board};
use super::trigger_rule::{self, UpstreamCounts};
use crate::Because;
use crate::map_index::RelevantIndexes;
use crate::retry::{self, FailedTry};

use TaskInstanceState as S;

/// Why dependencies are evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To schedule what may run now.
    Schedule,
    /// To see whether anything could ever run: waiting for time does not count.
    FindDeadlock,
}

impl Board<'_> {
    /// Evaluates every dependency of a row. `Err` says why it may not run, and the row may have
    /// been given a state.
    pub(super) fn evaluate(&mut self, at: At, purpose: Purpose) -> Result<(), Because> {
        let by_time = match purpose {
            Purpose::Schedule => self.check_retry_period(at).and(self.check_reschedule(at)),
            Purpose::FindDeadlock => Ok(()),
        };
        let by_past = self.check_past(at);
        let by_rule = self.apply_trigger_rule(at);
        let by_mapping = self.apply_mapped_upstream(at);
        let by_branch = self.apply_branches(at);
        by_rule
            .and(by_mapping)
            .and(by_branch)
            .and(by_past)
            .and(by_time)
    }

    /// Every dependency of a row that is not met. The row may have been given states, so the board
    /// is of no other use afterwards.
    pub(super) fn find_unmet(&mut self, at: At) -> Vec<Because> {
        let task = self.task_of(at);
        let mut found = vec![
            self.check_retry_period(at),
            self.check_reschedule(at),
            self.check_past(at),
        ];
        if looks_upstream(task) {
            found.push(self.apply_setups(at, task));
            found.push(self.apply_direct_rule(at, task));
        }
        found.push(self.apply_mapped_upstream(at));
        found.push(self.apply_branches(at));
        found.into_iter().filter_map(Result::err).collect()
    }

    /// §7.6: a failed try waits; ready strictly after the delay.
    fn check_retry_period(&self, at: At) -> Result<(), Because> {
        let instance = &self.instances[at];
        // Without an end there is nothing to wait for.
        let (S::UpForRetry, Some(end_date)) = (instance.state, instance.end_date) else {
            return Ok(());
        };
        let task = self.task_of(at);
        let next = retry::next_retry_at(&FailedTry {
            dag_id: self.dag.dag_id(),
            task_id: &task.task_id,
            logical_date: self.view.run.logical_date,
            try_number: instance.try_number,
            end_date,
            delay_override_secs: instance.retry_delay_override_secs,
            retries: &task.retries,
            max_task_retry_delay: self.view.max_task_retry_delay,
        });
        if next < self.now {
            Ok(())
        } else {
            Err(Because::RetryAt(next))
        }
    }

    /// §7.5: a sensor that gave its slot back.
    fn check_reschedule(&self, at: At) -> Result<(), Because> {
        let instance = &self.instances[at];
        let may_wait = matches!(instance.state, S::UpForReschedule | S::NoStatus);
        match instance.reschedule_date {
            Some(date) if may_wait && date > self.now => Err(Because::RescheduleAt(date)),
            _ => Ok(()),
        }
    }

    /// §4.3.
    fn check_past(&self, at: At) -> Result<(), Because> {
        let task = self.task_of(at);
        let run = &self.view.run;
        if !task.depends_on_past || run.backfill_sort_ordinal == Some(1) {
            return Ok(());
        }
        let Some(previous) = &self.view.past.previous else {
            return Ok(());
        };
        let before_start = task
            .start_date
            .is_some_and(|start| previous.logical_date.is_some_and(|date| date < start));
        if run.logical_date.is_none() || (self.dag.attributes().catchup && before_start) {
            return Ok(());
        }
        let states = |wanted: &Task| {
            let of_task = previous.states.iter();
            let of_task = of_task.filter(|(task_id, _)| *task_id == wanted.task_id);
            of_task.map(|(_, state)| *state).collect::<Vec<_>>()
        };
        let own = states(task);
        if own.is_empty() {
            let is_first = !self.view.past.tasks_seen.contains(&task.task_id);
            return if task.ignore_first_depends_on_past && is_first {
                Ok(())
            } else {
                Err(Because::PastMissing)
            };
        }
        let unsuccessful = |states: &[S]| {
            let count = states.iter().filter(|state| !state.is_success()).count();
            u32::try_from(count).unwrap_or(u32::MAX)
        };
        let count = unsuccessful(&own);
        if count > 0 {
            return Err(Because::PastUnsuccessful { count });
        }
        if task.wait_for_downstream {
            let downstream = task.downstream.iter().map(|index| self.dag.task(*index));
            let count = downstream.map(|down| unsuccessful(&states(down))).sum();
            if count > 0 {
                return Err(Because::PastDownstreamUnsuccessful { count });
            }
        }
        Ok(())
    }

    /// §4.4.
    fn apply_trigger_rule(&mut self, at: At) -> Result<(), Because> {
        let task = self.task_of(at);
        if !looks_upstream(task) {
            return Ok(());
        }
        let state = self.instances[at].state;
        let by_setups = self.apply_setups(at, task);
        if by_setups.is_err() && self.instances[at].state != state {
            return by_setups;
        }
        by_setups.and(self.apply_direct_rule(at, task))
    }

    /// Setups far above have to succeed, whatever the rule of the task says.
    fn apply_setups(&mut self, at: At, task: &Task) -> Result<(), Because> {
        if task.relations.indirect_setups.is_empty() {
            return Ok(());
        }
        let map_index = self.instances[at].map_index;
        let upstream = self.count_upstream(at, &task.relations.indirect_setups);
        let because = Because::Setups { upstream };
        if let Some(state) = trigger_rule::setup_effect(&upstream, map_index) {
            self.set_state(at, state, because.clone());
        }
        if trigger_rule::setups_pass(&upstream, map_index) {
            Ok(())
        } else {
            Err(because)
        }
    }

    fn apply_direct_rule(&mut self, at: At, task: &Task) -> Result<(), Because> {
        let rule = task.trigger_rule;
        let upstream = self.count_upstream(at, &task.upstream);
        let because = Because::TriggerRule { rule, upstream };
        if let Some(state) = trigger_rule::effect(rule, &upstream, self.instances[at].map_index) {
            self.set_state(at, state, because.clone());
        }
        if trigger_rule::passes(rule, &upstream) {
            self.check_teardown_scope(at, task)
        } else {
            Err(because)
        }
    }

    /// A teardown waits for everything between its setups and itself, beyond its direct upstream.
    fn check_teardown_scope(&self, at: At, task: &Task) -> Result<(), Because> {
        let scope = &task.relations.teardown_scope;
        if scope.is_empty() {
            return Ok(());
        }
        let counts = self.count_upstream(at, scope);
        match counts.expected.saturating_sub(counts.done()) {
            0 => Ok(()),
            unfinished => Err(Because::TeardownScope { unfinished }),
        }
    }

    /// Counts the instances of `tasks` that matter to a row.
    fn count_upstream(&self, at: At, tasks: &[TaskIndex]) -> UpstreamCounts {
        let is_in_mapped_group = self.closest_mapped_group(self.task_of(at)).is_some();
        // Only where something is mapped do rows say how many there should be; otherwise each
        // task counts as one, also when its row is missing.
        let expects_rows = tasks
            .iter()
            .any(|task| self.dag.task(*task).needs_expansion);
        let mut upstream = UpstreamCounts::default();
        for index in tasks {
            let task = self.dag.task(*index);
            let relevant = if is_in_mapped_group {
                self.relevant_indexes(at, task)
            } else {
                RelevantIndexes::All
            };
            let rows = match relevant {
                RelevantIndexes::All => {
                    let counts = &self.counts[index.place()];
                    counts.add_to(&mut upstream, task.is_setup);
                    counts.rows
                }
                RelevantIndexes::One(index) => {
                    self.count_rows(task, index..index + 1, &mut upstream)
                }
                RelevantIndexes::Range(range) => self.count_rows(task, range, &mut upstream),
            };
            upstream.expect(if expects_rows { rows } else { 1 }, task.is_setup);
        }
        upstream
    }

    /// Counts the rows at these map indexes, and those that are not expanded.
    fn count_rows(
        &self,
        task: &Task,
        indexes: std::ops::Range<i64>,
        upstream: &mut UpstreamCounts,
    ) -> u32 {
        let rows = &self.rows[task.index.place()];
        let map_index = |at: At| i64::from(self.instances[at].map_index.0);
        let expanded = rows.partition_point(|at| map_index(*at) < 0);
        let start = rows.partition_point(|at| map_index(*at) < indexes.start.max(0));
        let stop = rows.partition_point(|at| map_index(*at) < indexes.end.max(0));
        let mut count = 0;
        for at in rows[..expanded].iter().chain(&rows[start..stop]) {
            let instance = &self.instances[*at];
            if instance.counts_as_finished {
                upstream.count_finished(instance.state, 1, task.is_setup);
            }
            count += 1;
        }
        count
    }

    /// §4.7: what a task expands over must have succeeded, whatever its trigger rule says.
    fn apply_mapped_upstream(&mut self, at: At) -> Result<(), Because> {
        let task = self.task_of(at);
        let worst = task
            .relations
            .mapped_dependencies
            .iter()
            // An expanded task has no such row: it neither failed nor was skipped as a whole.
            .filter_map(|index| self.find(*index, MapIndex::UNMAPPED))
            .map(|row| self.instances[row].state)
            .filter(|state| state.is_finished() && *state != S::Success)
            .max_by_key(|state| gravity(*state));
        let Some(state) = worst else {
            return Ok(());
        };
        let because = Because::MappedUpstream { state };
        if !self.instances[at].state.is_failure() {
            let effect = match state {
                S::Failed | S::UpstreamFailed => Some(S::UpstreamFailed),
                S::Skipped => Some(S::Skipped),
                // A removed one decides nothing; the run ends in a deadlock.
                _ => None,
            };
            if let Some(effect) = effect {
                self.set_state(at, effect, because.clone());
            }
        }
        Err(because)
    }

    /// §4.6: a branch that has run decides again, when what is below it is cleared.
    fn apply_branches(&mut self, at: At) -> Result<(), Because> {
        let task = self.task_of(at);
        let mut verdict = Ok(());
        for parent in task.upstream.iter().map(|index| self.dag.task(*index)) {
            if !parent.can_skip_downstream || !self.counts[parent.index.place()].has_finished() {
                continue;
            }
            let map_index = if parent.is_mapped {
                self.instances[at].map_index
            } else {
                MapIndex::UNMAPPED
            };
            let key = (parent.task_id.clone(), map_index);
            let decision = self.view.xcoms.skip_decisions.get(&key);
            if decision.is_some_and(|decision| decision.skips(&task.task_id)) {
                let because = Because::SkippedBy {
                    task_id: parent.task_id.as_str().into(),
                };
                self.set_state(at, S::Skipped, because.clone());
                verdict = Err(because);
            }
        }
        verdict
    }
}

/// Whether what is above a task matters to it at all.
fn looks_upstream(task: &Task) -> bool {
    !task.upstream.is_empty() && task.trigger_rule != TriggerRule::Always
}

/// Which of several unsuccessful states decides.
fn gravity(state: S) -> u8 {
    match state {
        S::Failed => 3,
        S::UpstreamFailed => 2,
        S::Skipped => 1,
        _ => 0,
    }
}
