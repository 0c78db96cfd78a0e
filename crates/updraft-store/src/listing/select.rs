//! Conditions and their bound values, collected one filter at a time.

use jiff::Timestamp;
use serde_json::{Value, json};
use updraft_model::filter::{Pattern, Range};
use updraft_model::task_instance::TaskInstance;

use super::order::Order;
use crate::dialect::Kind;
use crate::row::{assembled, int_array, micros, text_array};
use crate::session::Statement;
use crate::{Dialect, Error, Reader, RunKey};

/// A value on its way to the database.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Parameter {
    Text(String),
    Int(i64),
    Real(f64),
    Flag(bool),
}

impl From<Timestamp> for Parameter {
    fn from(instant: Timestamp) -> Self {
        Self::Int(micros(instant))
    }
}

impl From<f64> for Parameter {
    fn from(number: f64) -> Self {
        Self::Real(number)
    }
}

/// The `WHERE` of a list. Column names are literals of this crate; values are always bound.
#[derive(Clone, Debug)]
pub(crate) struct Select {
    dialect: Dialect,
    conditions: Vec<String>,
    parameters: Vec<Parameter>,
}

impl Select {
    pub(crate) fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            conditions: Vec::new(),
            parameters: Vec::new(),
        }
    }

    /// Binds a value; gives its placeholder.
    pub(crate) fn bind(&mut self, parameter: impl Into<Parameter>) -> String {
        self.parameters.push(parameter.into());
        format!("${}", self.parameters.len())
    }

    pub(crate) fn text(&mut self, text: &str) -> String {
        self.bind(Parameter::Text(text.to_owned()))
    }

    /// Adds a condition; every row must meet all of them.
    pub(crate) fn require(&mut self, condition: impl Into<String>) {
        self.conditions.push(condition.into());
    }

    pub(crate) fn equals(&mut self, column: &str, text: Option<&str>) {
        if let Some(text) = text {
            let bound = self.text(text);
            self.require(format!("{column} = {bound}"));
        }
    }

    pub(crate) fn equals_int(&mut self, column: &str, number: Option<i64>) {
        if let Some(number) = number {
            let bound = self.bind(Parameter::Int(number));
            self.require(format!("{column} = {bound}"));
        }
    }

    pub(crate) fn flag(&mut self, column: &str, flag: Option<bool>) {
        if let Some(flag) = flag {
            let bound = self.bind(Parameter::Flag(flag));
            self.require(format!("{column} = {bound}"));
        }
    }

    /// One of the texts; an empty list is no condition.
    pub(crate) fn one_of<T: std::fmt::Display>(&mut self, column: &str, texts: &[T]) {
        if !texts.is_empty() {
            let set = self.set(texts);
            self.require(self.dialect.one_of_texts(column, &set));
        }
    }

    /// One of the texts, where `None` stands for NULL; an empty list is no condition.
    pub(crate) fn one_of_or_null<T: std::fmt::Display>(
        &mut self,
        column: &str,
        texts: &[Option<T>],
    ) {
        if texts.is_empty() {
            return;
        }
        let given: Vec<&T> = texts.iter().flatten().collect();
        let set = self.set(&given);
        let mut condition = self.dialect.one_of_texts(column, &set);
        if given.len() < texts.len() {
            condition = format!("({condition} OR {column} IS NULL)");
        }
        self.require(condition);
    }

    /// One of the numbers; an empty list is no condition.
    pub(crate) fn one_of_ints(&mut self, column: &str, numbers: &[i64]) {
        if !numbers.is_empty() {
            let array = int_array(numbers.iter().copied());
            let set = self.bind(Parameter::Text(array));
            self.require(self.dialect.one_of_ints(column, &set));
        }
    }

    /// A `FROM` item `k` with the columns `dag_id` and `run_id`, one row per run.
    pub(crate) fn run_keys(&mut self, runs: &[RunKey]) -> String {
        let rows: Value = runs
            .iter()
            .map(|run| json!({"dag_id": run.dag_id, "run_id": run.run_id}))
            .collect();
        let bound = self.text(&rows.to_string());
        let columns = [("dag_id", Kind::Text), ("run_id", Kind::Text)];
        self.dialect.rows(&bound, "k", &columns)
    }

    /// A `FROM` item `k` with the columns of a task instance's key, one row per instance.
    pub(crate) fn task_instance_keys(&mut self, task_instances: &[TaskInstance]) -> String {
        let rows: Value = task_instances
            .iter()
            .map(|ti| {
                json!({
                    "dag_id": ti.dag_id,
                    "run_id": ti.run_id,
                    "task_id": ti.task_id,
                    "map_index": ti.map_index,
                })
            })
            .collect();
        let bound = self.text(&rows.to_string());
        let columns = [
            ("dag_id", Kind::Text),
            ("run_id", Kind::Text),
            ("task_id", Kind::Text),
            ("map_index", Kind::Int),
        ];
        self.dialect.rows(&bound, "k", &columns)
    }

    /// Binds a set of texts for [`Dialect::one_of_texts`].
    pub(crate) fn set<T: std::fmt::Display>(&mut self, texts: &[T]) -> String {
        let array = text_array(texts);
        self.bind(Parameter::Text(array))
    }

    pub(crate) fn range<T: Copy + Into<Parameter>>(&mut self, column: &str, range: &Range<T>) {
        let bounds = [
            (">=", range.gte),
            (">", range.gt),
            ("<=", range.lte),
            ("<", range.lt),
        ];
        for (comparison, bound) in bounds {
            if let Some(bound) = bound {
                let bound = self.bind(bound);
                self.require(format!("{column} {comparison} {bound}"));
            }
        }
    }

    /// A range over an instant that counts as `now` while it is missing.
    pub(crate) fn range_or_now(&mut self, column: &str, range: &Range<Timestamp>, now: Timestamp) {
        if *range == Range::default() {
            return;
        }
        let bound = self.bind(now);
        self.range(&format!("COALESCE({column}, {bound})"), range);
    }

    pub(crate) fn pattern(&mut self, column: &str, pattern: &Pattern) {
        self.pattern_of(column, pattern, alternatives);
    }

    /// As [`Self::pattern`], where `|` is a character like any other.
    pub(crate) fn pattern_with_bars(&mut self, column: &str, pattern: &Pattern) {
        self.pattern_of(column, pattern, |text| vec![text]);
    }

    /// `~` is whatever is there.
    fn pattern_of(&mut self, column: &str, pattern: &Pattern, split: fn(&str) -> Vec<&str>) {
        if let Some(anywhere) = pattern.anywhere.as_deref() {
            let anywhere = if anywhere == "~" { "%" } else { anywhere };
            let conditions: Vec<String> = split(anywhere)
                .into_iter()
                .map(|part| {
                    let bound = self.text(&format!("%{}%", part.to_lowercase()));
                    format!("LOWER({column}) LIKE {bound}")
                })
                .collect();
            self.require(format!("({})", conditions.join(" OR ")));
        }
        if let Some(prefix) = pattern.prefix.as_deref() {
            let prefix = if prefix == "~" { "" } else { prefix };
            let conditions: Vec<String> = split(prefix)
                .into_iter()
                .map(|part| self.prefix(column, part))
                .collect();
            self.require(format!("({})", conditions.join(" OR ")));
        }
    }

    /// Airflow compares an index range, for which it drops what is no letter or digit at the end.
    fn prefix(&mut self, column: &str, prefix: &str) -> String {
        let prefix = prefix.trim_end_matches(|c: char| !c.is_alphanumeric());
        let length = prefix.chars().count();
        let bound = self.text(prefix);
        format!("SUBSTR({column}, 1, {length}) = {bound}")
    }

    /// The condition that text holds `part`, whatever the case; nothing in `part` is a wildcard.
    pub(crate) fn containing(&mut self, column: &str, part: &str) -> String {
        let mut escaped = String::with_capacity(part.len());
        for character in part.to_lowercase().chars() {
            if matches!(character, '%' | '_' | '\\') {
                escaped.push('\\');
            }
            escaped.push(character);
        }
        let bound = self.text(&format!("%{escaped}%"));
        format!("LOWER({column}) LIKE {bound} ESCAPE '\\'")
    }

    /// Text that holds one of `parts`; an empty list is no condition.
    pub(crate) fn contains_any(&mut self, column: &str, parts: &[String]) {
        let alternatives: Vec<String> = parts
            .iter()
            .map(|part| self.containing(column, part))
            .collect();
        if !alternatives.is_empty() {
            self.require(format!("({})", alternatives.join(" OR ")));
        }
    }

    /// Requires a row of another table that meets what `narrow` asks of it. `select_from` is the
    /// subquery up to and including the conditions that tie it to this table; without any condition
    /// of `narrow`, nothing is required.
    pub(crate) fn exists(&mut self, select_from: &str, narrow: impl FnOnce(&mut Self)) {
        let outer = std::mem::take(&mut self.conditions);
        narrow(self);
        let inner = std::mem::replace(&mut self.conditions, outer);
        if !inner.is_empty() {
            let inner = inner.join(" AND ");
            self.require(format!("EXISTS ({select_from} AND {inner})"));
        }
    }

    /// `WHERE …`, or nothing.
    pub(crate) fn filter(&self) -> String {
        if self.conditions.is_empty() {
            return String::new();
        }
        format!("WHERE {}", self.conditions.join(" AND "))
    }

    /// The statement with every value bound in order.
    pub(crate) fn statement(&self, sql: String) -> Statement<'static> {
        let mut statement = sqlx::query(assembled(sql));
        for parameter in &self.parameters {
            statement = match parameter.clone() {
                Parameter::Text(text) => statement.bind(text),
                Parameter::Int(number) => statement.bind(number),
                Parameter::Real(number) => statement.bind(number),
                Parameter::Flag(flag) => statement.bind(flag),
            };
        }
        statement
    }
}

/// The terms between bars, without blanks around them; text without any term stands for itself.
fn alternatives(text: &str) -> Vec<&str> {
    if !text.contains('|') {
        return vec![text];
    }
    let terms = text.split('|').map(str::trim);
    let terms: Vec<&str> = terms.filter(|term| !term.is_empty()).collect();
    if terms.is_empty() { vec![text] } else { terms }
}

/// What a list is made of.
pub(crate) struct List<'a> {
    /// Finishes "failed to …".
    pub(crate) doing: &'static str,
    pub(crate) columns: &'a str,
    /// The table, and whatever it is joined with.
    pub(crate) from: &'a str,
    pub(crate) order: Order,
    pub(crate) limit: i64,
    pub(crate) offset: i64,
}

impl Reader {
    /// One page of rows and the number of rows on all pages.
    pub(crate) async fn page<T>(
        &mut self,
        list: &List<'_>,
        select: &Select,
        read: impl Fn(&sqlx::any::AnyRow) -> Result<T, Error>,
    ) -> Result<super::Listed<T>, Error> {
        let (columns, from, filter) = (list.columns, list.from, select.filter());
        let (order, limit, offset) = (list.order.sql(), list.limit, list.offset);
        let sql = format!(
            "SELECT {columns} FROM {from} {filter} ORDER BY {order} LIMIT {limit} OFFSET {offset}"
        );
        let found = self.fetch_all(list.doing, select.statement(sql)).await?;
        let rows = found.iter().map(&read).collect::<Result<Vec<_>, _>>()?;
        let seen = i64::try_from(rows.len()).unwrap_or(i64::MAX);
        // A first page that is not full needs no count.
        let total = if offset == 0 && seen < limit {
            seen
        } else {
            let sql = format!("SELECT COUNT(*) FROM {from} {filter}");
            self.count(list.doing, select, sql).await?
        };
        Ok(super::Listed { rows, total })
    }

    /// The number a counting statement gives.
    pub(crate) async fn count(
        &mut self,
        doing: &'static str,
        select: &Select,
        sql: String,
    ) -> Result<i64, Error> {
        let row = self.fetch_one(doing, select.statement(sql)).await?;
        crate::row::Columns::of("count", &row).big()
    }
}
