//! Lists of backfills.

use updraft_model::DagId;
use updraft_model::backfill::Backfill;
use updraft_model::filter::Page;

use super::order::{Order, Orderable};
use super::select::{List, Select};
use super::{ListError, Listed};
use crate::Reader;
use crate::backfill::{BACKFILL_COLUMNS, backfill_from};

/// Which backfills are listed.
#[derive(Clone, Debug, Default)]
pub struct BackfillFilter {
    pub dag_id: Option<DagId>,
    /// Only those that are, or are not, completed.
    pub is_completed: Option<bool>,
}

impl Reader {
    /// A page of backfills.
    pub async fn list_backfills(
        &mut self,
        filter: &BackfillFilter,
        page: &Page,
    ) -> Result<Listed<Backfill>, ListError> {
        const ORDER: &[Orderable] = &[("id", "id")];
        let mut select = Select::new(self.dialect());
        select.equals("dag_id", filter.dag_id.as_ref().map(DagId::as_str));
        match filter.is_completed {
            Some(true) => select.require("completed_at IS NOT NULL"),
            Some(false) => select.require("completed_at IS NULL"),
            None => {}
        }
        let list = List {
            doing: "list backfills",
            columns: BACKFILL_COLUMNS,
            from: "backfill",
            order: Order::parse(ORDER, "id", &["id"], &page.order_by)?,
            limit: page.limit,
            offset: page.offset,
        };
        Ok(self.page(&list, &select, backfill_from).await?)
    }
}
