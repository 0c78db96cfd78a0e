//! Pools, variables, connections, the audit log and jobs.

use serde::Serialize;
use serde_json::{Value, json};
use updraft_model::connection::Connection;
use updraft_model::connection_test::{ConnectionTest, ConnectionTestState};
use updraft_model::event_log::EventLog;
use updraft_model::job::Job;
use updraft_model::pool::{Pool, PoolUsage};
use updraft_model::variable::Variable;

use crate::fields::{Body, Fields};
use crate::issue::{Checked, Issue};
use crate::mask::{MASK, masked_text};
use crate::time::{ApiTime, api_time};
use crate::value;
use updraft_model::python_repr::dumps_indented;

/// Team names are refused until teams exist.
const NO_TEAMS: &str =
    "team_name cannot be set when multi_team mode is disabled. Please contact your administrator.";

/// A pool and how full it is.
#[derive(Clone, Debug, Serialize)]
pub struct PoolResponse {
    pub name: String,
    pub slots: i32,
    pub description: Option<String>,
    pub include_deferred: bool,
    pub occupied_slots: i64,
    pub running_slots: i64,
    pub queued_slots: i64,
    pub scheduled_slots: i64,
    pub open_slots: i64,
    pub deferred_slots: i64,
    pub team_name: Option<String>,
}

impl PoolResponse {
    /// The answer for a row and the use of its slots.
    #[must_use]
    pub fn new(pool: &Pool, usage: &PoolUsage) -> Self {
        let deferred = if pool.include_deferred {
            usage.deferred
        } else {
            0
        };
        Self {
            name: pool.name.to_string(),
            slots: pool.slots,
            description: pool.description.clone(),
            include_deferred: pool.include_deferred,
            occupied_slots: usage.running + usage.queued + deferred,
            running_slots: usage.running,
            queued_slots: usage.queued,
            scheduled_slots: usage.scheduled,
            open_slots: pool.open_slots(usage).unwrap_or(-1),
            deferred_slots: usage.deferred,
            team_name: None,
        }
    }
}

/// A page of pools.
#[derive(Clone, Debug, Serialize)]
pub struct PoolCollectionResponse {
    pub pools: Vec<PoolResponse>,
    pub total_entries: i64,
}

/// The body that creates or replaces a pool.
#[derive(Clone, Debug, Default)]
pub struct PoolBody {
    pub name: String,
    pub slots: i32,
    pub description: Option<String>,
    pub include_deferred: bool,
}

impl Body for PoolBody {
    fn read(fields: &mut Fields<'_>) -> Self {
        let body = Self {
            name: fields.required("name", value::text_up_to(256)),
            slots: fields.required("slots", slots),
            description: fields.optional("description", value::text),
            include_deferred: fields.or("include_deferred", false, value::boolean),
        };
        refuse_team(fields);
        body
    }
}

/// The body that changes a pool; fields that are absent stay.
#[derive(Clone, Debug, Default)]
pub struct PoolPatchBody {
    pub pool: Option<String>,
    pub slots: Option<i32>,
    pub description: Option<String>,
    pub include_deferred: Option<bool>,
}

impl Body for PoolPatchBody {
    fn read(fields: &mut Fields<'_>) -> Self {
        let body = Self {
            pool: fields.optional("pool", value::text),
            slots: fields.optional("slots", slots),
            description: fields.optional("description", value::text),
            include_deferred: fields.optional("include_deferred", value::boolean),
        };
        refuse_team(fields);
        body
    }
}

fn slots(value: &Value) -> Checked<i32> {
    let slots = value::integer_from(-1)(value)?;
    Ok(i32::try_from(slots).unwrap_or(i32::MAX))
}

fn refuse_team(fields: &mut Fields<'_>) {
    let team = fields.optional("team_name", value::text_up_to(50));
    fields.rule(team.is_none(), NO_TEAMS);
}

/// A variable; a value that looks secret is masked.
#[derive(Clone, Debug, Serialize)]
pub struct VariableResponse {
    pub key: String,
    pub value: Option<String>,
    pub description: Option<String>,
    pub is_encrypted: bool,
    pub team_name: Option<String>,
}

impl From<&Variable> for VariableResponse {
    fn from(variable: &Variable) -> Self {
        Self {
            key: variable.key.clone(),
            value: Some(masked_text(&variable.value, Some(&variable.key))),
            description: variable.description.clone(),
            is_encrypted: true,
            team_name: variable.team_name.clone(),
        }
    }
}

/// A page of variables.
#[derive(Clone, Debug, Serialize)]
pub struct VariableCollectionResponse {
    pub variables: Vec<VariableResponse>,
    pub total_entries: i64,
}

/// The body that creates or changes a variable.
#[derive(Clone, Debug, Default)]
pub struct VariableBody {
    pub key: String,
    /// Any JSON; what is not text is stored as indented JSON.
    pub value: String,
    pub description: Option<String>,
}

impl Body for VariableBody {
    fn read(fields: &mut Fields<'_>) -> Self {
        let body = Self {
            key: fields.required("key", value::text_up_to(250)),
            value: fields.required("value", |value| {
                Ok(match value {
                    Value::String(text) => text.clone(),
                    other => dumps_indented(other),
                })
            }),
            description: fields.optional("description", value::text),
        };
        refuse_team(fields);
        body
    }
}

/// A connection; its secrets are masked.
#[derive(Clone, Debug, Serialize)]
pub struct ConnectionResponse {
    pub connection_id: String,
    pub conn_type: String,
    pub description: Option<String>,
    pub host: Option<String>,
    pub login: Option<String>,
    pub schema: Option<String>,
    pub port: Option<i32>,
    pub password: Option<String>,
    pub extra: Option<String>,
    pub team_name: Option<String>,
}

impl From<&Connection> for ConnectionResponse {
    fn from(connection: &Connection) -> Self {
        let masked_password = |password: &String| {
            if password.is_empty() {
                String::new()
            } else {
                MASK.to_owned()
            }
        };
        Self {
            connection_id: connection.conn_id.clone(),
            conn_type: connection.conn_type.clone(),
            description: connection.description.clone(),
            host: connection.host.clone(),
            login: connection.login.clone(),
            schema: connection.schema.clone(),
            port: connection.port,
            password: connection.password.as_ref().map(masked_password),
            extra: connection.extra.as_ref().map(|extra| {
                if extra.is_empty() {
                    String::new()
                } else {
                    masked_text(extra, None)
                }
            }),
            team_name: connection.team_name.clone(),
        }
    }
}

/// A page of connections.
#[derive(Clone, Debug, Serialize)]
pub struct ConnectionCollectionResponse {
    pub connections: Vec<ConnectionResponse>,
    pub total_entries: i64,
}

/// The body that creates or changes a connection.
#[derive(Clone, Debug, Default)]
pub struct ConnectionBody {
    pub connection_id: String,
    pub conn_type: String,
    pub description: Option<String>,
    pub host: Option<String>,
    pub login: Option<String>,
    pub schema: Option<String>,
    pub port: Option<i32>,
    pub password: Option<String>,
    pub extra: Option<String>,
}

impl Body for ConnectionBody {
    fn read(fields: &mut Fields<'_>) -> Self {
        let body = Self {
            connection_id: fields.required("connection_id", connection_id),
            conn_type: fields.required("conn_type", value::text),
            description: fields.optional("description", value::text),
            host: fields.optional("host", value::text),
            login: fields.optional("login", value::text),
            schema: fields.optional("schema", value::text),
            port: fields
                .optional("port", value::integer)
                .map(|port| i32::try_from(port).unwrap_or(i32::MAX)),
            password: fields.optional("password", value::text),
            extra: fields.optional("extra", extra),
        };
        refuse_team(fields);
        body
    }
}

impl ConnectionBody {
    /// The row this body describes.
    #[must_use]
    pub fn into_connection(self) -> Connection {
        Connection {
            conn_id: self.connection_id,
            conn_type: self.conn_type,
            description: self.description,
            host: self.host,
            schema: self.schema,
            login: self.login,
            password: self.password,
            port: self.port,
            extra: self.extra,
            team_name: None,
        }
    }
}

/// The body that has a connection tested by an executor.
#[derive(Clone, Debug, Default)]
pub struct ConnectionTestRequestBody {
    pub connection: ConnectionBody,
    /// Store the connection when it works.
    pub commit_on_success: bool,
    pub executor: Option<String>,
    pub queue: Option<String>,
}

impl Body for ConnectionTestRequestBody {
    fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            connection: ConnectionBody::read(fields),
            commit_on_success: fields.or("commit_on_success", false, value::boolean),
            executor: fields.optional("executor", value::text),
            queue: fields.optional("queue", value::text),
        }
    }
}

/// How a test ended that its client waited for.
#[derive(Clone, Debug, Serialize)]
pub struct ConnectionTestResponse {
    pub status: bool,
    pub message: String,
}

/// A test that waits; `token` is the key to its result.
#[derive(Clone, Debug, Serialize)]
pub struct ConnectionTestQueuedResponse {
    pub token: String,
    pub connection_id: String,
    pub state: ConnectionTestState,
}

/// How far a test has come.
#[derive(Clone, Debug, Serialize)]
pub struct AsyncConnectionTestResponse {
    pub token: String,
    pub connection_id: String,
    pub state: ConnectionTestState,
    pub result_message: Option<String>,
    pub created_at: ApiTime,
}

impl From<ConnectionTest> for AsyncConnectionTestResponse {
    fn from(test: ConnectionTest) -> Self {
        Self {
            token: test.token,
            connection_id: test.connection.conn_id,
            state: test.state,
            result_message: test.result_message,
            created_at: ApiTime(test.created_at),
        }
    }
}

fn connection_id(value: &Value) -> Checked<String> {
    const PATTERN: &str = r"^[\w.-]+$";
    let id = value::text_up_to(200)(value)?;
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-');
    if id.is_empty() || !id.chars().all(allowed) {
        let msg = format!("String should match pattern '{PATTERN}'");
        return Err(vec![
            Issue::new("string_pattern_mismatch", msg, value).with(json!({"pattern": PATTERN})),
        ]);
    }
    Ok(id)
}

fn extra(value: &Value) -> Checked<String> {
    let text = value::text(value)?;
    if text.is_empty() {
        return Ok("{}".to_owned());
    }
    let object = "The `extra` field must be a valid JSON object (e.g., {'key': 'value'})";
    match serde_json::from_str(&text) {
        Ok(Value::Object(_)) => Ok(text),
        Ok(_) => Err(vec![Issue::rule(object, value)]),
        Err(_) => {
            let msg = format!("{object}, but encountered non-JSON in `extra` field");
            Err(vec![Issue::rule(msg, value)])
        }
    }
}

/// A row of the audit log as an answer.
#[derive(Clone, Debug, Serialize)]
pub struct EventLogResponse {
    pub event_log_id: i64,
    pub when: ApiTime,
    pub dag_id: Option<String>,
    pub task_id: Option<String>,
    pub run_id: Option<String>,
    pub map_index: Option<i32>,
    pub try_number: Option<i32>,
    pub event: String,
    pub logical_date: Option<ApiTime>,
    pub owner: Option<String>,
    pub extra: Option<String>,
    pub dag_display_name: Option<String>,
    pub task_display_name: Option<String>,
}

impl EventLogResponse {
    /// The answer for a row; the display names are those of the present Dag, if it is known.
    #[must_use]
    pub fn new(
        log: &EventLog,
        dag_display_name: Option<String>,
        task_display_name: Option<String>,
    ) -> Self {
        Self {
            event_log_id: log.id,
            when: ApiTime(log.dttm),
            dag_id: log.dag_id.as_ref().map(ToString::to_string),
            task_id: log.task_id.as_ref().map(ToString::to_string),
            run_id: log.run_id.as_ref().map(ToString::to_string),
            map_index: log.map_index,
            try_number: log.try_number,
            event: log.event.clone(),
            logical_date: api_time(log.logical_date),
            owner: log.owner.clone(),
            extra: log.extra.clone(),
            dag_display_name,
            task_display_name,
        }
    }
}

/// A page of the audit log.
#[derive(Clone, Debug, Serialize)]
pub struct EventLogCollectionResponse {
    pub event_logs: Vec<EventLogResponse>,
    pub total_entries: i64,
}

/// A start of a role.
#[derive(Clone, Debug, Serialize)]
pub struct JobResponse {
    pub id: i64,
    pub dag_id: Option<String>,
    pub state: Option<String>,
    pub job_type: Option<String>,
    pub start_date: Option<ApiTime>,
    pub end_date: Option<ApiTime>,
    pub latest_heartbeat: Option<ApiTime>,
    pub executor_class: Option<String>,
    pub hostname: Option<String>,
    pub unixname: Option<String>,
    pub dag_display_name: Option<String>,
}

impl From<&Job> for JobResponse {
    fn from(job: &Job) -> Self {
        Self {
            id: job.id.0,
            dag_id: None,
            state: Some(job.state.to_string()),
            job_type: Some(job.job_type.to_string()),
            start_date: Some(ApiTime(job.start_date)),
            end_date: api_time(job.end_date),
            latest_heartbeat: Some(ApiTime(job.latest_heartbeat)),
            executor_class: None,
            hostname: Some(job.hostname.clone()),
            unixname: Some(job.unixname.clone()),
            dag_display_name: None,
        }
    }
}

/// A page of jobs.
#[derive(Clone, Debug, Serialize)]
pub struct JobCollectionResponse {
    pub jobs: Vec<JobResponse>,
    pub total_entries: i64,
}
