use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::section::Section;

/// `[dag_processor]`.
#[derive(Clone, Debug)]
pub struct DagProcessorConfig {
    /// `dag_bundle_config_list`: JSON list of the bundles that hold Dag files.
    pub bundles: Vec<DagBundleConfig>,
    /// `dag_bundle_storage_path`: folder for checkouts of bundles; empty uses the temporary
    /// folder.
    pub dag_bundle_storage_path: Option<PathBuf>,
    /// `refresh_interval`: pause between two full looks at a bundle.
    pub refresh_interval: Duration,
    /// `bundle_refresh_check_interval`: pause between two looks at which bundles are due.
    pub bundle_refresh_check_interval: Duration,
    /// `disable_bundle_versioning`: run every task on the newest checkout.
    pub disable_bundle_versioning: bool,
    /// `parsing_processes`: Dag files that are parsed at a time.
    pub parsing_processes: u32,
    /// `min_file_process_interval`: pause after which an unchanged file is parsed again.
    pub min_file_process_interval: Duration,
    /// `file_parsing_sort_mode`: which files come first: `modified_time`,
    /// `random_seeded_by_host` or `alphabetical`.
    pub file_parsing_sort_mode: FileParsingSortMode,
    /// `dag_file_processor_timeout`: time one file may take before its child is killed.
    pub dag_file_processor_timeout: Duration,
    /// `stale_dag_threshold`: time after which a Dag that its file no longer holds is stale.
    pub stale_dag_threshold: Duration,
    /// `max_callbacks_per_loop`: callbacks that one step takes from the store.
    pub max_callbacks_per_loop: u32,
    /// `print_stats_interval`: pause between two tables of files in the log; 0 means never.
    pub print_stats_interval: Option<Duration>,
    /// `health_check_threshold`: silence after which a Dag processor counts as dead.
    pub health_check_threshold: Duration,
    /// `stale_bundle_cleanup_interval`: pause between two cleanings of old checkouts; 0 means
    /// never.
    pub stale_bundle_cleanup_interval: Option<Duration>,
    /// `stale_bundle_cleanup_age_threshold`: age from which an unused checkout may go.
    pub stale_bundle_cleanup_age_threshold: Duration,
    /// `stale_bundle_cleanup_min_versions`: checkouts per bundle that always stay.
    pub stale_bundle_cleanup_min_versions: u32,
    /// `dag_version_inflation_check_level`: what to do about code that makes every parse a new
    /// version: `off`, `warning` or `error`.
    pub dag_version_inflation_check_level: DagVersionInflationCheck,
}

/// One entry of `dag_bundle_config_list`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct DagBundleConfig {
    /// Unique name.
    pub name: String,
    /// Python class of the bundle.
    pub classpath: String,
    /// Arguments of the class.
    pub kwargs: Map<String, Value>,
    /// Team that owns the bundle, with `[core] multi_team`.
    #[serde(default)]
    pub team_name: Option<String>,
}

/// Which Dag files are parsed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileParsingSortMode {
    /// The one that changed last.
    ModifiedTime,
    /// An order of its own on each host, so that hosts share the work.
    RandomSeededByHost,
    /// By path.
    Alphabetical,
}

/// What to do about a Dag whose structure differs at every parse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DagVersionInflationCheck {
    /// Do not look.
    Off,
    /// Warn in the list of Dag warnings.
    Warning,
    /// Refuse the file.
    Error,
}

/// Airflow's name for the bundle of example Dags.
const EXAMPLE_BUNDLE: &str = "example_dags";

const BUNDLES: &str = "dag_bundle_config_list";

impl DagProcessorConfig {
    pub(crate) fn read(section: &mut Section<'_>) -> Self {
        Self {
            bundles: read_bundles(section),
            dag_bundle_storage_path: section.optional_path("dag_bundle_storage_path"),
            refresh_interval: section.seconds("refresh_interval"),
            bundle_refresh_check_interval: section.seconds("bundle_refresh_check_interval"),
            disable_bundle_versioning: section.flag("disable_bundle_versioning"),
            parsing_processes: section.positive("parsing_processes"),
            min_file_process_interval: section.seconds("min_file_process_interval"),
            file_parsing_sort_mode: section.choice(
                "file_parsing_sort_mode",
                &[
                    ("modified_time", FileParsingSortMode::ModifiedTime),
                    (
                        "random_seeded_by_host",
                        FileParsingSortMode::RandomSeededByHost,
                    ),
                    ("alphabetical", FileParsingSortMode::Alphabetical),
                ],
            ),
            dag_file_processor_timeout: section.seconds("dag_file_processor_timeout"),
            stale_dag_threshold: section.seconds("stale_dag_threshold"),
            max_callbacks_per_loop: section.positive("max_callbacks_per_loop"),
            print_stats_interval: section.seconds_unless_zero("print_stats_interval"),
            health_check_threshold: section.seconds("health_check_threshold"),
            stale_bundle_cleanup_interval: section
                .seconds_unless_zero("stale_bundle_cleanup_interval"),
            stale_bundle_cleanup_age_threshold: section
                .seconds("stale_bundle_cleanup_age_threshold"),
            stale_bundle_cleanup_min_versions: section.count("stale_bundle_cleanup_min_versions"),
            dag_version_inflation_check_level: section.choice(
                "dag_version_inflation_check_level",
                &[
                    ("off", DagVersionInflationCheck::Off),
                    ("warning", DagVersionInflationCheck::Warning),
                    ("error", DagVersionInflationCheck::Error),
                ],
            ),
        }
    }
}

fn read_bundles(section: &mut Section<'_>) -> Vec<DagBundleConfig> {
    let expected = "a JSON list of {\"name\", \"classpath\", \"kwargs\"}";
    let bundles: Vec<DagBundleConfig> =
        section.optional_json(BUNDLES, expected).unwrap_or_default();
    for (at, bundle) in bundles.iter().enumerate() {
        let name = &bundle.name;
        if name == EXAMPLE_BUNDLE {
            let hint = "use [core] load_examples instead";
            section.refuse(
                BUNDLES,
                format!("the name {name:?} is Airflow's own; {hint}"),
            );
        }
        if bundles[..at].iter().any(|earlier| earlier.name == *name) {
            section.refuse(BUNDLES, format!("two bundles are named {name:?}"));
        }
    }
    bundles
}
