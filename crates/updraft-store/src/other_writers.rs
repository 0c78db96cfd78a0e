//! Notices that another process wrote to the SQLite file: a command beside a running `standalone`.
//!
//! SQLite notifies nobody, but each connection can say cheaply whether others committed since it
//! was asked last. The writer is the one connection of this process that commits, so what *it* sees
//! was done by somebody else.

use std::time::Duration;

use tracing::debug;

use crate::change::Change;
use crate::row::Columns;
use crate::{Error, Store};

/// Pause between two questions: short for whoever waits for the effect of a command, and so rare
/// that it costs nothing.
const PAUSE: Duration = Duration::from_millis(200);

impl Store {
    /// Tells listeners to look at everything when another process committed. Never returns.
    pub(crate) async fn watch_other_writers(&self) {
        let mut seen = None;
        loop {
            match self.commits_of_others().await {
                Ok(number) => {
                    if seen.replace(number).is_some_and(|before| before != number) {
                        self.changes().tell(vec![Change::Everything]);
                    }
                }
                // Whoever reads or writes next says it louder.
                Err(error) => debug!(error = %error, "could not look for other writers"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// A number that another process changes when it commits, and this one does not.
    async fn commits_of_others(&self) -> Result<i64, Error> {
        let failed = |source| self.failed("look for other writers", source);
        let mut writer = self.writers().acquire().await.map_err(failed)?;
        let row = sqlx::query("PRAGMA data_version")
            .fetch_one(&mut *writer)
            .await
            .map_err(failed)?;
        Columns::of("data_version", &row).big()
    }
}
