//! Rows of `callback_request`: user code that waits for the Dag processor.

use jiff::Timestamp;
use serde_json::Value;
use sqlx::any::AnyRow;
use updraft_model::callback::CallbackRequest;
use updraft_model::{BundleName, DagId, JobId, RunId};

use crate::change::Change;
use crate::row::{Columns, assembled, int_array, micros, text_array};
use crate::{Error, Tx};

/// A callback to request.
#[derive(Clone, Debug)]
pub struct NewCallbackRequest {
    pub priority_weight: i32,
    pub bundle_name: BundleName,
    pub bundle_version: Option<String>,
    pub filepath: String,
    pub dag_id: DagId,
    pub run_id: RunId,
    pub body: Value,
}

impl Tx {
    /// Stores a request for the Dag processor.
    pub async fn request_callback(
        &mut self,
        request: &NewCallbackRequest,
        now: Timestamp,
    ) -> Result<(), Error> {
        let statement = sqlx::query(
            "INSERT INTO callback_request (priority_weight, created_at, bundle_name,
                 bundle_version, filepath, dag_id, run_id, body, attempts)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0)",
        )
        .bind(request.priority_weight)
        .bind(micros(now))
        .bind(request.bundle_name.as_str())
        .bind(request.bundle_version.as_deref())
        .bind(request.filepath.as_str())
        .bind(request.dag_id.as_str())
        .bind(request.run_id.as_str())
        .bind(request.body.to_string());
        self.execute("request a callback", statement).await?;
        self.changed(Change::CallbackRequested);
        Ok(())
    }

    /// Takes requests of these bundles for a processor until `until`, or until it is dead: then they
    /// may be taken again. Each taking counts as an attempt.
    pub async fn claim_callbacks(
        &mut self,
        bundles: &[BundleName],
        job_id: JobId,
        limit: i64,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<CallbackRequest>, Error> {
        let theirs = self.dialect().one_of_texts("c.bundle_name", "$1");
        let statement = sqlx::query(assembled(format!(
            "UPDATE callback_request
                SET claimed_until = $4, claimed_by_job_id = $5, attempts = attempts + 1
              WHERE id IN (SELECT c.id
                             FROM callback_request AS c
                            WHERE {theirs}
                              AND (c.claimed_until IS NULL OR c.claimed_until < $3
                                   OR NOT EXISTS (SELECT 1
                                                    FROM job
                                                   WHERE job.id = c.claimed_by_job_id
                                                     AND job.state = 'running'))
                            ORDER BY c.priority_weight DESC, c.id
                            LIMIT $2
                            {})
              RETURNING id, priority_weight, created_at, bundle_name, bundle_version, filepath,
                        dag_id, run_id, body, attempts",
            self.dialect().for_update_skip_locked("c"),
        )))
        .bind(text_array(bundles))
        .bind(limit)
        .bind(micros(now))
        .bind(micros(until))
        .bind(job_id.0);
        let mut claimed = self
            .fetch_all("claim callbacks", statement)
            .await?
            .iter()
            .map(callback_from)
            .collect::<Result<Vec<_>, _>>()?;
        claimed.sort_by_key(|request| (std::cmp::Reverse(request.priority_weight), request.id));
        Ok(claimed)
    }

    /// Gives a request back that somebody took. Should it count as an attempt?
    pub async fn release_callback_request(&mut self, id: i64, counts: bool) -> Result<(), Error> {
        let statement = sqlx::query(
            "UPDATE callback_request
                SET claimed_until = NULL, claimed_by_job_id = NULL,
                    attempts = attempts - CASE WHEN $2 THEN 0 ELSE 1 END
              WHERE id = $1",
        )
        .bind(id)
        .bind(counts);
        self.execute("give a callback back", statement).await?;
        Ok(())
    }

    /// Deletes requests that were served, or that will not be tried again.
    pub async fn finish_callbacks(&mut self, ids: &[i64]) -> Result<(), Error> {
        let theirs = self.dialect().one_of_ints("id", "$1");
        let statement = sqlx::query(assembled(format!(
            "DELETE FROM callback_request WHERE {theirs}"
        )))
        .bind(int_array(ids.iter().copied()));
        self.execute("finish callbacks", statement).await?;
        Ok(())
    }
}

fn callback_from(row: &AnyRow) -> Result<CallbackRequest, Error> {
    let mut columns = Columns::of("callback_request", row);
    Ok(CallbackRequest {
        id: columns.big()?,
        priority_weight: columns.int()?,
        created_at: columns.instant()?,
        bundle_name: columns.id()?,
        bundle_version: columns.owned_or_null()?,
        filepath: columns.owned()?,
        dag_id: columns.id()?,
        run_id: columns.id()?,
        body: columns.json()?,
        attempts: columns.int()?,
    })
}
