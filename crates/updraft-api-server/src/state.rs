//! What every request may use.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use updraft_config::{
    ApiAuthConfig, ApiConfig, CoreConfig, LoggingConfig, StateStoreConfig, Values,
};
use updraft_dag_run::RunRules;
use updraft_execution::{ExplainRules, LogNames};
use updraft_plugins::Plugins;
use updraft_runtime::{Clock, Ids, Tasks};
use updraft_store::Store;

use crate::auth::Tokens;
use crate::dag_cache::DagCache;
use crate::file_token::Signer;
use crate::page_cache::PageCache;

/// The settings of the API server.
#[derive(Clone, Debug)]
pub struct ApiSettings {
    /// `AIRFLOW_HOME`.
    pub home: PathBuf,
    pub api: ApiConfig,
    pub api_auth: ApiAuthConfig,
    pub core: CoreConfig,
    pub logging: LoggingConfig,
    /// Every setting as text, for those who may see the configuration.
    pub values: Values,
    /// `[connection_test] timeout`.
    pub connection_test_timeout: Duration,
    pub state_store: StateStoreConfig,
    /// `[logging] log_filename_template`.
    pub log_names: LogNames,
    /// What a Dag run may be.
    pub run_rules: RunRules,
    pub health: HealthThresholds,
    /// What keeps tasks waiting, by the settings of the schedulers.
    pub explain: ExplainRules,
    /// Signs tokens; the same for every API server of an installation.
    pub jwt_secret: SecretString,
    /// Signs file and log tokens; the same for every API server of an installation.
    pub secret_key: SecretString,
    /// The version of Airflow that this server speaks like.
    pub airflow_version: String,
    /// Asks the user's Python; `None` where there is none.
    pub plugins: Option<Plugins>,
}

/// How old a heartbeat may be for a role to count as healthy.
#[derive(Clone, Copy, Debug)]
pub struct HealthThresholds {
    pub scheduler: Duration,
    pub triggerer: Duration,
    pub dag_processor: Duration,
}

/// What every request may use. Cheap to clone; all clones share everything.
#[derive(Clone)]
pub struct ApiState(Arc<Inner>);

struct Inner {
    store: Store,
    settings: ApiSettings,
    tokens: Tokens,
    signer: Signer,
    clock: Clock,
    ids: Ids,
    tasks: Tasks,
    dags: DagCache,
    pages: PageCache,
}

impl ApiState {
    /// `[core] rerun_with_latest_version`: whether cleared runs move to the newest version of their
    /// Dag when neither the request nor the Dag says.
    pub(crate) fn rerun_with_latest_version(&self) -> bool {
        self.settings()
            .core
            .rerun_with_latest_version
            .unwrap_or(false)
    }

    /// Puts the parts together.
    #[must_use]
    pub fn new(store: Store, settings: ApiSettings, tasks: Tasks, clock: Clock, ids: Ids) -> Self {
        let tokens = Tokens::new(settings.api_auth.clone(), &settings.jwt_secret);
        let signer = Signer::new(&settings.secret_key);
        let dags =
            DagCache::new(usize::try_from(settings.api.dag_cache_size).unwrap_or(usize::MAX));
        let pages = PageCache::new(store.clone());
        Self(Arc::new(Inner {
            store,
            settings,
            tokens,
            signer,
            clock,
            ids,
            tasks,
            dags,
            pages,
        }))
    }

    pub(crate) fn store(&self) -> &Store {
        &self.0.store
    }

    pub(crate) fn settings(&self) -> &ApiSettings {
        &self.0.settings
    }

    pub(crate) fn run_rules(&self) -> &RunRules {
        &self.0.settings.run_rules
    }

    pub(crate) fn plugins(&self) -> Option<&Plugins> {
        self.0.settings.plugins.as_ref()
    }

    pub(crate) fn tokens(&self) -> &Tokens {
        &self.0.tokens
    }

    pub(crate) fn signer(&self) -> &Signer {
        &self.0.signer
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.0.clock
    }

    pub(crate) fn ids(&self) -> &Ids {
        &self.0.ids
    }

    pub(crate) fn tasks(&self) -> &Tasks {
        &self.0.tasks
    }

    pub(crate) fn dags(&self) -> &DagCache {
        &self.0.dags
    }

    pub(crate) fn pages(&self) -> &PageCache {
        &self.0.pages
    }
}
