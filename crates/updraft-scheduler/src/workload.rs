//! From a queued row to what the executor gets.

use updraft_execution::{LogDates, LogNames};
use updraft_executor::{ExecutorWorkload, Workload};

/// The workload of a queued try.
pub(crate) fn workload_of(
    queued: updraft_store::Workload,
    log_names: &LogNames,
) -> ExecutorWorkload {
    let dates = LogDates {
        logical_date: queued.logical_date,
        run_after: queued.run_after,
        data_interval: queued.data_interval,
    };
    let ti = queued.task_instance;
    let workload = Workload {
        log_path: log_names.path(&ti, &dates),
        ti_id: ti.id,
        dag_id: ti.dag_id,
        run_id: ti.run_id,
        task_id: ti.task_id,
        map_index: ti.map_index,
        try_number: ti.try_number,
        dag_version_id: ti.dag_version_id,
        queue: ti.queue,
        pool_slots: ti.pool_slots,
        priority_weight: ti.priority_weight,
        bundle_name: queued.bundle_name,
        bundle_version: queued.bundle_version,
        dag_rel_path: queued.relative_fileloc,
    };
    workload.into()
}
