//! `updraft db`: the metadata database.

use std::time::Duration;

use clap::{Args, Subcommand};
use updraft_store::{SchemaState, Store};

use super::access::Access;
use super::failure::{Failure, Outcome};
use crate::output::{confirm, remark, say};

#[derive(Debug, Subcommand)]
pub(super) enum DbCommand {
    /// Create the schema, or bring it up to date
    Migrate(MigrateArgs),
    /// Check whether the database can be reached
    Check(CheckArgs),
    /// Wait until the schema is up to date
    CheckMigrations(CheckMigrationsArgs),
    /// Delete everything, and create the schema anew
    Reset(ResetArgs),
}

/// Airflow's revisions mean nothing to another schema; its flags are taken so that scripts run.
#[derive(Debug, Args)]
pub(super) struct MigrateArgs {
    /// Taken for compatibility; the schema is always brought to this program's version
    #[arg(short = 'n', long, hide = true)]
    to_version: Option<String>,
    /// As above
    #[arg(short = 'r', long, hide = true)]
    to_revision: Option<String>,
    /// Taken for compatibility
    #[arg(long, hide = true)]
    use_migration_files: bool,
}

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// How often to try again
    #[arg(long, default_value_t = 0)]
    retry: u32,
    /// Seconds between two tries
    #[arg(long, default_value_t = 1, value_name = "SECONDS")]
    retry_delay: u64,
}

#[derive(Debug, Args)]
pub(super) struct CheckMigrationsArgs {
    /// Seconds to wait
    #[arg(short = 't', long, default_value_t = 60, value_name = "SECONDS")]
    migration_wait_timeout: u64,
}

#[derive(Debug, Args)]
pub(super) struct ResetArgs {
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// Taken for compatibility
    #[arg(long, hide = true)]
    use_migration_files: bool,
}

pub(super) async fn run(command: DbCommand, access: &Access) -> Outcome {
    match command {
        DbCommand::Migrate(args) => migrate(&args, access).await,
        DbCommand::Check(args) => check(&args, access).await,
        DbCommand::CheckMigrations(args) => check_migrations(&args, access).await,
        DbCommand::Reset(args) => reset(&args, access).await,
    }
}

async fn migrate(args: &MigrateArgs, access: &Access) -> Outcome {
    if args.to_version.is_some() || args.to_revision.is_some() {
        return Err(Failure::usage(
            "Updraft's schema has steps of its own; Airflow's versions and revisions do not fit it",
        )
        .hint("`updraft db migrate` brings the schema up to date"));
    }
    let settings = access.settings()?;
    create_home(&settings)?;
    let store = access.open(&settings).await?;
    say(&format!("DB: {}", settings.database.url));
    let before = store.check().await?;
    store.migrate().await?;
    crate::installation::ensure_default_pool(&store, &settings).await?;
    say(match before {
        SchemaState::Current => "The schema is up to date already",
        SchemaState::Behind { .. } | SchemaState::Ahead { .. } => "Database migrating done!",
    });
    Ok(())
}

fn create_home(settings: &updraft_config::Settings) -> Result<(), Failure> {
    let home = &settings.values.home;
    std::fs::create_dir_all(home).map_err(|error| {
        Failure::from(anyhow::Error::new(error).context(format!(
            "failed to create the home folder `{}`",
            home.display()
        )))
        .hint("set AIRFLOW_HOME to a folder that you may write to")
    })
}

async fn check(args: &CheckArgs, access: &Access) -> Outcome {
    let settings = access.settings()?;
    let mut tries_left = args.retry;
    loop {
        let failure = match reach(access, &settings).await {
            Ok(store) => {
                say(&format!("Connection to {} is fine.", store.place()));
                return Ok(());
            }
            Err(failure) => failure,
        };
        if tries_left == 0 {
            return Err(failure);
        }
        tries_left -= 1;
        remark(&format!(
            "{failure}; trying again in {} s",
            args.retry_delay
        ));
        tokio::time::sleep(Duration::from_secs(args.retry_delay)).await;
    }
}

async fn check_migrations(args: &CheckMigrationsArgs, access: &Access) -> Outcome {
    let settings = access.settings()?;
    let mut waited = 0;
    loop {
        let failure = match access.store(&settings).await {
            Ok(_) => return Ok(()),
            Err(failure) => failure,
        };
        if waited >= args.migration_wait_timeout {
            return Err(failure);
        }
        remark(&format!(
            "waiting for migrations, {waited} s so far: {failure}"
        ));
        tokio::time::sleep(Duration::from_secs(1)).await;
        waited += 1;
    }
}

/// Reads, and begins to write: a file that somebody else has locked is of no use.
async fn reach(access: &Access, settings: &updraft_config::Settings) -> Result<Store, Failure> {
    let store = access.store(settings).await?;
    store.ping().await?;
    drop(store.write().await?);
    Ok(store)
}

async fn reset(args: &ResetArgs, access: &Access) -> Outcome {
    let settings = access.settings()?;
    say(&format!("DB: {}", settings.database.url));
    if !args.yes && !confirm("This will drop existing tables if they exist. Proceed? (y/n)") {
        return Err(Failure::because("cancelled"));
    }
    create_home(&settings)?;
    let store = access.open(&settings).await?;
    store.reset().await?;
    crate::installation::ensure_default_pool(&store, &settings).await?;
    say("Database reset done!");
    Ok(())
}
