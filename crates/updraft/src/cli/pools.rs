//! `updraft pools`.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use updraft_model::PoolName;
use updraft_model::pool::{DEFAULT_POOL, Pool};
use updraft_store::Tx;

use super::access::Access;
use super::failure::{Failure, Outcome};
use super::secret_file::{json_object, sorted};
use crate::output::{OutputArgs, Row, indented_json, row, say, show};

/// The longest name of a pool.
const NAME_CHARS_MAX: usize = 256;

const EXPORT_INDENT: usize = 4;

#[derive(Debug, Subcommand)]
pub(super) enum PoolsCommand {
    /// List pools
    List(OutputArgs),
    /// Get pool size
    Get(GetArgs),
    /// Configure pool
    Set(SetArgs),
    /// Delete pool
    Delete(GetArgs),
    /// Import pools
    Import(FileArgs),
    /// Export all pools
    Export(FileArgs),
}

#[derive(Debug, Args)]
pub(super) struct GetArgs {
    /// Pool name
    #[arg(value_name = "NAME")]
    pool: String,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
pub(super) struct SetArgs {
    /// Pool name
    #[arg(value_name = "NAME")]
    pool: String,
    /// Pool slots; -1 means no limit
    #[arg(allow_negative_numbers = true)]
    slots: i32,
    /// Pool description
    description: String,
    /// Deferred tasks hold their slots
    #[arg(long)]
    include_deferred: bool,
    /// Team of the pool; needs `[core] multi_team`
    #[arg(long)]
    team_name: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
pub(super) struct FileArgs {
    /// A .json file
    file: PathBuf,
}

pub(super) async fn run(command: PoolsCommand, access: &Access) -> Outcome {
    match command {
        PoolsCommand::List(args) => list(args, access).await,
        PoolsCommand::Get(args) => get(&args, access).await,
        PoolsCommand::Set(args) => set(&args, access).await,
        PoolsCommand::Delete(args) => delete(&args, access).await,
        PoolsCommand::Import(args) => import(&args, access).await,
        PoolsCommand::Export(args) => export(&args, access).await,
    }
}

async fn list(args: OutputArgs, access: &Access) -> Outcome {
    let (_, store) = access.settings_and_store().await?;
    let pools = store.read().await?.load_pools().await?;
    let rows: Vec<Row> = pools.iter().map(row_of).collect();
    show(&rows, args.output);
    Ok(())
}

fn row_of(pool: &Pool) -> Row {
    row([
        ("pool", json!(pool.name)),
        ("slots", json!(pool.slots)),
        ("description", json!(pool.description)),
        ("include_deferred", json!(pool.include_deferred)),
        ("team_name", Value::Null),
    ])
}

async fn get(args: &GetArgs, access: &Access) -> Outcome {
    let (_, store) = access.settings_and_store().await?;
    let name = PoolName::from(args.pool.as_str());
    match store.read().await?.find_pool(&name).await? {
        Some(pool) => {
            show(&[row_of(&pool)], args.output.output);
            Ok(())
        }
        None => Err(no_such_pool(&args.pool)),
    }
}

fn no_such_pool(name: &str) -> Failure {
    Failure::because(format!("Pool {name} does not exist"))
        .hint("`updraft pools list` shows all pools")
}

async fn set(args: &SetArgs, access: &Access) -> Outcome {
    if args.team_name.is_some() {
        return Err(Failure::usage(
            "--team-name: pools of teams are not available yet",
        ));
    }
    let pool = checked(Pool {
        name: args.pool.as_str().into(),
        slots: args.slots,
        description: Some(args.description.clone()),
        include_deferred: args.include_deferred,
    })?;
    let (_, store) = access.settings_and_store().await?;
    let mut tx = store.write().await?;
    write_pool(&mut tx, &pool).await?;
    tx.commit().await?;
    say(&format!("Pool {} created", args.pool));
    Ok(())
}

fn checked(pool: Pool) -> Result<Pool, Failure> {
    let name = pool.name.as_str();
    if name.trim().is_empty() {
        return Err(Failure::because("a pool needs a name"));
    }
    if name.chars().count() > NAME_CHARS_MAX {
        return Err(Failure::because(format!(
            "Pool name cannot be more than {NAME_CHARS_MAX} characters"
        )));
    }
    if pool.slots < -1 {
        return Err(Failure::because(format!(
            "slots of pool `{name}`: expected a count, or -1 for no limit, found {}",
            pool.slots
        )));
    }
    Ok(pool)
}

async fn write_pool(tx: &mut Tx, pool: &Pool) -> Result<(), Failure> {
    if !tx.update_pool(pool).await? {
        tx.create_pool(pool).await?;
    }
    Ok(())
}

async fn delete(args: &GetArgs, access: &Access) -> Outcome {
    if args.pool == DEFAULT_POOL {
        return Err(Failure::because(format!(
            "{DEFAULT_POOL} cannot be deleted"
        )));
    }
    let (_, store) = access.settings_and_store().await?;
    let mut tx = store.write().await?;
    if !tx.delete_pool(&args.pool.as_str().into()).await? {
        return Err(no_such_pool(&args.pool));
    }
    tx.commit().await?;
    say(&format!("Pool {} deleted", args.pool));
    Ok(())
}

/// Imports all pools of the file or, when one of them makes no sense, none.
async fn import(args: &FileArgs, access: &Access) -> Outcome {
    let shown = args.file.display();
    let text = std::fs::read_to_string(&args.file)
        .with_context(|| format!("failed to read the pools file `{shown}`"))?;
    let document = json_object(&args.file, &text)?;
    let mut failed = Vec::new();
    let mut pools = Vec::new();
    for (name, entry) in &document {
        match imported(name, entry) {
            Some(pool) => pools.push(checked(pool)?),
            None => failed.push(name.as_str()),
        }
    }
    if !failed.is_empty() {
        return Err(
            Failure::because(format!("Failed to update pool(s): {}", failed.join(", ")))
                .hint("each pool is an object with `slots` and `description`"),
        );
    }
    let (_, store) = access.settings_and_store().await?;
    let mut tx = store.write().await?;
    for pool in &pools {
        write_pool(&mut tx, pool).await?;
    }
    tx.commit().await?;
    say(&format!("Uploaded {} pool(s)", pools.len()));
    Ok(())
}

fn imported(name: &str, entry: &Value) -> Option<Pool> {
    let include_deferred = entry.get("include_deferred").unwrap_or(&Value::Bool(false));
    let description = match entry.get("description")? {
        Value::Null => None,
        text => Some(text.as_str()?.to_owned()),
    };
    Some(Pool {
        name: name.into(),
        slots: i32::try_from(entry.get("slots")?.as_i64()?).ok()?,
        description,
        include_deferred: include_deferred.as_bool()?,
    })
}

async fn export(args: &FileArgs, access: &Access) -> Outcome {
    let (_, store) = access.settings_and_store().await?;
    let pools = store.read().await?.load_pools().await?;
    let document: Map<String, Value> = pools
        .iter()
        .map(|pool| {
            let entry = json!({
                "slots": pool.slots,
                "description": pool.description,
                "include_deferred": pool.include_deferred,
            });
            (pool.name.to_string(), entry)
        })
        .collect();
    let shown = args.file.display();
    let text = indented_json(&sorted(Value::Object(document)), EXPORT_INDENT);
    std::fs::write(&args.file, text).with_context(|| format!("failed to write `{shown}`"))?;
    say(&format!("Exported {} pools to {shown}", pools.len()));
    Ok(())
}
