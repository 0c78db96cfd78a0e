//! The run ids that timetables give to their runs.

use jiff::Timestamp;
use updraft_model::DagRunType;

use super::Timetable;
use crate::run_id::isoformat;

impl Timetable {
    /// The id of a new run.
    ///
    /// `random` is used where two runs may be due at the same instant: give eight fresh letters
    /// and digits.
    #[must_use]
    pub fn generate_run_id(
        &self,
        run_type: DagRunType,
        run_after: Timestamp,
        partition_key: Option<&str>,
        random: &str,
    ) -> String {
        match self {
            Self::AssetOrTime(both) if run_type != DagRunType::AssetTriggered => both
                .time
                .generate_run_id(run_type, run_after, partition_key, random),
            Self::CronPartition(_) => {
                let run_after = isoformat(run_after);
                match partition_key.filter(|key| !key.is_empty()) {
                    Some(key) => format!("{run_type}__{run_after}__{key}__{random}"),
                    None => format!("{run_type}__{run_after}__{random}"),
                }
            }
            _ => format!("{run_type}__{}", isoformat(run_after)),
        }
    }
}
