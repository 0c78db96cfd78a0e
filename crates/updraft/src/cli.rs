//! The command line, in Airflow's words.
//!
//! One file per group of commands; each holds the flags of its commands and what they do. Commands
//! work on the store directly, as Airflow's do, so they need no running server, and beside one they
//! need no permission of it. Airflow's commands that are not here yet are known by name
//! ([`not_yet`]) and say so.
//!
//! A command returns [`Outcome`]: exit status 0 when it is fine, 1 when it failed, 2 when it was
//! called wrongly.

mod access;
mod assets;
mod backfill;
mod config;
mod connections;
mod dags;
mod dates;
mod db;
mod failure;
mod info;
mod jobs;
mod not_yet;
mod pages;
mod partitions;
mod plugins;
mod pools;
mod providers;
mod python;
mod secret_file;
pub(crate) mod standalone;
mod state_store;
mod tasks;
mod variables;

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use access::Access;
use failure::Outcome;

/// A control plane for Apache Airflow Dags.
#[derive(Debug, Parser)]
#[command(name = "updraft", version, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Say more about what is being done
    #[arg(short, long, global = true)]
    verbose: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run every role in one process
    Standalone(standalone::StandaloneArgs),
    /// Operations on the metadata database
    #[command(subcommand)]
    Db(db::DbCommand),
    /// Manage Dags
    #[command(subcommand)]
    Dags(dags::DagsCommand),
    /// Manage backfills
    #[command(subcommand)]
    Backfill(backfill::BackfillCommand),
    /// Manage tasks
    #[command(subcommand)]
    Tasks(tasks::TasksCommand),
    /// Manage assets
    #[command(subcommand)]
    Assets(assets::AssetsCommand),
    /// Manage Dag run partition metadata
    #[command(subcommand)]
    Partitions(partitions::PartitionsCommand),
    /// Manage what tasks and assets keep
    #[command(subcommand)]
    StateStore(state_store::StateStoreCommand),
    /// Manage variables
    #[command(subcommand)]
    Variables(variables::VariablesCommand),
    /// Manage connections
    #[command(subcommand)]
    Connections(connections::ConnectionsCommand),
    /// Manage pools
    #[command(subcommand)]
    Pools(pools::PoolsCommand),
    /// View the configuration
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Look after jobs
    #[command(subcommand)]
    Jobs(jobs::JobsCommand),
    /// Dump information about loaded plugins
    Plugins(plugins::PluginsArgs),
    /// Display providers
    #[command(subcommand)]
    Providers(providers::ProvidersCommand),
    /// Show what this installation is made of
    Info(info::InfoArgs),
    /// Show the version
    Version,
}

/// Reads the arguments, does what they say, and tells how it went.
pub(crate) fn main() -> ExitCode {
    let matches = match not_yet::declared_in(Cli::command()).try_get_matches() {
        Ok(matches) => matches,
        Err(error) => {
            let code = u8::try_from(error.exit_code()).unwrap_or(failure::USAGE);
            error.print().ok();
            return ExitCode::from(code);
        }
    };
    let outcome = match not_yet::find(&matches) {
        Some(words) => Err(not_yet::refusal(&words)),
        None => Cli::from_arg_matches(&matches)
            .map_err(failure::Failure::usage)
            .and_then(run),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(cli: Cli) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match cli.command {
            Command::Standalone(args) => Ok(Box::pin(crate::standalone::run(args)).await?),
            Command::Version => info::version(),
            command => with_settings(command, &Access::new(cli.verbose)).await,
        }
    })
}

async fn with_settings(command: Command, access: &Access) -> Outcome {
    match command {
        Command::Db(command) => db::run(command, access).await,
        Command::Dags(command) => Box::pin(dags::run(command, access)).await,
        Command::Backfill(command) => Box::pin(backfill::run(command, access)).await,
        Command::Tasks(command) => Box::pin(tasks::run(command, access)).await,
        Command::Assets(command) => Box::pin(assets::run(command, access)).await,
        Command::Partitions(command) => Box::pin(partitions::run(command, access)).await,
        Command::StateStore(command) => state_store::run(command, access).await,
        Command::Variables(command) => variables::run(command, access).await,
        Command::Connections(command) => connections::run(command, access).await,
        Command::Pools(command) => pools::run(command, access).await,
        Command::Config(command) => config::run(command, access),
        Command::Jobs(command) => jobs::run(command, access).await,
        Command::Plugins(args) => Box::pin(plugins::run(&args, access)).await,
        Command::Providers(command) => Box::pin(providers::run(command, access)).await,
        Command::Info(args) => info::run(&args, access).await,
        Command::Standalone(_) | Command::Version => unreachable!("these need no settings here"),
    }
}

/// Who calls the command, as the operating system knows them.
fn user_name() -> Option<String> {
    let user = nix::unistd::User::from_uid(nix::unistd::getuid()).ok()??;
    Some(user.name)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_parser_is_sound() {
        super::not_yet::declared_in(super::Cli::command()).debug_assert();
    }
}
