//! Which triggerer runs which trigger.
//!
//! Any number of triggerers share the triggers. A trigger belongs to the job in `triggerer_id`; it
//! is free when there is none, and set free when that job is not running any more.
//!
//! Source: scheduling semantics §7.1.

use updraft_model::trigger::TriggerKind;
use updraft_model::{JobId, TriggerId};

use crate::row::{Columns, assembled, text_array};
use crate::{Change, Dialect, Error, Reader, Tx};

/// Callbacks first, then tasks, then assets.
const ORDER: [TriggerKind; 3] = [TriggerKind::Callback, TriggerKind::Task, TriggerKind::Asset];

/// What a triggerer may take.
#[derive(Clone, Debug)]
pub struct TriggerClaim<'a> {
    pub triggerer: JobId,
    /// So many more it can run.
    pub free: usize,
    /// `[triggerer] max_trigger_to_select_per_loop`: at most so many of each kind, so that others
    /// get their share.
    pub limit: usize,
    pub queues: &'a TriggerQueues,
}

/// Which queues a triggerer serves. Triggers have one only with `[triggerer] queues_enabled`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TriggerQueues {
    /// Every trigger, with a queue or without.
    All,
    /// Triggers without a queue.
    None,
    /// Triggers of these queues.
    Named(Vec<String>),
}

impl TriggerQueues {
    fn names(&self) -> &[String] {
        match self {
            Self::All | Self::None => &[],
            Self::Named(names) => names,
        }
    }

    /// `parameter` is bound in any case.
    fn condition(&self, dialect: Dialect, parameter: &str) -> String {
        match self {
            Self::All => format!("{parameter} IS NOT NULL"),
            Self::None => format!("queue IS NULL AND {parameter} IS NOT NULL"),
            Self::Named(_) => dialect.one_of_texts("queue", parameter),
        }
    }
}

impl Tx {
    /// Takes free triggers: callbacks, then those of the heaviest task instances, then assets;
    /// among equals the oldest first. What another triggerer is just taking is left to it.
    pub async fn claim_triggers(
        &mut self,
        claim: &TriggerClaim<'_>,
    ) -> Result<Vec<TriggerId>, Error> {
        let mut claimed = Vec::new();
        for kind in ORDER {
            let limit = claim.limit.min(claim.free - claimed.len());
            if limit > 0 {
                claimed.extend(self.claim_of_kind(claim, kind, limit).await?);
            }
        }
        Ok(claimed)
    }

    async fn claim_of_kind(
        &mut self,
        claim: &TriggerClaim<'_>,
        kind: TriggerKind,
        limit: usize,
    ) -> Result<Vec<TriggerId>, Error> {
        let statement = sqlx::query(assembled(claim_sql(self.dialect(), claim.queues)))
            .bind(claim.triggerer.0)
            .bind(kind.as_str())
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .bind(text_array(claim.queues.names()));
        self.fetch_all("claim triggers", statement)
            .await?
            .iter()
            .map(|row| Columns::of("trigger", row).big().map(TriggerId))
            .collect()
    }

    /// Sets the triggers free whose triggerer is not running. Returns how many.
    pub async fn release_orphaned_triggers(&mut self) -> Result<u64, Error> {
        let statement = sqlx::query(
            "UPDATE trigger
                SET triggerer_id = NULL
              WHERE triggerer_id IS NOT NULL
                AND triggerer_id NOT IN (SELECT id FROM job WHERE state = 'running')",
        );
        let count = self.execute("release orphaned triggers", statement).await?;
        if count > 0 {
            self.changed(Change::Trigger);
        }
        Ok(count)
    }

    /// Sets the triggers of a triggerer free that stops.
    pub async fn release_triggers_of(&mut self, triggerer: JobId) -> Result<u64, Error> {
        let statement =
            sqlx::query("UPDATE trigger SET triggerer_id = NULL WHERE triggerer_id = $1")
                .bind(triggerer.0);
        let count = self.execute("release triggers", statement).await?;
        if count > 0 {
            self.changed(Change::Trigger);
        }
        Ok(count)
    }
}

impl Reader {
    /// Whether any trigger is free: reading is cheaper than trying to claim.
    pub async fn has_free_triggers(&mut self, queues: &TriggerQueues) -> Result<bool, Error> {
        let statement = sqlx::query(assembled(format!(
            "SELECT EXISTS (SELECT 1 FROM trigger WHERE {})",
            free_condition(self.dialect(), queues, "$1"),
        )))
        .bind(text_array(queues.names()));
        let row = self.fetch_one("look for free triggers", statement).await?;
        Columns::of("trigger", &row).flag()
    }
}

fn free_condition(dialect: Dialect, queues: &TriggerQueues, parameter: &str) -> String {
    format!(
        "triggerer_id IS NULL AND {}
             AND COALESCE(callback_state, 'queued') NOT IN ('success', 'failed')",
        queues.condition(dialect, parameter),
    )
}

/// What `claim_of_kind` runs.
pub(crate) fn claim_sql(dialect: Dialect, queues: &TriggerQueues) -> String {
    format!(
        "UPDATE trigger
            SET triggerer_id = $1
          WHERE id IN (SELECT t.id
                         FROM trigger AS t
                        WHERE t.kind = $2 AND {}
                        ORDER BY t.priority_weight DESC, t.created_date, t.id
                        LIMIT $3
                        {})
          RETURNING id",
        free_condition(dialect, queues, "$4"),
        dialect.for_update_skip_locked("t"),
    )
}
