//! What listeners are still to be told: written with the change itself, deleted when they were told.

use jiff::Timestamp;
use serde_json::Value;

use crate::row::{Columns, assembled, int_array, micros};
use crate::{Change, Error, Reader, Tx};

/// Something that listeners of one hook are to be told.
#[derive(Clone, Debug, PartialEq)]
pub struct ListenerEvent {
    pub id: i64,
    pub hook: String,
    /// What it is about, in the words of the hook.
    pub body: Value,
    pub created_at: Timestamp,
}

impl Reader {
    /// The oldest events.
    pub async fn load_listener_events(&mut self, limit: i64) -> Result<Vec<ListenerEvent>, Error> {
        let statement = sqlx::query(
            "SELECT id, hook, body, created_at FROM listener_event ORDER BY id LIMIT $1",
        )
        .bind(limit);
        self.fetch_all("load what listeners are to be told", statement)
            .await?
            .iter()
            .map(|row| {
                let mut columns = Columns::of("listener_event", row);
                Ok(ListenerEvent {
                    id: columns.big()?,
                    hook: columns.owned()?,
                    body: columns.json()?,
                    created_at: columns.instant()?,
                })
            })
            .collect()
    }
}

impl Tx {
    /// Notes something for the listeners of a hook, if there are any.
    pub async fn tell_listeners(
        &mut self,
        hook: &str,
        body: impl FnOnce() -> Value,
        now: Timestamp,
    ) -> Result<(), Error> {
        if !self.has_listeners(hook).await? {
            return Ok(());
        }
        let statement =
            sqlx::query("INSERT INTO listener_event (hook, body, created_at) VALUES ($1, $2, $3)")
                .bind(hook)
                .bind(body().to_string())
                .bind(micros(now));
        self.execute("note something for listeners", statement)
            .await?;
        self.changed(Change::PythonWanted);
        Ok(())
    }

    /// Whether plugins want to hear of something.
    pub(crate) async fn has_listeners(&mut self, hook: &str) -> Result<bool, Error> {
        if let Some(hooks) = self.known_hooks() {
            return Ok(hooks.contains(hook));
        }
        let listeners = self.load_plugin_inventory().await?.listeners;
        let has_any = listeners.contains_key(hook);
        self.remember_hooks(listeners.into_keys().collect());
        Ok(has_any)
    }

    /// Deletes events that listeners were told.
    pub async fn delete_listener_events(&mut self, ids: &[i64]) -> Result<(), Error> {
        let theirs = self.dialect().one_of_ints("id", "$1");
        let statement = sqlx::query(assembled(format!(
            "DELETE FROM listener_event WHERE {theirs}"
        )))
        .bind(int_array(ids.iter().copied()));
        self.execute("delete what listeners were told", statement)
            .await?;
        Ok(())
    }

    /// Deletes the oldest events until `kept` are left. Returns how many listeners will never hear of.
    pub async fn drop_old_listener_events(&mut self, kept: i64) -> Result<u64, Error> {
        let statement = sqlx::query(
            "DELETE FROM listener_event
              WHERE id <= (SELECT id FROM listener_event ORDER BY id DESC LIMIT 1 OFFSET $1)",
        )
        .bind(kept);
        self.execute("drop what listeners are too slow for", statement)
            .await
    }
}
