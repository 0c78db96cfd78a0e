//! Lists of questions to people.

use jiff::Timestamp;
use sqlx::any::AnyRow;
use updraft_model::filter::{Page, Pattern, Range};
use updraft_model::hitl::HitlDetail;
use updraft_model::task_instance::TaskInstance;
use updraft_model::{DagId, RunId, TaskId, TaskInstanceState};

use super::order::{Order, Orderable};
use super::select::{List, Select};
use super::{ListError, Listed};
use crate::hitl::{HITL_COLUMNS, take_hitl_detail};
use crate::row::{Columns, aliased};
use crate::task_instance::{TASK_INSTANCE_COLUMNS, take_task_instance};
use crate::{Error, Reader};

const ORDER: &[Orderable] = &[
    ("ti_id", "h.ti_id"),
    ("subject", "h.subject"),
    ("responded_at", "h.responded_at"),
    ("created_at", "h.created_at"),
    ("responded_by_user_id", "h.responded_by_user_id"),
    ("responded_by_user_name", "h.responded_by_user_name"),
    ("dag_id", "ti.dag_id"),
    ("run_id", "ti.run_id"),
    ("task_display_name", "ti.task_id"),
    (
        "run_after",
        "(SELECT r.run_after FROM dag_run r WHERE r.dag_id = ti.dag_id AND r.run_id = ti.run_id)",
    ),
    ("rendered_map_index", "ti.rendered_map_index"),
    ("task_instance_operator", "ti.operator"),
    ("task_instance_state", "ti.state"),
];

/// Which questions are listed: those of the present tries.
#[derive(Clone, Debug, Default)]
pub struct HitlDetailFilter {
    pub dag_id: Option<DagId>,
    pub run_id: Option<RunId>,
    pub task_id: Option<TaskId>,
    pub map_index: Option<i64>,
    pub dag_id_pattern: Pattern,
    pub task_id_pattern: Pattern,
    /// `NoStatus` stands for instances without a state.
    pub states: Vec<TaskInstanceState>,
    pub response_received: Option<bool>,
    pub responded_by_user_ids: Vec<String>,
    pub responded_by_user_names: Vec<String>,
    /// A piece of the subject, with wildcards.
    pub subject: Option<String>,
    pub body: Option<String>,
    pub created_at: Range<Timestamp>,
}

impl Reader {
    /// A page of questions with the task instances that ask them.
    pub async fn list_hitl_details(
        &mut self,
        filter: &HitlDetailFilter,
        page: &Page,
    ) -> Result<Listed<(HitlDetail, TaskInstance)>, ListError> {
        let mut select = Select::new(self.dialect());
        narrow(&mut select, filter);
        let columns = format!(
            "h.ti_id, {}, {}",
            aliased("h", HITL_COLUMNS),
            aliased("ti", TASK_INSTANCE_COLUMNS)
        );
        let list = List {
            doing: "list questions to people",
            columns: &columns,
            from: "hitl_detail AS h JOIN task_instance AS ti ON ti.id = h.ti_id",
            order: Order::parse(ORDER, "ti_id", &["h.ti_id"], &page.order_by)?,
            limit: page.limit,
            offset: page.offset,
        };
        Ok(self.page(&list, &select, both_from).await?)
    }
}

fn narrow(select: &mut Select, filter: &HitlDetailFilter) {
    select.equals("ti.dag_id", filter.dag_id.as_ref().map(DagId::as_str));
    select.equals("ti.run_id", filter.run_id.as_ref().map(RunId::as_str));
    select.equals("ti.task_id", filter.task_id.as_ref().map(TaskId::as_str));
    select.equals_int("ti.map_index", filter.map_index);
    select.pattern("ti.dag_id", &filter.dag_id_pattern);
    select.pattern("ti.task_id", &filter.task_id_pattern);
    let states: Vec<Option<TaskInstanceState>> = filter
        .states
        .iter()
        .map(|state| (*state != TaskInstanceState::NoStatus).then_some(*state))
        .collect();
    select.one_of_or_null("ti.state", &states);
    match filter.response_received {
        Some(true) => select.require("h.responded_at IS NOT NULL"),
        Some(false) => select.require("h.responded_at IS NULL"),
        None => {}
    }
    select.one_of("h.responded_by_user_id", &filter.responded_by_user_ids);
    select.one_of("h.responded_by_user_name", &filter.responded_by_user_names);
    select.pattern("h.subject", &anywhere(filter.subject.as_ref()));
    select.pattern("h.body", &anywhere(filter.body.as_ref()));
    select.range("h.created_at", &filter.created_at);
}

fn anywhere(piece: Option<&String>) -> Pattern {
    Pattern {
        anywhere: piece.cloned(),
        prefix: None,
    }
}

fn both_from(row: &AnyRow) -> Result<(HitlDetail, TaskInstance), Error> {
    let mut columns = Columns::of("hitl_detail", row);
    Ok((
        take_hitl_detail(&mut columns)?,
        take_task_instance(&mut columns)?,
    ))
}
