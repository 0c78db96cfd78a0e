//! Runs at dates from a list.

use jiff::Timestamp;
use serde::Deserialize;

use crate::{DagRunInfo, DataInterval, TimeRestriction};

/// `EventsTimetable`.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "EventsData")]
pub struct Events {
    /// Ascending, each once.
    pub(super) dates: Vec<Timestamp>,
    /// Whether manual runs take the date of an event, too.
    pub(super) restrict_to_events: bool,
    pub(super) description: String,
    pub(super) summary: String,
}

impl Events {
    pub(super) fn next(
        &self,
        last: Option<DataInterval>,
        restriction: &TimeRestriction,
        now: Timestamp,
    ) -> Option<DagRunInfo> {
        let earliest = match restriction.earliest {
            earliest if restriction.catchup => earliest,
            Some(earliest) => Some(earliest.max(now)),
            None => Some(now),
        };
        let is_new = |event: Timestamp| {
            earliest.is_none_or(|earliest| event >= earliest)
                && last.is_none_or(|last| event > last.end)
        };
        self.dates
            .iter()
            .copied()
            .find(|event| is_new(*event))
            .filter(|event| restriction.latest.is_none_or(|latest| *event <= latest))
            .map(DagRunInfo::exact)
    }

    /// The date asked for, or else the latest event up to it; the first one when all are to come.
    pub(super) fn manual_interval(&self, run_after: Timestamp) -> DataInterval {
        let past = self.dates.partition_point(|event| *event <= run_after);
        let event = match self.dates.get(past.saturating_sub(1)) {
            Some(event) if self.restrict_to_events => *event,
            _ => run_after,
        };
        DataInterval::exact(event)
    }
}

/// The SDK leaves `_summary` out and the texts to whoever reads.
#[derive(Deserialize)]
struct EventsData {
    event_dates: Vec<EventDate>,
    restrict_to_events: bool,
    description: Option<String>,
    #[serde(rename = "_summary")]
    summary: Option<String>,
}

/// The text is kept because the description repeats it.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
struct EventDate {
    at: Timestamp,
    text: String,
}

impl TryFrom<String> for EventDate {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.parse() {
            Ok(at) => Ok(Self { at, text }),
            Err(_) => Err(format!(
                "expected an event date with an offset from UTC, found `{text}`"
            )),
        }
    }
}

impl From<EventsData> for Events {
    /// The SDK does not sort the dates; the rules only make sense for sorted ones.
    fn from(data: EventsData) -> Self {
        let mut events = data.event_dates;
        events.sort_by_key(|event| event.at);
        let count = events.len();
        let description =
            data.description
                .clone()
                .unwrap_or_else(|| match (events.first(), events.last()) {
                    (Some(first), Some(last)) => {
                        format!("{count} events between {} and {}", first.text, last.text)
                    }
                    _ => "No events".to_owned(),
                });
        let summary = data
            .summary
            .or(data.description)
            .unwrap_or_else(|| format!("{count} events"));
        let mut dates: Vec<Timestamp> = events.into_iter().map(|event| event.at).collect();
        dates.dedup();
        Self {
            dates,
            restrict_to_events: data.restrict_to_events,
            description,
            summary,
        }
    }
}
