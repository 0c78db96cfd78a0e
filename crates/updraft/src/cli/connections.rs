//! `updraft connections`.

mod transfer;
mod uri;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use updraft_model::connection::Connection;

use super::access::Access;
use super::failure::{Failure, Outcome};
use super::secret_file::require_values_shown;
use super::variables::HIDDEN;
use crate::output::{OutputArgs, OutputFormat, Row, row, say, show};

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
    Add(Box<AddArgs>),
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
pub(super) struct AddArgs {
    /// Connection id
    conn_id: String,
    /// Connection URI; needed without --conn-type and --conn-json
    #[arg(long)]
    conn_uri: Option<String>,
    /// The connection as JSON; needed without --conn-type and --conn-uri
    #[arg(long)]
    conn_json: Option<String>,
    /// Connection type; needed without --conn-uri and --conn-json
    #[arg(long)]
    conn_type: Option<String>,
    /// Connection description
    #[arg(long)]
    conn_description: Option<String>,
    /// Connection host
    #[arg(long)]
    conn_host: Option<String>,
    /// Connection login
    #[arg(long)]
    conn_login: Option<String>,
    /// Connection password
    #[arg(long, allow_hyphen_values = true)]
    conn_password: Option<String>,
    /// Connection schema
    #[arg(long)]
    conn_schema: Option<String>,
    /// Connection port
    #[arg(long)]
    conn_port: Option<i32>,
    /// Whatever else the connection needs, as a JSON object
    #[arg(long)]
    conn_extra: Option<String>,
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
        ConnectionsCommand::Add(args) => add(*args, access).await,
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

async fn add(args: AddArgs, access: &Access) -> Outcome {
    require_id(&args.conn_id)
        .map_err(|reason| Failure::because(format!("Could not create connection. {reason}")))?;
    let connection = wanted(args)?;
    let (_, store) = access.settings_and_store().await?;
    let mut tx = store.write().await?;
    if !tx.create_connection(&connection).await? {
        return Err(Failure::because(format!(
            "A connection with `conn_id`={} already exists.",
            connection.conn_id
        ))
        .hint(format!(
            "delete it first: `updraft connections delete {}`",
            connection.conn_id
        )));
    }
    tx.commit().await?;
    say(&format!(
        "Successfully added `conn_id`={}",
        connection.conn_id
    ));
    let extra = match extra_of(&connection) {
        Value::Object(members) => members
            .into_iter()
            .map(|(name, _)| (name, json!(HIDDEN)))
            .collect(),
        other => other,
    };
    let added = row([
        ("conn_id", json!(connection.conn_id)),
        ("conn_type", json!(connection.conn_type)),
        ("host", json!(connection.host)),
        ("login", json!(connection.login)),
        ("port", json!(connection.port)),
        ("extra", extra),
    ]);
    show(&[added], OutputFormat::Table);
    Ok(())
}

/// The connection that the flags describe, in one of three ways.
fn wanted(args: AddArgs) -> Result<Connection, Failure> {
    let parts = [
        ("conn_type", args.conn_type.is_some()),
        ("conn_host", args.conn_host.is_some()),
        ("conn_login", args.conn_login.is_some()),
        ("conn_password", args.conn_password.is_some()),
        ("conn_schema", args.conn_schema.is_some()),
        ("conn_port", args.conn_port.is_some()),
        (
            "--conn-extra",
            args.conn_extra.is_some() && args.conn_json.is_some(),
        ),
    ];
    let given: Vec<&str> = parts
        .iter()
        .filter(|(_, given)| *given)
        .map(|(name, _)| *name)
        .collect();
    let refuse_parts = |whole: &str| match given.is_empty() {
        true => Ok(()),
        false => Err(Failure::because(format!(
            "The following args are not compatible with the --conn-{whole} flag: {}",
            given.join(", ")
        ))),
    };
    let mut connection = match (args.conn_uri, args.conn_json) {
        (Some(_), Some(_)) => {
            return Err(Failure::because(
                "Cannot supply both conn-uri and conn-json",
            ));
        }
        (Some(uri), None) => {
            refuse_parts("uri")?;
            uri::connection_of(&args.conn_id, &uri).map_err(|reason| {
                Failure::because(format!(
                    "The URI provided to --conn-uri is invalid: {reason}"
                ))
            })?
        }
        (None, Some(json)) => {
            refuse_parts("json")?;
            transfer::from_json(&args.conn_id, &json)?
        }
        (None, None) => Connection {
            conn_type: args.conn_type.ok_or_else(|| {
                Failure::because(
                    "Must supply either conn-uri or conn-json if not supplying conn-type",
                )
            })?,
            host: args.conn_host,
            login: args.conn_login,
            password: args.conn_password,
            schema: args.conn_schema,
            port: args.conn_port,
            ..empty(&args.conn_id)
        },
    };
    if args.conn_description.is_some() {
        connection.description = args.conn_description;
    }
    if let Some(extra) = args.conn_extra {
        connection.extra = Some(extra);
    }
    require_extra(&connection)?;
    Ok(connection)
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
