//! Hides values whose name says that they are secret.

use serde_json::Value;

use updraft_model::python_repr::dumps;

/// What stands in the place of a secret.
pub const MASK: &str = "***";

/// A name that contains one of these names a secret.
const SENSITIVE: &[&str] = &[
    "access_key",
    "access_token",
    "api_key",
    "apikey",
    "auth_header",
    "authorization",
    "bearer",
    "connection_string",
    "dsn",
    "passphrase",
    "passwd",
    "password",
    "private_key",
    "proxy",
    "proxies",
    "secret",
    "service_account",
    "service_key",
    "token",
    "keyfile_dict",
    "webhook_url",
];

/// Whether a value of this name must not be shown.
#[must_use]
pub fn is_sensitive(name: &str) -> bool {
    let name = name.trim().to_lowercase();
    SENSITIVE.iter().any(|word| name.contains(word))
}

/// The value with every secret in it masked, known by the names around it.
#[must_use]
pub fn masked(value: &Value, name: Option<&str>) -> Value {
    if name.is_some_and(is_sensitive) {
        return masked_whole(value);
    }
    match value {
        Value::Object(object) => object
            .iter()
            .map(|(key, item)| (key.clone(), masked(item, Some(key))))
            .collect(),
        Value::Array(items) => items.iter().map(|item| masked(item, None)).collect(),
        plain => plain.clone(),
    }
}

fn masked_whole(value: &Value) -> Value {
    match value {
        Value::Object(object) => object
            .iter()
            .map(|(key, item)| (key.clone(), masked_whole(item)))
            .collect(),
        Value::Array(items) => items.iter().map(masked_whole).collect(),
        Value::String(text) if !text.is_empty() => MASK.into(),
        plain => plain.clone(),
    }
}

/// Text that may be JSON, masked inside if it is and as a whole if not.
#[must_use]
pub fn masked_text(text: &str, name: Option<&str>) -> String {
    match serde_json::from_str::<Value>(text) {
        Ok(value) => dumps(&masked(&value, name)),
        Err(_) if name.is_some_and(is_sensitive) && !text.is_empty() => MASK.to_owned(),
        Err(_) => text.to_owned(),
    }
}

/// The value to store when a client sends back what it was shown: `***` keeps what is stored.
#[must_use]
pub fn unmasked(sent: &Value, stored: Option<&Value>) -> Value {
    match (sent, stored) {
        (Value::String(text), Some(stored)) if text == MASK => stored.clone(),
        (Value::Object(sent), Some(Value::Object(stored))) => sent
            .iter()
            .map(|(key, item)| (key.clone(), unmasked(item, stored.get(key))))
            .collect(),
        (Value::Array(sent), Some(Value::Array(stored))) => sent
            .iter()
            .enumerate()
            .map(|(index, item)| unmasked(item, stored.get(index)))
            .collect(),
        (sent, _) => sent.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{masked, masked_text, unmasked};

    #[test]
    fn what_is_named_like_a_secret_is_hidden_and_comes_back_unharmed() {
        let stored = json!({"api_key": "k", "region": "eu", "nested": {"Password": ["a", "b"]}});
        let shown = masked(&stored, None);
        assert_eq!(
            shown,
            json!({"api_key": "***", "region": "eu", "nested": {"Password": ["***", "***"]}})
        );
        assert_eq!(unmasked(&shown, Some(&stored)), stored);
        assert_eq!(masked_text("hush", Some("db_password")), "***");
        assert_eq!(masked_text("plain", Some("colour")), "plain");
    }
}
