//! One page of the heaviest candidates, and what of it fits.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use updraft_model::{DagId, RunId};

use super::ledger::{Ledger, Verdict};
use super::{Candidate, QueueView};
use crate::Because;

/// A candidate that was accepted, and the executor it goes to.
pub(super) struct Accepted {
    pub(super) candidate: usize,
    pub(super) executor: usize,
}

/// Positions of all candidates, heaviest first.
///
/// Airflow leaves ties open and the place of missing logical dates to its database; here the order
/// is total, and a missing date comes last, as on PostgreSQL.
pub(super) fn order(candidates: &[Candidate]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_unstable_by_key(|position| {
        let candidate = &candidates[*position];
        (
            Reverse(candidate.priority_weight),
            candidate.logical_date.is_none(),
            candidate.logical_date,
            candidate.map_index,
            (&candidate.dag_id, &candidate.run_id, &candidate.task_id),
            candidate.id,
        )
    });
    order
}

/// Accepts up to `page_max` candidates. Looks at another page only when one was full and nothing
/// of it fitted.
pub(super) fn fill(
    view: &QueueView,
    order: &[usize],
    ledger: &mut Ledger,
    page_max: usize,
) -> Vec<Accepted> {
    // Quirk §5.1: the sum over *all* pools, also those that no candidate uses.
    let page_max = page_max.min(ledger.open_slots());
    ledger.forget_exclusions();
    let mut accepted = Vec::new();
    if page_max == 0 {
        return accepted;
    }
    loop {
        let page = select(view, order, ledger, page_max);
        let exclusions = ledger.exclusions();
        for position in &page {
            let candidate = &view.candidates[*position];
            match ledger.judge(*position, candidate) {
                Verdict::Accepted { executor } => accepted.push(Accepted {
                    candidate: *position,
                    executor,
                }),
                Verdict::Refused => {}
            }
        }
        let is_hopeless = page.len() < page_max || ledger.exclusions() == exclusions;
        if !accepted.is_empty() || is_hopeless {
            return accepted;
        }
    }
}

/// The heaviest candidates that nothing excludes yet.
fn select(view: &QueueView, order: &[usize], ledger: &mut Ledger, page_max: usize) -> Vec<usize> {
    let mut of_run: BTreeMap<(&DagId, &RunId), i32> = BTreeMap::new();
    let mut page = Vec::new();
    for position in order {
        if page.len() == page_max {
            break;
        }
        let candidate = &view.candidates[*position];
        if ledger.is_chosen(*position) || ledger.is_out(*position, candidate) {
            continue;
        }
        let rank = of_run
            .entry((&candidate.dag_id, &candidate.run_id))
            .or_default();
        *rank += 1;
        if *rank > candidate.max_active_tasks {
            let limit = candidate.max_active_tasks;
            ledger.note(*position, Because::MaxActiveTasks { limit });
        } else {
            page.push(*position);
        }
    }
    page
}
