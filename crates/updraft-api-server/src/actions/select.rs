//! Which task instances an action is about.

use std::collections::BTreeSet;

use jiff::Timestamp;
use updraft_model::filter::Page;
use updraft_model::serialized::{SerializedDag, TaskIndex};
use updraft_model::task_instance::TaskInstance;
use updraft_model::{MapIndex, TaskId};
use updraft_planning::clear::selection::{Reach, companions};
use updraft_planning::run::RunView;
use updraft_planning::run::relatives::{Direction, Target, find_relatives};
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

/// As [`relatives_of`], within one run: an instance of a mapped task leads to those that belong to
/// it. The selectors themselves are among what is given.
pub(crate) fn with_relatives_in_run(
    view: &RunView<'_>,
    selectors: &[Selector],
    include: Include,
    now: Timestamp,
) -> Vec<Selector> {
    let dag = view.dag;
    let target_of = |selector: &Selector| {
        let index = dag.index_of(selector.task_id.as_str())?;
        Some(match selector.map_index {
            Some(map_index) => Target::Instance(index, map_index),
            None => Target::Task(index),
        })
    };
    let mut targets: BTreeSet<Target> = selectors.iter().filter_map(target_of).collect();
    // Quirk: what is below is searched from what was found above, too.
    let directions = [
        (include.upstream, Direction::Upstream),
        (include.downstream, Direction::Downstream),
    ];
    for (_, direction) in directions.into_iter().filter(|(is_asked, _)| *is_asked) {
        let from: Vec<Target> = targets.iter().copied().collect();
        targets.extend(find_relatives(view, &from, direction, now));
    }
    let whole = |target: &Target| match target {
        Target::Task(index) | Target::Instance(index, _) => *index,
    };
    let tasks: BTreeSet<TaskIndex> = targets.iter().map(whole).collect();
    let tasks: Vec<TaskIndex> = tasks.into_iter().collect();
    targets.extend(
        companions(dag, &tasks, Reach::Only)
            .into_iter()
            .filter(|index| !tasks.contains(index))
            .map(Target::Task),
    );
    targets
        .into_iter()
        .map(|target| Selector {
            task_id: dag.task(whole(&target)).task_id.clone(),
            map_index: match target {
                Target::Task(_) => None,
                Target::Instance(_, map_index) => Some(map_index),
            },
        })
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
