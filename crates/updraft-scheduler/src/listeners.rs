//! Beside the loop: calls the listeners of plugins for what the server did.
//!
//! What happened was noted with the change itself, in the same transaction. Events are told in that
//! order, each listener by itself; one that raises, hangs or dies is logged with its name and misses
//! that event, and nobody else does. An event is forgotten when everybody was told, so one that was
//! being told when the process died is told again.

mod subject;

use std::convert::Infallible;
use std::time::Duration;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;
use updraft_plugins::{Error as PluginError, ListenerCall, Plugins, Subject};
use updraft_runtime::{CancellationToken, Clock};
use updraft_store::{Change, Error as StoreError, ListenerEvent, PluginInventory, Store};

pub(crate) use subject::rows_of_run;

/// Events that are told before the next look.
const BATCH_MAX: i64 = 100;

/// Events that wait at most. Listeners that are slower than the server miss the oldest.
const WAITING_MAX: i64 = 10_000;

/// How often events are looked for although nobody told of any.
const SCAN_INTERVAL: Duration = Duration::from_secs(30);

/// Whoever calls listeners is believed to be alive for so long. More than a batch of calls that all
/// take as long as they may.
const LEASE: Duration = Duration::from_secs(120);

/// Pause before another try when nobody could be asked.
const RETRY_PAUSE: Duration = Duration::from_secs(2);

/// Every hook of the server side. The others are called in the processes of tasks.
const HOOKS: &[&str] = &[
    "on_starting",
    "on_dag_run_running",
    "on_dag_run_success",
    "on_dag_run_failed",
    "on_task_instance_success",
    "on_task_instance_failed",
    "on_task_instance_skipped",
    "on_asset_created",
    "on_asset_alias_created",
    "on_asset_changed",
    "on_asset_event_emitted",
    "on_new_dag_import_error",
    "on_existing_dag_import_error",
];

/// Calls listeners.
pub struct ListenerCaller {
    store: Store,
    plugins: Plugins,
    clock: Clock,
    /// Tells this process from others that share the store.
    me: String,
    is_started: bool,
}

/// Whether everybody was told.
enum Told {
    Yes,
    /// There is no Python: the event waits.
    NotNow,
}

impl ListenerCaller {
    /// `me` names this process among those that share the store.
    #[must_use]
    pub const fn new(store: Store, plugins: Plugins, clock: Clock, me: String) -> Self {
        Self {
            store,
            plugins,
            clock,
            me,
            is_started: false,
        }
    }

    /// Works until `shutdown`.
    ///
    /// # Errors
    /// Never: what goes wrong is tried again.
    pub async fn run(mut self, shutdown: CancellationToken) -> Result<(), Infallible> {
        let mut changes = self.store.changes().subscribe();
        let mut scan = interval(SCAN_INTERVAL);
        scan.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                () = next_wish(&mut changes) => {}
                _ = scan.tick() => {}
            }
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                told = self.tell_all() => if let Err(error) = told {
                    warn!(%error, "failed to look for what listeners are to be told");
                }
            }
        }
    }

    /// Tells everything that waits.
    async fn tell_all(&mut self) -> Result<(), StoreError> {
        let inventory = self.store.read().await?.load_plugin_inventory().await?;
        if !HOOKS
            .iter()
            .any(|hook| inventory.listeners.contains_key(*hook))
        {
            return Ok(());
        }
        while self.is_caller().await? {
            if !self.is_started {
                self.start(&inventory).await;
            }
            let events = self
                .store
                .read()
                .await?
                .load_listener_events(BATCH_MAX)
                .await?;
            if events.is_empty() {
                return Ok(());
            }
            let is_full = i64::try_from(events.len()).is_ok_and(|count| count == BATCH_MAX);
            for event in &events {
                if let Told::NotNow = self.tell(&inventory, event).await? {
                    self.clock.sleep(RETRY_PAUSE).await;
                    return Ok(());
                }
                self.forget(event).await?;
            }
            if is_full {
                self.drop_old().await?;
            }
        }
        Ok(())
    }

    async fn is_caller(&self) -> Result<bool, StoreError> {
        let (store, clock) = (&self.store, &self.clock);
        store
            .retry(|| async {
                let mut tx = store.write().await?;
                let is_mine = tx
                    .become_listener_caller(&self.me, clock.now(), LEASE)
                    .await?;
                tx.commit().await?;
                Ok(is_mine)
            })
            .await
    }

    /// Tells listeners that the server starts.
    async fn start(&mut self, inventory: &PluginInventory) {
        self.is_started = true;
        for listener in inventory.listeners.get("on_starting").into_iter().flatten() {
            let call = ListenerCall {
                hook: "on_starting",
                listener,
                subject: Subject::Start,
            };
            self.call(&call).await;
        }
    }

    async fn tell(
        &self,
        inventory: &PluginInventory,
        event: &ListenerEvent,
    ) -> Result<Told, StoreError> {
        let Some(hook) = HOOKS.iter().find(|hook| **hook == event.hook) else {
            return Ok(Told::Yes);
        };
        let listeners = inventory.listeners.get(*hook);
        let Some(listeners) = listeners.filter(|listeners| !listeners.is_empty()) else {
            return Ok(Told::Yes);
        };
        let Some(subject) = subject::of(&self.store, event).await? else {
            // What it is about is gone, or nobody can read it.
            return Ok(Told::Yes);
        };
        for listener in listeners {
            let call = ListenerCall {
                hook,
                listener,
                subject: subject.clone(),
            };
            if let Told::NotNow = self.call(&call).await {
                return Ok(Told::NotNow);
            }
        }
        Ok(Told::Yes)
    }

    async fn call(&self, call: &ListenerCall<'_>) -> Told {
        let (listener, hook) = (call.listener, call.hook);
        match self.plugins.call_listener(call).await {
            Ok(_) => Told::Yes,
            Err(error) if error.is_transient() => Told::NotNow,
            Err(error @ PluginError::LeftAlone { .. }) => {
                warn!(listener, hook, %error, "a listener misses an event");
                Told::Yes
            }
            Err(error) => {
                let traceback = error.traceback().unwrap_or_default();
                warn!(listener, hook, %error, traceback, "a listener failed; it misses the event");
                Told::Yes
            }
        }
    }

    async fn forget(&self, event: &ListenerEvent) -> Result<(), StoreError> {
        let store = &self.store;
        store
            .retry(|| async {
                let mut tx = store.write().await?;
                tx.delete_listener_events(&[event.id]).await?;
                tx.commit().await
            })
            .await
    }

    async fn drop_old(&self) -> Result<(), StoreError> {
        let store = &self.store;
        let dropped = store
            .retry(|| async {
                let mut tx = store.write().await?;
                let dropped = tx.drop_old_listener_events(WAITING_MAX).await?;
                tx.commit().await?;
                Ok(dropped)
            })
            .await?;
        if dropped > 0 {
            warn!(
                dropped,
                "listeners are slower than the server; they miss the oldest events"
            );
        }
        Ok(())
    }
}

async fn next_wish(changes: &mut broadcast::Receiver<Change>) {
    loop {
        match changes.recv().await {
            Ok(Change::PythonWanted | Change::Everything) | Err(RecvError::Lagged(_)) => return,
            Ok(_) => {}
            // The store is closing, and so is everything.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}
