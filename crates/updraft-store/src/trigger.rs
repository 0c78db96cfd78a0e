//! Rows of `trigger`: how they come to be and what it takes to run them. Arguments are encrypted
//! at rest.
//!
//! A trigger belongs to what its [`TriggerKind`] says. [`claim`] gives triggers to triggerers,
//! [`resume`] lets task instances go on, [`watcher`] and [`callback`] are the other two kinds, and
//! [`unneeded`] finds triggers that nobody waits for any more.

pub(crate) mod callback;
pub(crate) mod claim;
pub(crate) mod resume;
pub(crate) mod unneeded;
pub(crate) mod watcher;

use std::collections::BTreeMap;

use jiff::Timestamp;
use sqlx::any::AnyRow;
use updraft_model::task_instance::TaskInstance;
use updraft_model::trigger::{RunnableTrigger, Trigger, TriggerKind, Waiting};
use updraft_model::{JobId, TriggerId};

use crate::execution::outcome::TriggerKwargs;
use crate::row::{Columns, aliased, assembled, int_array, micros};
use crate::task_instance::{TASK_INSTANCE_COLUMNS, take_task_instance};
use crate::{Change, Error, Keyring, Reader, Tx};

/// What [`trigger_from`] takes.
const TRIGGER_COLUMNS: &str = "id, kind, classpath, kwargs, created_date, triggerer_id, queue";

/// A trigger that a task instance will wait for.
#[derive(Clone, Debug)]
pub struct NewTaskTrigger<'a> {
    pub classpath: &'a str,
    pub kwargs: &'a TriggerKwargs,
    /// Of the task instance: heavier ones are started first.
    pub priority_weight: i64,
    /// Only a triggerer of this queue may run it.
    pub queue: Option<&'a str>,
}

impl Tx {
    /// Creates a trigger for a task instance, which the caller must let wait for it in the same
    /// transaction.
    pub async fn create_task_trigger(
        &mut self,
        new: &NewTaskTrigger<'_>,
        now: Timestamp,
    ) -> Result<TriggerId, Error> {
        let statement = sqlx::query(
            "INSERT INTO trigger (kind, classpath, kwargs, created_date, priority_weight, queue)
             VALUES ('task', $1, $2, $3, $4, $5)
             RETURNING id",
        )
        .bind(new.classpath)
        .bind(sealed(&self.keyring(), new.kwargs))
        .bind(micros(now))
        .bind(new.priority_weight)
        .bind(new.queue);
        let row = self.fetch_one("create a trigger", statement).await?;
        self.changed(Change::Trigger);
        Columns::of("trigger", &row).big().map(TriggerId)
    }
}

impl Reader {
    /// The triggers with these ids, each with whoever waits for it. Those for which nobody waits
    /// are missing.
    pub async fn load_runnable_triggers(
        &mut self,
        ids: &[TriggerId],
    ) -> Result<Vec<RunnableTrigger>, Error> {
        let mut tasks = self.load_waiting_task_instances(ids).await?;
        let mut assets = self.load_watched_assets(ids).await?;
        let theirs = self.dialect().one_of_ints("id", "$1");
        let statement = sqlx::query(assembled(format!(
            "SELECT {TRIGGER_COLUMNS} FROM trigger WHERE {theirs} ORDER BY id"
        )))
        .bind(int_array(ids.iter().map(|id| id.0)));
        let keyring = self.keyring();
        let rows = self.fetch_all("load triggers", statement).await?;
        let mut runnable = Vec::with_capacity(rows.len());
        for row in &rows {
            let trigger = trigger_from(row, &keyring)?;
            let waiting = match trigger.kind {
                TriggerKind::Task => tasks.remove(&trigger.id).map(Box::new).map(Waiting::Task),
                TriggerKind::Asset => assets.remove(&trigger.id).map(Waiting::Assets),
                TriggerKind::Callback => Some(Waiting::Callback),
            };
            runnable.extend(waiting.map(|waiting| RunnableTrigger { trigger, waiting }));
        }
        Ok(runnable)
    }

    /// What kind each of these triggers is. Those that are gone are missing.
    pub async fn load_trigger_kinds(
        &mut self,
        ids: &[TriggerId],
    ) -> Result<BTreeMap<TriggerId, TriggerKind>, Error> {
        if ids.is_empty() {
            return Ok(BTreeMap::new());
        }
        let theirs = self.dialect().one_of_ints("id", "$1");
        let statement = sqlx::query(assembled(format!(
            "SELECT id, kind FROM trigger WHERE {theirs}"
        )))
        .bind(int_array(ids.iter().map(|id| id.0)));
        self.fetch_all("load the kinds of triggers", statement)
            .await?
            .iter()
            .map(|row| {
                let mut columns = Columns::of("trigger", row);
                Ok((TriggerId(columns.big()?), columns.parsed()?))
            })
            .collect()
    }

    async fn load_waiting_task_instances(
        &mut self,
        ids: &[TriggerId],
    ) -> Result<BTreeMap<TriggerId, TaskInstance>, Error> {
        let theirs = self.dialect().one_of_ints("ti.trigger_id", "$1");
        let statement = sqlx::query(assembled(format!(
            "SELECT {}
               FROM task_instance AS ti
              WHERE {theirs} AND ti.state = 'deferred'",
            aliased("ti", TASK_INSTANCE_COLUMNS),
        )))
        .bind(int_array(ids.iter().map(|id| id.0)));
        let rows = self
            .fetch_all("load deferred task instances", statement)
            .await?;
        let mut found = BTreeMap::new();
        for row in &rows {
            let ti = take_task_instance(&mut Columns::of("task_instance", row))?;
            found.extend(ti.trigger_id.map(|id| (id, ti)));
        }
        Ok(found)
    }
}

fn sealed(keyring: &Keyring, kwargs: &TriggerKwargs) -> String {
    match kwargs {
        TriggerKwargs::Plain(text) => keyring.seal(text),
        TriggerKwargs::Sealed(text) => text.clone(),
    }
}

/// The arguments of a trigger in the clear. Quirk, as in Airflow: what begins like a JSON object
/// was never encrypted.
fn opened(keyring: &Keyring, kwargs: &str) -> Option<String> {
    if kwargs.starts_with('{') {
        return Some(kwargs.to_owned());
    }
    keyring.open(kwargs, || "a trigger".to_owned()).ok()
}

fn trigger_from(row: &AnyRow, keyring: &Keyring) -> Result<Trigger, Error> {
    let mut columns = Columns::of("trigger", row);
    Ok(Trigger {
        id: TriggerId(columns.big()?),
        kind: columns.parsed()?,
        classpath: columns.owned()?,
        kwargs: opened(keyring, columns.text()?),
        created_date: columns.instant()?,
        triggerer_id: columns.big_or_null()?.map(JobId),
        queue: columns.owned_or_null()?,
    })
}
