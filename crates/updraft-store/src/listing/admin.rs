//! Lists of pools, variables, connections, jobs and of the audit log.

use jiff::Timestamp;
use sqlx::any::AnyRow;
use updraft_model::connection::Connection;
use updraft_model::event_log::EventLog;
use updraft_model::filter::{Page, Pattern, Range};
use updraft_model::job::Job;
use updraft_model::pool::Pool;
use updraft_model::variable::Variable;

use super::order::{Order, Orderable};
use super::select::{List, Parameter, Select};
use super::{ListError, Listed};
use crate::connection::{CONNECTION_COLUMNS, connection_from};
use crate::job::{JOB_COLUMNS, job_from};
use crate::pool::{POOL_COLUMNS, pool_from};
use crate::row::Columns;
use crate::variable::{VARIABLE_COLUMNS, variable_from};
use crate::{Error, Reader};

/// The default pool before all others.
const CREATION_ORDER: &str = "CASE WHEN pool = 'default_pool' THEN 0 ELSE 1 END";

const EVENT_LOG_COLUMNS: &str = "id, dttm, event, owner, dag_id, run_id, task_id, map_index, \
    try_number, logical_date, extra";

/// Which rows of the audit log are listed.
#[derive(Clone, Debug, Default)]
pub struct EventLogFilter {
    pub dag_id: Option<String>,
    pub task_id: Option<String>,
    pub run_id: Option<String>,
    pub map_index: Option<i64>,
    pub try_number: Option<i64>,
    pub owner: Option<String>,
    pub event: Option<String>,
    pub excluded_events: Vec<String>,
    pub included_events: Vec<String>,
    pub before: Option<Timestamp>,
    pub after: Option<Timestamp>,
    pub dag_id_pattern: Pattern,
    pub task_id_pattern: Pattern,
    pub run_id_pattern: Pattern,
    pub owner_pattern: Pattern,
    pub event_pattern: Pattern,
}

/// Which pools are listed.
#[derive(Clone, Debug, Default)]
pub struct PoolFilter {
    pub name: Pattern,
}

/// Which variables are listed.
#[derive(Clone, Debug, Default)]
pub struct VariableFilter {
    pub key: Pattern,
}

/// Which connections are listed.
#[derive(Clone, Debug, Default)]
pub struct ConnectionFilter {
    pub conn_id: Pattern,
}

/// Which jobs are listed.
#[derive(Clone, Debug, Default)]
pub struct JobFilter {
    /// Only jobs that run and whose heartbeat is newer than this.
    pub alive_since: Option<Timestamp>,
    pub start_date: Range<Timestamp>,
    pub end_date: Range<Timestamp>,
    pub state: Option<String>,
    pub job_type: Option<String>,
    pub hostname: Option<String>,
}

impl Reader {
    /// A page of the audit log.
    pub async fn list_event_logs(
        &mut self,
        filter: &EventLogFilter,
        page: &Page,
    ) -> Result<Listed<EventLog>, ListError> {
        const ORDER: &[Orderable] = &[
            ("id", "id"),
            ("event_log_id", "id"),
            ("dttm", "dttm"),
            ("when", "dttm"),
            ("dag_id", "dag_id"),
            ("task_id", "task_id"),
            ("run_id", "run_id"),
            ("event", "event"),
            ("logical_date", "logical_date"),
            ("owner", "owner"),
            ("extra", "extra"),
        ];
        let mut select = Select::new(self.dialect());
        narrow_event_logs(&mut select, filter);
        let list = List {
            doing: "list the audit log",
            columns: EVENT_LOG_COLUMNS,
            from: "log",
            order: Order::parse(ORDER, "id", &["id"], &page.order_by)?,
            limit: page.limit,
            offset: page.offset,
        };
        Ok(self.page(&list, &select, event_log_from).await?)
    }

    /// One row of the audit log.
    pub async fn find_event_log(&mut self, id: i64) -> Result<Option<EventLog>, Error> {
        let mut select = Select::new(self.dialect());
        select.equals_int("id", Some(id));
        let sql = format!("SELECT {EVENT_LOG_COLUMNS} FROM log {}", select.filter());
        self.fetch_optional("load a row of the audit log", select.statement(sql))
            .await?
            .as_ref()
            .map(event_log_from)
            .transpose()
    }

    /// A page of pools.
    pub async fn list_pools(
        &mut self,
        filter: &PoolFilter,
        page: &Page,
    ) -> Result<Listed<Pool>, ListError> {
        // Pools have no number; the default one comes first, as the oldest.
        const ORDER: &[Orderable] = &[("id", CREATION_ORDER), ("pool", "pool"), ("name", "pool")];
        let mut select = Select::new(self.dialect());
        select.pattern("pool", &filter.name);
        let list = List {
            doing: "list pools",
            columns: POOL_COLUMNS,
            from: "slot_pool",
            order: Order::parse(ORDER, "id", &["pool"], &page.order_by)?,
            limit: page.limit,
            offset: page.offset,
        };
        Ok(self.page(&list, &select, pool_from).await?)
    }

    /// A page of variables, in the clear.
    pub async fn list_variables(
        &mut self,
        filter: &VariableFilter,
        page: &Page,
    ) -> Result<Listed<Variable>, ListError> {
        const ORDER: &[Orderable] = &[
            ("key", "key"),
            ("id", "key"),
            ("_val", "val"),
            ("description", "description"),
            ("is_encrypted", "is_encrypted"),
            ("team_name", "team_name"),
        ];
        let mut select = Select::new(self.dialect());
        select.pattern("key", &filter.key);
        let list = List {
            doing: "list variables",
            columns: VARIABLE_COLUMNS,
            from: "variable",
            order: Order::parse(ORDER, "id", &["key"], &page.order_by)?,
            limit: page.limit,
            offset: page.offset,
        };
        let keyring = self.keyring();
        let read = |row: &AnyRow| variable_from(row, &keyring);
        Ok(self.page(&list, &select, read).await?)
    }

    /// A page of connections, in the clear.
    pub async fn list_connections(
        &mut self,
        filter: &ConnectionFilter,
        page: &Page,
    ) -> Result<Listed<Connection>, ListError> {
        const ORDER: &[Orderable] = &[
            ("conn_id", "conn_id"),
            ("connection_id", "conn_id"),
            ("id", "conn_id"),
            ("conn_type", "conn_type"),
            ("description", "description"),
            ("host", "host"),
            ("port", "port"),
            ("team_name", "team_name"),
        ];
        let mut select = Select::new(self.dialect());
        select.pattern("conn_id", &filter.conn_id);
        let list = List {
            doing: "list connections",
            columns: CONNECTION_COLUMNS,
            from: "connection",
            order: Order::parse(ORDER, "id", &["conn_id"], &page.order_by)?,
            limit: page.limit,
            offset: page.offset,
        };
        let keyring = self.keyring();
        let read = |row: &AnyRow| connection_from(row, &keyring);
        Ok(self.page(&list, &select, read).await?)
    }

    /// A page of jobs.
    pub async fn list_jobs(
        &mut self,
        filter: &JobFilter,
        page: &Page,
    ) -> Result<Listed<Job>, ListError> {
        const ORDER: &[Orderable] = &[
            ("id", "id"),
            ("state", "state"),
            ("job_type", "job_type"),
            ("start_date", "start_date"),
            ("end_date", "end_date"),
            ("latest_heartbeat", "latest_heartbeat"),
            ("hostname", "hostname"),
            ("unixname", "unixname"),
        ];
        let mut select = Select::new(self.dialect());
        if let Some(since) = filter.alive_since {
            select.equals("state", Some("running"));
            let bound = select.bind(since);
            select.require(format!("latest_heartbeat > {bound}"));
        }
        select.range("start_date", &filter.start_date);
        select.range("end_date", &filter.end_date);
        select.equals("state", filter.state.as_deref());
        select.equals("job_type", filter.job_type.as_deref());
        select.equals("hostname", filter.hostname.as_deref());
        let list = List {
            doing: "list jobs",
            columns: JOB_COLUMNS,
            from: "job",
            order: Order::parse(ORDER, "id", &["id"], &page.order_by)?,
            limit: page.limit,
            offset: page.offset,
        };
        Ok(self.page(&list, &select, job_from).await?)
    }
}

fn narrow_event_logs(select: &mut Select, filter: &EventLogFilter) {
    select.equals("dag_id", filter.dag_id.as_deref());
    select.equals("task_id", filter.task_id.as_deref());
    select.equals("run_id", filter.run_id.as_deref());
    select.equals_int("map_index", filter.map_index);
    select.equals_int("try_number", filter.try_number);
    select.equals("owner", filter.owner.as_deref());
    select.equals("event", filter.event.as_deref());
    select.one_of("event", &filter.included_events);
    for event in &filter.excluded_events {
        let bound = select.bind(Parameter::Text(event.clone()));
        select.require(format!("event <> {bound}"));
    }
    let window = Range {
        lt: filter.before,
        gt: filter.after,
        ..Range::default()
    };
    select.range("dttm", &window);
    select.pattern("dag_id", &filter.dag_id_pattern);
    select.pattern("task_id", &filter.task_id_pattern);
    select.pattern("run_id", &filter.run_id_pattern);
    select.pattern("owner", &filter.owner_pattern);
    select.pattern("event", &filter.event_pattern);
}

fn event_log_from(row: &AnyRow) -> Result<EventLog, Error> {
    let mut columns = Columns::of("log", row);
    Ok(EventLog {
        id: columns.big()?,
        dttm: columns.instant()?,
        event: columns.owned()?,
        owner: columns.owned_or_null()?,
        dag_id: columns.id_or_null()?,
        run_id: columns.id_or_null()?,
        task_id: columns.id_or_null()?,
        map_index: columns.int_or_null()?,
        try_number: columns.int_or_null()?,
        logical_date: columns.instant_or_null()?,
        extra: columns.owned_or_null()?,
    })
}
