//! Workloads that wait for a slot: callbacks and connection tests first, then tasks, heaviest first.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use uuid::Uuid;

use crate::ExecutorWorkload;

/// A priority queue that keeps the order of arrival among equals.
///
/// Source: fact sheet "scheduling semantics" §5.5.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    heap: BinaryHeap<Entry>,
    arrivals: u64,
}

#[derive(Debug)]
struct Entry {
    workload: ExecutorWorkload,
    arrival: u64,
}

impl Queue {
    pub(crate) fn push(&mut self, workload: ExecutorWorkload) {
        self.arrivals += 1;
        self.heap.push(Entry {
            workload,
            arrival: self.arrivals,
        });
    }

    pub(crate) fn pop(&mut self) -> Option<ExecutorWorkload> {
        self.heap.pop().map(|entry| entry.workload)
    }

    pub(crate) fn contains(&self, id: Uuid) -> bool {
        self.heap.iter().any(|entry| entry.workload.id() == id)
    }

    /// Takes out every workload of a try; gives how many there were.
    pub(crate) fn remove(&mut self, id: Uuid) -> usize {
        let before = self.heap.len();
        self.heap.retain(|entry| entry.workload.id() != id);
        before - self.heap.len()
    }

    pub(crate) fn len(&self) -> usize {
        self.heap.len()
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        let weight = rank(&self.workload).cmp(&rank(&other.workload));
        weight.then(other.arrival.cmp(&self.arrival))
    }
}

/// Airflow's order: what somebody waits for now goes before what is planned.
fn rank(workload: &ExecutorWorkload) -> (bool, i64) {
    match workload {
        ExecutorWorkload::ExecuteCallback(_) | ExecutorWorkload::TestConnection(_) => (true, 0),
        ExecutorWorkload::ExecuteTask(task) => (false, task.priority_weight),
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}
