//! Selects Dag runs by the partition they are for.

use serde::Serialize;

use crate::fields::{Body, Fields};
use crate::time::Moment;
use crate::value;

/// The runs a body selects: by name, or by their partition.
#[derive(Clone, Debug)]
pub enum RunSelection<N> {
    Named(N),
    Key(String),
    /// By partition date, both ends included; at least one is there.
    Window(PartitionWindow),
}

/// A stretch of partition dates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartitionWindow {
    pub start: Option<Moment>,
    pub end: Option<Moment>,
}

/// The selectors of partitions in a body, before anything is known of the others.
#[derive(Clone, Debug)]
pub(crate) struct Partitions {
    key: Option<String>,
    window: PartitionWindow,
}

impl Partitions {
    pub(crate) fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            key: fields.optional("partition_key", value::text),
            window: PartitionWindow {
                start: fields.optional("partition_date_start", value::moment),
                end: fields.optional("partition_date_end", value::moment),
            },
        }
    }

    /// The one selector that is there; `by_name` is the field of `named`.
    pub(crate) fn or_named<N: Default>(
        self,
        fields: &mut Fields<'_>,
        by_name: &str,
        named: Option<N>,
    ) -> RunSelection<N> {
        let Self { key, window } = self;
        let has_window = window != PartitionWindow::default();
        let selectors = [named.is_some(), key.is_some(), has_window];
        fields.rule(
            selectors.iter().filter(|given| **given).count() == 1,
            &format!(
                "Exactly one of {by_name}, partition_key, or a partition date window \
                 (partition_date_start / partition_date_end) must be provided."
            ),
        );
        let in_order = window.start.zip(window.end);
        fields.rule(
            in_order.is_none_or(|(start, end)| start.instant <= end.instant),
            "partition_date_start must be on or before partition_date_end.",
        );
        match (named, key) {
            (None, None) if has_window => RunSelection::Window(window),
            (None, Some(key)) => RunSelection::Key(key),
            (named, _) => RunSelection::Named(named.unwrap_or_default()),
        }
    }
}

/// The body that takes runs off their partitions.
#[derive(Clone, Debug)]
pub struct ClearPartitionsBody {
    /// Named is one run, by its id.
    pub runs: RunSelection<String>,
    pub clear_task_instances: bool,
    pub dry_run: bool,
}

impl Body for ClearPartitionsBody {
    fn read(fields: &mut Fields<'_>) -> Self {
        let partitions = Partitions::read(fields);
        let run_id = fields.optional("run_id", value::text);
        let clear_task_instances = fields.or("clear_task_instances", false, value::boolean);
        let dry_run = fields.or("dry_run", true, value::boolean);
        Self {
            runs: partitions.or_named(fields, "run_id", run_id),
            clear_task_instances,
            dry_run,
        }
    }
}

/// How much was cleared, or would be.
#[derive(Clone, Debug, Serialize)]
pub struct ClearPartitionsResponse {
    pub dag_runs_cleared: usize,
    pub task_instances_cleared: usize,
    pub dry_run: bool,
}
