//! Serves the API on a listener.

use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, debug_span, info};

use crate::error::ApiError;
use crate::routes;
use crate::service::{nothing_here, wrong_method};
use crate::state::ApiState;
use crate::table::Operation;

/// Ties a request to its log lines: taken from the client, or made up.
const CORRELATION_ID: HeaderName = HeaderName::from_static("correlation-id");

/// Longer ids of clients are replaced.
const CORRELATION_ID_BYTES_MAX: usize = 128;

/// The API server.
pub struct ApiServer {
    /// What requests may use.
    pub state: ApiState,
}

impl ApiServer {
    /// Serves until `shutdown`, then lets running requests finish.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: CancellationToken,
    ) -> Result<(), anyhow::Error> {
        require_supported(&self.state)?;
        let address = listener.local_addr()?;
        info!(%address, "API server is listening");
        let listener = listener.tap_io(|connection| {
            // Answers are small and complete; waiting for more would only delay them.
            if let Err(error) = connection.set_nodelay(true) {
                debug!(%error, "a connection keeps its delay");
            }
        });
        axum::serve(listener, self.router())
            .with_graceful_shutdown(shutdown.cancelled_owned())
            .await?;
        Ok(())
    }

    /// The whole API as a service.
    pub fn router(&self) -> Router {
        let (router, _) = routes::table(&self.state).finish();
        let timeout = self.state.settings().api.worker_timeout;
        let routed = router
            .fallback(|method: Method, uri: Uri| async move { nothing_here(&method, uri.path()) })
            .method_not_allowed_fallback(|| async { wrong_method() });
        // A layer of the inner router would run when the route is chosen already.
        Router::new()
            .fallback_service(routed)
            .layer(middleware::from_fn(move |request, next| {
                watch(request, next, timeout)
            }))
    }

    /// Every operation that is served.
    pub fn operations(&self) -> Vec<Operation> {
        routes::table(&self.state).finish().1
    }
}

/// Refuses settings that would sign tokens in a way this server does not know: a token that others
/// cannot check, or that anybody could make, is worse than no server.
fn require_supported(state: &ApiState) -> Result<(), anyhow::Error> {
    let auth = &state.settings().api_auth;
    if let Some(path) = &auth.jwt_private_key_path {
        anyhow::bail!(
            "[api_auth] jwt_private_key_path: signing with a private key is not available in this \
             version, found `{}`; use jwt_secret",
            path.display()
        );
    }
    if let Some(algorithm) = &auth.jwt_algorithm
        && !matches!(algorithm.as_str(), "HS512" | "GUESS" | "")
    {
        anyhow::bail!("[api_auth] jwt_algorithm: expected `HS512`, found `{algorithm}`");
    }
    Ok(())
}

/// Gives the request an id, bounds its time, and logs how it went.
async fn watch(mut request: Request, next: Next, timeout: Duration) -> Response {
    if request.method() == Method::HEAD {
        return wrong_method();
    }
    split_encoded_slashes(request.uri_mut());
    let id = request
        .headers()
        .get(&CORRELATION_ID)
        .filter(|id| id.len() <= CORRELATION_ID_BYTES_MAX)
        .cloned();
    let id = id.unwrap_or_else(|| {
        HeaderValue::try_from(updraft_runtime::Ids::random().uuid().simple().to_string())
            .unwrap_or(HeaderValue::from_static("unknown"))
    });
    let span = debug_span!("request", method = %request.method(), path = request.uri().path(), ?id);
    let work = tokio::time::timeout(timeout, next.run(request)).instrument(span.clone());
    let mut response = work.await.unwrap_or_else(|_| {
        let limit = timeout.as_secs();
        let detail = format!("The request was not answered within {limit} seconds");
        ApiError::new(StatusCode::GATEWAY_TIMEOUT, detail).into_response()
    });
    let _entered = span.enter();
    debug!(status = response.status().as_u16(), "answered a request");
    response.headers_mut().insert(CORRELATION_ID, id);
    response
}

/// Paths are decoded before they are matched: an encoded slash separates like any other.
fn split_encoded_slashes(uri: &mut Uri) {
    let path = uri.path();
    if !path.contains("%2F") && !path.contains("%2f") {
        return;
    }
    let mut text = path.replace("%2F", "/").replace("%2f", "/");
    if let Some(query) = uri.query() {
        text.push('?');
        text.push_str(query);
    }
    if let Ok(split) = text.parse() {
        *uri = split;
    }
}
