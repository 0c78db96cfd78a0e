//! Templates that are a text with names in braces, as Python's `str.format` takes them.

use updraft_timetable::isoformat;

use super::{LogDates, Subject};

/// Names that Airflow fills in.
const NAMES: [&str; 7] = [
    "dag_id",
    "task_id",
    "run_id",
    "data_interval_start",
    "data_interval_end",
    "logical_date",
    "try_number",
];

#[derive(Debug)]
pub(super) struct Braces(Vec<Piece>);

#[derive(Debug)]
enum Piece {
    Text(String),
    Name(&'static str),
}

impl Braces {
    pub(super) fn parse(template: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = template;
        while let Some(at) = rest.find(['{', '}']) {
            let (text, from_brace) = rest.split_at(at);
            pieces.push(Piece::Text(text.to_owned()));
            if let Some(after) = from_brace.strip_prefix("}}") {
                pieces.push(Piece::Text("}".to_owned()));
                rest = after;
                continue;
            }
            let found = from_brace
                .strip_prefix('{')
                .and_then(|inside| inside.split_once('}'));
            let (found, after) = found.ok_or("expected each brace to have its partner")?;
            let name = NAMES
                .into_iter()
                .find(|name| *name == found)
                .ok_or_else(|| {
                    let names = NAMES.join(", ");
                    format!("expected one of {names} in braces, found `{found}`")
                })?;
            pieces.push(Piece::Name(name));
            rest = after;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(Self(pieces))
    }

    pub(super) fn render(&self, subject: &Subject, dates: &LogDates) -> String {
        let pieces = self.0.iter().map(|piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Name(name) => value_of(name, subject, dates),
        });
        pieces.collect()
    }
}

fn value_of(name: &str, subject: &Subject, dates: &LogDates) -> String {
    let key = &subject.key;
    let (start, end) = dates.data_interval.unzip();
    match name {
        "dag_id" => key.dag_id.to_string(),
        "task_id" => key.task_id.to_string(),
        "run_id" => key.run_id.to_string(),
        "data_interval_start" => start.map(isoformat).unwrap_or_default(),
        "data_interval_end" => end.map(isoformat).unwrap_or_default(),
        "logical_date" => isoformat(dates.date()),
        _ => key.try_number.to_string(),
    }
}
