//! Rows of `hitl_detail` and `hitl_detail_history`: questions to people and their answers.
//!
//! A row belongs to a task instance and follows it to its next try, where the new question takes
//! its place. What a try had asked and heard stays in the history.

use jiff::Timestamp;
use serde_json::{Map, Value};
use sqlx::any::AnyRow;
use updraft_model::TaskInstanceId;
use updraft_model::hitl::{HitlDetail, HitlQuestion, HitlResponse, HitlUser};
use updraft_model::task_instance::TaskInstance;

use crate::row::{Columns, assembled, micros};
use crate::task_instance::TASK_INSTANCE_COLUMNS;
use crate::{Error, Reader, Tx};

/// In the order in which [`take_hitl_detail`] takes them, after the id of the try.
pub(crate) const HITL_COLUMNS: &str = "options, subject, body, defaults, multiple, params, \
    assignees, created_at, responded_at, responded_by_user_id, responded_by_user_name, \
    chosen_options, params_input";

impl Tx {
    /// Puts the question of a try, in place of that of an earlier try; an answer to that one is
    /// forgotten.
    ///
    /// Returns the time the first question of the task instance was put.
    pub async fn put_hitl_question(
        &mut self,
        ti_id: TaskInstanceId,
        question: &HitlQuestion,
        now: Timestamp,
    ) -> Result<Timestamp, Error> {
        let statement = sqlx::query(
            "INSERT INTO hitl_detail (ti_id, options, subject, body, defaults, multiple, params,
                 assignees, created_at, params_input)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, '{}')
             ON CONFLICT (ti_id) DO UPDATE
                SET options = excluded.options, subject = excluded.subject, body = excluded.body,
                    defaults = excluded.defaults, multiple = excluded.multiple,
                    params = excluded.params, assignees = excluded.assignees,
                    responded_at = NULL, responded_by_user_id = NULL,
                    responded_by_user_name = NULL, chosen_options = NULL, params_input = '{}'
             RETURNING created_at",
        )
        .bind(ti_id.to_string())
        .bind(json_of(&question.options))
        .bind(question.subject.as_str())
        .bind(question.body.as_deref())
        .bind(question.defaults.as_ref().map(json_of))
        .bind(question.multiple)
        .bind(json_of(&question.params))
        .bind(json_of(&question.assigned_users))
        .bind(micros(now));
        let row = self
            .fetch_one("put a question to people", statement)
            .await?;
        Columns::of("hitl_detail", &row).instant()
    }

    /// Loads the question of a task instance and takes it for the rest of the transaction. Lock the
    /// task instance first.
    pub async fn lock_hitl_detail(
        &mut self,
        ti_id: TaskInstanceId,
    ) -> Result<Option<HitlDetail>, Error> {
        let lock = self.dialect().for_update("hitl_detail");
        let statement = sqlx::query(assembled(format!(
            "SELECT ti_id, {HITL_COLUMNS} FROM hitl_detail WHERE ti_id = $1 {lock}"
        )))
        .bind(ti_id.to_string());
        self.fetch_optional("lock a question to people", statement)
            .await?
            .as_ref()
            .map(hitl_detail_from)
            .transpose()
    }

    /// Writes the answer to a question that has none. `false`: it has one, or is gone.
    pub async fn answer_hitl_question(
        &mut self,
        ti_id: TaskInstanceId,
        response: &HitlResponse,
    ) -> Result<bool, Error> {
        let user = response.responded_by.as_ref();
        let statement = sqlx::query(
            "UPDATE hitl_detail
                SET responded_at = $2, responded_by_user_id = $3, responded_by_user_name = $4,
                    chosen_options = $5, params_input = $6
              WHERE ti_id = $1 AND responded_at IS NULL",
        )
        .bind(ti_id.to_string())
        .bind(micros(response.responded_at))
        .bind(user.map(|user| user.id.as_str()))
        .bind(user.map(|user| user.name.as_str()))
        .bind(json_of(&response.chosen_options))
        .bind(json_of(&response.params_input));
        Ok(self
            .execute("answer a question to people", statement)
            .await?
            == 1)
    }

    /// Lets a try that waits without a worker go on with `next_method`, in the same try. `false`:
    /// it does not wait any more.
    pub async fn resume_try(
        &mut self,
        ti: &TaskInstance,
        next_method: &str,
        next_kwargs: &str,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let statement = sqlx::query(
            "UPDATE task_instance
                SET state = 'scheduled', scheduled_dttm = $4, trigger_id = NULL,
                    next_method = $2, next_kwargs = $3, updated_at = $4
              WHERE id = $1 AND state IN ('deferred', 'awaiting_input')",
        )
        .bind(ti.id.to_string())
        .bind(next_method)
        .bind(next_kwargs)
        .bind(micros(now));
        let won = self.execute("let a try go on", statement).await? == 1;
        if won {
            self.run_changed(&ti.dag_id, &ti.run_id);
        }
        Ok(won)
    }

    /// Takes task instances that have waited for a person longer than they may, the longest first.
    pub async fn lock_overdue_input(
        &mut self,
        now: Timestamp,
        limit: i64,
    ) -> Result<Vec<TaskInstance>, Error> {
        let lock = self.dialect().for_update_skip_locked("task_instance");
        let statement = sqlx::query(assembled(format!(
            "SELECT {TASK_INSTANCE_COLUMNS}
               FROM task_instance
              WHERE {INPUT_DUE} AND trigger_timeout < $1
              ORDER BY trigger_timeout, id
              LIMIT $2
              {lock}"
        )))
        .bind(micros(now))
        .bind(limit);
        self.task_instances("find who waited too long for a person", statement)
            .await
    }

    /// Copies the questions of tries that end to the history, where the tries are already.
    pub(crate) async fn keep_hitl_details(&mut self, ids: &str) -> Result<(), Error> {
        let theirs = self.dialect().one_of_texts("h.ti_id", "$1");
        let columns = crate::row::aliased("h", HITL_COLUMNS);
        let statement = sqlx::query(assembled(format!(
            "INSERT INTO hitl_detail_history (ti_history_id, {HITL_COLUMNS})
             SELECT h.ti_id, {columns}
               FROM hitl_detail AS h
               JOIN task_instance_history AS t ON t.id = h.ti_id
              WHERE {theirs}
             ON CONFLICT DO NOTHING"
        )))
        .bind(ids);
        self.execute("keep questions in the history", statement)
            .await?;
        Ok(())
    }
}

impl Reader {
    /// The question of a task instance's present try.
    pub async fn find_hitl_detail(
        &mut self,
        ti_id: TaskInstanceId,
    ) -> Result<Option<HitlDetail>, Error> {
        let sql = format!("SELECT ti_id, {HITL_COLUMNS} FROM hitl_detail WHERE ti_id = $1");
        self.one_hitl_detail(sql, ti_id).await
    }

    /// The question of a try that is over, by the id it had.
    pub async fn find_past_hitl_detail(
        &mut self,
        ti_id: TaskInstanceId,
    ) -> Result<Option<HitlDetail>, Error> {
        let sql = format!(
            "SELECT ti_history_id, {HITL_COLUMNS} FROM hitl_detail_history WHERE ti_history_id = $1"
        );
        self.one_hitl_detail(sql, ti_id).await
    }

    async fn one_hitl_detail(
        &mut self,
        sql: String,
        ti_id: TaskInstanceId,
    ) -> Result<Option<HitlDetail>, Error> {
        let statement = sqlx::query(assembled(sql)).bind(ti_id.to_string());
        self.fetch_optional("load a question to people", statement)
            .await?
            .as_ref()
            .map(hitl_detail_from)
            .transpose()
    }

    /// When the next wait for a person is up.
    pub async fn find_next_input_deadline(&mut self) -> Result<Option<Timestamp>, Error> {
        let statement = sqlx::query(assembled(format!(
            "SELECT MIN(trigger_timeout) FROM task_instance WHERE {INPUT_DUE}"
        )));
        let row = self
            .fetch_one("find the next end of a wait for a person", statement)
            .await?;
        Columns::of("task_instance", &row).instant_or_null()
    }
}

/// Word for word the condition of the index `task_instance_input_due`.
const INPUT_DUE: &str = "state = 'awaiting_input' AND trigger_timeout IS NOT NULL";

fn json_of<T: serde::Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).expect("texts and JSON have a JSON form")
}

pub(crate) fn hitl_detail_from(row: &AnyRow) -> Result<HitlDetail, Error> {
    take_hitl_detail(&mut Columns::of("hitl_detail", row))
}

/// Takes the id of the try and [`HITL_COLUMNS`], and leaves what follows them.
pub(crate) fn take_hitl_detail(columns: &mut Columns<'_>) -> Result<HitlDetail, Error> {
    let ti_id = TaskInstanceId(columns.uuid()?);
    let question = HitlQuestion {
        options: columns.decoded()?,
        subject: columns.owned()?,
        body: columns.owned_or_null()?,
        defaults: columns.decoded_or_null()?,
        multiple: columns.flag()?,
        params: columns.decoded()?,
        assigned_users: columns.decoded()?,
    };
    let created_at = columns.instant()?;
    let responded_at = columns.instant_or_null()?;
    let user_id = columns.owned_or_null()?;
    let user_name = columns.owned_or_null()?;
    let chosen_options: Option<Vec<String>> = columns.decoded_or_null()?;
    let params_input: Map<String, Value> = columns.decoded()?;
    let response = responded_at.map(|responded_at| HitlResponse {
        responded_at,
        responded_by: user_id
            .zip(user_name)
            .map(|(id, name)| HitlUser { id, name }),
        chosen_options: chosen_options.unwrap_or_default(),
        params_input,
    });
    Ok(HitlDetail {
        ti_id,
        question,
        created_at,
        response,
    })
}
