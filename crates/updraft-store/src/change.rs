//! Hints about what changed: within the process by a bounded channel, between processes by
//! PostgreSQL's `LISTEN`/`NOTIFY`.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sqlx::postgres::PgListener;
use tokio::sync::broadcast;
use tracing::{debug, warn};
use updraft_model::{DagId, RunId};
use uuid::Uuid;

/// The name of the `NOTIFY` channel.
pub(crate) const CHANNEL: &str = "updraft";

/// Hints a slow listener may be behind before it misses some; it then looks at everything.
const BACKLOG_MAX: usize = 4096;

/// PostgreSQL refuses payloads of 8000 bytes and more.
const PAYLOAD_BYTES_MAX: usize = 7_000;

/// Pause before the listener connects again.
const RECONNECT_PAUSE: Duration = Duration::from_secs(1);

/// Where something changed. It says where to look, never what to conclude.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// A run or its task instances.
    DagRun { dag_id: DagId, run_id: RunId },
    /// A Dag: paused, unpaused, a new version, a new schedule.
    Dag { dag_id: DagId },
    /// What waits for a Dag may become a run: an asset was updated, or a run made room.
    Waiting { dag_id: DagId },
    /// A pool was made larger, or a limit moved: anything scheduled may fit now.
    Capacity,
    /// A callback request waits for the Dag processor.
    CallbackRequested,
    /// A file should be parsed soon.
    ParseRequested,
    /// A trigger was created or is no longer needed.
    Trigger,
    /// Something has a time limit that it did not have before, or another one.
    Deadline,
    /// A row waits for the word of the user's Python, or listeners are to be told something.
    PythonWanted,
    /// A callback or a connection test waits for a slot of an executor.
    Urgent,
    /// Hints were lost: look at everything.
    Everything,
}

/// The in-process side: who tells and who listens.
#[derive(Clone, Debug)]
pub struct Changes {
    sender: broadcast::Sender<Change>,
    /// Tells our own notifications from those of other processes.
    origin: Uuid,
}

#[derive(Serialize, Deserialize)]
struct Payload {
    origin: Uuid,
    changes: Vec<Change>,
}

impl Changes {
    pub(crate) fn new(origin: Uuid) -> Self {
        Self {
            sender: broadcast::Sender::new(BACKLOG_MAX),
            origin,
        }
    }

    /// Starts listening. A receiver that reports it lagged must look at everything.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Change> {
        self.sender.subscribe()
    }

    /// Tells those who listen in this process, for what has changed outside of the rows.
    pub fn tell(&self, changes: Vec<Change>) {
        for change in changes {
            // Nobody listening is fine: the scan finds it.
            let _ = self.sender.send(change);
        }
    }

    /// The hints in texts short enough for one notification each.
    pub(crate) fn payloads(&self, changes: &[Change]) -> Vec<String> {
        let mut payloads = Vec::new();
        let mut rest = changes;
        while !rest.is_empty() {
            let mut taken = rest.len();
            let mut text = self.payload(rest);
            while text.len() > PAYLOAD_BYTES_MAX && taken > 1 {
                taken /= 2;
                text = self.payload(&rest[..taken]);
            }
            if text.len() > PAYLOAD_BYTES_MAX {
                text = self.payload(&[Change::Everything]);
            }
            payloads.push(text);
            rest = &rest[taken..];
        }
        payloads
    }

    fn payload(&self, changes: &[Change]) -> String {
        serde_json::to_string(&Payload {
            origin: self.origin,
            changes: changes.to_vec(),
        })
        .expect("ids are plain text")
    }

    /// Forwards what other processes notify until it is dropped; reconnects by itself.
    pub(crate) async fn forward_from(&self, url: &str) {
        loop {
            match self.listen(url).await {
                Ok(never) => match never {},
                Err(error) => {
                    warn!(error = %error, "lost the notification connection");
                    self.tell(vec![Change::Everything]);
                    tokio::time::sleep(RECONNECT_PAUSE).await;
                }
            }
        }
    }

    async fn listen(&self, url: &str) -> Result<std::convert::Infallible, sqlx::Error> {
        let mut listener = PgListener::connect(url).await?;
        listener.listen(CHANNEL).await?;
        // Whatever was notified while nobody listened is lost.
        self.tell(vec![Change::Everything]);
        loop {
            let Some(notification) = listener.try_recv().await? else {
                return Err(sqlx::Error::PoolClosed);
            };
            match serde_json::from_str::<Payload>(notification.payload()) {
                Ok(payload) if payload.origin == self.origin => {}
                Ok(payload) => self.tell(payload.changes),
                // A newer version of Updraft may say things this one does not know.
                Err(error) => {
                    debug!(error = %error, "did not understand a notification");
                    self.tell(vec![Change::Everything]);
                }
            }
        }
    }
}
