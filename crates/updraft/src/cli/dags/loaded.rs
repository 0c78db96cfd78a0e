//! Dags as the store has them.

use updraft_model::DagId;
use updraft_model::dag::{Dag, DagVersion};
use updraft_model::serialized::SerializedDag;
use updraft_runtime::Clock;
use updraft_store::Reader;
use updraft_store::listing::DagFilter;

use super::no_such_dag;
use crate::cli::failure::Failure;
use crate::cli::pages::load_all;

/// A Dag, which must be there.
pub(super) async fn require_dag(reader: &mut Reader, dag_id: &str) -> Result<Dag, Failure> {
    let dag = reader.find_dag(&DagId::from(dag_id)).await?;
    dag.ok_or_else(|| no_such_dag(dag_id))
}

/// All Dags that fit, by id.
pub(in crate::cli) async fn load_dags(
    reader: &mut Reader,
    filter: &DagFilter,
) -> Result<Vec<Dag>, Failure> {
    let now = Clock::machine().now();
    load_all("dag_id", async |page| {
        reader.list_dags(filter, page, now).await
    })
    .await
}

/// The newest version of a Dag and its structure; `None` when it was never parsed.
pub(in crate::cli) async fn latest(
    reader: &mut Reader,
    dag_id: &DagId,
) -> Result<Option<(DagVersion, SerializedDag)>, Failure> {
    let Some(version) = reader.find_latest_version(dag_id).await? else {
        return Ok(None);
    };
    let Some(stored) = reader.find_serialized_dag(version.id).await? else {
        return Ok(None);
    };
    let serialized = SerializedDag::parse(serde_json::from_str(&stored.data)?)?;
    Ok(Some((version, serialized)))
}

/// The newest structure of a Dag, which must be there.
pub(in crate::cli) async fn require_serialized(
    reader: &mut Reader,
    dag_id: &str,
) -> Result<(DagVersion, SerializedDag), Failure> {
    let found = latest(reader, &DagId::from(dag_id)).await?;
    found.ok_or_else(|| no_such_dag(dag_id))
}
