//! `updraft connections add`.

use clap::Args;
use serde_json::{Value, json};
use updraft_model::connection::Connection;

use super::{empty, extra_of, require_extra, require_id, transfer, uri};
use crate::cli::access::Access;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::variables::HIDDEN;
use crate::output::{OutputFormat, row, say, show};

#[derive(Debug, Args)]
pub(in crate::cli) struct AddArgs {
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

pub(super) async fn run(args: AddArgs, access: &Access) -> Outcome {
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
