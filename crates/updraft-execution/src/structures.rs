//! Parsed Dag versions, kept for the length of one action over many rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use tracing::error;
use updraft_model::DagVersionId;
use updraft_model::serialized::SerializedDag;
use updraft_store::{Error, Reader};

/// Versions that are kept at once. An action over many runs meets few versions; a hundred of them
/// in a row would be kept for nothing.
const VERSIONS_MAX: usize = 64;

/// The versions that an action has met so far.
#[derive(Debug, Default)]
pub struct Structures {
    parsed: BTreeMap<DagVersionId, Option<Arc<SerializedDag>>>,
}

impl Structures {
    /// The structure of a version; `None` when it is not there or cannot be read.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn load(
        &mut self,
        reader: &mut Reader,
        version: DagVersionId,
    ) -> Result<Option<Arc<SerializedDag>>, Error> {
        if let Some(found) = self.parsed.get(&version) {
            return Ok(found.clone());
        }
        let stored = reader.find_serialized_dag(version).await?;
        let dag = stored.and_then(|stored| read(version, &stored.data));
        if self.parsed.len() >= VERSIONS_MAX {
            self.parsed.clear();
        }
        self.parsed.insert(version, dag.clone());
        Ok(dag)
    }
}

fn read(version: DagVersionId, data: &str) -> Option<Arc<SerializedDag>> {
    let parsed = serde_json::from_str(data)
        .map_err(|error| error.to_string())
        .and_then(|raw| SerializedDag::parse(raw).map_err(|error| error.to_string()));
    match parsed {
        Ok(dag) => Some(Arc::new(dag)),
        Err(error) => {
            error!(dag_version_id = %version, %error, "failed to read a serialized Dag");
            None
        }
    }
}
