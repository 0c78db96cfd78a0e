//! Triggers that nobody waits for any more.

use std::collections::BTreeSet;

use updraft_model::{JobId, TriggerId};

use crate::row::{Columns, assembled, int_array};
use crate::{Error, Reader, Tx};

/// Somebody waits for the trigger `t`.
const NEEDED: &str = "(EXISTS (SELECT 1 FROM task_instance AS ti
                               WHERE ti.trigger_id = t.id AND ti.state = 'deferred')
                       OR EXISTS (SELECT 1 FROM asset_watcher AS w WHERE w.trigger_id = t.id)
                       OR t.kind = 'callback')";

impl Reader {
    /// The triggers of a triggerer for which somebody still waits.
    pub async fn load_needed_triggers(
        &mut self,
        triggerer: JobId,
    ) -> Result<BTreeSet<TriggerId>, Error> {
        let statement = sqlx::query(assembled(format!(
            "SELECT t.id
               FROM trigger AS t
              WHERE t.triggerer_id = $1 AND {NEEDED}
                AND COALESCE(t.callback_state, 'queued') NOT IN ('success', 'failed')"
        )))
        .bind(triggerer.0);
        self.fetch_all("load needed triggers", statement)
            .await?
            .iter()
            .map(|row| Columns::of("trigger", row).big().map(TriggerId))
            .collect()
    }
}

impl Tx {
    /// Deletes triggers that nobody waits for, at most `limit`. Returns how many.
    ///
    /// A callback's trigger is its owner's to delete.
    pub async fn delete_unneeded_triggers(&mut self, limit: i64) -> Result<u64, Error> {
        // Held first and looked at again: an asset may have begun to watch it meanwhile.
        let statement = sqlx::query(assembled(format!(
            "SELECT t.id FROM trigger AS t WHERE NOT {NEEDED} ORDER BY t.id LIMIT $1 {}",
            self.dialect().for_update_skip_locked("t"),
        )))
        .bind(limit);
        let found = self.fetch_all("find unneeded triggers", statement).await?;
        let ids = found
            .iter()
            .map(|row| Columns::of("trigger", row).big())
            .collect::<Result<Vec<_>, _>>()?;
        if ids.is_empty() {
            return Ok(0);
        }
        let theirs = self.dialect().one_of_ints("t.id", "$1");
        let statement = sqlx::query(assembled(format!(
            "DELETE FROM trigger AS t WHERE {theirs} AND NOT {NEEDED}"
        )))
        .bind(int_array(ids));
        self.execute("delete unneeded triggers", statement).await
    }
}
