//! What belongs to one instance of a mapped task above and below: the same index within a common
//! mapped group, the whole task elsewhere.
//!
//! Source: §1.5 "Selection", §6.6.

use std::collections::BTreeSet;

use jiff::Timestamp;
use updraft_model::MapIndex;
use updraft_model::serialized::TaskIndex;

use super::board::Board;
use super::mapping::Length;
use super::view::RunView;
use crate::clear::selection::{Reach, companions};
use crate::map_index::RelevantIndexes;

/// A task as a whole, or one instance of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    Task(TaskIndex),
    Instance(TaskIndex, MapIndex),
}

/// Where to look for relatives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Upstream,
    Downstream,
}

/// The relatives of some targets within one run. The targets themselves are not among them unless
/// another one leads to them.
#[must_use]
pub fn find_relatives(
    view: &RunView<'_>,
    targets: &[Target],
    direction: Direction,
    now: Timestamp,
) -> BTreeSet<Target> {
    let mut search = Search {
        board: Board::new(view, now),
        direction,
        found: BTreeSet::new(),
        open: Vec::new(),
    };
    for target in targets {
        match target {
            Target::Task(task) => search.add_task_relatives(*task),
            Target::Instance(task, map_index) => search.open.push((*task, *map_index)),
        }
    }
    while let Some((task, map_index)) = search.open.pop() {
        search.add_instance_relatives(task, map_index);
    }
    search.found
}

struct Search<'v> {
    board: Board<'v>,
    direction: Direction,
    found: BTreeSet<Target>,
    /// Instances whose relatives are still to be found.
    open: Vec<(TaskIndex, MapIndex)>,
}

impl Search<'_> {
    fn add_task_relatives(&mut self, task: TaskIndex) {
        let reach = match self.direction {
            Direction::Upstream => Reach::Upstream,
            Direction::Downstream => Reach::Downstream,
        };
        let companions = companions(self.board.dag, &[task], reach);
        self.found.extend(companions.into_iter().map(Target::Task));
    }

    fn add_instance_relatives(&mut self, index: TaskIndex, map_index: MapIndex) {
        let dag = self.board.dag;
        let task = dag.task(index);
        let length = match self.board.length_of(task) {
            Length::NotMapped => return self.add_task_relatives(index),
            Length::Unknown => None,
            Length::Known(length) => Some(length),
        };
        let relatives = match self.direction {
            Direction::Upstream => dag.ancestors(index),
            Direction::Downstream => dag.descendants(index),
        };
        for relative in relatives {
            if self.found.contains(&Target::Task(relative)) {
                continue;
            }
            let indexes = match length {
                Some(length) => {
                    self.board
                        .indexes_of_relative(task, map_index, length, dag.task(relative))
                }
                None => RelevantIndexes::All,
            };
            match indexes {
                RelevantIndexes::All => {
                    self.found.insert(Target::Task(relative));
                    self.add_task_relatives(relative);
                }
                RelevantIndexes::One(one) => self.add_instances(relative, one..one + 1),
                RelevantIndexes::Range(range) => self.add_instances(relative, range),
            }
        }
    }

    fn add_instances(&mut self, task: TaskIndex, indexes: std::ops::Range<i64>) {
        for index in indexes {
            let Ok(index) = i32::try_from(index) else {
                continue;
            };
            if self.found.insert(Target::Instance(task, MapIndex(index))) {
                self.open.push((task, MapIndex(index)));
            }
        }
    }
}
