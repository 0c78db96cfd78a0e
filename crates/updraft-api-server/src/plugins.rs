//! Plugins and providers: what Python says of itself, in the form that Airflow's server gives it.

use axum::http::StatusCode;
use serde_json::{Value, json};
use tracing::warn;
use updraft_plugins::Plugins;

use crate::call::{Answer, Call, ok};
use crate::error::ApiError;

/// `GET /plugins`.
pub(crate) async fn list(call: Call) -> Answer {
    let mut query = call.query();
    let page = call.page(&mut query);
    query.finish()?;
    let info = require(&call)?.plugin_info().await?;
    for (plugin, error) in &info.invalid {
        warn!(
            plugin,
            error, "left out a plugin that does not describe itself as it should"
        );
    }
    let total = info.plugins.len();
    let shown = paged(info.plugins, page.limit, page.offset);
    ok(&json!({ "plugins": shown, "total_entries": total }))
}

/// `GET /plugins/importErrors`.
pub(crate) async fn import_errors(call: Call) -> Answer {
    let info = require(&call)?.plugin_info().await?;
    let errors: Vec<Value> = info
        .import_errors
        .iter()
        .map(|(source, error)| json!({ "source": source, "error": error }))
        .collect();
    ok(&json!({ "import_errors": errors, "total_entries": errors.len() }))
}

/// `GET /providers`.
pub(crate) async fn providers(call: Call) -> Answer {
    let mut query = call.query();
    let page = call.page(&mut query);
    query.finish()?;
    let found = require(&call)?.providers().await?;
    let listed = found.tables.get("list").cloned().unwrap_or_default();
    let mut providers: Vec<Value> = listed
        .iter()
        .zip(&found.providers)
        .map(|(shown, provider)| {
            json!({
                "package_name": shown["package_name"],
                "description": shown["description"],
                "version": shown["version"],
                "documentation_url": provider.data.get("documentation-url"),
            })
        })
        .collect();
    providers.sort_by_key(|provider| provider["package_name"].to_string());
    let total = providers.len();
    let shown = paged(providers, page.limit, page.offset);
    ok(&json!({ "providers": shown, "total_entries": total }))
}

fn require(call: &Call) -> Result<&Plugins, ApiError> {
    call.state.plugins().ok_or_else(|| {
        let detail = "this server has no Python that could be asked";
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    })
}

fn paged(rows: Vec<Value>, limit: i64, offset: i64) -> Vec<Value> {
    let size = |count: i64| usize::try_from(count).unwrap_or(usize::MAX);
    rows.into_iter()
        .skip(size(offset))
        .take(size(limit))
        .collect()
}
