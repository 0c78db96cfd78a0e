//! One pass: every waiting instance is looked at once.
//!
//! Source: §4.1.

use std::collections::BTreeSet;

use updraft_model::serialized::TaskIndex;

use super::board::{At, Board};
use super::dependencies::Purpose;

/// What one pass found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PassResult {
    /// Rows that may run now.
    pub(super) ready: Vec<At>,
    /// Some row changed its state, or was expanded.
    pub(super) changed: bool,
    /// Rows that were unfinished when the pass began, and still are as far as this pass looks.
    pub(super) unfinished: usize,
}

impl PassResult {
    /// Another pass now would find the same.
    pub(super) fn is_quiet(&self) -> bool {
        self.ready.is_empty() && !self.changed
    }
}

/// The state of a pass while it runs.
#[derive(Default)]
struct Pass {
    result: PassResult,
    /// Expanded rows: looked at after all others.
    expanded: Vec<At>,
    was_expanded: bool,
    revised: BTreeSet<TaskIndex>,
}

impl Board<'_> {
    /// Looks once at every row that waits and that may have been affected by a change.
    pub(super) fn run_pass(&mut self) -> PassResult {
        self.begin_pass();
        let mut pass = Pass::default();
        let mut rows = Vec::new();
        while let Some(rank) = self.agenda.pop_first() {
            let task = self.dag.alphabetical()[rank];
            rows.clear();
            rows.extend_from_slice(&self.rows[task.place()]);
            for at in &rows {
                let is_new = self.instances[*at].born == self.pass;
                if !is_new {
                    self.look_at(*at, &mut pass);
                }
            }
        }
        // These may not be expanded again, so the list does not grow any more.
        for at in std::mem::take(&mut pass.expanded) {
            self.look_at(at, &mut pass);
        }
        let mut result = pass.result;
        // Only an expansion makes the pass look again at what is unfinished. (§4.1 step 5)
        result.unfinished = if pass.was_expanded {
            self.unfinished_at_start - self.finished_in_pass
        } else {
            self.unfinished_at_start
        };
        result
    }

    fn look_at(&mut self, at: At, pass: &mut Pass) {
        let before = self.instances[at].state;
        if !before.is_schedulable() || self.instances[at].is_deleted {
            return;
        }
        if let Err(because) = self.evaluate(at, Purpose::Schedule) {
            let instance = &mut self.instances[at];
            if instance.state == before {
                instance.because = Some(because);
            } else {
                pass.result.changed = true;
            }
            return;
        }
        if !self.instances[at].map_index.is_mapped()
            && let Some(expanded) = self.expand(at)
        {
            pass.expanded.extend(expanded);
            pass.was_expanded = true;
            pass.result.changed = true;
            return;
        }
        if !self.instances[at].state.is_schedulable() {
            return;
        }
        if pass.revised.insert(self.instances[at].task) {
            let created = self.revise(at);
            pass.result.ready.extend(created);
        }
        if self.instances[at].state.is_schedulable() {
            pass.result.ready.push(at);
        } else {
            // It was ready until the revision removed it, so the run is not stuck.
            pass.result.changed = true;
        }
    }
}
