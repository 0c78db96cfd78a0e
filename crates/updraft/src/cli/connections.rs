//! `updraft connections`.

mod add;
mod transfer;
mod uri;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use updraft_model::connection::Connection;

use super::access::Access;
use super::failure::{Failure, Outcome};
use super::secret_file::require_values_shown;
use super::variables::HIDDEN;
use crate::output::{OutputArgs, Row, row, say, show};

/// In front of the name of a connection that stands in the environment.
const ENVIRONMENT_PREFIX: &str = "AIRFLOW_CONN_";

/// The longest id that the commands accept.
const ID_CHARS_MAX: usize = 200;

#[derive(Debug, Subcommand)]
pub(super) enum ConnectionsCommand {
    /// Get a connection
    Get(GetArgs),
    /// List connections
    List(ListArgs),
    /// Add a connection
    Add(Box<add::AddArgs>),
    /// Delete a connection
    Delete(DeleteArgs),
    /// Export all connections
    Export(transfer::ExportArgs),
    /// Import connections from a file
    Import(transfer::ImportArgs),
}

#[derive(Debug, Args)]
pub(super) struct GetArgs {
    /// Connection id
    conn_id: String,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    output: OutputArgs,
    /// Show everything, passwords among it
    #[arg(long)]
    show_values: bool,
    /// Show *** in place of secrets; only with --show-values
    #[arg(long)]
    hide_sensitive: bool,
}

#[derive(Debug, Args)]
pub(super) struct DeleteArgs {
    /// Connection id
    conn_id: String,
}

pub(super) async fn run(command: ConnectionsCommand, access: &Access) -> Outcome {
    match command {
        ConnectionsCommand::Get(args) => get(&args, access).await,
        ConnectionsCommand::List(args) => list(&args, access).await,
        ConnectionsCommand::Add(args) => add::run(*args, access).await,
        ConnectionsCommand::Delete(args) => delete(&args, access).await,
        ConnectionsCommand::Export(args) => transfer::export(&args, access).await,
        ConnectionsCommand::Import(args) => transfer::import(&args, access).await,
    }
}

async fn get(args: &GetArgs, access: &Access) -> Outcome {
    let name = format!("{ENVIRONMENT_PREFIX}{}", args.conn_id.to_uppercase());
    let found = match access.environment().get(&name) {
        Some(text) => Some(transfer::parsed(
            &args.conn_id,
            &Value::String(text.to_owned()),
        )?),
        None => {
            let (_, store) = access.settings_and_store().await?;
            store.read().await?.find_connection(&args.conn_id).await?
        }
    };
    let Some(connection) = found else {
        return Err(Failure::because("Connection not found.")
            .hint("`updraft connections list` shows all connections"));
    };
    show(&[full_row(&connection)], args.output.output);
    Ok(())
}

async fn list(args: &ListArgs, access: &Access) -> Outcome {
    require_values_shown(args.show_values, args.hide_sensitive)?;
    let (_, store) = access.settings_and_store().await?;
    let connections = store.read().await?.load_connections().await?;
    let row_of = match (args.show_values, args.hide_sensitive) {
        (false, _) => id_row,
        (true, false) => full_row,
        (true, true) => masked_row,
    };
    let rows: Vec<Row> = connections.iter().map(row_of).collect();
    show(&rows, args.output.output);
    Ok(())
}

fn id_row(connection: &Connection) -> Row {
    row([
        ("conn_id", json!(connection.conn_id)),
        ("conn_type", json!(connection.conn_type)),
    ])
}

fn full_row(connection: &Connection) -> Row {
    let is_encrypted = connection.password.is_some() || connection.extra.is_some();
    row([
        // Airflow numbers its rows; ours have the connection's id and nothing else.
        ("id", Value::Null),
        ("conn_id", json!(connection.conn_id)),
        ("conn_type", json!(connection.conn_type)),
        ("description", json!(connection.description)),
        ("host", json!(connection.host)),
        ("schema", json!(connection.schema)),
        ("login", json!(connection.login)),
        ("password", json!(connection.password)),
        ("port", json!(connection.port)),
        ("is_encrypted", json!(is_encrypted)),
        ("is_extra_encrypted", json!(is_encrypted)),
        ("extra_dejson", extra_of(connection)),
        ("get_uri", json!(uri::uri_of(connection))),
    ])
}

fn masked_row(connection: &Connection) -> Row {
    let mut row = full_row(connection);
    let is_set = |value: Option<&Value>| match value {
        None | Some(Value::Null) => false,
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Object(members)) => !members.is_empty(),
        Some(_) => true,
    };
    for secret in ["password", "extra_dejson"] {
        if is_set(row.get(secret)) {
            row.insert(secret.to_owned(), json!(HIDDEN));
        }
    }
    let masked = uri::masked(&uri::uri_of(connection));
    row.insert("get_uri".to_owned(), json!(masked));
    row
}

/// The extra as the object it is.
fn extra_of(connection: &Connection) -> Value {
    connection
        .extra
        .as_deref()
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_else(|| json!({}))
}

/// A connection about which nothing is known but its id.
fn empty(conn_id: &str) -> Connection {
    Connection {
        conn_id: conn_id.to_owned(),
        conn_type: String::new(),
        description: None,
        host: None,
        schema: None,
        login: None,
        password: None,
        port: None,
        extra: None,
        team_name: None,
    }
}

/// Airflow's rule for keys.
fn require_id(conn_id: &str) -> Result<(), String> {
    let fits = |character: char| character.is_alphanumeric() || "_.-".contains(character);
    if conn_id.chars().count() > ID_CHARS_MAX {
        return Err(format!(
            "The key has to be less than {ID_CHARS_MAX} characters"
        ));
    }
    if conn_id.is_empty() || !conn_id.chars().all(fits) {
        return Err(format!(
            "The key '{conn_id}' has to be made of alphanumeric characters, dashes, dots and \
             underscores exclusively"
        ));
    }
    Ok(())
}

fn require_extra(connection: &Connection) -> Result<(), Failure> {
    let Some(extra) = connection
        .extra
        .as_deref()
        .filter(|extra| !extra.is_empty())
    else {
        return Ok(());
    };
    match serde_json::from_str(extra) {
        Ok(Value::Object(_)) => Ok(()),
        Ok(_) => Err(Failure::because(format!(
            "extra of connection `{}`: expected a JSON object",
            connection.conn_id
        ))),
        Err(error) => Err(Failure::because(format!(
            "extra of connection `{}` is not JSON: {error}",
            connection.conn_id
        ))),
    }
}

async fn delete(args: &DeleteArgs, access: &Access) -> Outcome {
    let (_, store) = access.settings_and_store().await?;
    let mut tx = store.write().await?;
    if !tx.delete_connection(&args.conn_id).await? {
        return Err(Failure::because(format!(
            "Did not find a connection with `conn_id`={}",
            args.conn_id
        ))
        .hint("`updraft connections list` shows all connections"));
    }
    tx.commit().await?;
    say(&format!(
        "Successfully deleted connection with `conn_id`={}",
        args.conn_id
    ));
    Ok(())
}
