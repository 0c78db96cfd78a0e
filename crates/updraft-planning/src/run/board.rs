//! The rows of a run while a plan is made: what the view showed, and what has become of it.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use updraft_model::serialized::{SerializedDag, Task, TaskIndex};
use updraft_model::{DagVersionId, MapIndex, TaskInstanceState};

use super::counts::TaskCounts;
use super::plan::Deferral;
use super::view::{RunView, TaskInstanceView};
use crate::Because;

/// Position of an instance in [`Board::instances`].
pub(super) type At = usize;

/// One row: taken from the view, or created by the plan.
#[derive(Clone, Debug)]
pub(super) struct Instance {
    /// Position in the view; `None` for a row that the plan creates.
    pub(super) seen: Option<usize>,
    /// The pass that created it; 0 for rows of the view.
    pub(super) born: u32,
    pub(super) task: TaskIndex,
    pub(super) map_index: MapIndex,
    pub(super) state: TaskInstanceState,
    pub(super) try_number: i32,
    pub(super) start_date: Option<Timestamp>,
    pub(super) end_date: Option<Timestamp>,
    pub(super) duration: Option<SignedDuration>,
    pub(super) scheduled_dttm: Option<Timestamp>,
    pub(super) deferral: Option<Deferral>,
    pub(super) retry_delay_override_secs: Option<f64>,
    pub(super) reschedule_date: Option<Timestamp>,
    pub(super) dag_version_id: Option<DagVersionId>,
    /// Had finished when the pass began.
    pub(super) counts_as_finished: bool,
    pub(super) is_deleted: bool,
    /// Why it waits, or why it has its state.
    pub(super) because: Option<Because>,
}

/// All rows of one run.
pub(super) struct Board<'v> {
    pub(super) view: &'v RunView<'v>,
    pub(super) dag: &'v SerializedDag,
    pub(super) now: Timestamp,
    pub(super) pass: u32,
    pub(super) instances: Vec<Instance>,
    /// Per task: the living rows, ascending by map index.
    pub(super) rows: Vec<Vec<At>>,
    /// Per task.
    pub(super) counts: Vec<TaskCounts>,
    /// Per task: what [`super::view::XComFacts`] knows of its length.
    pub(super) xcom_lengths: Vec<Option<u32>>,
    /// Per task: its place in [`SerializedDag::alphabetical`].
    pub(super) ranks: Vec<usize>,
    /// Ranks of the tasks that this pass has still to look at.
    pub(super) agenda: BTreeSet<usize>,
    /// Ranks of the tasks that the next pass must look at.
    pub(super) next_agenda: BTreeSet<usize>,
    /// Rows that finished since the pass began.
    newly_finished: Vec<At>,
    /// Living rows that are unfinished at the moment.
    unfinished: usize,
    /// Rows that were unfinished when the pass began and are not any more.
    pub(super) finished_in_pass: usize,
    /// Rows that were unfinished when the pass began.
    pub(super) unfinished_at_start: usize,
    /// Rows whose references go before they are expanded.
    pub(super) forgotten: Vec<At>,
    /// Rows of the view whose task the Dag does not have.
    pub(super) orphans: Vec<usize>,
    /// Whether anything in the Dag is mapped: then some changes are seen within the same pass.
    has_mapping: bool,
}

impl<'v> Board<'v> {
    pub(super) fn new(view: &'v RunView<'v>, now: Timestamp) -> Self {
        let dag = view.dag;
        let tasks = dag.tasks().len();
        let mut ranks = vec![0; tasks];
        for (rank, index) in dag.alphabetical().iter().enumerate() {
            ranks[index.place()] = rank;
        }
        let mut board = Self {
            view,
            dag,
            now,
            pass: 0,
            instances: Vec::with_capacity(view.task_instances.len()),
            rows: vec![Vec::new(); tasks],
            counts: vec![TaskCounts::default(); tasks],
            xcom_lengths: vec![None; tasks],
            ranks,
            agenda: BTreeSet::new(),
            next_agenda: (0..tasks).collect(),
            newly_finished: Vec::new(),
            unfinished: 0,
            finished_in_pass: 0,
            unfinished_at_start: 0,
            forgotten: Vec::new(),
            orphans: Vec::new(),
            has_mapping: dag.tasks().iter().any(|task| task.needs_expansion),
        };
        board.take_rows();
        board.take_lengths();
        board
    }

    fn take_rows(&mut self) {
        for (seen, row) in self.view.task_instances.iter().enumerate() {
            match self.dag.index_of(row.task_id.as_str()) {
                Some(task) => {
                    let at = self.instances.len();
                    self.instances.push(Instance::of_view(seen, task, row));
                    self.count_row(at);
                }
                None => self.orphans.push(seen),
            }
        }
        for rows in &mut self.rows {
            rows.sort_unstable_by_key(|at| self.instances[*at].map_index);
        }
    }

    fn take_lengths(&mut self) {
        for task in self.dag.tasks() {
            let xcoms = &self.view.xcoms;
            self.xcom_lengths[task.index.place()] = if task.is_mapped {
                // No row at all means that no instance returned anything.
                let count = xcoms.return_value_counts.get(&task.task_id);
                Some(count.copied().unwrap_or(0))
            } else {
                xcoms.mapped_lengths.get(&task.task_id).copied()
            };
        }
    }

    /// The task of a row. The borrow is of the Dag, not of the board.
    pub(super) fn task_of(&self, at: At) -> &'v Task {
        self.dag.task(self.instances[at].task)
    }

    /// Everything that finished up to now becomes visible to trigger rules.
    pub(super) fn begin_pass(&mut self) {
        self.pass += 1;
        for at in std::mem::take(&mut self.newly_finished) {
            let instance = &mut self.instances[at];
            if instance.state.is_finished() && !instance.is_deleted && !instance.counts_as_finished
            {
                instance.counts_as_finished = true;
                self.counts[instance.task.place()].add_finished(instance.state);
            }
        }
        self.finished_in_pass = 0;
        self.unfinished_at_start = self.unfinished;
        self.agenda = std::mem::take(&mut self.next_agenda);
    }

    /// Gives a row a state and the timestamps that go with it, as Airflow's `set_state` does.
    /// Returns whether the state is a new one.
    pub(super) fn set_state(&mut self, at: At, state: TaskInstanceState, because: Because) -> bool {
        if self.instances[at].state == state {
            return false;
        }
        let now = self.now;
        let instance = &mut self.instances[at];
        let start = *instance.start_date.get_or_insert(now);
        if state.is_finished() || state == TaskInstanceState::UpForRetry {
            // Quirk §1.4: an end date from an earlier try stays.
            let end = *instance.end_date.get_or_insert(now);
            instance.duration = Some(end.duration_since(start));
        }
        self.assign_state(at, state, because);
        true
    }

    /// Gives a row a state and nothing else.
    pub(super) fn assign_state(&mut self, at: At, state: TaskInstanceState, because: Because) {
        let instance = &mut self.instances[at];
        let old = std::mem::replace(&mut instance.state, state);
        instance.because = Some(because);
        if old == state {
            return;
        }
        let counts = &mut self.counts[instance.task.place()];
        if instance.counts_as_finished {
            counts.remove_finished(old);
            counts.add_finished(state);
        } else if state.is_finished() && !old.is_finished() {
            counts.unfinished -= 1;
            self.unfinished -= 1;
            if instance.born < self.pass {
                self.finished_in_pass += 1;
            }
            self.newly_finished.push(at);
        }
        // Nobody decides differently because a row is scheduled.
        if state.is_finished() {
            let task = instance.task;
            self.announce(task);
        }
    }

    /// Takes the finished state from a row.
    pub(super) fn unfinish(&mut self, at: At) {
        let instance = &mut self.instances[at];
        let counts = &mut self.counts[instance.task.place()];
        counts.remove_finished(instance.state);
        counts.unfinished += 1;
        self.unfinished += 1;
        instance.counts_as_finished = false;
        instance.state = TaskInstanceState::NoStatus;
    }

    /// Adds a row that the plan creates.
    pub(super) fn create(&mut self, instance: Instance) -> At {
        let task = instance.task;
        let map_index = instance.map_index;
        let at = self.instances.len();
        self.instances.push(instance);
        self.count_row(at);
        // `count_row` appended it; move it to its place.
        let rows = &mut self.rows[task.place()];
        rows.pop();
        let place = rows.partition_point(|other| self.instances[*other].map_index < map_index);
        rows.insert(place, at);
        self.announce(task);
        at
    }

    /// Takes a row away.
    pub(super) fn delete(&mut self, at: At) {
        let instance = &mut self.instances[at];
        instance.is_deleted = true;
        let task = instance.task;
        let counts = &mut self.counts[task.place()];
        counts.rows -= 1;
        counts.unfinished -= 1;
        self.unfinished -= 1;
        self.rows[task.place()].retain(|other| *other != at);
        self.announce(task);
    }

    /// Moves an unexpanded row to index 0.
    pub(super) fn become_first(&mut self, at: At) {
        let task = self.instances[at].task;
        self.instances[at].map_index = MapIndex(0);
        self.rows[task.place()].sort_unstable_by_key(|row| self.instances[*row].map_index);
        self.announce(task);
    }

    /// The row of a task at a map index.
    pub(super) fn find(&self, task: TaskIndex, map_index: MapIndex) -> Option<At> {
        let rows = &self.rows[task.place()];
        rows.binary_search_by_key(&map_index, |at| self.instances[*at].map_index)
            .ok()
            .map(|place| rows[place])
    }

    /// How many living rows are unfinished.
    pub(super) fn unfinished(&self) -> usize {
        self.unfinished
    }

    /// All living rows in the order of a pass.
    pub(super) fn in_order(&self) -> impl Iterator<Item = At> {
        let tasks = self.dag.alphabetical().iter();
        tasks.flat_map(|task| self.rows[task.place()].iter().copied())
    }

    /// A row of this task changed: those who watch it must be looked at again.
    fn announce(&mut self, task: TaskIndex) {
        for watcher in &self.dag.task(task).relations.watchers {
            let rank = self.ranks[watcher.place()];
            self.next_agenda.insert(rank);
            // Row counts and the states of unexpanded rows are read live, so a task that comes
            // later in the alphabet sees them in this pass already.
            if self.has_mapping && rank > self.ranks[task.place()] {
                self.agenda.insert(rank);
            }
        }
    }

    fn count_row(&mut self, at: At) {
        let instance = &mut self.instances[at];
        let task = instance.task.place();
        let counts = &mut self.counts[task];
        counts.rows += 1;
        if instance.state.is_finished() {
            instance.counts_as_finished = true;
            counts.add_finished(instance.state);
        } else {
            counts.unfinished += 1;
            self.unfinished += 1;
        }
        self.rows[task].push(at);
    }
}

impl Instance {
    fn of_view(seen: usize, task: TaskIndex, row: &TaskInstanceView) -> Self {
        Self {
            seen: Some(seen),
            born: 0,
            task,
            map_index: row.map_index,
            state: row.state,
            try_number: row.try_number,
            start_date: row.start_date,
            end_date: row.end_date,
            duration: None,
            scheduled_dttm: None,
            deferral: None,
            retry_delay_override_secs: row.retry_delay_override_secs,
            reschedule_date: row.reschedule_date,
            dag_version_id: row.dag_version_id,
            counts_as_finished: false,
            is_deleted: false,
            because: None,
        }
    }
}
