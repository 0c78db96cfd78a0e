//! Connections in files: exports, imports, and the JSON of a single one.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};
use updraft_model::connection::Connection;

use super::{empty, require_extra, require_id, uri};
use crate::cli::access::Access;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::secret_file::{self, Destination};
use crate::output::{compact_json, indented_json, remark, say, yaml};

const EXPORT_INDENT: usize = 2;

/// What a connection in a file may have.
const MEMBERS: &[&str] = &[
    "conn_id",
    "conn_type",
    "description",
    "extra",
    "extra_dejson",
    "host",
    "login",
    "password",
    "port",
    "schema",
    "team_name",
    "uri",
];

#[derive(Debug, Args)]
pub(in crate::cli) struct ExportArgs {
    /// The file to write, or - for standard output
    file: Destination,
    /// The older name of --file-format
    #[arg(long, value_enum, hide = true, conflicts_with = "file_format")]
    format: Option<FileFormat>,
    /// The form of the file; its extension says so otherwise
    #[arg(long, value_enum)]
    file_format: Option<FileFormat>,
    /// How a connection is written into an env file
    #[arg(long, value_enum)]
    serialization_format: Option<Serialization>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FileFormat {
    Json,
    Yaml,
    Env,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Serialization {
    Uri,
    Json,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ImportArgs {
    /// A .json or .env file
    file: PathBuf,
    /// Replace connections that exist
    #[arg(long)]
    overwrite: bool,
}

pub(super) async fn export(args: &ExportArgs, access: &Access) -> Outcome {
    let format = format_of(args)?;
    if args.serialization_format.is_some() && format != FileFormat::Env {
        return Err(Failure::usage(
            "Option `--serialization-format` may only be used with file type `env`.",
        ));
    }
    let (_, store) = access.settings_and_store().await?;
    let connections = store.read().await?.load_connections().await?;
    let document = || {
        let members = connections
            .iter()
            .map(|each| (each.conn_id.clone(), object_of(each)));
        Value::Object(members.collect())
    };
    let text = match format {
        FileFormat::Json => indented_json(&document(), EXPORT_INDENT),
        FileFormat::Yaml => yaml(&document()),
        FileFormat::Env => env_lines(&connections, args.serialization_format),
    };
    args.file.write(&text)?;
    args.file.report(connections.len(), "Connections");
    Ok(())
}

fn format_of(args: &ExportArgs) -> Result<FileFormat, Failure> {
    if args.format.is_some() {
        remark("warning: --format is now --file-format");
    }
    if let Some(format) = args.file_format.or(args.format) {
        return Ok(format);
    }
    let Destination::File(path) = &args.file else {
        return Ok(FileFormat::Json);
    };
    let extension = path.extension().and_then(std::ffi::OsStr::to_str);
    match extension.map(str::to_lowercase).as_deref() {
        Some("json") => Ok(FileFormat::Json),
        Some("yaml") => Ok(FileFormat::Yaml),
        Some("env") => Ok(FileFormat::Env),
        _ => Err(Failure::because(
            "Unsupported file format. The file must have the extension .yaml, .json, .env.",
        )
        .hint("or say what it should be with `--file-format`")),
    }
}

fn env_lines(connections: &[Connection], serialization: Option<Serialization>) -> String {
    let line = |connection: &Connection| {
        let value = match serialization {
            Some(Serialization::Json) => compact_json(&object_of(connection)),
            Some(Serialization::Uri) | None => uri::uri_of(connection),
        };
        format!("{}={value}\n", connection.conn_id)
    };
    connections.iter().map(line).collect()
}

fn object_of(connection: &Connection) -> Value {
    json!({
        "conn_type": connection.conn_type,
        "description": connection.description,
        "login": connection.login,
        "password": connection.password,
        "host": connection.host,
        "port": connection.port,
        "schema": connection.schema,
        "extra": connection.extra,
    })
}

/// Imports what can be imported, and says what cannot.
pub(super) async fn import(args: &ImportArgs, access: &Access) -> Outcome {
    let document = secret_file::read_connections(&args.file)?;
    let connections = document
        .iter()
        .map(|(conn_id, value)| parsed(conn_id, value))
        .collect::<Result<Vec<_>, _>>()?;
    let (_, store) = access.settings_and_store().await?;
    let mut tx = store.write().await?;
    let mut lines = Vec::new();
    for connection in &connections {
        let conn_id = &connection.conn_id;
        if let Err(reason) = require_id(conn_id) {
            lines.push(format!("Could not import connection. {reason}"));
            continue;
        }
        if args.overwrite {
            tx.set_connection(connection).await?;
        } else if !tx.create_connection(connection).await? {
            lines.push(format!(
                "Could not import connection {conn_id}: connection already exists."
            ));
            continue;
        }
        lines.push(format!("Imported connection {conn_id}"));
    }
    tx.commit().await?;
    lines.iter().for_each(|line| say(line));
    Ok(())
}

/// A connection from a file or a variable: a URI, JSON text, or an object.
pub(super) fn parsed(conn_id: &str, value: &Value) -> Result<Connection, Failure> {
    let connection = match value {
        Value::String(text) if text.trim_start().starts_with('{') => from_json(conn_id, text)?,
        Value::String(uri) => uri::connection_of(conn_id, uri)
            .map_err(|reason| Failure::because(format!("connection `{conn_id}`: {reason}")))?,
        Value::Object(members) => from_object(conn_id, members)?,
        _ => {
            return Err(Failure::because(format!(
                "connection `{conn_id}`: expected a URI or an object"
            )));
        }
    };
    require_extra(&connection)?;
    Ok(connection)
}

/// The connection that JSON text describes.
pub(super) fn from_json(conn_id: &str, text: &str) -> Result<Connection, Failure> {
    let members: Map<String, Value> = serde_json::from_str(text).map_err(|error| {
        Failure::because(format!(
            "connection `{conn_id}`: expected a JSON object: {error}"
        ))
    })?;
    from_object(conn_id, &members)
}

fn from_object(conn_id: &str, members: &Map<String, Value>) -> Result<Connection, Failure> {
    let wrong = |reason: String| Failure::because(format!("connection `{conn_id}`: {reason}"));
    if let Some(unknown) = members
        .keys()
        .find(|name| !MEMBERS.contains(&name.as_str()))
    {
        let known = MEMBERS.join(", ");
        return Err(wrong(format!(
            "unknown member `{unknown}`; expected some of {known}"
        )));
    }
    let text = |name: &str| match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(other) => Err(wrong(format!("`{name}`: expected a text, found {other}"))),
    };
    if let Some(other) = text("conn_id")?.filter(|other| other != conn_id) {
        return Err(wrong(format!("its own `conn_id` is `{other}`")));
    }
    if let Some(uri) = text("uri")? {
        return uri::connection_of(conn_id, &uri).map_err(wrong);
    }
    let conn_type = text("conn_type")?
        .filter(|conn_type| !conn_type.is_empty())
        .ok_or_else(|| wrong("it needs a `conn_type`".to_owned()))?;
    Ok(Connection {
        conn_type: uri::normalized_type(&conn_type),
        description: text("description")?,
        host: text("host")?,
        schema: text("schema")?,
        login: text("login")?,
        password: text("password")?,
        port: port_of(members.get("port")).map_err(wrong)?,
        extra: extra_of(members).map_err(wrong)?,
        team_name: text("team_name")?,
        ..empty(conn_id)
    })
}

fn port_of(value: Option<&Value>) -> Result<Option<i32>, String> {
    let port = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) if text.is_empty() => return Ok(None),
        Some(Value::String(text)) => text.parse().ok(),
        Some(other) => other.as_i64().and_then(|port| i32::try_from(port).ok()),
    };
    let found = value.map(Value::to_string).unwrap_or_default();
    port.map(Some)
        .ok_or(format!("`port`: expected a number, found {found}"))
}

fn extra_of(members: &Map<String, Value>) -> Result<Option<String>, String> {
    match (members.get("extra"), members.get("extra_dejson")) {
        (Some(_), Some(_)) => Err("`extra` and `extra_dejson` are mutually exclusive".to_owned()),
        (None | Some(Value::Null), None) => Ok(None),
        (Some(Value::String(text)), None) => Ok(Some(text.clone())),
        (Some(value), None) | (None, Some(value)) => Ok(Some(compact_json(value))),
    }
}
