//! Parsed Dag structures, shared by requests.
//!
//! A version that no run has used may be overwritten in place, so an entry is known by the hash of
//! its content as well; it is dropped only to make room.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use updraft_model::dag::DagVersion;
use updraft_model::serialized::SerializedDag;
use updraft_model::{DagId, DagVersionId};
use updraft_store::Reader;

use crate::error::ApiError;
use crate::state::ApiState;

#[derive(Default)]
struct Entries {
    dags: HashMap<(DagVersionId, String), (u64, Arc<SerializedDag>)>,
    /// Counts uses; the entry used longest ago goes first.
    uses: u64,
}

/// The cache.
pub(crate) struct DagCache {
    entries: Mutex<Entries>,
    dags_max: usize,
}

impl DagCache {
    /// A cache of at most `dags_max` Dags (`[api] dag_cache_size`); 0 means no limit.
    pub(crate) fn new(dags_max: usize) -> Self {
        Self {
            entries: Mutex::new(Entries::default()),
            dags_max: if dags_max == 0 { usize::MAX } else { dags_max },
        }
    }

    /// The newest version of a Dag and its structure.
    pub(crate) async fn latest(
        &self,
        state: &ApiState,
        reader: &mut Reader,
        dag_id: &DagId,
    ) -> Result<Option<(DagVersion, Arc<SerializedDag>)>, ApiError> {
        let Some(version) = reader.find_latest_version(dag_id).await? else {
            return Ok(None);
        };
        let dag = self.structure(state, reader, &version).await?;
        Ok(dag.map(|dag| (version, dag)))
    }

    /// The structure of a version.
    pub(crate) async fn structure(
        &self,
        state: &ApiState,
        reader: &mut Reader,
        version: &DagVersion,
    ) -> Result<Option<Arc<SerializedDag>>, ApiError> {
        let key = (version.id, version.dag_hash.clone());
        if let Some(dag) = self.cached(&key) {
            return Ok(Some(dag));
        }
        let Some(stored) = reader.find_serialized_dag(version.id).await? else {
            return Ok(None);
        };
        let parsed = state.tasks().blocking(move || parse(&stored.data)).await;
        let dag = Arc::new(parsed.map_err(|error| ApiError::unreadable_dag(&*error))?);
        self.keep((version.id, stored.dag_hash), Arc::clone(&dag));
        Ok(Some(dag))
    }

    fn cached(&self, key: &(DagVersionId, String)) -> Option<Arc<SerializedDag>> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.uses += 1;
        let uses = entries.uses;
        let (used, dag) = entries.dags.get_mut(key)?;
        *used = uses;
        Some(Arc::clone(dag))
    }

    fn keep(&self, key: (DagVersionId, String), dag: Arc<SerializedDag>) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.dags.len() >= self.dags_max {
            let oldest = entries.dags.iter().min_by_key(|(_, (used, _))| *used);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                entries.dags.remove(&oldest);
            }
        }
        entries.uses += 1;
        let uses = entries.uses;
        entries.dags.insert(key, (uses, dag));
    }
}

fn parse(text: &str) -> Result<SerializedDag, Box<dyn std::error::Error + Send + Sync>> {
    Ok(SerializedDag::parse(serde_json::from_str(text)?)?)
}
