//! Makes the rows of a run fit a Dag that has changed.
//!
//! Source: §1.7.

use std::collections::BTreeSet;

use jiff::Timestamp;
use updraft_model::serialized::TaskIndex;
use updraft_model::{DagRunState, TaskInstanceState};

use super::board::{At, Board};
use super::mapping::Length;
use super::plan::RunPlan;
use super::view::RunView;
use crate::Because;
use crate::integrity::{indexes, is_active, literal_length};

/// Restores, removes and creates rows of a run after its Dag got a new version. Schedules nothing.
#[must_use]
pub fn plan_integrity(view: &RunView<'_>, now: Timestamp) -> RunPlan {
    let mut board = Board::new(view, now);
    // A running run marks rows of missing tasks in its next pass.
    if view.run.state == DagRunState::Running {
        board.orphans.clear();
    }
    let present: BTreeSet<TaskIndex> = board.instances.iter().map(|row| row.task).collect();
    for at in 0..board.instances.len() {
        board.verify(at);
    }
    for task in board.dag.tasks() {
        if !present.contains(&task.index)
            && is_active(task, view.run.run_type, view.run.logical_date)
        {
            let length = match board.length_of(task) {
                Length::Known(length) => Some(length),
                Length::NotMapped | Length::Unknown => None,
            };
            for map_index in indexes(length) {
                board.create_mapped(task, map_index, TaskInstanceState::NoStatus, None);
            }
        }
    }
    RunPlan {
        is_settled: true,
        waiting: Vec::new(),
        wake_at: None,
        ..board.into_plan()
    }
}

impl Board<'_> {
    fn verify(&mut self, at: At) {
        let task = self.task_of(at);
        if self.instances[at].state == TaskInstanceState::Removed {
            self.restore(at);
        }
        let index = u32::try_from(self.instances[at].map_index.0).ok();
        let length = match literal_length(self.dag, task) {
            Some(length) => {
                if index.is_none() {
                    self.remove(at, length);
                }
                Length::Known(length)
            }
            None => self.length_of(task),
        };
        match (length, index) {
            (Length::Known(length), Some(index)) if index >= length => self.remove(at, length),
            // What it expands over is not there yet, so nothing says that this index should be.
            (Length::Unknown, Some(_)) => self.remove(at, 0),
            _ => {}
        }
    }

    /// The task of a removed row has come back.
    fn restore(&mut self, at: At) {
        self.unfinish(at);
        self.instances[at].because = Some(Because::TaskReturned);
    }
}
