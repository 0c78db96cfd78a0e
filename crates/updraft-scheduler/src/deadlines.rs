//! Time limits that pass: waits for people, deadlines of runs, connection tests that never answered.
//!
//! The next limit is a row; the scheduler sleeps until then. Somebody who sets a limit hints at it,
//! and a lost hint is made up for by the slow scan.
//!
//! Source: scheduling semantics §7.3, §7.12.

mod miss;
mod resolve;
#[cfg(test)]
mod tests;

use jiff::{SignedDuration, Timestamp};
use tracing::{info, warn};
use updraft_execution::{OverdueInput, resolve_overdue_input};
use updraft_model::connection_test::ConnectionTestState;
use updraft_store::Reader;

use crate::Error;
use crate::scheduler::Scheduler;

/// Limits of one kind that one transaction deals with.
const LIMITS_PER_STEP: i64 = 100;

/// The next limit of each kind.
struct Limits {
    input: Option<Timestamp>,
    deadline: Option<Timestamp>,
    connection_test: Option<Timestamp>,
    /// There are deadlines whose time nobody has worked out.
    has_unresolved: bool,
}

impl Limits {
    /// The next that has not passed. One that has and is still there is on the next page, or
    /// another scheduler has it in hand.
    fn next(&self, now: Timestamp) -> Option<Timestamp> {
        let all = [self.input, self.deadline, self.connection_test];
        all.into_iter().flatten().filter(|next| *next >= now).min()
    }
}

impl Scheduler {
    /// Deals with a page of limits of each kind that have passed, and notes when the next one does.
    pub(crate) async fn end_waits(&mut self, now: Timestamp) -> Result<(), Error> {
        let has_passed = |limit: Option<Timestamp>| limit.is_some_and(|limit| limit < now);
        let mut limits = self.find_limits().await?;
        let mut is_full = false;
        if limits.has_unresolved {
            is_full |= self.resolve_deadlines(now).await?;
            limits = self.find_limits().await?;
        }
        if has_passed(limits.input) {
            is_full |= self.end_patience(now).await?;
        }
        if has_passed(limits.deadline) {
            is_full |= self.miss_deadlines(now).await?;
        }
        if has_passed(limits.connection_test) {
            is_full |= self.give_up_connection_tests(now).await?;
        }
        self.agenda.deadlines |= is_full;
        self.agenda.next_deadline = self.find_limits().await?.next(now);
        Ok(())
    }

    async fn find_limits(&self) -> Result<Limits, Error> {
        let mut reader = self.store.read().await?;
        Ok(Limits {
            input: reader.find_next_input_deadline().await?,
            deadline: reader.find_next_deadline().await?,
            connection_test: self.next_connection_test(&mut reader).await?,
            has_unresolved: reader.has_unresolved_deadlines().await?,
        })
    }

    /// Whether there may be more.
    async fn end_patience(&mut self, now: Timestamp) -> Result<bool, Error> {
        let mut tx = self.store.write().await?;
        let overdue = resolve_overdue_input(&mut tx, now, LIMITS_PER_STEP).await?;
        tx.commit().await?;
        let OverdueInput {
            count,
            resolved,
            failed,
        } = overdue;
        if count > 0 {
            info!(resolved, failed, "ended waits for people whose time was up");
        }
        Ok(is_page(count))
    }

    /// When the connection test that has waited longest is given up.
    async fn next_connection_test(&self, reader: &mut Reader) -> Result<Option<Timestamp>, Error> {
        let oldest = reader.find_oldest_connection_test().await?;
        Ok(oldest.and_then(|at| at.checked_add(self.connection_test_patience()).ok()))
    }

    /// How long a connection test may be silent: its time limit and some air, as in Airflow.
    fn connection_test_patience(&self) -> SignedDuration {
        const AIR_MIN: SignedDuration = SignedDuration::from_secs(30);
        let limit = SignedDuration::try_from(self.options.connection_test_timeout)
            .unwrap_or(SignedDuration::MAX);
        limit.saturating_add(AIR_MIN.max(limit / 2))
    }

    /// Whether there may be more.
    async fn give_up_connection_tests(&mut self, now: Timestamp) -> Result<bool, Error> {
        let mut tx = self.store.write().await?;
        let since = now - self.connection_test_patience();
        let stale = tx
            .lock_stale_connection_tests(since, LIMITS_PER_STEP)
            .await?;
        for test in &stale {
            let why = match test.state {
                ConnectionTestState::Pending => "found no free executor",
                ConnectionTestState::Queued => "was queued, but did not start",
                _ => "timed out",
            };
            let patience = self.connection_test_patience().as_secs();
            let why = format!("Connection test {why} within {patience} s");
            let connection_id = &test.connection.conn_id;
            warn!(connection_id, error = why, "gave up a connection test");
            tx.finish_connection_test(test.id, ConnectionTestState::Failed, &why, now)
                .await?;
        }
        tx.commit().await?;
        Ok(is_page(stale.len()))
    }
}

fn is_page(count: usize) -> bool {
    i64::try_from(count).is_ok_and(|count| count >= LIMITS_PER_STEP)
}
