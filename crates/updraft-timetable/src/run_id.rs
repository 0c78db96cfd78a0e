//! Run ids that are not a timetable's business, and what an id says about its run.

use jiff::Timestamp;
use jiff::tz::Offset;
use updraft_model::DagRunType;

/// The id of a run made outside of a timetable: by an operator, a backfill or an asset event.
///
/// Without a logical date two runs may fall on the same instant; `random`, eight fresh letters
/// and digits, tells them apart. `offset` is the one that `run_after` was given with.
#[must_use]
pub fn generate_run_id(
    run_type: DagRunType,
    run_after: Timestamp,
    offset: Offset,
    logical_date: Option<Timestamp>,
    random: &str,
) -> String {
    let run_after = isoformat_at(run_after, offset);
    match logical_date {
        Some(_) => format!("{run_type}__{run_after}"),
        None => format!("{run_type}__{run_after}_{random}"),
    }
}

/// The type that an id's prefix names; ids that name none are manual.
#[must_use]
pub fn infer_run_type(run_id: &str) -> DagRunType {
    DagRunType::ALL
        .iter()
        .copied()
        .find(|run_type| {
            run_id
                .strip_prefix(run_type.as_str())
                .is_some_and(|rest| rest.starts_with("__"))
        })
        .unwrap_or(DagRunType::Manual)
}

/// An instant in UTC as Python's `isoformat()` writes it.
#[must_use]
pub fn isoformat(at: Timestamp) -> String {
    isoformat_at(at, Offset::UTC)
}

/// As [`isoformat`], on the clock of another offset.
///
/// Microseconds stand there only when there are any.
#[must_use]
pub fn isoformat_at(at: Timestamp, offset: Offset) -> String {
    let clock = offset.to_datetime(at);
    let micros = clock.subsec_nanosecond() / 1000;
    let fraction = if micros == 0 {
        String::new()
    } else {
        format!(".{micros:06}")
    };
    let sign = if offset.is_negative() { '-' } else { '+' };
    let offset_secs = offset.seconds().unsigned_abs();
    let (hours, minutes, secs) = (offset_secs / 3600, offset_secs / 60 % 60, offset_secs % 60);
    let offset_secs = if secs == 0 {
        String::new()
    } else {
        format!(":{secs:02}")
    };
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{fraction}{sign}{hours:02}:{minutes:02}{offset_secs}",
        clock.year(),
        clock.month(),
        clock.day(),
        clock.hour(),
        clock.minute(),
        clock.second(),
    )
}
