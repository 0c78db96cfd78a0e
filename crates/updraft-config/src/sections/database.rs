use std::time::Duration;

use crate::database_url::DatabaseUrl;
use crate::problem::{Problem, Warning};
use crate::section::Section;

/// `[database]`.
#[derive(Clone, Debug)]
pub struct DatabaseConfig {
    /// `sql_alchemy_conn`: the metadata database, as SQLAlchemy writes it. SQLite and
    /// PostgreSQL; a driver such as `+psycopg2` is ignored. Updraft's schema is its own, so
    /// Airflow's default file `airflow.db` counts as `updraft.db`.
    pub url: DatabaseUrl,
    /// `sql_alchemy_schema`: PostgreSQL schema of the tables; empty means the connection's
    /// default.
    pub schema: Option<String>,
    /// `sql_alchemy_pool_size`: connections that stay open.
    pub pool_size: u32,
    /// `sql_alchemy_max_overflow`: more connections under load; -1 means no limit.
    pub max_overflow: Option<u32>,
    /// `sql_alchemy_pool_recycle`: age at which a connection is replaced; -1 means never.
    pub pool_recycle: Option<Duration>,
    /// `sql_alchemy_pool_pre_ping`: test a connection before it is used.
    pub pool_pre_ping: bool,
    /// `max_db_retries`: attempts at a step that the database refused for the moment.
    pub max_db_retries: u32,
    /// `check_migrations`: refuse to start on a schema that is not up to date.
    pub check_migrations: bool,
}

const URL: &str = "sql_alchemy_conn";

impl DatabaseConfig {
    pub(crate) fn read(section: &mut Section<'_>, warnings: &mut Vec<Warning>) -> Self {
        let recycle = section.bound("sql_alchemy_pool_recycle");
        Self {
            url: read_url(section, warnings),
            schema: section.optional_text("sql_alchemy_schema"),
            pool_size: section.count("sql_alchemy_pool_size"),
            max_overflow: section.bound("sql_alchemy_max_overflow"),
            pool_recycle: recycle.map(|seconds| Duration::from_secs(seconds.into())),
            pool_pre_ping: section.flag("sql_alchemy_pool_pre_ping"),
            max_db_retries: section.positive("max_db_retries"),
            check_migrations: section.flag("check_migrations"),
        }
    }
}

fn read_url(section: &mut Section<'_>, warnings: &mut Vec<Warning>) -> DatabaseUrl {
    let home = &section.values.home;
    let ours = DatabaseUrl::Sqlite(home.join("updraft.db"));
    let Some(value) = section.values.exact(section.name, URL) else {
        return ours;
    };
    match DatabaseUrl::parse(value.text()) {
        Ok(DatabaseUrl::Sqlite(path)) if path == home.join("airflow.db") => {
            let reason = "airflow.db holds Airflow's own schema; updraft.db beside it is used";
            warnings.push(Warning::NotHonoured {
                section: section.name.to_owned(),
                key: URL.to_owned(),
                reason: reason.to_owned(),
            });
            ours
        }
        Ok(url) => url,
        Err(error) => {
            section.problems.push(Problem::BadValue {
                section: section.name.to_owned(),
                key: URL.to_owned(),
                expected: error.to_string(),
                found: value.quoted(),
                origin: value.origin.clone(),
            });
            ours
        }
    }
}
