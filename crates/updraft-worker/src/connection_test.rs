//! Tries a connection out in a child, because only its hook knows how.
//!
//! Source: Airflow's connection tests; the answer stands in the row of the request.

use tracing::{info, warn};
use updraft_execution::{Asker, ChildLog, ChildOrder, End, Finished};
use updraft_model::connection::Connection;
use updraft_model::connection_test::{ConnectionTest, ConnectionTestState};
use updraft_model::workload::ConnectionTestWorkload;
use updraft_python::ChildKind;
use updraft_store::Error;
use updraft_task_comms::frame::encode_frame;
use updraft_task_comms::message::{
    ConnectionResult, ConnectionTestResult, ExecutorOrder, Request, TestConnection,
};

use crate::rows::Outcome;
use crate::worker::Worker;

/// The message that says how the test ended.
const RESULT: &str = "ConnectionTestResult";

impl Worker {
    /// Makes one test.
    pub(crate) async fn run_connection_test(&self, workload: &ConnectionTestWorkload) -> Outcome {
        let (shared, id) = (&self.shared, workload.id);
        let started = shared
            .store
            .retry(|| async {
                let mut tx = shared.store.write().await?;
                let started = tx.start_connection_test(id, shared.clock.now()).await?;
                tx.commit().await?;
                Ok(started)
            })
            .await;
        let test = match started {
            Ok(Some(test)) => test,
            Ok(None) => return Outcome::Refused,
            Err(error) => return Outcome::Unsettled(error.to_string()),
        };
        let order = || self.test_order(&test.connection, workload);
        let finished = self.run_child(order).await;
        let result = result_of(&finished, workload);
        let connection_id = &workload.connection_id;
        let duration_ms = finished.duration.as_millis();
        match result.status {
            true => info!(connection_id, duration_ms, "tested a connection: it works"),
            false => warn!(
                connection_id,
                duration_ms, "tested a connection: it does not work"
            ),
        }
        match self.settle_connection_test(&test, &result).await {
            Ok(()) => Outcome::Settled,
            Err(error) => Outcome::Unsettled(error.to_string()),
        }
    }

    fn test_order(
        &self,
        connection: &Connection,
        workload: &ConnectionTestWorkload,
    ) -> Result<ChildOrder, String> {
        let order = ExecutorOrder::TestConnection(TestConnection {
            connection: ConnectionResult {
                conn_id: connection.conn_id.clone(),
                conn_type: connection.conn_type.clone(),
                host: connection.host.clone(),
                schema: connection.schema.clone(),
                login: connection.login.clone(),
                password: connection.password.clone(),
                port: connection.port.map(i64::from),
                extra: connection.extra.clone(),
            },
        });
        let first = encode_frame(0, Some(&order), None::<&()>).map_err(|bad| bad.to_string())?;
        Ok(ChildOrder {
            kind: ChildKind::Callback,
            environment: Vec::new(),
            first,
            asker: Asker::Callback(self.shared.options.answers.python.clone()),
            expects: Some(RESULT),
            limit: Some(workload.timeout),
            grace: None,
            secrets: Vec::new(),
            log: ChildLog::Nowhere,
        })
    }

    async fn settle_connection_test(
        &self,
        test: &ConnectionTest,
        result: &ConnectionTestResult,
    ) -> Result<(), Error> {
        let state = match result.status {
            true => ConnectionTestState::Success,
            false => ConnectionTestState::Failed,
        };
        let shared = &self.shared;
        shared
            .store
            .retry(|| async {
                let now = shared.clock.now();
                let mut tx = shared.store.write().await?;
                let won = tx
                    .finish_connection_test(test.id, state, &result.message, now)
                    .await?;
                if won && result.status && test.commit_on_success {
                    let stored = tx.find_connection(&test.connection.conn_id).await?;
                    tx.set_connection(&committed(test, stored)).await?;
                }
                tx.commit().await
            })
            .await
    }
}

/// The connection that a test leaves: what a test does not know stays.
fn committed(test: &ConnectionTest, stored: Option<Connection>) -> Connection {
    let tested = test.connection.clone();
    match stored {
        Some(stored) => Connection {
            description: stored.description,
            team_name: stored.team_name,
            ..tested
        },
        None => tested,
    }
}

fn result_of(finished: &Finished, workload: &ConnectionTestWorkload) -> ConnectionTestResult {
    let failed = |message| ConnectionTestResult {
        status: false,
        message,
    };
    if let Some(body) = &finished.result
        && let Ok(Request::ConnectionTestResult(result)) = Request::decode(body)
    {
        return result;
    }
    let unexpected = |why| failed(format!("Connection test failed unexpectedly: {why}"));
    match &finished.end {
        End::TimedOut(_) => failed(format!(
            "Connection test timed out after {}s",
            workload.timeout.as_secs()
        )),
        End::Ended(status) => unexpected(match &finished.last_error {
            Some(error) => error.clone(),
            None => format!("its process ended: {status:?}"),
        }),
        End::Garbled(bad) => unexpected(bad.to_string()),
        End::NotStarted(why) => unexpected(format!("no process could be started for it: {why}")),
        End::Stopped => unexpected("Updraft was stopped".to_owned()),
    }
}
