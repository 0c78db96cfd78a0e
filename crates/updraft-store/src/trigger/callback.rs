//! Asynchronous callbacks that run as triggers.
//!
//! The trigger's row also says how the callback went, so that whoever owns the callback finds it
//! there, in the same transaction as everything else. The owner deletes the row.

use jiff::Timestamp;
use updraft_model::TriggerId;
use updraft_model::trigger::CallbackState;
use uuid::Uuid;

use super::sealed;
use crate::execution::outcome::TriggerKwargs;
use crate::row::{Columns, micros};
use crate::{Change, Error, Reader, Tx};

/// The class that runs any asynchronous function as a trigger.
const CALLBACK_TRIGGER: &str = "airflow.triggers.callback.CallbackTrigger";

/// A callback to run.
#[derive(Clone, Debug)]
pub struct NewCallbackTrigger<'a> {
    pub callback_id: Uuid,
    /// The arguments of `CallbackTrigger`, `callback_path` and `callback_kwargs`: a JSON object.
    pub kwargs: &'a str,
    /// Heavier ones are started first.
    pub priority_weight: i64,
}

/// How a callback is going.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallbackReport {
    pub state: CallbackState,
    /// What it returned or why it failed, once it is finished.
    pub output: Option<String>,
}

impl Tx {
    /// Lets a triggerer run a callback.
    pub async fn create_callback_trigger(
        &mut self,
        new: &NewCallbackTrigger<'_>,
        now: Timestamp,
    ) -> Result<TriggerId, Error> {
        let kwargs = TriggerKwargs::Plain(new.kwargs.to_owned());
        let statement = sqlx::query(
            "INSERT INTO trigger (kind, classpath, kwargs, created_date, priority_weight,
                 callback_id, callback_state)
             VALUES ('callback', $1, $2, $3, $4, $5, 'queued')
             RETURNING id",
        )
        .bind(CALLBACK_TRIGGER)
        .bind(sealed(&self.keyring(), &kwargs))
        .bind(micros(now))
        .bind(new.priority_weight)
        .bind(new.callback_id.to_string());
        let row = self.fetch_one("create a trigger", statement).await?;
        self.changed(Change::Trigger);
        Columns::of("trigger", &row).big().map(TriggerId)
    }

    /// Notes how a callback is going. Gives the callback; `None`: the trigger runs none, or the
    /// callback is finished already.
    pub async fn note_callback(
        &mut self,
        trigger: TriggerId,
        report: &CallbackReport,
    ) -> Result<Option<Uuid>, Error> {
        let statement = sqlx::query(
            "UPDATE trigger
                SET callback_state = $2, callback_output = COALESCE($3, callback_output)
              WHERE id = $1 AND callback_state IN ('queued', 'running')
              RETURNING callback_id",
        )
        .bind(trigger.0)
        .bind(report.state.as_str())
        .bind(report.output.as_deref());
        let noted = self
            .fetch_optional("note how a callback is going", statement)
            .await?;
        let Some(row) = noted else {
            return Ok(None);
        };
        let callback_id = Columns::of("trigger", &row).uuid()?;
        // Its own row says the same; once that is final, the trigger has served.
        if self.report_triggered_callback(callback_id, report).await? && report.state.is_finished()
        {
            self.delete_callback_trigger(callback_id).await?;
        }
        Ok(Some(callback_id))
    }

    /// Forgets a callback; a trigger that still runs it is stopped. `false`: there is none.
    pub async fn delete_callback_trigger(&mut self, callback_id: Uuid) -> Result<bool, Error> {
        let statement =
            sqlx::query("DELETE FROM trigger WHERE callback_id = $1").bind(callback_id.to_string());
        let is_gone = self.execute("delete a trigger", statement).await? == 1;
        if is_gone {
            self.changed(Change::Trigger);
        }
        Ok(is_gone)
    }
}

impl Reader {
    /// How a callback is going.
    pub async fn find_callback_report(
        &mut self,
        callback_id: Uuid,
    ) -> Result<Option<CallbackReport>, Error> {
        let statement = sqlx::query(
            "SELECT callback_state, callback_output FROM trigger WHERE callback_id = $1",
        )
        .bind(callback_id.to_string());
        let row = self
            .fetch_optional("look after a callback", statement)
            .await?;
        row.map(|row| {
            let mut columns = Columns::of("trigger", &row);
            Ok(CallbackReport {
                state: columns.parsed()?,
                output: columns.owned_or_null()?,
            })
        })
        .transpose()
    }
}
