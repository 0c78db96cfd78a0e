//! Tries connections out. An executor does it, because only the hook of a connection knows how.

use std::time::Duration;

use serde_json::Value;
use tokio::sync::broadcast::Receiver;
use updraft_config::ConnectionTest as Allowed;
use updraft_model::connection::Connection;
use updraft_model::connection_test::{ConnectionTest, ConnectionTestState};
use updraft_model::python_repr::repr_text;
use updraft_rest_api::admin::{
    AsyncConnectionTestResponse, ConnectionBody, ConnectionTestQueuedResponse,
    ConnectionTestRequestBody, ConnectionTestResponse,
};
use updraft_rest_api::issue::Issue;
use updraft_rest_api::mask::MASK;
use updraft_store::{Change, NewConnectionTest};

use crate::access::Access;
use crate::call::{Answer, Call, accepted, ok};
use crate::connections::patched;
use crate::error::ApiError;
use crate::state::ApiState;

/// The header that has the key to a result.
const TOKEN_HEADER: &str = "Airflow-Connection-Test-Token";

/// Characters of such a key: nobody guesses 43 letters and digits.
const TOKEN_CHARS: usize = 43;

/// Characters of the name that a connection has while a client waits for its test.
const TRANSIENT_ID_CHARS: usize = 8;

/// On top of the time of a test: until an executor has taken it and its process has started.
const START_MAX: Duration = Duration::from_secs(60);

/// Hints may be lost, so the row is looked at so often without any.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// `POST /connections/enqueue-test`.
pub(crate) async fn enqueue(call: Call) -> Answer {
    let body = call.read::<ConnectionTestRequestBody>()?;
    require_allowed(&call)?;
    require_executor(&call, body.executor.as_deref())?;
    let connection_id = body.connection.connection_id.clone();
    if !call.user.role.may(Access::Connection) {
        let detail = format!("You are not authorized to test connection `{connection_id}`.");
        return Err(ApiError::forbidden(&detail));
    }
    let new = NewConnectionTest {
        id: call.state.ids().uuid(),
        token: call.state.ids().alphanumeric(TOKEN_CHARS),
        connection: body.connection.into_connection(),
        commit_on_success: body.commit_on_success,
        executor: body.executor,
        queue: body.queue,
    };
    if !store(&call.state, &new).await? {
        return Err(ApiError::conflict(format!(
            "An active connection test already exists for connection_id `{connection_id}`."
        )));
    }
    accepted(&ConnectionTestQueuedResponse {
        token: new.token,
        connection_id,
        state: ConnectionTestState::Pending,
    })
}

/// `GET /connections/enqueue-test`: how far the test has come whose token the client has.
pub(crate) async fn get(call: Call) -> Answer {
    let token = call.headers.get(TOKEN_HEADER);
    let token = token.and_then(|token| token.to_str().ok()).ok_or_else(|| {
        let missing = Issue::new("missing", "Field required", &Value::Null);
        ApiError::invalid(&[missing.under(TOKEN_HEADER).under("header")])
    })?;
    let test = match call.user.role.may(Access::Connection) {
        true => call.reader().await?.find_connection_test(token).await?,
        false => None,
    };
    let test = test.ok_or_else(|| {
        ApiError::not_found(format!("No connection test found for token: `{token}`"))
    })?;
    ok(&AsyncConnectionTestResponse::from(test))
}

/// `POST /connections/test`: waits for the result.
pub(crate) async fn test(call: Call) -> Answer {
    require_allowed(&call)?;
    let body = call.read::<ConnectionBody>()?;
    let fields = call.changed_fields()?;
    let stored = call
        .reader()
        .await?
        .find_connection(&body.connection_id)
        .await?;
    let tested = match stored {
        Some(stored) => merged(stored, body, &fields)?,
        None => body.into_connection(),
    };
    let new = NewConnectionTest {
        id: call.state.ids().uuid(),
        token: call.state.ids().alphanumeric(TOKEN_CHARS),
        connection: Connection {
            // It is tested beside the one that is stored, and beside other tests of it.
            conn_id: call.state.ids().alphanumeric(TRANSIENT_ID_CHARS),
            ..tested
        },
        commit_on_success: false,
        executor: None,
        queue: None,
    };
    // Listen before asking, so that nothing falls between.
    let changes = call.state.store().changes().subscribe();
    store(&call.state, &new).await?;
    let (status, message) = match end_of(&call.state, &new.token, changes).await? {
        Some(test) => (
            test.state == ConnectionTestState::Success,
            test.result_message.unwrap_or_default(),
        ),
        None => (false, "No executor has tested the connection".to_owned()),
    };
    ok(&ConnectionTestResponse { status, message })
}

/// The stored connection with what the request says. Stored credentials go to no other place than
/// that they are for.
fn merged(
    stored: Connection,
    body: ConnectionBody,
    fields: &[String],
) -> Result<Connection, ApiError> {
    let is_sent = |name: &str| fields.iter().any(|field| field == name);
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let goes_elsewhere = (is_sent("host") && text(&body.host) != text(&stored.host))
        || (is_sent("port") && body.port != stored.port);
    if !goes_elsewhere {
        return Ok(patched(stored, body, fields));
    }
    let password = body.password.as_deref().unwrap_or_default();
    if password.is_empty() || password == MASK {
        return Err(ApiError::bad_request(
            "The host or port to test differs from the stored connection. Include the \
             credentials to test in the request body.",
        ));
    }
    Ok(body.into_connection())
}

/// The test, once it is over; `None`: it did not end in time.
async fn end_of(
    state: &ApiState,
    token: &str,
    mut changes: Receiver<Change>,
) -> Result<Option<ConnectionTest>, ApiError> {
    let limit = state.settings().connection_test_timeout + START_MAX;
    let shutdown = state.tasks().shutdown();
    let mut is_late = std::pin::pin!(state.clock().sleep(limit));
    loop {
        let test = state
            .store()
            .read()
            .await?
            .find_connection_test(token)
            .await?;
        if let Some(test) = test.filter(|test| test.state.is_finished()) {
            return Ok(Some(test));
        }
        tokio::select! {
            () = shutdown.cancelled() => return Ok(None),
            () = &mut is_late => return Ok(None),
            () = state.clock().sleep(LOOK_INTERVAL) => {}
            () = next_hint(&mut changes) => {}
        }
    }
}

async fn next_hint(changes: &mut Receiver<Change>) {
    loop {
        match changes.recv().await {
            Ok(Change::Urgent | Change::Everything) => return,
            Ok(_) => {}
            // Too many to read all of them; the next look makes up for that.
            Err(_) => return std::future::pending().await,
        }
    }
}

/// Whether there is no other one for the same connection.
async fn store(state: &ApiState, new: &NewConnectionTest) -> Result<bool, ApiError> {
    let store = state.store();
    let is_new = store
        .retry(|| async {
            let mut tx = store.write().await?;
            let is_new = tx.create_connection_test(new, state.clock().now()).await?;
            tx.commit().await?;
            Ok(is_new)
        })
        .await?;
    Ok(is_new)
}

fn require_allowed(call: &Call) -> Result<(), ApiError> {
    if call.state.settings().core.test_connection == Allowed::Enabled {
        return Ok(());
    }
    Err(ApiError::forbidden(
        "Testing connections is disabled in Airflow configuration. Contact your deployment \
         admin to enable it.",
    ))
}

/// An executor goes by its alias, by the path of its class, or by the name of its class.
fn require_executor(call: &Call, wanted: Option<&str>) -> Result<(), ApiError> {
    let Some(wanted) = wanted else {
        return Ok(());
    };
    let configured = &call.state.settings().core.executors;
    let is_known = configured.iter().any(|entry| {
        entry
            .split(':')
            .any(|name| name == wanted || name.rsplit('.').next() == Some(wanted))
    });
    if is_known {
        return Ok(());
    }
    let names = configured.iter().map(|entry| {
        let (alias, _) = entry.split_once(':').unwrap_or((entry, ""));
        repr_text(alias)
    });
    let names: Vec<String> = names.collect();
    Err(ApiError::unprocessable(format!(
        "Executor '{wanted}' is not configured. Configured executors: [{}]",
        names.join(", ")
    )))
}
