//! Which task instances an action is about.

use std::collections::BTreeSet;

use jiff::Timestamp;
use updraft_model::filter::Page;
use updraft_model::serialized::{SerializedDag, TaskIndex};
use updraft_model::task_instance::TaskInstance;
use updraft_model::{MapIndex, TaskId};
use updraft_planning::clear::selection::{Reach, companions};
use updraft_rest_api::task_instance::Include;
use updraft_store::Reader;
use updraft_store::listing::TaskInstanceFilter;

use crate::error::ApiError;

/// A task, or one instance of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Selector {
    pub(crate) task_id: TaskId,
    pub(crate) map_index: Option<MapIndex>,
}

/// The tasks above and below some tasks, with the setups and teardowns that go with them. The tasks
/// themselves are among them only if another one leads to them.
pub(crate) fn relatives_of(
    dag: &SerializedDag,
    tasks: &[Selector],
    include: Include,
) -> BTreeSet<TaskId> {
    let reach = match (include.upstream, include.downstream) {
        (false, false) => Reach::Only,
        (true, false) => Reach::Upstream,
        (false, true) => Reach::Downstream,
        (true, true) => Reach::Both,
    };
    let chosen: Vec<TaskIndex> = tasks
        .iter()
        .filter_map(|selector| dag.index_of(selector.task_id.as_str()))
        .collect();
    companions(dag, &chosen, reach)
        .into_iter()
        .map(|index| dag.task(index).task_id.clone())
        .collect()
}

/// The rows of the selected tasks; `None` selects every task. `filter` says in which runs and
/// states.
pub(crate) async fn select_rows(
    reader: &mut Reader,
    mut filter: TaskInstanceFilter,
    selectors: Option<&[Selector]>,
    now: Timestamp,
) -> Result<Vec<TaskInstance>, ApiError> {
    filter.task_ids = selectors.map(|selectors| {
        let ids: BTreeSet<TaskId> = selectors.iter().map(|each| each.task_id.clone()).collect();
        ids.into_iter().collect()
    });
    let everything = Page {
        limit: i64::MAX,
        offset: 0,
        order_by: vec!["id".to_owned()],
    };
    let listed = reader
        .list_task_instances(&filter, &everything, now)
        .await?;
    let mut rows = listed.rows;
    if let Some(selectors) = selectors {
        rows.retain(|row| selectors.iter().any(|selector| selects(selector, row)));
    }
    Ok(rows)
}

fn selects(selector: &Selector, row: &TaskInstance) -> bool {
    selector.task_id == row.task_id
        && selector
            .map_index
            .is_none_or(|index| index == row.map_index)
}
