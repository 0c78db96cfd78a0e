//! From rows to values: columns are taken in the order of the statement, never by position number.

use jiff::Timestamp;
use serde_json::Value;
use sqlx::any::{AnyRow, AnyTypeInfoKind};
use sqlx::{AssertSqlSafe, Row, SqlSafeStr, ValueRef};
use uuid::Uuid;

use crate::Error;
use crate::session::Statement;

/// Reads one row from left to right.
pub(crate) struct Columns<'r> {
    table: &'static str,
    row: &'r AnyRow,
    next: usize,
}

type Decoded<T> = Result<T, Error>;

impl<'r> Columns<'r> {
    /// `table` names the row in errors.
    pub(crate) fn of(table: &'static str, row: &'r AnyRow) -> Self {
        Self {
            table,
            row,
            next: 0,
        }
    }

    fn wrong(&self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        Error::Row {
            table: self.table,
            source: source.into(),
        }
    }

    fn take<T>(&mut self) -> Decoded<T>
    where
        T: sqlx::Decode<'r, sqlx::Any> + sqlx::Type<sqlx::Any>,
    {
        let index = self.next;
        self.next += 1;
        self.row.try_get(index).map_err(|error| self.wrong(error))
    }

    pub(crate) fn text(&mut self) -> Decoded<&'r str> {
        self.take()
    }

    pub(crate) fn text_or_null(&mut self) -> Decoded<Option<&'r str>> {
        self.take()
    }

    pub(crate) fn owned(&mut self) -> Decoded<String> {
        self.take()
    }

    pub(crate) fn owned_or_null(&mut self) -> Decoded<Option<String>> {
        self.take()
    }

    /// Any type made of a text: an id, for example.
    pub(crate) fn id<T: From<&'r str>>(&mut self) -> Decoded<T> {
        Ok(self.text()?.into())
    }

    pub(crate) fn id_or_null<T: From<&'r str>>(&mut self) -> Decoded<Option<T>> {
        Ok(self.text_or_null()?.map(T::from))
    }

    /// Any type read from a text: a state, for example.
    pub(crate) fn parsed<T>(&mut self) -> Decoded<T>
    where
        T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
    {
        self.text()?
            .parse()
            .map_err(|error: T::Err| self.wrong(error))
    }

    pub(crate) fn parsed_or_null<T>(&mut self) -> Decoded<Option<T>>
    where
        T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
    {
        self.text_or_null()?
            .map(str::parse)
            .transpose()
            .map_err(|error: T::Err| self.wrong(error))
    }

    pub(crate) fn big(&mut self) -> Decoded<i64> {
        self.take()
    }

    pub(crate) fn big_or_null(&mut self) -> Decoded<Option<i64>> {
        self.take()
    }

    pub(crate) fn int(&mut self) -> Decoded<i32> {
        self.take()
    }

    pub(crate) fn int_or_null(&mut self) -> Decoded<Option<i32>> {
        self.take()
    }

    pub(crate) fn real(&mut self) -> Decoded<f64> {
        self.take()
    }

    pub(crate) fn real_or_null(&mut self) -> Decoded<Option<f64>> {
        self.take()
    }

    /// A `BOOLEAN` of PostgreSQL or a 0 or 1 of SQLite.
    pub(crate) fn flag(&mut self) -> Decoded<bool> {
        let raw = self
            .row
            .try_get_raw(self.next)
            .map_err(|error| self.wrong(error))?;
        if raw.type_info().kind() == AnyTypeInfoKind::Bool {
            self.take()
        } else {
            Ok(self.big()? != 0)
        }
    }

    pub(crate) fn instant(&mut self) -> Decoded<Timestamp> {
        let micros = self.big()?;
        Timestamp::from_microsecond(micros).map_err(|error| self.wrong(error))
    }

    pub(crate) fn instant_or_null(&mut self) -> Decoded<Option<Timestamp>> {
        self.big_or_null()?
            .map(Timestamp::from_microsecond)
            .transpose()
            .map_err(|error| self.wrong(error))
    }

    pub(crate) fn uuid(&mut self) -> Decoded<Uuid> {
        self.parsed()
    }

    pub(crate) fn uuid_or_null(&mut self) -> Decoded<Option<Uuid>> {
        self.parsed_or_null()
    }

    pub(crate) fn json(&mut self) -> Decoded<Value> {
        self.decoded()
    }

    pub(crate) fn json_or_null(&mut self) -> Decoded<Option<Value>> {
        self.decoded_or_null()
    }

    /// Any type that JSON text describes.
    pub(crate) fn decoded<T: serde::Deserialize<'r>>(&mut self) -> Decoded<T> {
        serde_json::from_str(self.text()?).map_err(|error| self.wrong(error))
    }

    pub(crate) fn decoded_or_null<T: serde::Deserialize<'r>>(&mut self) -> Decoded<Option<T>> {
        self.text_or_null()?
            .map(serde_json::from_str)
            .transpose()
            .map_err(|error| self.wrong(error))
    }
}

/// The stored form of an instant.
pub(crate) fn micros(instant: Timestamp) -> i64 {
    instant.as_microsecond()
}

/// The stored form of an instant that may be missing.
pub(crate) fn micros_or_null(instant: Option<Timestamp>) -> Option<i64> {
    instant.map(micros)
}

/// A set as one parameter; see [`crate::Dialect::one_of_texts`].
pub(crate) fn text_array<T: std::fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    Value::from_iter(items.into_iter().map(|item| item.to_string())).to_string()
}

/// A set as one parameter; see [`crate::Dialect::one_of_ints`].
pub(crate) fn int_array(items: impl IntoIterator<Item = i64>) -> String {
    Value::from_iter(items).to_string()
}

/// Takes an assembled statement. Its parts are literals, column lists of this crate and fragments
/// of [`crate::Dialect`]; a value is always bound.
pub(crate) fn assembled(sql: String) -> impl SqlSafeStr {
    AssertSqlSafe(sql)
}

/// Binds a duration in seconds that may be missing.
///
/// sqlx 0.9 sends a missing `f64` through `Any` as a `REAL`, which PostgreSQL then expects of every
/// later value too; a missing `f32` it sends as the `DOUBLE PRECISION` that we mean.
pub(crate) fn bind_real(statement: Statement<'_>, value: Option<f64>) -> Statement<'_> {
    match value {
        Some(value) => statement.bind(value),
        None => statement.bind(None::<f32>),
    }
}

/// A column list with `alias.` before each name.
pub(crate) fn aliased(alias: &str, columns: &str) -> String {
    let names: Vec<String> = columns
        .split(',')
        .map(|name| format!("{alias}.{}", name.trim()))
        .collect();
    names.join(", ")
}
