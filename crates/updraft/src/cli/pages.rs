//! Whole lists, loaded page by page.

use updraft_model::filter::Page;
use updraft_store::listing::{ListError, Listed};

use super::failure::Failure;

/// How many rows are loaded at a time.
const PAGE_ROWS: i64 = 5_000;

/// All rows of a list, in the order of this column.
pub(super) async fn load_all<T>(
    order_by: &str,
    mut list: impl AsyncFnMut(&Page) -> Result<Listed<T>, ListError>,
) -> Result<Vec<T>, Failure> {
    let mut rows = Vec::new();
    loop {
        let page = Page {
            limit: PAGE_ROWS,
            offset: i64::try_from(rows.len())?,
            order_by: vec![order_by.to_owned()],
        };
        let listed = list(&page).await?;
        let is_last = listed.rows.is_empty();
        rows.extend(listed.rows);
        if is_last || i64::try_from(rows.len())? >= listed.total {
            return Ok(rows);
        }
    }
}
