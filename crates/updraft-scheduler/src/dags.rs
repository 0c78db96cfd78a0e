//! Parsed Dag versions, kept between passes.

use std::collections::HashMap;
use std::sync::Arc;

use tracing::error;
use updraft_model::DagVersionId;
use updraft_model::serialized::SerializedDag;
use updraft_planning::run::ViewNeeds;
use updraft_store::{Error, Reader};
use updraft_timetable::Timetable;

/// Versions that are kept, as in Airflow. A Dag of a hundred tasks takes about 300 kB.
const VERSIONS_MAX: usize = 512;

/// One version of a Dag and what its runs need to be looked at.
#[derive(Debug)]
pub struct CachedDag {
    pub dag: SerializedDag,
    pub needs: ViewNeeds,
    timetable: Option<Timetable>,
}

impl CachedDag {
    /// `None`: it cannot be read, which the Dag processor reports as an import error.
    #[must_use]
    pub fn timetable(&self) -> Option<&Timetable> {
        self.timetable.as_ref()
    }
}

/// Keeps the versions in use. A version may be overwritten in place, so it is named by its hash
/// too.
#[derive(Debug, Default)]
pub struct DagCache {
    versions: HashMap<DagVersionId, Entry>,
    uses: u64,
}

#[derive(Debug)]
struct Entry {
    dag_hash: String,
    dag: Arc<CachedDag>,
    last_use: u64,
}

impl DagCache {
    /// The content of a version; `None` when it does not exist or cannot be read.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn load(
        &mut self,
        reader: &mut Reader,
        version: DagVersionId,
        dag_hash: &str,
    ) -> Result<Option<Arc<CachedDag>>, Error> {
        self.uses += 1;
        if let Some(entry) = self.versions.get_mut(&version)
            && entry.dag_hash == dag_hash
        {
            entry.last_use = self.uses;
            return Ok(Some(Arc::clone(&entry.dag)));
        }
        let Some(stored) = reader.find_serialized_dag(version).await? else {
            return Ok(None);
        };
        let dag = match parse(&stored.data) {
            Ok(dag) => dag,
            Err(error) => {
                error!(dag_version_id = %version, %error, "failed to read a serialized Dag; its runs wait until the file is parsed again");
                return Ok(None);
            }
        };
        let needs = ViewNeeds::of(&dag);
        let timetable = Timetable::from_serialized(&dag.attributes().timetable).ok();
        let dag = Arc::new(CachedDag {
            dag,
            needs,
            timetable,
        });
        self.make_room();
        let entry = Entry {
            // What was read, which may be newer than what was asked for.
            dag_hash: stored.dag_hash,
            dag: Arc::clone(&dag),
            last_use: self.uses,
        };
        self.versions.insert(version, entry);
        Ok(Some(dag))
    }

    fn make_room(&mut self) {
        if self.versions.len() < VERSIONS_MAX {
            return;
        }
        let oldest = self.versions.iter().min_by_key(|(_, entry)| entry.last_use);
        if let Some(id) = oldest.map(|(id, _)| *id) {
            self.versions.remove(&id);
        }
    }
}

fn parse(text: &str) -> Result<SerializedDag, String> {
    let raw = serde_json::from_str(text).map_err(|error| error.to_string())?;
    SerializedDag::parse(raw).map_err(|error| error.to_string())
}
