//! Dag runs by their partitions: found, listed by date, and taken off them.

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use updraft_model::DagId;
use updraft_model::filter::Range;
use updraft_model::task_instance::TaskInstance;
use updraft_planning::clear::{RunAfterClear, RunningInstances};
use updraft_rest_api::partition::{
    ClearPartitionsBody, ClearPartitionsResponse, PartitionWindow, RunSelection,
};
use updraft_rest_api::query::Query;
use updraft_rest_api::time::Moment;
use updraft_rest_api::value;
use updraft_store::{PartitionSelection, Reader, RunKey};
use updraft_timetable::Timetable;

use crate::actions::{ClearOrder, clear};
use crate::call::{ANY, Answer, Call, ok};
use crate::error::ApiError;

/// `POST /dags/{dag_id}/clearPartitions`.
pub(crate) async fn clear_partitions(call: Call) -> Answer {
    let body = call.read::<ClearPartitionsBody>()?;
    let mut reader = call.reader().await?;
    let dag_id = call.dag_id();
    let timetable = timetable_of(&call, &mut reader, &dag_id).await?;
    let named = match &body.runs {
        RunSelection::Named(run_id) => Some(run_id.as_str().into()),
        _ => None,
    };
    let selection = match (&body.runs, &named) {
        (_, Some(run_id)) => PartitionSelection::Run(run_id),
        (runs, None) => by_partition(&timetable, runs)?,
    };
    let runs = reader.load_partition_runs(&dag_id, selection).await?;
    let mut rows: Vec<TaskInstance> = Vec::new();
    for run in runs.iter().filter(|_| body.clear_task_instances) {
        let of_run = reader.load_task_instances_of_run(&dag_id, &run.run_id);
        rows.extend(of_run.await?);
    }
    drop(reader);
    let dag_runs_cleared = runs.iter().filter(|run| run.has_partition()).count();
    let task_instances_cleared = rows.len();
    if !body.dry_run {
        let run_ids = runs.into_iter().map(|run| run.run_id);
        let keys: Vec<RunKey> = run_ids.map(|run_id| key(&call, run_id)).collect();
        let order = ClearOrder {
            running: RunningInstances::Restart,
            after: RunAfterClear::Queued,
            run_on_latest_version: Some(false),
            rerun_with_latest_version: false,
        };
        // Cut short between the two, the same request still finds the runs.
        clear(&call.state, &rows, order).await?;
        take_off(&call, &keys).await?;
    }
    ok(&ClearPartitionsResponse {
        dag_runs_cleared,
        task_instances_cleared,
        dry_run: body.dry_run,
    })
}

async fn take_off(call: &Call, keys: &[RunKey]) -> Result<(), ApiError> {
    let (store, now) = (call.state.store(), call.state.clock().now());
    store
        .retry(|| async {
            let mut tx = store.write().await?;
            for key in keys {
                tx.clear_partition(&key.dag_id, &key.run_id, now).await?;
            }
            tx.commit().await
        })
        .await?;
    Ok(())
}

/// The runs of a Dag that a body selects by their partition.
pub(crate) async fn selected<N>(
    call: &Call,
    reader: &mut Reader,
    runs: &RunSelection<N>,
) -> Result<Vec<RunKey>, ApiError> {
    let dag_id = call.dag_id();
    if dag_id == ANY {
        return Err(ApiError::bad_request(
            "Partition selectors require a concrete dag_id; '~' is not supported.",
        ));
    }
    let timetable = timetable_of(call, reader, &dag_id).await?;
    let selection = by_partition(&timetable, runs)?;
    let found = reader.load_partition_runs(&dag_id, selection).await?;
    let run_ids = found.into_iter().map(|run| run.run_id);
    Ok(run_ids.map(|run_id| key(call, run_id)).collect())
}

fn key(call: &Call, run_id: updraft_model::RunId) -> RunKey {
    RunKey {
        dag_id: call.dag_id(),
        run_id,
    }
}

fn by_partition<'b, N>(
    timetable: &Timetable,
    runs: &'b RunSelection<N>,
) -> Result<PartitionSelection<'b>, ApiError> {
    let window = match runs {
        RunSelection::Key(key) => return Ok(PartitionSelection::Key(key)),
        RunSelection::Window(window) => *window,
        RunSelection::Named(_) => PartitionWindow::default(),
    };
    let localized = |bound: Option<Moment>| bound.map(|it| localized(timetable, it)).transpose();
    Ok(PartitionSelection::Window {
        start: localized(window.start)?,
        end: localized(window.end)?,
    })
}

fn localized(timetable: &Timetable, moment: Moment) -> Result<Timestamp, ApiError> {
    timetable
        .localize_partition_date(moment.wall_clock, moment.instant)
        .map_err(|e| ApiError::bad_request(e.to_string()))
}

/// The days that a list of runs is narrowed to, both included.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PartitionDays {
    first: Option<Date>,
    last: Option<Date>,
}

impl PartitionDays {
    pub(crate) fn read(query: &mut Query) -> Self {
        Self {
            first: query.read("partition_date_gte", value::day),
            last: query.read("partition_date_lte", value::day),
        }
    }

    /// Where these days begin and end where the Dag is.
    pub(crate) async fn range(
        self,
        call: &Call,
        reader: &mut Reader,
    ) -> Result<Range<Timestamp>, ApiError> {
        let dag_id = call.dag_id();
        if self.first.is_none() && self.last.is_none() {
            return Ok(Range::default());
        }
        if dag_id == ANY {
            return Err(ApiError::bad_request(
                "partition_date_gte and partition_date_lte require a specific dag_id.",
            ));
        }
        let timetable = timetable_of(call, reader, &dag_id).await?;
        if !timetable.partitioned() {
            return Err(ApiError::bad_request(format!(
                "Dag with dag_id: '{dag_id}' is not partitioned; partition_date_gte and \
                 partition_date_lte are not supported."
            )));
        }
        let beyond = self.last.map(|last| last.saturating_add(1.day()));
        let midnight = |day: Option<Date>| day.map(|day| midnight(&timetable, day)).transpose();
        Ok(Range {
            gte: midnight(self.first)?,
            lt: midnight(beyond)?,
            ..Range::default()
        })
    }
}

fn midnight(timetable: &Timetable, day: Date) -> Result<Timestamp, ApiError> {
    let wall_clock = day.at(0, 0, 0, 0);
    let instant = jiff::tz::Offset::UTC.to_timestamp(wall_clock);
    let instant = instant.unwrap_or(Timestamp::MAX);
    localized(
        timetable,
        Moment {
            instant,
            wall_clock,
        },
    )
}

async fn timetable_of(
    call: &Call,
    reader: &mut Reader,
    dag_id: &DagId,
) -> Result<Timetable, ApiError> {
    let dag = call.require_serialized(reader, dag_id).await?;
    Timetable::from_serialized(&dag.attributes().timetable)
        .map_err(|e| ApiError::bad_request(e.to_string()))
}
