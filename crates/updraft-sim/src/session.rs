//! A worker's supervision of one child: the real machine and the real rows, around a simulated
//! child.

use std::time::Duration;

use tokio::sync::oneshot;
use updraft_executor::Outcome as ExecutorOutcome;
use updraft_model::workload::Workload;
use updraft_runtime::SimulatedTime;
use updraft_task_comms::masker::{MaskerConfig, SecretsMasker};
use updraft_task_comms::session::{Assignment, Moment, SessionConfig, TaskSession};
use updraft_worker::Rows;

use crate::child::ChildId;

/// Names a session; never used twice in a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SessionId(pub(crate) u64);

/// One supervision.
pub(crate) struct Session {
    pub(crate) host: usize,
    pub(crate) workload: Workload,
    pub(crate) rows: Rows,
    pub(crate) machine: TaskSession,
    pub(crate) child: ChildId,
    /// When it began, since the start of the world.
    pub(crate) began: Duration,
    /// Tells the executor how it went; a second delivery has no executor behind it.
    pub(crate) finish: Option<oneshot::Sender<ExecutorOutcome>>,
    /// When its next tick is due.
    pub(crate) tick: Option<Duration>,
}

impl Session {
    pub(crate) fn machine_for(assignment: Assignment, config: SessionConfig) -> TaskSession {
        let masker = SecretsMasker::new(MaskerConfig::default());
        TaskSession::new(assignment, config, masker)
    }

    pub(crate) fn moment(&self, time: &SimulatedTime) -> Moment {
        Moment {
            at: updraft_runtime::Clock::simulated(time.clone()).now(),
            elapsed: time.elapsed().saturating_sub(self.began),
        }
    }
}
