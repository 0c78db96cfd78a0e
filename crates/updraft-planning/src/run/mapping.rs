//! How many instances a task has, and making it so.
//!
//! Source: §6.1, §6.3, §6.4, §6.6.

use updraft_model::serialized::{ExpandInput, GroupIndex, Task, TaskIndex};
use updraft_model::{DagVersionId, MapIndex, TaskInstanceState};

use super::board::{At, Board, Instance};
use crate::Because;
use crate::map_index::{RelevantIndexes, relevant_indexes};

/// How many instances a task should have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    NotMapped,
    /// Something it expands over has not finished, or left no length.
    Unknown,
    Known(u32),
}

impl Board<'_> {
    /// The number of instances by what is known now.
    pub(super) fn length_of(&self, task: &Task) -> Length {
        if !task.needs_expansion {
            return Length::NotMapped;
        }
        let own = match &task.expand_input {
            Some(input) => match self.input_length(input) {
                Some(length) => length,
                None => return Length::Unknown,
            },
            None => 1,
        };
        match self.closest_mapped_group(task) {
            Some(group) => match self.group_length(group) {
                Some(length) => Length::Known(own.saturating_mul(length)),
                None => Length::Unknown,
            },
            None if task.is_mapped => Length::Known(own),
            None => Length::NotMapped,
        }
    }

    /// The innermost mapped group around a task.
    pub(super) fn closest_mapped_group(&self, task: &Task) -> Option<GroupIndex> {
        if !task.needs_expansion {
            return None;
        }
        self.dag.mapped_groups_of(task).next()
    }

    /// The map indexes of `upstream` that matter to a row, whose task is in a mapped group.
    pub(super) fn relevant_indexes(&self, at: At, upstream: &Task) -> RelevantIndexes {
        let task = self.task_of(at);
        let map_index = self.instances[at].map_index;
        let relations = &task.relations;
        // Quirk §4.4: an unexpanded row whose rule may be satisfied by a part of the upstream
        // depends on all of it, or it could be skipped before its group expands.
        if !map_index.is_mapped()
            && is_satisfied_by_a_part(task.trigger_rule)
            && relations
                .expansion_dependencies
                .binary_search(&upstream.index)
                .is_err()
        {
            return RelevantIndexes::All;
        }
        let Length::Known(count) = self.length_of(task) else {
            return RelevantIndexes::All;
        };
        self.indexes_of_relative(task, map_index, count, upstream)
    }

    /// The map indexes of `relative` that belong to the instance `map_index` of `count`.
    pub(super) fn indexes_of_relative(
        &self,
        task: &Task,
        map_index: MapIndex,
        count: u32,
        relative: &Task,
    ) -> RelevantIndexes {
        let Some(common) = self.common_mapped_group(task, relative) else {
            return RelevantIndexes::All;
        };
        match self.group_length(common) {
            Some(ancestor_count) => relevant_indexes(
                map_index.0,
                count,
                ancestor_count,
                self.is_further_mapped(relative, common),
            ),
            None => RelevantIndexes::All,
        }
    }

    /// Expands a row that is not expanded, whose dependencies are met. Returns the rows to look at
    /// in its place, or `None` when the task is not mapped at all.
    pub(super) fn expand(&mut self, at: At) -> Option<Vec<At>> {
        let task = self.task_of(at);
        let length = self.length_of(task);
        if task.is_mapped {
            self.forgotten.push(at);
        }
        let (length, rows) = match length {
            Length::NotMapped => return None,
            Length::Unknown => {
                self.assign_state(
                    at,
                    TaskInstanceState::UpstreamFailed,
                    Because::LengthUnknown,
                );
                (0, Vec::new())
            }
            Length::Known(0) => {
                self.assign_state(at, TaskInstanceState::Skipped, Because::LengthZero);
                (0, Vec::new())
            }
            Length::Known(length) => (length, self.expand_to(at, task, length)),
        };
        self.remove_beyond(task.index, length);
        Some(rows)
    }

    fn expand_to(&mut self, at: At, task: &Task, length: u32) -> Vec<At> {
        let original = &self.instances[at];
        let (state, dag_version_id) = (original.state, original.dag_version_id);
        let mut expanded = Vec::new();
        if self.find(task.index, MapIndex(0)).is_some() {
            self.delete(at);
        } else {
            self.become_first(at);
            expanded.push(at);
        }
        let last = self.rows[task.index.place()].last();
        let highest = last.map_or(0, |row| self.instances[*row].map_index.0.max(0));
        for index in highest + 1..i32::try_from(length).unwrap_or(i32::MAX) {
            expanded.push(self.create_mapped(task, MapIndex(index), state, dag_version_id));
        }
        expanded
    }

    /// Adapts the rows of an expanded task to its present length. Returns the rows it created.
    pub(super) fn revise(&mut self, at: At) -> Vec<At> {
        let task = self.task_of(at);
        let Length::Known(length) = self.length_of(task) else {
            return Vec::new();
        };
        let dag_version_id = self.instances[at].dag_version_id;
        let rows = self.rows[task.index.place()].clone();
        let mut present = vec![false; length as usize];
        for row in rows {
            let index = usize::try_from(self.instances[row].map_index.0).ok();
            match index.and_then(|index| present.get_mut(index)) {
                Some(is_present) => *is_present = true,
                None => self.remove(row, length),
            }
        }
        let missing = (0..).zip(present).filter(|(_, is_present)| !is_present);
        let missing: Vec<MapIndex> = missing.map(|(index, _)| MapIndex(index)).collect();
        missing
            .into_iter()
            .map(|index| {
                self.create_mapped(task, index, TaskInstanceState::NoStatus, dag_version_id)
            })
            .collect()
    }

    fn remove_beyond(&mut self, task: TaskIndex, length: u32) {
        for row in self.rows[task.place()].clone() {
            let index = u32::try_from(self.instances[row].map_index.0);
            if index.is_ok_and(|index| index >= length) {
                self.remove(row, length);
            }
        }
    }

    pub(super) fn remove(&mut self, row: At, length: u32) {
        let because = Because::BeyondLength { length };
        self.assign_state(row, TaskInstanceState::Removed, because);
    }

    pub(super) fn create_mapped(
        &mut self,
        task: &Task,
        map_index: MapIndex,
        state: TaskInstanceState,
        dag_version_id: Option<DagVersionId>,
    ) -> At {
        self.create(Instance {
            seen: None,
            born: self.pass,
            task: task.index,
            map_index,
            state,
            try_number: 0,
            start_date: None,
            end_date: None,
            duration: None,
            scheduled_dttm: None,
            deferral: None,
            retry_delay_override_secs: None,
            reschedule_date: None,
            dag_version_id,
            counts_as_finished: false,
            is_deleted: false,
            because: None,
        })
    }

    fn input_length(&self, input: &ExpandInput) -> Option<u32> {
        input.length(&mut |arg| arg.length(&mut |task, _| self.xcom_length(task)))
    }

    /// The length of what one task returned.
    fn xcom_length(&self, task: TaskIndex) -> Option<u32> {
        let is_open = self.dag.task(task).is_mapped && self.counts[task.place()].unfinished > 0;
        if is_open {
            return None;
        }
        self.xcom_lengths[task.place()]
    }

    /// The number of instances of a mapped group within all mapped groups around it.
    fn group_length(&self, group: GroupIndex) -> Option<u32> {
        let parents = std::iter::successors(Some(group), |group| self.dag.group(*group).parent);
        parents
            .filter_map(|group| self.dag.group(group).expand_input.as_ref())
            .try_fold(1_u32, |total, input| {
                Some(total.saturating_mul(self.input_length(input)?))
            })
    }

    fn common_mapped_group(&self, one: &Task, other: &Task) -> Option<GroupIndex> {
        self.dag
            .mapped_groups_of(other)
            .find(|group| self.dag.mapped_groups_of(one).any(|mine| mine == *group))
    }

    fn is_further_mapped(&self, task: &Task, container: GroupIndex) -> bool {
        task.is_mapped
            || std::iter::successors(Some(task.group), |group| self.dag.group(*group).parent)
                .take_while(|group| *group != container)
                .any(|group| self.dag.group(group).expand_input.is_some())
    }
}

fn is_satisfied_by_a_part(rule: updraft_model::TriggerRule) -> bool {
    use updraft_model::TriggerRule as R;
    matches!(
        rule,
        R::OneSuccess | R::OneFailed | R::OneDone | R::NoneFailedMinOneSuccess
    )
}
