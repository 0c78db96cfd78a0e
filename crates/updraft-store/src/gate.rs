//! Where somebody may stand between a role and its database: nobody in production, a simulation
//! that makes calls slow, lets them fail, or never lets them return.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::Change;

/// A point of a conversation at which it can be held up.
#[derive(Clone, Debug, PartialEq)]
pub enum Passage {
    /// A connection to read with is wanted.
    Read,
    /// A write transaction is about to start.
    Write,
    /// A statement is about to run; what it does, in words that finish "failed to …".
    Statement(&'static str),
    /// The transaction is about to be committed.
    Commit,
    /// It is committed, and the caller is about to learn of it; where it changed something.
    Committed(Vec<Change>),
    /// A transaction failed and is tried again after a pause, which is the keeper's to make.
    Pause(Duration),
}

/// Answers when the conversation may go on; an error breaks the connection at this point.
pub type GateKeeper =
    dyn Fn(Passage) -> Pin<Box<dyn Future<Output = std::io::Result<()>> + Send>> + Send + Sync;

/// The gate of a store. Open unless it has a keeper.
#[derive(Clone, Default)]
pub struct Gate(Option<Arc<GateKeeper>>);

impl Gate {
    /// A gate at which `keeper` decides.
    #[must_use]
    pub fn kept_by(keeper: Arc<GateKeeper>) -> Self {
        Self(Some(keeper))
    }

    pub(crate) async fn pass(&self, passage: Passage) -> Result<(), sqlx::Error> {
        match &self.0 {
            None => Ok(()),
            Some(keeper) => keeper(passage).await.map_err(sqlx::Error::Io),
        }
    }

    pub(crate) async fn pass_committed(&self, made: &[Change]) -> Result<(), sqlx::Error> {
        match &self.0 {
            None => Ok(()),
            Some(_) => self.pass(Passage::Committed(made.to_vec())).await,
        }
    }

    pub(crate) async fn pause(&self, pause: Duration) {
        match &self.0 {
            None => tokio::time::sleep(pause).await,
            // A broken connection is no reason to pause less.
            Some(keeper) => drop(keeper(Passage::Pause(pause)).await),
        }
    }
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            None => "Gate(open)",
            Some(_) => "Gate(kept)",
        })
    }
}

#[cfg(test)]
mod tests;
