//! The `next_*` fields of a Dag: when and for which interval its next scheduled run is created.

use jiff::Timestamp;
use updraft_model::dag::NextDagRun;
use updraft_model::dag_run::DagRun;
use updraft_model::serialized::SerializedDag;

use crate::{DagRunInfo, DataInterval, Error, TimeRestriction, Timetable};

impl TimeRestriction {
    /// The dates between which a Dag may be scheduled.
    ///
    /// Earliest: the first start date of the Dag and its tasks. Latest: the end date of the Dag; or,
    /// when it has none and every task has one, the last of them.
    /// Source: scheduling semantics §2.2.
    #[must_use]
    pub fn of(dag: &SerializedDag) -> Self {
        let attributes = dag.attributes();
        let starts = dag.tasks().iter().filter_map(|task| task.start_date);
        let ends: Option<Vec<Timestamp>> = dag.tasks().iter().map(|task| task.end_date).collect();
        Self {
            earliest: starts.chain(attributes.start_date).min(),
            latest: attributes.end_date.or_else(|| ends?.into_iter().max()),
            catchup: attributes.catchup,
        }
    }
}

/// When the next scheduled run of `dag` is due, seen from its latest automated run; all fields
/// empty when there is none.
///
/// # Errors
/// As [`Timetable::next_dagrun_info`]; such a Dag has no next run.
pub fn next_dagrun(
    dag: &SerializedDag,
    last: Option<&DagRun>,
    now: Timestamp,
) -> Result<NextDagRun, Error> {
    let timetable = Timetable::from_serialized(&dag.attributes().timetable)?;
    let last = last.map(|run| info_of(&timetable, run)).transpose()?;
    let next = timetable.next_dagrun_info(last.as_ref(), &TimeRestriction::of(dag), now)?;
    Ok(next.map_or_else(NextDagRun::default, NextDagRun::from))
}

impl From<DagRunInfo> for NextDagRun {
    /// Its run id is that of its kind.
    fn from(info: DagRunInfo) -> Self {
        Self {
            logical_date: info.logical_date(),
            data_interval_start: info.data_interval.map(|interval| interval.start),
            data_interval_end: info.data_interval.map(|interval| interval.end),
            run_after: Some(info.run_after),
            partition_key: info.partition_key,
            partition_date: info.partition_date,
            run_id: None,
        }
    }
}

fn info_of(timetable: &Timetable, run: &DagRun) -> Result<DagRunInfo, Error> {
    let interval = run.data_interval_start.zip(run.data_interval_end);
    timetable.run_info(
        run.run_after,
        interval.map(|(start, end)| DataInterval { start, end }),
        run.partition_key.as_deref(),
        run.partition_date,
    )
}
