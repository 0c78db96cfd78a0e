//! What plugins and settings of the cluster want: one row, so that every process knows it, also one
//! that has no Python.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use crate::row::{Columns, micros};
use crate::{Change, Error, Reader, Tx};

/// Whether the cluster has a `task_instance_mutation_hook`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MutationHook {
    /// There is none, or no Python that could have one.
    #[default]
    None,
    /// Python has not said yet.
    Unknown,
    Defined,
}

/// What must be asked or told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PluginInventory {
    pub mutation_hook: MutationHook,
    /// Names of listeners by hook, in the order in which they are called.
    pub listeners: BTreeMap<String, Vec<String>>,
}

impl MutationHook {
    const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Unknown => "unknown",
            Self::Defined => "defined",
        }
    }

    fn parse(text: &str) -> Self {
        match text {
            "defined" => Self::Defined,
            "none" => Self::None,
            _ => Self::Unknown,
        }
    }
}

impl Reader {
    /// What plugins want; nothing where no Python ever ran.
    pub async fn load_plugin_inventory(&mut self) -> Result<PluginInventory, Error> {
        let statement =
            sqlx::query("SELECT mutation_hook, listeners FROM plugin_inventory WHERE id = 1");
        let row = self
            .fetch_optional("load what plugins want", statement)
            .await?;
        let Some(row) = row else {
            return Ok(PluginInventory::default());
        };
        let mut columns = Columns::of("plugin_inventory", &row);
        Ok(PluginInventory {
            mutation_hook: MutationHook::parse(columns.text()?),
            listeners: columns.decoded()?,
        })
    }
}

impl Tx {
    /// Python starts anew: until it has said whether there is a mutation hook, new task instances
    /// wait for it. Listeners are believed to be those of before.
    pub async fn forget_mutation_hook(&mut self, now: Timestamp) -> Result<(), Error> {
        let before = self.load_plugin_inventory().await?;
        let unknown = PluginInventory {
            mutation_hook: MutationHook::Unknown,
            ..before
        };
        self.write_plugin_inventory(&unknown, now).await
    }

    /// Notes what Python has said. What waited for a hook that does not exist goes on.
    pub async fn set_plugin_inventory(
        &mut self,
        inventory: &PluginInventory,
        now: Timestamp,
    ) -> Result<(), Error> {
        self.write_plugin_inventory(inventory, now).await?;
        if inventory.mutation_hook == MutationHook::None {
            let statement = sqlx::query(
                "UPDATE task_instance SET settling = 0 WHERE settling > 0 AND settling = 1",
            );
            if self
                .execute("settle what waited for a hook", statement)
                .await?
                > 0
            {
                self.changed(Change::Everything);
            }
        }
        self.changed(Change::PythonWanted);
        Ok(())
    }

    async fn write_plugin_inventory(
        &mut self,
        inventory: &PluginInventory,
        now: Timestamp,
    ) -> Result<(), Error> {
        let statement = sqlx::query(
            "INSERT INTO plugin_inventory (id, mutation_hook, listeners, updated_at)
             VALUES (1, $1, $2, $3)
             ON CONFLICT (id) DO UPDATE
                SET mutation_hook = excluded.mutation_hook, listeners = excluded.listeners,
                    updated_at = excluded.updated_at",
        )
        .bind(inventory.mutation_hook.as_str())
        .bind(json!(inventory.listeners).to_string())
        .bind(micros(now));
        self.execute("note what plugins want", statement).await?;
        Ok(())
    }

    /// Becomes, or stays, the one who calls listeners: two would tell them everything twice and in
    /// no order. `false`: somebody else is.
    pub async fn become_listener_caller(
        &mut self,
        me: &str,
        now: Timestamp,
        lease: Duration,
    ) -> Result<bool, Error> {
        let until =
            micros(now).saturating_add(i64::try_from(lease.as_micros()).unwrap_or(i64::MAX));
        let statement = sqlx::query(
            "UPDATE plugin_inventory
                SET caller = $1, caller_until = $2
              WHERE id = 1 AND (caller IS NULL OR caller = $1 OR caller_until < $3)",
        )
        .bind(me)
        .bind(until)
        .bind(micros(now));
        Ok(self
            .execute("become the caller of listeners", statement)
            .await?
            == 1)
    }
}
