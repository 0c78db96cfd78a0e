//! Connections as URIs, `type://login:password@host:port/schema?extra`, as Airflow reads and writes
//! them.

use serde_json::{Map, Value};
use updraft_model::connection::Connection;

use super::empty;
use crate::cli::variables::HIDDEN;
use crate::output::compact_json;

/// The parameter that holds an extra which is more than texts.
const EXTRA_KEY: &str = "__extra__";

/// Reads a URI.
///
/// A host may bring a protocol of its own: `http://https://example.com` is a connection of type
/// `http` to the host `https://example.com`.
pub(super) fn connection_of(conn_id: &str, uri: &str) -> Result<Connection, String> {
    let (scheme, rest) = uri
        .split_once("://")
        .filter(|(scheme, _)| is_scheme(scheme))
        .ok_or_else(|| "expected type://login:password@host:port/schema".to_owned())?;
    let (protocol, rest) = match rest.matches("://").count() {
        0 => (None, rest),
        1 => {
            let (protocol, rest) = rest.split_once("://").expect("it was counted");
            if protocol.contains(['@', ':']) {
                return Err("the login belongs behind the protocol of the host".to_owned());
            }
            (Some(protocol), rest)
        }
        _ => return Err("expected at most two `://`".to_owned()),
    };
    let rest = rest.split('#').next().unwrap_or_default();
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (credentials, address) = match authority.rsplit_once('@') {
        Some((credentials, address)) => (Some(credentials), address),
        None => (None, authority),
    };
    let (login, password) = match credentials.map(|text| (text, text.split_once(':'))) {
        None => (None, None),
        Some((_, Some((login, password)))) => (Some(decoded(login)), Some(decoded(password))),
        Some((login, None)) => (Some(decoded(login)), None),
    };
    let (host, port) = host_and_port(address)?;
    let host = match protocol {
        Some(protocol) if !host.is_empty() => format!("{protocol}://{host}"),
        _ => host,
    };
    Ok(Connection {
        conn_type: normalized_type(&scheme.to_lowercase()),
        host: Some(host),
        login,
        // Quirk: an empty password is none, an empty login is a login.
        password: password.filter(|password| !password.is_empty()),
        port,
        schema: Some(decoded(path)),
        extra: extra_of(query),
        ..empty(conn_id)
    })
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || "+-.".contains(character))
}

/// Connection types have underscores, URI schemes have dashes.
pub(super) fn normalized_type(conn_type: &str) -> String {
    match conn_type {
        "postgresql" => "postgres".to_owned(),
        other => other.replace('-', "_"),
    }
}

fn host_and_port(address: &str) -> Result<(String, Option<i32>), String> {
    let (host, port) = match address
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
    {
        Some((host, rest)) => (host, rest.strip_prefix(':').unwrap_or_default()),
        None => address.split_once(':').unwrap_or((address, "")),
    };
    let port = match port {
        "" => None,
        text => Some(i32::from(text.parse::<u16>().map_err(|_| {
            format!("port: expected a number up to 65535, found `{text}`")
        })?)),
    };
    let plain = decoded(host);
    // A path in place of a host keeps its capitals.
    let is_path = plain.contains('/');
    Ok((
        if is_path {
            plain
        } else {
            decoded(&host.to_lowercase())
        },
        port,
    ))
}

fn extra_of(query: &str) -> Option<String> {
    if query.is_empty() {
        return None;
    }
    let mut members = Map::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let plain = |text: &str| decoded(&text.replace('+', " "));
        members.insert(plain(name), Value::String(plain(value)));
    }
    if let Some(Value::String(extra)) = members.get(EXTRA_KEY) {
        return Some(extra.clone());
    }
    for value in members.values_mut() {
        // A value that is JSON becomes what it says.
        if let Some(parsed) = value
            .as_str()
            .and_then(|text| serde_json::from_str(text).ok())
        {
            *value = parsed;
        }
    }
    Some(compact_json(&Value::Object(members)))
}

/// Writes the connection as a URI.
pub(super) fn uri_of(connection: &Connection) -> String {
    let conn_type = connection.conn_type.to_lowercase().replace('_', "-");
    let mut uri = format!("{conn_type}://");
    let host = connection.host.as_deref().unwrap_or_default();
    let host = match host.split_once("://") {
        Some((protocol, rest)) if protocol != connection.conn_type => {
            uri.push_str(&format!("{protocol}://"));
            rest
        }
        _ => host,
    };
    let mut credentials = String::new();
    if let Some(login) = &connection.login {
        credentials.push_str(&quoted(login));
    }
    if let Some(password) = &connection.password {
        credentials.push_str(&format!(":{}", quoted(password)));
    }
    if !credentials.is_empty() {
        uri.push_str(&format!("{credentials}@"));
    }
    uri.push_str(&quoted(host));
    if let Some(port) = connection.port.filter(|port| *port != 0) {
        let is_bare = host.is_empty() && credentials.is_empty();
        uri.push_str(if is_bare { "@:" } else { ":" });
        uri.push_str(&port.to_string());
    }
    let schema = connection.schema.as_deref().unwrap_or_default();
    if !schema.is_empty() {
        uri.push_str(&format!("/{}", quoted(schema)));
    }
    if let Some(extra) = connection
        .extra
        .as_deref()
        .filter(|extra| !extra.is_empty())
    {
        uri.push_str(if schema.is_empty() { "/?" } else { "?" });
        uri.push_str(&query_of(extra));
    }
    uri
}

/// One parameter for each member when all are texts, else the whole extra in one.
fn query_of(extra: &str) -> String {
    let members = serde_json::from_str::<Map<String, Value>>(extra).unwrap_or_default();
    let texts: Option<Vec<String>> = members
        .iter()
        .map(|(name, value)| {
            Some(format!(
                "{}={}",
                quoted_plus(name),
                quoted_plus(value.as_str()?)
            ))
        })
        .collect();
    match texts {
        Some(texts) if !texts.is_empty() => texts.join("&"),
        _ => format!("{EXTRA_KEY}={}", quoted_plus(extra)),
    }
}

/// The URI with stars in place of login and password.
pub(super) fn masked(uri: &str) -> String {
    let Some((scheme, rest)) = uri.split_once("://") else {
        return HIDDEN.to_owned();
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    match authority.split_once('@') {
        Some((_, address)) => format!("{scheme}://{HIDDEN}:{HIDDEN}@{address}{path}"),
        None => uri.to_owned(),
    }
}

fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"_.-~".contains(&byte) {
            quoted.push(char::from(byte));
        } else {
            quoted.push_str(&format!("%{byte:02X}"));
        }
    }
    quoted
}

fn quoted_plus(text: &str) -> String {
    quoted(text).replace("%20", "+")
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let escape = (first == b'%').then(|| after.get(..2)).flatten();
        let byte = escape
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests;
