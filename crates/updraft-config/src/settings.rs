//! Loads the settings: the one place where files, environment and types come together.

use std::path::{Path, PathBuf};

use crate::environment::Environment;
use crate::expand::expand;
use crate::ini::IniFile;
use crate::lookups::Lookups;
use crate::old_values::replace_old_values;
use crate::options::OptionTable;
use crate::problem::{BadSettings, Problem, Warning};
use crate::resolve::{Resolved, Sources, resolve};
use crate::section::Section;
use crate::sections::*;
use crate::value::Value;
use crate::values::Values;

/// Every setting of this process, with types and without.
///
/// `main` loads it once and hands each component its own section by value.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `AIRFLOW_HOME`.
    pub home: PathBuf,
    /// `airflow.cfg`, whether it exists or not.
    pub file: PathBuf,
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
    pub(crate) values: Values,
    pub(crate) written: IniFile,
}

/// Where the settings of an environment are.
struct Locations {
    home: PathBuf,
    file: PathBuf,
}

impl Settings {
    /// Loads the settings of `environment`, reading `airflow.cfg` from disk.
    ///
    /// A missing file is an empty one, as long as `AIRFLOW_HOME` or its default is meant.
    pub fn load(
        environment: &Environment,
        lookups: &Lookups<'_>,
    ) -> Result<Self, Box<BadSettings>> {
        let mut problems = Vec::new();
        let locations = locate(environment, &mut problems);
        let text = match std::fs::read_to_string(&locations.file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => {
                let (path, reason) = (locations.file.clone(), error.to_string());
                problems.push(Problem::UnreadableFile { path, reason });
                String::new()
            }
        };
        Self::resolve(locations, &text, environment, lookups, problems)
    }

    /// Loads the settings of `environment` with `file_text` in place of `airflow.cfg`.
    pub fn from_text(
        file_text: &str,
        environment: &Environment,
        lookups: &Lookups<'_>,
    ) -> Result<Self, Box<BadSettings>> {
        let mut problems = Vec::new();
        let locations = locate(environment, &mut problems);
        Self::resolve(locations, file_text, environment, lookups, problems)
    }

    /// One value by Airflow's names, also by a name it had in Airflow 2; case does not matter.
    pub fn get(&self, section: &str, key: &str) -> Option<&Value> {
        self.values.find(section, key)
    }

    fn resolve(
        locations: Locations,
        file_text: &str,
        environment: &Environment,
        lookups: &Lookups<'_>,
        mut problems: Vec<Problem>,
    ) -> Result<Self, Box<BadSettings>> {
        let (written, bad_lines) = IniFile::parse(file_text);
        problems.extend(bad_lines.into_iter().map(|bad| Problem::BadLine {
            path: locations.file.clone(),
            line: bad.line,
            reason: bad.reason,
        }));
        let table = OptionTable::built_in();
        let resolved = resolve(&Sources {
            home: &locations.home,
            environment,
            file: &written,
            file_path: locations.file.as_path().into(),
            table: &table,
            lookups,
        });
        problems.extend(resolved.problems.iter().cloned());
        let settings = Self::with_types(locations, written, resolved, &mut problems);
        if problems.is_empty() {
            Ok(settings)
        } else {
            Err(Box::new(BadSettings { problems }))
        }
    }

    fn with_types(
        locations: Locations,
        written: IniFile,
        resolved: Resolved,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let Resolved {
            mut values,
            mut warnings,
            ..
        } = resolved;
        replace_old_values(&mut values, &mut warnings);
        let read = &mut Reader {
            values: &values,
            problems,
        };
        let settings = Self {
            api: ApiConfig::read(&mut read.section("api")),
            api_auth: ApiAuthConfig::read(&mut read.section("api_auth")),
            callbacks: CallbacksConfig::read(&mut read.section("callbacks")),
            celery: CeleryConfig::read(&mut read.section("celery")),
            connection_test: ConnectionTestConfig::read(&mut read.section("connection_test")),
            core: CoreConfig::read(&mut read.section("core")),
            dag_processor: DagProcessorConfig::read(&mut read.section("dag_processor")),
            database: DatabaseConfig::read(
                &mut read.section("database"),
                &locations.home,
                &mut warnings,
            ),
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
            home: locations.home,
            file: locations.file,
            warnings,
            values: values.clone(),
            written,
        };
        check_teams(&settings, read.problems);
        settings
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

/// `AIRFLOW_HOME`, `~/airflow` by default, and `AIRFLOW_CONFIG`, `airflow.cfg` in it by default.
fn locate(environment: &Environment, problems: &mut Vec<Problem>) -> Locations {
    let mut expanded = |variable: &str| {
        let text = environment.get(variable)?;
        let path = expand(text, environment).map(PathBuf::from);
        if path.is_err() {
            let reason = format!("{variable} refers to itself through environment variables");
            problems.push(Problem::UnreadableFile {
                path: PathBuf::from(text),
                reason,
            });
        }
        path.ok()
    };
    let home = expanded("AIRFLOW_HOME").unwrap_or_else(|| default_home(environment));
    let file = expanded("AIRFLOW_CONFIG").unwrap_or_else(|| home.join("airflow.cfg"));
    Locations { home, file }
}

fn default_home(environment: &Environment) -> PathBuf {
    let user = environment.get("HOME").unwrap_or_default();
    Path::new(user).join("airflow")
}
