//! Runs found by the partition they are for, and taken off it.

use jiff::Timestamp;
use sqlx::any::AnyRow;
use updraft_model::{DagId, RunId};

use crate::row::{Columns, assembled, micros};
use crate::{Error, Reader, Tx};

/// Which runs of a Dag.
#[derive(Clone, Copy, Debug)]
pub enum PartitionSelection<'a> {
    Run(&'a RunId),
    Key(&'a str),
    /// By partition date, both ends included. A run without a date is never meant.
    Window {
        start: Option<Timestamp>,
        end: Option<Timestamp>,
    },
}

/// A run and its partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionRun {
    pub run_id: RunId,
    pub partition_key: Option<String>,
    pub partition_date: Option<Timestamp>,
}

impl PartitionRun {
    /// Whether the run is for a partition.
    #[must_use]
    pub const fn has_partition(&self) -> bool {
        self.partition_key.is_some() || self.partition_date.is_some()
    }
}

impl Reader {
    /// The runs that `selection` means, by date and id.
    pub async fn load_partition_runs(
        &mut self,
        dag_id: &DagId,
        selection: PartitionSelection<'_>,
    ) -> Result<Vec<PartitionRun>, Error> {
        let condition = match selection {
            PartitionSelection::Run(_) => "run_id = $2",
            PartitionSelection::Key(_) => "partition_key = $2",
            PartitionSelection::Window { .. } => {
                "partition_date IS NOT NULL AND partition_date >= $2 AND partition_date <= $3"
            }
        };
        let text = format!(
            "SELECT run_id, partition_key, partition_date
               FROM dag_run
              WHERE dag_id = $1 AND {condition}
              ORDER BY partition_date, run_id"
        );
        let statement = sqlx::query(assembled(text)).bind(dag_id.as_str());
        let statement = match selection {
            PartitionSelection::Run(run_id) => statement.bind(run_id.as_str()),
            PartitionSelection::Key(key) => statement.bind(key),
            PartitionSelection::Window { start, end } => statement
                .bind(start.map_or(i64::MIN, micros))
                .bind(end.map_or(i64::MAX, micros)),
        };
        let rows = self
            .fetch_all("load the runs of partitions", statement)
            .await?;
        rows.iter().map(partition_run_from).collect()
    }
}

impl Tx {
    /// Takes a run off its partition. `false`: it was for none, or is gone.
    pub async fn clear_partition(
        &mut self,
        dag_id: &DagId,
        run_id: &RunId,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let statement = sqlx::query(
            "UPDATE dag_run
                SET partition_key = NULL, partition_date = NULL, updated_at = $3
              WHERE dag_id = $1 AND run_id = $2
                AND (partition_key IS NOT NULL OR partition_date IS NOT NULL)",
        )
        .bind(dag_id.as_str())
        .bind(run_id.as_str())
        .bind(micros(now));
        let cleared = self
            .execute("take a run off its partition", statement)
            .await?
            == 1;
        if cleared {
            self.run_changed(dag_id, run_id);
        }
        Ok(cleared)
    }
}

fn partition_run_from(row: &AnyRow) -> Result<PartitionRun, Error> {
    let mut columns = Columns::of("dag_run", row);
    Ok(PartitionRun {
        run_id: columns.id()?,
        partition_key: columns.text_or_null()?.map(str::to_owned),
        partition_date: columns.instant_or_null()?,
    })
}
