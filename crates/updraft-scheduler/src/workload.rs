//! From a queued row to what the executor gets.

use updraft_executor::{ExecutorWorkload, Workload};
use updraft_model::task_instance::TaskInstance;

/// The workload of a queued try.
pub(crate) fn workload_of(queued: updraft_store::Workload) -> ExecutorWorkload {
    let ti = queued.task_instance;
    let workload = Workload {
        log_path: log_path(&ti),
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

/// The place of a try's log below `[logging] base_log_folder`: the default of
/// `log_filename_template`.
///
/// Source: runtime protocols §1.12.
fn log_path(ti: &TaskInstance) -> String {
    let TaskInstance {
        dag_id,
        run_id,
        task_id,
        map_index,
        try_number,
        ..
    } = ti;
    let mapped = if map_index.is_mapped() {
        format!("map_index={map_index}/")
    } else {
        String::new()
    };
    format!("dag_id={dag_id}/run_id={run_id}/task_id={task_id}/{mapped}attempt={try_number}.log")
}
