//! From settings to what each role wants to know.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use jiff::SignedDuration;
use secrecy::SecretString;
use updraft_api_server::{ApiSettings, HealthThresholds};
use updraft_bundles::{BundleConfig, Bundles};
use updraft_config::{Environment, IgnoreFileSyntax, LogLevel, Lookups, Origin, Settings, Values};
use updraft_dag_processor::{DagProcessorOptions, DiscoveryRules, IgnoreSyntax};
use updraft_dag_run::RunRules;
use updraft_execution::{AnswerOptions, ExplainRules, LogNames, PythonSide};
use updraft_plugins::Plugins;
use updraft_python::{ProvisionRequest, PythonRuntime, ZygoteConfig};
use updraft_runtime::{Clock, Ids};
use updraft_scheduler::{CustomMappers, SchedulerOptions, StuckOptions};
use updraft_store::TriggerQueues;
use updraft_task_comms::masker::MaskerConfig;
use updraft_task_comms::session::SessionConfig;
use updraft_task_comms::session::triggerer::TriggererConfig;
use updraft_triggerer::TriggererOptions;
use updraft_worker::WorkerOptions;

use super::bundles;
use super::first_start::Keys;
use crate::cli::standalone::StandaloneArgs;
use crate::secret_settings::with_lookups;

/// Name of the option that says where Dag files are.
const DAGS_FOLDER: &str = "AIRFLOW__CORE__DAGS_FOLDER";

/// Loads the settings; flags go before everything else.
pub(super) fn load_settings(args: &StandaloneArgs) -> Result<Settings> {
    let mut environment = Environment::of_process();
    if let Some(home) = &args.home {
        let home = std::path::absolute(home).context("failed to resolve --home")?;
        environment = environment.with("AIRFLOW_HOME", home.to_string_lossy());
    }
    if let Some(host) = &args.host {
        environment = environment.with("AIRFLOW__API__HOST", host.as_str());
    }
    if let Some(port) = args.port {
        environment = environment.with("AIRFLOW__API__PORT", port.to_string());
    }
    // What is secret does not matter to where Dag files are.
    let written = Lookups {
        ask_secrets_backend: &|_, _| Ok(None),
        ..Lookups::of_machine()
    };
    if let Some(folder) = dags_beside_us(&Values::load(&environment, &written)) {
        environment = environment.with(DAGS_FOLDER, folder.to_string_lossy());
    }
    let loaded = with_lookups(&environment, |lookups| {
        Settings::load(&environment, lookups)
    });
    loaded.map_err(anyhow::Error::from)
}

/// A folder `dags` where the command was typed goes before the default below the home folder, but
/// not before a setting.
fn dags_beside_us(values: &Values) -> Option<PathBuf> {
    let is_set = values
        .get("core", "dags_folder")
        .is_some_and(|value| !matches!(value.origin, Origin::Default));
    let folder = std::path::absolute("dags").ok()?;
    (!is_set && folder.is_dir()).then_some(folder)
}

/// The filter of the process log for `[logging] logging_level`.
pub(super) fn log_filter(settings: &Settings) -> String {
    match settings.logging.logging_level {
        LogLevel::Debug => "debug,sqlx=info,hyper=info",
        LogLevel::Info => "info,sqlx::postgres::notice=warn",
        LogLevel::Warning => "warn",
        LogLevel::Error | LogLevel::Critical => "error",
    }
    .to_owned()
}

pub(crate) fn provision_request(settings: &Settings) -> ProvisionRequest {
    let environment = Environment::of_process();
    ProvisionRequest {
        runtime_dir: settings.values.home.join("runtime"),
        python: settings.updraft.python.clone(),
        virtual_env: environment.get("VIRTUAL_ENV").map(PathBuf::from),
        path: environment.get("PATH").map(Into::into),
    }
}

/// How the zygote and its children run.
pub(crate) fn zygote(
    settings: &Settings,
    python: &PythonRuntime,
    bundles: &[BundleConfig],
) -> Result<ZygoteConfig> {
    let home = settings.values.home.clone();
    let process = Environment::of_process();
    let inherited = process
        .iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut environment: BTreeMap<String, String> =
        settings.child_environment(inherited).into_iter().collect();
    environment.insert(
        "AIRFLOW_HOME".to_owned(),
        home.to_string_lossy().into_owned(),
    );
    environment.insert("_AIRFLOW_PROCESS_CONTEXT".to_owned(), "client".to_owned());
    let storage = bundles::storage(settings)?;
    environment.extend(Bundles::environment_of_zygote(bundles, &storage));
    let config = ZygoteConfig::new(python);
    Ok(ZygoteConfig {
        environment: environment.into_iter().collect(),
        // Some of the example Dags need plugins that come with them.
        example_plugins: bundles
            .iter()
            .any(|bundle| bundle.name.as_str() == "example_dags"),
        idle_children: usize::try_from(settings.updraft.prefork)?,
        ..config
    })
}

/// What is masked in logs beyond what a task says itself.
pub(crate) fn masker(settings: &Settings) -> MaskerConfig {
    MaskerConfig {
        secret_length_min: usize::try_from(settings.logging.min_length_masked_secret)
            .unwrap_or(usize::MAX),
        extra_sensitive_names: settings.core.sensitive_var_conn_names.clone(),
        hide_sensitive_fields: settings.core.hide_sensitive_var_conn_fields,
    }
}

pub(super) fn answers(settings: &Settings, python: PythonSide) -> AnswerOptions {
    AnswerOptions {
        map_length_max: settings.core.max_map_length,
        run_rules: run_rules(settings),
        clock: Clock::machine(),
        ids: Ids::random(),
        python: Some(python),
    }
}

fn run_rules(settings: &Settings) -> RunRules {
    RunRules {
        allowed_run_id_pattern: settings.scheduler.allowed_run_id_pattern.clone(),
        allow_double_dot_in_ids: settings.core.allow_double_dot_in_ids,
        disable_bundle_versioning: settings.dag_processor.disable_bundle_versioning,
    }
}

pub(super) fn worker(settings: &Settings, host: &Host, python: PythonSide) -> WorkerOptions {
    WorkerOptions {
        log_folder: settings.logging.base_log_folder.clone(),
        hostname: host.hostname.clone(),
        unixname: host.unixname.clone(),
        session: SessionConfig {
            heartbeat_interval: settings.workers.min_heartbeat_interval,
            failed_heartbeats_max: settings.workers.max_failed_heartbeats,
            overtime: settings.core.task_success_overtime,
            drain_timeout: settings.workers.socket_cleanup_timeout,
            ..SessionConfig::default()
        },
        callback_timeout: settings.callbacks.callback_execution_timeout,
        masker: masker(settings),
        answers: answers(settings, python),
    }
}

pub(super) fn scheduler(
    settings: &Settings,
    is_alone: bool,
    host: &Host,
    custom_mappers: CustomMappers,
) -> Result<SchedulerOptions> {
    let config = &settings.scheduler;
    Ok(SchedulerOptions {
        hostname: host.hostname.clone(),
        unixname: host.unixname.clone(),
        executor_names: executor_names(&settings.core.executors),
        max_task_retry_delay: signed(settings.core.max_task_retry_delay),
        max_dagruns_to_create: config.max_dagruns_to_create_per_loop.into(),
        max_dagruns_per_loop: config.max_dagruns_per_loop_to_schedule.into(),
        use_job_schedule: config.use_job_schedule,
        partition_keys_max: config.partition_mapper_max_downstream_keys,
        custom_mappers: Some(custom_mappers),
        job_heartbeat: config.job_heartbeat,
        health_check_threshold: config.health_check_threshold,
        parsing_cleanup_interval: config.parsing_cleanup_interval,
        orphaned_tasks_check_interval: config.orphaned_tasks_check_interval,
        task_instance_heartbeat_timeout: config.task_instance_heartbeat_timeout,
        heartbeat_timeout_detection_interval: config
            .task_instance_heartbeat_timeout_detection_interval,
        trigger_timeout_check_interval: config.trigger_timeout_check_interval,
        stuck: StuckOptions {
            timeout: config.task_queued_timeout,
            check_interval: config.task_queued_timeout_check_interval,
            requeues_max: config.num_stuck_in_queued_retries,
        },
        run_rules: run_rules(settings),
        environment_variables: environment_variables(),
        connection_tests_max: settings.connection_test.max_concurrency.into(),
        connection_test_timeout: settings.connection_test.timeout,
        log_names: LogNames::parse(&settings.logging.log_filename_template)?,
        full_scan_interval: settings.updraft.full_scan_interval,
        is_alone,
    })
}

/// Airflow variables that this process has in its environment.
///
/// Source: runtime protocols §1.13.
fn environment_variables() -> BTreeMap<String, String> {
    const PREFIX: &str = "AIRFLOW_VAR_";
    let environment = Environment::of_process();
    let of_variables = environment
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix(PREFIX)?, value)));
    of_variables
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// What keeps tasks waiting.
pub(crate) fn explain_rules(settings: &Settings) -> ExplainRules {
    ExplainRules {
        // As the executor: one task runs in any case.
        parallelism: settings.core.parallelism.max(1),
        max_task_retry_delay: signed(settings.core.max_task_retry_delay),
        executor_names: executor_names(&settings.core.executors),
        health_check_threshold: settings.scheduler.health_check_threshold,
    }
}

/// Standalone has one executor; it answers to every name that the settings give to executors.
fn executor_names(executors: &[String]) -> Vec<smol_str::SmolStr> {
    const LOCAL: [&str; 2] = [
        "LocalExecutor",
        "airflow.executors.local_executor.LocalExecutor",
    ];
    let configured = executors
        .iter()
        .flat_map(|entry| entry.split(':'))
        .map(Into::into);
    LOCAL
        .iter()
        .map(|name| (*name).into())
        .chain(configured)
        .collect()
}

pub(super) fn dag_processor(
    settings: &Settings,
    host: &Host,
    python: PythonSide,
) -> DagProcessorOptions {
    let config = &settings.dag_processor;
    DagProcessorOptions {
        log_folder: settings
            .logging
            .dag_processor_child_process_log_directory
            .clone(),
        parsing_processes: usize::try_from(config.parsing_processes)
            .unwrap_or(1)
            .max(1),
        min_file_process_interval: config.min_file_process_interval,
        refresh_interval: config.refresh_interval,
        bundle_refresh_check_interval: config.bundle_refresh_check_interval,
        file_timeout: config.dag_file_processor_timeout,
        callbacks_max: usize::try_from(config.max_callbacks_per_loop).unwrap_or(usize::MAX),
        health_check_threshold: config.health_check_threshold,
        discovery: DiscoveryRules {
            ignore_syntax: match settings.core.dag_ignore_file_syntax {
                IgnoreFileSyntax::Glob => IgnoreSyntax::Glob,
                IgnoreFileSyntax::Regexp => IgnoreSyntax::Regexp,
            },
            safe_mode: settings.core.dag_discovery_safe_mode,
        },
        dags_are_paused_at_creation: settings.core.dags_are_paused_at_creation,
        heartbeat_interval: settings.scheduler.job_heartbeat,
        python: Some(python),
        hostname: host.hostname.clone(),
        unixname: host.unixname.clone(),
    }
}

pub(super) fn triggerer(
    settings: &Settings,
    runtime: &PythonRuntime,
    is_alone: bool,
    host: &Host,
    python: PythonSide,
) -> Result<TriggererOptions> {
    let config = &settings.triggerer;
    Ok(TriggererOptions {
        hostname: host.hostname.clone(),
        unixname: host.unixname.clone(),
        log_folder: settings.logging.base_log_folder.clone(),
        log_names: LogNames::parse(&settings.logging.log_filename_template)?,
        scratch_folder: runtime.runtime_dir.clone(),
        capacity: usize::try_from(config.capacity).unwrap_or(usize::MAX),
        claimed_at_once_max: usize::try_from(config.max_trigger_to_select_per_loop)
            .unwrap_or(usize::MAX),
        // This is the only triggerer that a user of `standalone` has.
        queues: TriggerQueues::All,
        job_heartbeat: config.job_heartbeat,
        health_check_threshold: config.triggerer_health_check_threshold,
        full_scan_interval: settings.updraft.full_scan_interval,
        idle_timeout: settings.updraft.trigger_idle_timeout,
        session: TriggererConfig {
            silence_max: config.runner_health_check_threshold,
            on_kill_timeout: config.on_kill_timeout,
            ..TriggererConfig::default()
        },
        masker: masker(settings),
        answers: answers(settings, python),
        is_alone,
    })
}

pub(super) fn api(
    settings: &Settings,
    keys: &Keys,
    python: &PythonRuntime,
    plugins: Plugins,
) -> Result<ApiSettings> {
    Ok(ApiSettings {
        home: settings.values.home.clone(),
        api: settings.api.clone(),
        api_auth: settings.api_auth.clone(),
        core: settings.core.clone(),
        logging: settings.logging.clone(),
        values: settings.values.clone(),
        connection_test_timeout: settings.connection_test.timeout,
        state_store: settings.state_store.clone(),
        log_names: LogNames::parse(&settings.logging.log_filename_template)?,
        run_rules: run_rules(settings),
        health: HealthThresholds {
            scheduler: settings.scheduler.health_check_threshold,
            triggerer: settings.triggerer.triggerer_health_check_threshold,
            dag_processor: settings.dag_processor.health_check_threshold,
        },
        explain: explain_rules(settings),
        jwt_secret: SecretString::clone(&keys.jwt),
        secret_key: SecretString::clone(&keys.api),
        airflow_version: python
            .interpreter
            .airflow
            .as_ref()
            .map(|airflow| airflow.core_version.clone())
            .unwrap_or_default(),
        plugins: Some(plugins),
    })
}

/// Identity of this process in the store.
#[derive(Clone, Debug)]
pub(super) struct Host {
    pub(super) hostname: String,
    pub(super) unixname: String,
}

impl Host {
    pub(super) fn of_machine() -> Result<Self> {
        let hostname = nix::unistd::gethostname().context("failed to learn the host name")?;
        let uid = nix::unistd::getuid();
        let user = nix::unistd::User::from_uid(uid).ok().flatten();
        Ok(Self {
            hostname: hostname.to_string_lossy().into_owned(),
            unixname: user.map_or_else(|| uid.to_string(), |user| user.name),
        })
    }
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}
