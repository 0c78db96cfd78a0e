//! Priority weights that sum over all ancestors or all descendants.

use super::task::{Task, TaskIndex, WeightRule};

/// Fills in [`Task::total_weight`]. `order` is topological.
///
/// Source: scheduling semantics §5.4.
pub(super) fn fill_in(tasks: &mut [Task], order: &[TaskIndex]) {
    let uses = |rule: WeightRule| tasks.iter().any(|task| task.weight_rule == rule);
    let down = uses(WeightRule::Downstream)
        .then(|| reachable_weights(tasks, order.iter().rev(), |task| &task.downstream));
    let up = uses(WeightRule::Upstream)
        .then(|| reachable_weights(tasks, order.iter(), |task| &task.upstream));
    let sum = |weights: &Option<Vec<i64>>, place: usize| weights.as_ref().map_or(0, |w| w[place]);
    for (place, task) in tasks.iter_mut().enumerate() {
        let own = task.priority_weight;
        task.total_weight = match task.weight_rule {
            WeightRule::Absolute => Some(own),
            WeightRule::Downstream => Some(own.saturating_add(sum(&down, place))),
            WeightRule::Upstream => Some(own.saturating_add(sum(&up, place))),
            WeightRule::Custom(_) => None,
        };
    }
}

/// For each task, the weights of all distinct tasks that `next` leads to, summed.
///
/// Works on 64 candidates at a time: one bit each, merged along the edges. That needs one word per
/// task instead of a bit for every pair, and takes (tasks / 64) walks over the graph.
fn reachable_weights<'o>(
    tasks: &[Task],
    order: impl Iterator<Item = &'o TaskIndex> + Clone,
    next: impl Fn(&Task) -> &Vec<TaskIndex>,
) -> Vec<i64> {
    let mut sums = vec![0_i64; tasks.len()];
    let mut reached = vec![0_u64; tasks.len()];
    for (block, candidates) in tasks.chunks(64).enumerate() {
        let first = block * 64;
        let weights = ByteSums::of(candidates);
        for index in order.clone() {
            let mut mask = 0;
            for neighbour in next(&tasks[index.place()]) {
                let place = neighbour.place();
                mask |= reached[place];
                if (first..first + 64).contains(&place) {
                    mask |= 1 << (place - first);
                }
            }
            reached[index.place()] = mask;
            if mask != 0 {
                let sum = &mut sums[index.place()];
                *sum = sum.saturating_add(weights.sum(mask));
            }
        }
    }
    sums
}

/// Sums of weights for each value of each byte of a mask.
struct ByteSums(Vec<[i64; 256]>);

impl ByteSums {
    fn of(candidates: &[Task]) -> Self {
        let table = |byte: &[Task]| {
            let mut sums = [0_i64; 256];
            for mask in 1..sums.len() {
                let lowest = mask.trailing_zeros() as usize;
                let weight = byte.get(lowest).map_or(0, |task| task.priority_weight);
                sums[mask] = sums[mask & (mask - 1)] + weight;
            }
            sums
        };
        Self(candidates.chunks(8).map(table).collect())
    }

    fn sum(&self, mask: u64) -> i64 {
        let bytes = mask.to_le_bytes();
        self.0
            .iter()
            .zip(bytes)
            .map(|(table, byte)| table[usize::from(byte)])
            .sum()
    }
}
