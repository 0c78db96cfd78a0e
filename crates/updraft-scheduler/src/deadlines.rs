//! Time limits that pass: waits for people.
//!
//! The next limit is a row; the scheduler sleeps until then. Somebody who sets a limit hints at it,
//! and a lost hint is made up for by the slow scan.
//!
//! Source: scheduling semantics §7.3.

use jiff::Timestamp;
use tracing::info;
use updraft_execution::{OverdueInput, resolve_overdue_input};

use crate::Error;
use crate::scheduler::Scheduler;

/// Tasks whose wait for a person ends in one transaction.
const OVERDUE_PER_STEP: i64 = 100;

impl Scheduler {
    /// Deals with a page of limits that have passed, and notes when the next one does.
    pub(crate) async fn end_waits(&mut self, now: Timestamp) -> Result<(), Error> {
        let next = self.store.read().await?.find_next_input_deadline().await?;
        if next.is_none_or(|next| next >= now) {
            self.agenda.next_deadline = next;
            return Ok(());
        }
        let mut tx = self.store.write().await?;
        let overdue = resolve_overdue_input(&mut tx, now, OVERDUE_PER_STEP).await?;
        let next = tx.find_next_input_deadline().await?;
        tx.commit().await?;
        let OverdueInput {
            count,
            resolved,
            failed,
        } = overdue;
        if count > 0 {
            info!(resolved, failed, "ended waits for people whose time was up");
        }
        // What is due and still there is the next page; or another scheduler has it in hand.
        self.agenda.deadlines |= count > 0 && next.is_some_and(|next| next < now);
        self.agenda.next_deadline = next.filter(|next| *next >= now);
        Ok(())
    }
}
