//! Walking a long list by cursor: the next page starts after a row, not after a number of rows.
//!
//! Missing values come first in ascending order on both databases, because a walk has to know where
//! they are.

use sqlx::any::{AnyRow, AnyTypeInfoKind};
use sqlx::{Row, ValueRef};

use super::order::{Key, direction};
use super::select::{List, Parameter, Select};
use super::{ListError, WALK_TOTAL_MAX, Walked};
use crate::{Error, Reader};

/// A value of a sort key.
#[derive(Clone, Debug, PartialEq)]
pub enum CursorValue {
    Null,
    Int(i64),
    Real(f64),
    Text(String),
}

/// The row a page starts after.
#[derive(Clone, Debug, PartialEq)]
pub struct Cursor {
    /// The sort keys of the row.
    pub values: Vec<CursorValue>,
    /// The page ends before the row instead.
    pub backwards: bool,
}

impl Reader {
    /// One page of a walk.
    pub(crate) async fn walk<T>(
        &mut self,
        list: &List<'_>,
        select: &Select,
        cursor: Option<&Cursor>,
        read: fn(&AnyRow) -> Result<T, Error>,
    ) -> Result<Walked<T>, ListError> {
        let (columns, from, keys) = (list.columns, list.from, &list.order.keys);
        let backwards = cursor.is_some_and(|cursor| cursor.backwards);
        let mut page = select.clone();
        if let Some(cursor) = cursor {
            if cursor.values.len() != keys.len() {
                return Err(ListError::CursorShape);
            }
            let condition = beyond(&mut page, keys, &cursor.values, backwards);
            page.require(condition);
        }
        let sort_keys: Vec<&str> = keys.iter().map(|key| key.column).collect();
        // The sort keys stand behind the row's own columns, which `read` takes from the front.
        let sql = format!(
            "SELECT {columns}, {} FROM {from} {} ORDER BY {} LIMIT {}",
            sort_keys.join(", "),
            page.filter(),
            order(keys, backwards),
            list.limit + 1,
        );
        let mut found = self.fetch_all(list.doing, page.statement(sql)).await?;
        let more = i64::try_from(found.len()).unwrap_or(i64::MAX) > list.limit;
        if more {
            found.pop();
        }
        if backwards {
            found.reverse();
        }
        let (before, after) = if backwards {
            (more, true)
        } else {
            (cursor.is_some(), more)
        };
        let edge = |row: Option<&AnyRow>, wanted: bool, backwards| -> Result<_, Error> {
            let Some(row) = row.filter(|_| wanted) else {
                return Ok(None);
            };
            let values = values_of(row, keys.len())?;
            Ok(Some(Cursor { values, backwards }))
        };
        let rows = found.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let sql = format!(
            "SELECT COUNT(*) FROM (SELECT 1 FROM {from} {} LIMIT {WALK_TOTAL_MAX}) AS counted",
            select.filter()
        );
        Ok(Walked {
            next: edge(found.last(), after, false)?,
            previous: edge(found.first(), before, true)?,
            total: self.count(list.doing, select, sql).await?,
            rows,
        })
    }
}

/// Rows that come after (or before) the one with these sort keys.
fn beyond(select: &mut Select, keys: &[Key], values: &[CursorValue], backwards: bool) -> String {
    let mut same = Vec::new();
    let mut alternatives = Vec::new();
    for (key, value) in keys.iter().zip(values) {
        let mut conditions = same.clone();
        conditions.push(past(select, key, value, backwards));
        alternatives.push(format!("({})", conditions.join(" AND ")));
        same.push(equal(select, key, value));
    }
    format!("({})", alternatives.join(" OR "))
}

fn past(select: &mut Select, key: &Key, value: &CursorValue, backwards: bool) -> String {
    let column = key.column;
    match (bound(select, value), key.descending != backwards) {
        (None, false) => format!("{column} IS NOT NULL"),
        (None, true) => "1 = 0".to_owned(),
        (Some(bound), false) => format!("{column} > {bound}"),
        (Some(bound), true) => format!("({column} < {bound} OR {column} IS NULL)"),
    }
}

fn equal(select: &mut Select, key: &Key, value: &CursorValue) -> String {
    let column = key.column;
    match bound(select, value) {
        None => format!("{column} IS NULL"),
        Some(bound) => format!("{column} = {bound}"),
    }
}

fn bound(select: &mut Select, value: &CursorValue) -> Option<String> {
    let parameter = match value {
        CursorValue::Null => return None,
        CursorValue::Int(number) => Parameter::Int(*number),
        CursorValue::Real(number) => Parameter::Real(*number),
        CursorValue::Text(text) => Parameter::Text(text.clone()),
    };
    Some(select.bind(parameter))
}

fn order(keys: &[Key], backwards: bool) -> String {
    let keys: Vec<String> = keys
        .iter()
        .map(|key| {
            let direction = direction(key.descending != backwards);
            let column = key.column;
            format!("({column} IS NOT NULL){direction}, {column}{direction}")
        })
        .collect();
    keys.join(", ")
}

fn values_of(row: &AnyRow, keys: usize) -> Result<Vec<CursorValue>, Error> {
    let wrong = |source: sqlx::Error| Error::Row {
        table: "sort key",
        source: source.into(),
    };
    (row.len() - keys..row.len())
        .map(|index| {
            let kind = row.try_get_raw(index).map_err(wrong)?.type_info().kind();
            Ok(match kind {
                AnyTypeInfoKind::Null => CursorValue::Null,
                AnyTypeInfoKind::Double | AnyTypeInfoKind::Real => row
                    .try_get::<Option<f64>, _>(index)
                    .map_err(wrong)?
                    .map_or(CursorValue::Null, CursorValue::Real),
                AnyTypeInfoKind::Text => row
                    .try_get::<Option<String>, _>(index)
                    .map_err(wrong)?
                    .map_or(CursorValue::Null, CursorValue::Text),
                _ => row
                    .try_get::<Option<i64>, _>(index)
                    .map_err(wrong)?
                    .map_or(CursorValue::Null, CursorValue::Int),
            })
        })
        .collect()
}
