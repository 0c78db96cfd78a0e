//! Settings with types: what the components of Updraft are made from.

use crate::environment::Environment;
use crate::lookups::Lookups;
use crate::problem::{BadSettings, Problem, Warning};
use crate::section::Section;
use crate::sections::*;
use crate::values::Values;

/// Every setting of this process.
///
/// `main` loads it once and hands each component its own section by value.
#[derive(Clone, Debug)]
pub struct Settings {
    pub api: ApiConfig,
    pub api_auth: ApiAuthConfig,
    pub callbacks: CallbacksConfig,
    pub celery: CeleryConfig,
    pub connection_test: ConnectionTestConfig,
    pub core: CoreConfig,
    pub dag_processor: DagProcessorConfig,
    pub database: DatabaseConfig,
    pub execution_api: ExecutionApiConfig,
    pub logging: LoggingConfig,
    pub metrics: MetricsConfig,
    pub operators: OperatorsConfig,
    pub scheduler: SchedulerConfig,
    pub secrets: SecretsConfig,
    pub smtp: SmtpConfig,
    pub state_store: StateStoreConfig,
    pub triggerer: TriggererConfig,
    pub updraft: UpdraftConfig,
    pub workers: WorkersConfig,
    /// What works today and should be changed.
    pub warnings: Vec<Warning>,
    /// The same settings as text, and those that have no field here.
    pub values: Values,
}

impl Settings {
    /// Loads the settings of `environment`, reading `airflow.cfg` from disk.
    pub fn load(
        environment: &Environment,
        lookups: &Lookups<'_>,
    ) -> Result<Self, Box<BadSettings>> {
        Self::from_values(Values::load(environment, lookups))
    }

    /// Gives types to resolved values, or says everything that is wrong with them.
    pub fn from_values(values: Values) -> Result<Self, Box<BadSettings>> {
        let mut problems = values.problems.clone();
        let mut warnings = values.warnings.clone();
        let read = &mut Reader {
            values: &values,
            problems: &mut problems,
        };
        let settings = Self {
            api: ApiConfig::read(&mut read.section("api")),
            api_auth: ApiAuthConfig::read(&mut read.section("api_auth")),
            callbacks: CallbacksConfig::read(&mut read.section("callbacks")),
            celery: CeleryConfig::read(&mut read.section("celery")),
            connection_test: ConnectionTestConfig::read(&mut read.section("connection_test")),
            core: CoreConfig::read(&mut read.section("core")),
            dag_processor: DagProcessorConfig::read(&mut read.section("dag_processor")),
            database: DatabaseConfig::read(&mut read.section("database"), &mut warnings),
            execution_api: ExecutionApiConfig::read(&mut read.section("execution_api")),
            logging: LoggingConfig::read(&mut read.section("logging")),
            metrics: MetricsConfig::read(&mut read.section("metrics")),
            operators: OperatorsConfig::read(&mut read.section("operators")),
            scheduler: SchedulerConfig::read(&mut read.section("scheduler")),
            secrets: SecretsConfig::read(&mut read.section("secrets")),
            smtp: SmtpConfig::read(&mut read.section("smtp")),
            state_store: StateStoreConfig::read(&mut read.section("state_store")),
            triggerer: TriggererConfig::read(&mut read.section("triggerer")),
            updraft: UpdraftConfig::read(&mut read.section("updraft")),
            workers: WorkersConfig::read(&mut read.section("workers")),
            warnings,
            values: values.clone(),
        };
        check_teams(&settings, &mut problems);
        if problems.is_empty() {
            Ok(settings)
        } else {
            Err(Box::new(BadSettings { problems }))
        }
    }
}

struct Reader<'a> {
    values: &'a Values,
    problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    fn section(&mut self, name: &'static str) -> Section<'_> {
        Section {
            name,
            values: self.values,
            problems: self.problems,
        }
    }
}

/// A bundle or a user may belong to a team only where there are teams.
fn check_teams(settings: &Settings, problems: &mut Vec<Problem>) {
    if settings.core.multi_team {
        return;
    }
    let bundles = settings
        .dag_processor
        .bundles
        .iter()
        .filter(|it| it.team_name.is_some());
    let bundles = bundles.map(|it| ("dag_processor", "dag_bundle_config_list", &it.name));
    let users = settings
        .core
        .simple_auth_manager_users
        .iter()
        .filter(|it| !it.teams.is_empty());
    let users = users.map(|it| ("core", "simple_auth_manager_users", &it.name));
    problems.extend(
        bundles
            .chain(users)
            .map(|(section, key, name)| Problem::Conflict {
                section: section.to_owned(),
                key: key.to_owned(),
                reason: format!("{name:?} belongs to a team, and [core] multi_team is off"),
            }),
    );
}
