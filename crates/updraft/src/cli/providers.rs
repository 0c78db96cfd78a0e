//! `updraft providers`: what installed providers bring along.

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use updraft_plugins::Providers;

use super::access::Access;
use super::failure::{Failure, Outcome};
use super::python::with_plugins;
use crate::output::{OutputArgs, Row, row, say, show};

#[derive(Debug, Subcommand)]
pub(super) enum ProvidersCommand {
    /// List installed providers
    List(ListArgs),
    /// Get detailed information about a provider
    Get(GetArgs),
    /// List extra links registered by the providers
    Links(ListArgs),
    /// Get information about registered connection form widgets
    Widgets(ListArgs),
    /// List registered provider hooks
    Hooks(ListArgs),
    /// List registered provider triggers
    Triggers(ListArgs),
    /// Get information about registered connection types with custom behaviours
    Behaviours(ListArgs),
    /// Get information about task logging handlers provided
    Logging(ListArgs),
    /// Get information about secrets backends provided
    Secrets(ListArgs),
    /// Get information about executors provided
    Executors(ListArgs),
    /// Get information about queues provided
    Queues(ListArgs),
    /// Get information about notifications provided
    Notifications(ListArgs),
    /// Get information about provider configuration
    Configs(ListArgs),
    /// Check that provider configuration is lazy loaded
    LazyLoaded,
    /// Get information about auth managers provided
    AuthManagers(ListArgs),
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
pub(super) struct GetArgs {
    /// Provider name, required to get provider information
    provider_name: String,
    /// Full information about the provider, including documentation information
    #[arg(short, long)]
    full: bool,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(command: ProvidersCommand, access: &Access) -> Outcome {
    let (table, args) = match command {
        ProvidersCommand::Get(args) => return get(&args, access).await,
        ProvidersCommand::LazyLoaded => {
            // Nothing of Python runs while arguments are read.
            say("All ok. Providers Manager was not initialized during the CLI parsing.");
            return Ok(());
        }
        ProvidersCommand::List(args) => ("list", args),
        ProvidersCommand::Links(args) => ("links", args),
        ProvidersCommand::Widgets(args) => ("widgets", args),
        ProvidersCommand::Hooks(args) => ("hooks", args),
        ProvidersCommand::Triggers(args) => ("triggers", args),
        ProvidersCommand::Behaviours(args) => ("behaviours", args),
        ProvidersCommand::Logging(args) => ("logging", args),
        ProvidersCommand::Secrets(args) => ("secrets", args),
        ProvidersCommand::Executors(args) => ("executors", args),
        ProvidersCommand::Queues(args) => ("queues", args),
        ProvidersCommand::Notifications(args) => ("notifications", args),
        ProvidersCommand::Configs(args) => ("configs", args),
        ProvidersCommand::AuthManagers(args) => ("auth-managers", args),
    };
    let providers = load(access).await?;
    let rows = providers.tables.get(table).cloned().unwrap_or_default();
    show(&rows, args.output.output);
    Ok(())
}

async fn get(args: &GetArgs, access: &Access) -> Outcome {
    let providers = load(access).await?;
    let wanted = &args.provider_name;
    let index = providers
        .providers
        .iter()
        .position(|provider| provider.name == *wanted)
        .ok_or_else(|| Failure::because(format!("No such provider installed: {wanted}")))?;
    let provider = &providers.providers[index];
    let shown = if args.full {
        full(&provider.data, description_of(&providers, index))
    } else {
        row([
            ("Provider", json!(provider.name)),
            ("Version", json!(provider.version)),
        ])
    };
    show(&[shown], args.output.output);
    Ok(())
}

async fn load(access: &Access) -> Result<Providers, Failure> {
    let settings = access.settings()?;
    with_plugins(&settings, None, async |plugins| {
        Ok(plugins.providers().await?)
    })
    .await
}

/// Everything, with the description in plain words.
fn full(data: &Value, description: Value) -> Row {
    let mut row = data.as_object().cloned().unwrap_or_default();
    row.insert("description".to_owned(), description);
    row
}

fn description_of(providers: &Providers, index: usize) -> Value {
    let listed = providers
        .tables
        .get("list")
        .and_then(|rows| rows.get(index));
    listed
        .and_then(|row| row.get("description"))
        .cloned()
        .unwrap_or_default()
}
