//! What commands get at: the settings and the store of the installation they are called for.

use secrecy::ExposeSecret as _;
use updraft_config::{DatabaseUrl, Environment, Settings, Values};
use updraft_store::{Keyring, SchemaState, Store, StoreOptions};

use super::failure::Failure;
use crate::installation::{database_url, fernet_keys};
use crate::output::remark;
use crate::secret_settings::with_lookups;

/// What to do when there is no store.
const MAKE_A_STORE: &str = "run `updraft db migrate` or `updraft standalone` first";

/// What to do when the store cannot be opened.
const WHICH_STORE: &str =
    "`updraft info` says which store this is; `[database] sql_alchemy_conn` sets it";

/// Opens what a command asks for.
#[derive(Debug)]
pub(super) struct Access {
    environment: Environment,
    is_verbose: bool,
}

impl Access {
    pub(super) fn new(is_verbose: bool) -> Self {
        Self {
            environment: Environment::of_process(),
            is_verbose,
        }
    }

    /// Whether the user wants to hear more.
    pub(super) fn is_verbose(&self) -> bool {
        self.is_verbose
    }

    pub(super) fn environment(&self) -> &Environment {
        &self.environment
    }

    /// The settings as text, which exist even when some are bad.
    pub(super) fn values(&self) -> Values {
        with_lookups(&self.environment, |lookups| {
            Values::load(&self.environment, lookups)
        })
    }

    /// The settings; warnings about them go to standard error.
    pub(super) fn settings(&self) -> Result<Settings, Failure> {
        let loaded = with_lookups(&self.environment, |lookups| {
            Settings::load(&self.environment, lookups)
        });
        let settings = loaded.map_err(|bad| {
            Failure::from(*bad)
                .hint("see what is set: `updraft config list --show-values --include-sources`")
        })?;
        for warning in &settings.warnings {
            remark(&format!("warning: {warning}"));
        }
        Ok(settings)
    }

    /// The store, which must exist and have the schema of this program.
    pub(super) async fn store(&self, settings: &Settings) -> Result<Store, Failure> {
        if let DatabaseUrl::Sqlite(path) = &settings.database.url
            && !path.exists()
        {
            let missing = format!("there is no metadata store at `{}` yet", path.display());
            return Err(Failure::because(missing).hint(MAKE_A_STORE));
        }
        let store = self.open(settings).await?;
        match store.check().await? {
            SchemaState::Current => Ok(store),
            SchemaState::Behind { missing } => {
                let steps = if missing == 1 { "step" } else { "steps" };
                let behind = format!(
                    "the schema of {} lacks {missing} migration {steps}",
                    store.place()
                );
                Err(Failure::because(behind).hint(MAKE_A_STORE))
            }
            SchemaState::Ahead { found } => Err(Failure::because(format!(
                "{} was written by a newer version of Updraft: its schema has step {found}",
                store.place()
            ))
            .hint("install the version that wrote it, or a newer one")),
        }
    }

    /// The store, whatever its schema; an SQLite file is created if there is none.
    pub(super) async fn open(&self, settings: &Settings) -> Result<Store, Failure> {
        let keyring = Keyring::parse(fernet_keys(settings)?.expose_secret())
            .map_err(|error| Failure::from(error).hint("check `[core] fernet_key`"))?;
        let options = StoreOptions {
            connections_max: 1,
            ..StoreOptions::new(database_url(settings), keyring)
        };
        Store::open(options)
            .await
            .map_err(|error| Failure::from(error).hint(WHICH_STORE))
    }

    /// Settings and store, for the many commands that want both.
    pub(super) async fn settings_and_store(&self) -> Result<(Settings, Store), Failure> {
        let settings = self.settings()?;
        let store = self.store(&settings).await?;
        Ok((settings, store))
    }
}
