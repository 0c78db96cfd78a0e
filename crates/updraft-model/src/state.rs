//! States, run types and trigger rules, with the sets the scheduling rules speak of.
//!
//! Source: fact sheet "scheduling semantics" §1.1.

use crate::str_enum::str_enum;

/// A text that should have named one of a fixed set and did not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown {kind} `{found}`")]
pub struct UnknownName {
    /// What was expected, in words.
    pub kind: &'static str,
    /// What stood there.
    pub found: String,
}

str_enum! {
    /// What a task instance is doing. No state is [`TaskInstanceState::NoStatus`]: NULL in SQL and
    /// `null` in JSON; only those two edges know.
    pub enum TaskInstanceState("task instance state") {
        NoStatus = "no_status",
        Scheduled = "scheduled",
        Queued = "queued",
        Running = "running",
        Success = "success",
        Restarting = "restarting",
        Failed = "failed",
        UpForRetry = "up_for_retry",
        UpForReschedule = "up_for_reschedule",
        UpstreamFailed = "upstream_failed",
        Skipped = "skipped",
        Removed = "removed",
        Deferred = "deferred",
        AwaitingInput = "awaiting_input",
    }
}

impl TaskInstanceState {
    /// Finished: nothing happens to the instance any more unless it is cleared.
    #[must_use]
    pub const fn is_finished(self) -> bool {
        matches!(
            self,
            Self::Success | Self::Failed | Self::Skipped | Self::UpstreamFailed | Self::Removed
        )
    }

    /// Failed or upstream_failed.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::Failed | Self::UpstreamFailed)
    }

    /// Success or skipped.
    #[must_use]
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Success | Self::Skipped)
    }

    /// A pass may look at its dependencies and schedule it.
    #[must_use]
    pub const fn is_schedulable(self) -> bool {
        matches!(
            self,
            Self::NoStatus | Self::UpForRetry | Self::UpForReschedule
        )
    }

    /// Holds a worker and pool slots.
    #[must_use]
    pub const fn is_executing(self) -> bool {
        matches!(self, Self::Running | Self::Queued)
    }

    /// Counts against `max_active_tis_per_dag` and `max_active_tis_per_dagrun`.
    #[must_use]
    pub const fn is_active(self) -> bool {
        matches!(
            self,
            Self::Running | Self::Queued | Self::Deferred | Self::AwaitingInput
        )
    }

    /// The text for SQL and JSON: `None` for no state.
    #[must_use]
    pub const fn to_nullable(self) -> Option<&'static str> {
        match self {
            Self::NoStatus => None,
            state => Some(state.as_str()),
        }
    }

    /// Reads the nullable text of SQL and JSON.
    ///
    /// # Errors
    /// [`UnknownName`] when the text names no state.
    pub fn from_nullable(text: Option<&str>) -> Result<Self, UnknownName> {
        text.map_or(Ok(Self::NoStatus), str::parse)
    }
}

str_enum! {
    /// What a Dag run is doing.
    pub enum DagRunState("Dag run state") {
        Queued = "queued",
        Running = "running",
        Success = "success",
        Failed = "failed",
    }
}

impl DagRunState {
    /// Success or failed.
    #[must_use]
    pub const fn is_finished(self) -> bool {
        matches!(self, Self::Success | Self::Failed)
    }
}

str_enum! {
    /// Where a Dag run comes from.
    pub enum DagRunType("Dag run type") {
        Backfill = "backfill",
        Scheduled = "scheduled",
        Manual = "manual",
        OperatorTriggered = "operator_triggered",
        AssetTriggered = "asset_triggered",
        AssetMaterialization = "asset_materialization",
    }
}

str_enum! {
    /// Who asked for a Dag run.
    pub enum DagRunTriggeredBy("Dag run trigger source") {
        Cli = "cli",
        Operator = "operator",
        RestApi = "rest_api",
        Ui = "ui",
        Test = "test",
        Timetable = "timetable",
        Asset = "asset",
        Backfill = "backfill",
    }
}

str_enum! {
    /// What a task demands of its upstream tasks.
    pub enum TriggerRule("trigger rule") {
        AllSuccess = "all_success",
        AllFailed = "all_failed",
        AllDone = "all_done",
        AllDoneMinOneSuccess = "all_done_min_one_success",
        AllDoneSetupSuccess = "all_done_setup_success",
        OneSuccess = "one_success",
        OneFailed = "one_failed",
        OneDone = "one_done",
        NoneFailed = "none_failed",
        NoneSkipped = "none_skipped",
        AllSkipped = "all_skipped",
        Always = "always",
        NoneFailedMinOneSuccess = "none_failed_min_one_success",
    }
}
