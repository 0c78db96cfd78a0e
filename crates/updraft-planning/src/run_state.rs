//! The state of a Dag run and the three timestamps that move with it.
//!
//! Source: §1.2.

use jiff::Timestamp;
use updraft_model::DagRunState;

#[cfg(test)]
mod tests;

/// When a run was queued, started and ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunTimes {
    pub queued_at: Option<Timestamp>,
    pub start_date: Option<Timestamp>,
    pub end_date: Option<Timestamp>,
}

impl RunTimes {
    /// The times after the run goes from `old` to `new`; `old` is `None` for a run that is being
    /// made.
    #[must_use]
    pub fn after(self, old: Option<DagRunState>, new: DagRunState, now: Timestamp) -> Self {
        use DagRunState as R;
        let changed = old != Some(new);
        match new {
            R::Queued if changed => Self {
                queued_at: Some(now),
                start_date: None,
                end_date: None,
            },
            R::Queued => Self {
                queued_at: Some(now),
                ..self
            },
            R::Running if changed => Self {
                start_date: match old {
                    None | Some(R::Queued) => self.start_date.or(Some(now)),
                    Some(_) => Some(now),
                },
                end_date: None,
                ..self
            },
            // Going from one end to the other keeps the time of the first.
            R::Success | R::Failed if !old.is_some_and(DagRunState::is_finished) => Self {
                end_date: Some(now),
                ..self
            },
            R::Running | R::Success | R::Failed => self,
        }
    }
}
