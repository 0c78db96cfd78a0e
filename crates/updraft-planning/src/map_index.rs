//! Arithmetic of map indexes: which instance of one task belongs to which instance of another.
//!
//! Source: §6.2, §6.6.

use std::ops::Range;

#[cfg(test)]
mod tests;

/// The map indexes of a relative that matter to one task instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RelevantIndexes {
    /// All of them.
    All,
    /// Exactly one; negative for the row that is not expanded.
    One(i64),
    /// The relative is mapped again inside the common group.
    Range(Range<i64>),
}

/// Finds them, for an instance at `map_index` of a task with `ti_count` instances, when the
/// innermost mapped group around both tasks has `ancestor_ti_count` instances.
#[must_use]
pub fn relevant_indexes(
    map_index: i32,
    ti_count: u32,
    ancestor_ti_count: u32,
    relative_is_further_mapped: bool,
) -> RelevantIndexes {
    if ti_count == 0 || ancestor_ti_count == 0 {
        return RelevantIndexes::All;
    }
    let (count, ancestor_count) = (i64::from(ti_count), i64::from(ancestor_ti_count));
    // Rounds down also for -1, so that the unexpanded row finds only unexpanded rows.
    let ancestor_index = (i64::from(map_index) * ancestor_count).div_euclid(count);
    if !relative_is_further_mapped {
        return RelevantIndexes::One(ancestor_index);
    }
    // Quirk §6.6: the width comes from this task's count, not from the relative's.
    let width = count / ancestor_count;
    let start = ancestor_index * width;
    RelevantIndexes::Range(start..start + width)
}

/// The position within each argument of `expand` that a map index stands for; the last argument
/// varies fastest. `None` when the index lies beyond the product of the lengths.
#[must_use]
pub fn argument_positions(lengths: &[u32], map_index: u32) -> Option<Vec<u32>> {
    let mut rest = map_index;
    let mut positions = vec![0; lengths.len()];
    for (position, length) in positions.iter_mut().zip(lengths).rev() {
        *position = rest.checked_rem(*length)?;
        rest /= length;
    }
    (rest == 0).then_some(positions)
}
