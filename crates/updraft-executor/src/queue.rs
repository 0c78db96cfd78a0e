//! Workloads that wait for a slot, heaviest first.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::Workload;

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
    workload: Workload,
    arrival: u64,
}

impl Queue {
    pub(crate) fn push(&mut self, workload: Workload) {
        self.arrivals += 1;
        self.heap.push(Entry {
            workload,
            arrival: self.arrivals,
        });
    }

    pub(crate) fn pop(&mut self) -> Option<Workload> {
        self.heap.pop().map(|entry| entry.workload)
    }

    pub(crate) fn len(&self) -> usize {
        self.heap.len()
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        let weight = self
            .workload
            .priority_weight
            .cmp(&other.workload.priority_weight);
        weight.then(other.arrival.cmp(&self.arrival))
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
