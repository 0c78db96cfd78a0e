//! `@once` and `@continuous`: timetables without data of their own.

use jiff::Timestamp;

use crate::{DagRunInfo, DataInterval, TimeRestriction};

/// One run at the start date, or at once if there is none; catchup makes no difference.
pub(super) fn next_once(
    last: Option<DataInterval>,
    restriction: &TimeRestriction,
    now: Timestamp,
) -> Option<DagRunInfo> {
    if last.is_some() {
        return None;
    }
    let run_after = restriction.earliest.unwrap_or(now);
    let is_too_late = restriction.latest.is_some_and(|latest| run_after > latest);
    (!is_too_late).then(|| DagRunInfo::exact(run_after))
}

/// Each run covers the time since the last one ended.
pub(super) fn next_continuous(
    last: Option<DataInterval>,
    restriction: &TimeRestriction,
    now: Timestamp,
) -> Option<DagRunInfo> {
    let first_start = restriction.earliest.unwrap_or(now);
    let (start, end) = match last {
        // The start date lies ahead: the interval keeps the length of the last one.
        Some(last) if last.end > now => {
            let length = last.start.duration_until(last.end);
            (first_start, first_start.checked_add(length).ok()?)
        }
        Some(last) => (last.end, now),
        None => (first_start, first_start.max(now)),
    };
    let is_too_late = restriction.latest.is_some_and(|latest| end > latest);
    (!is_too_late).then(|| DagRunInfo::interval(start, end))
}
