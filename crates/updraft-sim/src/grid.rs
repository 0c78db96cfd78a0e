//! A world at a glance: task instances as rows, time as columns.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use crate::log::Log;

const COLUMNS: usize = 100;
const ROWS_MAX: usize = 60;

/// Draws the state of every task instance over time: `.` none, `S` scheduled, `Q` queued, `R`
/// running, `r` up for retry, `w` up for reschedule, `!` restarting, `+` success, `x` failed, `s`
/// skipped, `u` upstream failed.
#[must_use]
pub fn grid(log: &Log) -> String {
    let moves = log.moves();
    let end = moves.last().map_or(Duration::ZERO, |(at, _, _)| *at);
    let width = end.as_micros().max(1) / COLUMNS as u128 + 1;
    let column = |at: Duration| usize::try_from(at.as_micros() / width).unwrap_or(0);
    let mut rows: BTreeMap<&str, Vec<char>> = BTreeMap::new();
    for (at, who, sign) in moves {
        if *sign == '=' {
            continue;
        }
        let row = rows.entry(who).or_insert_with(|| vec![' '; COLUMNS]);
        for cell in &mut row[column(*at)..] {
            *cell = *sign;
        }
    }
    let mut text = format!("one column is {} s\n", width / 1_000_000);
    let names = rows.keys().map(|name| name.len()).max().unwrap_or(0);
    for (name, cells) in rows.iter().take(ROWS_MAX) {
        let cells: String = cells.iter().collect();
        let _ = writeln!(text, "{name:names$} {cells}");
    }
    if rows.len() > ROWS_MAX {
        let _ = writeln!(text, "and {} more", rows.len() - ROWS_MAX);
    }
    text
}

/// What happened last, oldest first.
#[must_use]
pub fn last_entries(log: &Log, count: usize) -> String {
    let entries: Vec<_> = log.entries().collect();
    let mut text = String::new();
    for (at, entry) in &entries[entries.len().saturating_sub(count)..] {
        let _ = writeln!(text, "{:>12.3}  {entry}", at.as_secs_f64());
    }
    text
}
