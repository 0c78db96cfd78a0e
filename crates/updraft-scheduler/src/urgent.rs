//! What goes before tasks: callbacks of deadlines and tests of connections.
//!
//! Source: scheduling semantics §5.5, §7.12.

use jiff::Timestamp;
use serde_json::{Map, Value};
use tracing::{debug, warn};
use updraft_executor::ExecutorWorkload;
use updraft_model::callback::{Callback, CallbackState};
use updraft_model::workload::{CallbackWorkload, ConnectionTestWorkload};
use updraft_store::{CallbackReport, Tx};

use crate::Error;
use crate::scheduler::Scheduler;

impl Scheduler {
    /// Gives free slots to callbacks and connection tests that wait. The workloads are for the
    /// executor, once the transaction is committed.
    pub(crate) async fn queue_urgent(
        &mut self,
        tx: &mut Tx,
        now: Timestamp,
    ) -> Result<Vec<ExecutorWorkload>, Error> {
        if !std::mem::take(&mut self.agenda.urgent) {
            return Ok(Vec::new());
        }
        let open_slots = self.executor.open_slots();
        let callbacks = self.queue_callbacks(tx, open_slots, now).await?;
        // Tests are few, and somebody sits in front of the screen: they need no slot that is free.
        let tests = tx
            .queue_connection_tests(self.job_id, self.options.connection_tests_max, now)
            .await?;
        let tests = tests.into_iter().map(|test| ConnectionTestWorkload {
            id: test.id,
            connection_id: test.connection.conn_id,
            timeout: self.options.connection_test_timeout,
        });
        Ok(callbacks
            .into_iter()
            .chain(tests.map(ExecutorWorkload::from))
            .collect())
    }

    async fn queue_callbacks(
        &mut self,
        tx: &mut Tx,
        open_slots: usize,
        now: Timestamp,
    ) -> Result<Vec<ExecutorWorkload>, Error> {
        let limit = i64::try_from(open_slots).unwrap_or(i64::MAX);
        let queued = tx.queue_callbacks(self.job_id, limit, now).await?;
        // Whoever frees a slot makes us look again.
        self.agenda.urgent = queued.len() >= open_slots;
        let mut workloads = Vec::with_capacity(queued.len());
        for callback in queued {
            match self.callback_workload(tx, &callback).await? {
                Ok(workload) => workloads.push(workload.into()),
                Err(why) => {
                    let callback_id = callback.id;
                    warn!(%callback_id, error = why, "failed to hand over a callback");
                    let report = CallbackReport {
                        state: CallbackState::Failed,
                        output: Some(why),
                    };
                    tx.finish_callback(callback.id, &report, now).await?;
                }
            }
        }
        Ok(workloads)
    }

    async fn callback_workload(
        &self,
        tx: &mut Tx,
        callback: &Callback,
    ) -> Result<Result<CallbackWorkload, String>, Error> {
        let text = |name: &str| callback.data.get(name).and_then(Value::as_str);
        if let Some(executor) = text("executor")
            && !self
                .options
                .executor_names
                .iter()
                .any(|name| name == executor)
        {
            return Ok(Err(format!("there is no executor `{executor}`")));
        }
        let Some(path) = text("path") else {
            return Ok(Err("it has no `path`".to_owned()));
        };
        let Some(place) = tx.find_callback_place(callback.id).await? else {
            return Ok(Err("its Dag run is gone".to_owned()));
        };
        let kwargs = callback.data.get("kwargs").and_then(Value::as_object);
        debug!(callback_id = %callback.id, dag_id = %place.dag_id, run_id = %place.run_id, path, "queued a callback");
        Ok(Ok(CallbackWorkload {
            callback_id: callback.id,
            path: path.to_owned(),
            kwargs: kwargs.cloned().unwrap_or_else(Map::new),
            bundle_name: place.bundle_name,
            bundle_version: place.bundle_version,
            dag_rel_path: place.relative_fileloc,
            // As in Airflow.
            log_path: format!(
                "executor_callbacks/{}/{}/{}",
                place.dag_id, place.run_id, callback.id
            ),
            dag_id: place.dag_id,
            run_id: place.run_id,
        }))
    }
}
