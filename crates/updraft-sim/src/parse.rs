//! Dags come into the store as the Dag processor brings them there.

use std::path::PathBuf;
use std::time::Duration;

use updraft_dag_processor::{Bundle, Content, FileKey, Parsing};
use updraft_runtime::Ids;
use updraft_task_comms::json::JsonText;
use updraft_task_comms::message::{DagFileParsingResult, LazyDeserializedDAG};

use crate::dags::{DagModel, file_of};

/// The only bundle.
pub(crate) const BUNDLE: &str = "dags-folder";

/// What a parse of the Dag's file finds while the Dag is in this version.
pub(crate) fn content(dag: &DagModel, version: usize, ids: &Ids) -> Content {
    let parsing = Parsing {
        bundle: Bundle {
            name: BUNDLE.into(),
            path: PathBuf::from("/dags"),
            version: None,
        },
        key: FileKey {
            bundle: BUNDLE.into(),
            path: file_of(&dag.id),
        },
        paused_at_creation: false,
    };
    let result = DagFileParsingResult {
        fileloc: format!("/dags/{}", file_of(&dag.id)),
        serialized_dags: vec![LazyDeserializedDAG {
            data: JsonText::from(&dag.versions[version].data),
            last_loaded: None,
        }],
        warnings: None,
        import_errors: None,
    };
    parsing.read(&result, Duration::from_millis(100), ids)
}
