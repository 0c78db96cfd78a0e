//! A row of `connection_test_request`: a connection that is tried out before, or without, being
//! stored.

use jiff::Timestamp;
use uuid::Uuid;

use crate::connection::Connection;
use crate::str_enum::str_enum;

str_enum! {
    /// How far a test has come.
    pub enum ConnectionTestState("connection test state") {
        /// Waits for a slot.
        Pending = "pending",
        /// An executor has it.
        Queued = "queued",
        Running = "running",
        Success = "success",
        Failed = "failed",
    }
}

impl ConnectionTestState {
    /// Nothing more will come of it.
    #[must_use]
    pub const fn is_finished(self) -> bool {
        matches!(self, Self::Success | Self::Failed)
    }
}

/// One test.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectionTest {
    pub id: Uuid,
    /// The secret with which its client asks for the result.
    pub token: String,
    pub connection: Connection,
    /// Whether the connection is stored when it works.
    pub commit_on_success: bool,
    pub executor: Option<String>,
    pub queue: Option<String>,
    pub state: ConnectionTestState,
    pub result_message: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}
