//! Hides secrets in log lines.
//!
//! The child masks only rendered fields; everything it logs reaches us in the clear. One
//! masker lives as long as one task session and learns from four sources: what the parent
//! holds from the start, `MaskSecret` messages, connections and variables it hands out.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use aho_corasick::{AhoCorasick, MatchKind};

use crate::json::{Json, write_json_string};
use crate::message::Response;

/// What a secret is replaced with.
pub const REPLACEMENT: &str = "***";

/// Start of every base64 text of a JSON object, and so of nearly every JWT.
const JWT_START: &str = "eyJ";

/// Values that are never masked: the user name and password of every tutorial.
const NEVER_MASKED: &str = "airflow";

/// Names whose values are secrets, as parts of the normalised name.
const SENSITIVE_NAMES: [&str; 22] = [
    "access_key",
    "access_token",
    "api_key",
    "apikey",
    "auth_header",
    "authorization",
    "bearer",
    "connection_string",
    "dsn",
    "keyfile_dict",
    "passphrase",
    "passwd",
    "password",
    "private_key",
    "proxies",
    "proxy",
    "proxy_password",
    "secret",
    "service_account",
    "service_key",
    "token",
    "webhook_url",
];

/// Settings of the masker.
#[derive(Debug, Clone)]
pub struct MaskerConfig {
    /// `[logging] min_length_masked_secret`: shorter values would mask half the log.
    pub secret_length_min: usize,
    /// `[core] sensitive_var_conn_names`, on top of the built-in names.
    pub extra_sensitive_names: Vec<String>,
    /// `[core] hide_sensitive_var_conn_fields`: whether names count at all.
    pub hide_sensitive_fields: bool,
}

impl Default for MaskerConfig {
    fn default() -> Self {
        Self {
            secret_length_min: 5,
            extra_sensitive_names: Vec::new(),
            hide_sensitive_fields: true,
        }
    }
}

/// Knows the secrets of one task session.
#[derive(Clone)]
pub struct SecretsMasker {
    config: MaskerConfig,
    secrets: BTreeSet<String>,
    /// Absent while there are no secrets.
    automaton: Option<AhoCorasick>,
}

impl fmt::Debug for SecretsMasker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretsMasker")
            .field("secrets", &self.secrets.len())
            .finish_non_exhaustive()
    }
}

impl SecretsMasker {
    pub fn new(config: MaskerConfig) -> Self {
        Self {
            config,
            secrets: BTreeSet::new(),
            automaton: None,
        }
    }

    /// Adds one secret text.
    pub fn add(&mut self, secret: &str) {
        self.add_json(&Json::from(secret), None);
    }

    /// Adds `value` if `name` says that it is secret.
    pub fn add_named(&mut self, value: &str, name: &str) {
        if self.is_sensitive(name) {
            self.add(value);
        }
    }

    /// Adds every text in `value`.
    ///
    /// Texts that have a name, be it `name` or the key they stand under, count only if the
    /// name is sensitive.
    pub fn add_json(&mut self, value: &Json<'_>, name: Option<&str>) {
        let before = self.secrets.len();
        self.remember_json(value, name);
        if self.secrets.len() > before {
            self.rebuild();
        }
    }

    /// Adds what an answer tells a child in confidence. It must be known before the child can log
    /// it, that is before the answer.
    pub fn learn(&mut self, response: &Response) {
        match response {
            Response::ConnectionResult(connection) => {
                for secret in [&connection.password, &connection.extra]
                    .into_iter()
                    .flatten()
                {
                    self.add(secret);
                }
            }
            Response::VariableResult(variable) => {
                if let Some(value) = &variable.value {
                    self.add_named(value, &variable.key);
                }
            }
            _ => {}
        }
    }

    /// Returns `text` without the secrets in it; JWTs are cut to their first letters.
    pub fn mask<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let masked = match &self.automaton {
            Some(automaton) if automaton.is_match(text) => {
                let mut masked = String::with_capacity(text.len());
                automaton.replace_all_with(text, &mut masked, |_, _, masked| {
                    masked.push_str(REPLACEMENT);
                    true
                });
                Cow::Owned(masked)
            }
            _ => Cow::Borrowed(text),
        };
        if masked.contains(JWT_START) {
            Cow::Owned(shorten_jwts(&masked))
        } else {
            masked
        }
    }

    /// Masks every text in `value`, keys too, and everything under a sensitive key.
    pub fn mask_json(&self, value: &mut Json<'_>) {
        match value {
            Json::Text(text) => {
                if let Cow::Owned(masked) = self.mask(text) {
                    *text = Cow::Owned(masked);
                }
            }
            Json::Array(items) => items.iter_mut().for_each(|item| self.mask_json(item)),
            Json::Object(entries) => {
                for (key, value) in entries {
                    if self.is_sensitive(key) {
                        hide_all(value);
                    } else {
                        self.mask_json(value);
                    }
                    if let Cow::Owned(masked) = self.mask(key) {
                        *key = Cow::Owned(masked);
                    }
                }
            }
            Json::Null
            | Json::Bool(_)
            | Json::Int(_)
            | Json::UInt(_)
            | Json::BigInt(_)
            | Json::Float(_) => {}
        }
    }

    /// Whether a value of this name is secret.
    pub fn is_sensitive(&self, name: &str) -> bool {
        if !self.config.hide_sensitive_fields {
            return false;
        }
        let name = normalised(name);
        SENSITIVE_NAMES.iter().any(|part| name.contains(part))
            || self
                .config
                .extra_sensitive_names
                .iter()
                .any(|part| name.contains(part.as_str()))
    }

    /// Where `text` may be cut so that no secret lies across the cut, whatever follows.
    pub fn safe_cut(&self, text: &str) -> usize {
        let unfinished = |secret: &String| {
            let mut ends = secret.char_indices().map(|(at, _)| at).rev();
            ends.find(|at| text.ends_with(&secret[..*at]))
                .unwrap_or_default()
        };
        let held = self
            .secrets
            .iter()
            .map(unfinished)
            .max()
            .unwrap_or_default();
        let cut = text.len() - held;
        // The end may be the start of one secret and the end of another.
        let mut whole = self
            .automaton
            .iter()
            .flat_map(|automaton| automaton.find_iter(text));
        whole
            .find(|secret| secret.start() < cut && cut < secret.end())
            .map_or(cut, |secret| secret.start())
    }

    fn remember_json(&mut self, value: &Json<'_>, name: Option<&str>) {
        match value {
            Json::Text(text) if name.is_none_or(|name| self.is_sensitive(name)) => {
                self.remember(text);
            }
            Json::Array(items) => items.iter().for_each(|item| self.remember_json(item, name)),
            Json::Object(entries) => {
                entries
                    .iter()
                    .for_each(|(key, value)| self.remember_json(value, Some(key)));
            }
            Json::Text(_)
            | Json::Null
            | Json::Bool(_)
            | Json::Int(_)
            | Json::UInt(_)
            | Json::BigInt(_)
            | Json::Float(_) => {}
        }
    }

    fn remember(&mut self, secret: &str) {
        if secret.chars().count() < self.config.secret_length_min.max(1)
            || secret.eq_ignore_ascii_case(NEVER_MASKED)
        {
            return;
        }
        // A line that is broken JSON is masked as text, and there the secret is escaped.
        let mut escaped = String::new();
        write_json_string(&mut escaped, secret);
        self.secrets
            .insert(escaped[1..escaped.len() - 1].to_owned());
        self.secrets.insert(secret.to_owned());
    }

    fn rebuild(&mut self) {
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(&self.secrets)
            .expect("secrets come in frames, which are far smaller than the automaton's limit");
        self.automaton = Some(automaton);
    }
}

fn hide_all(value: &mut Json<'_>) {
    match value {
        Json::Text(text) => *text = Cow::Borrowed(REPLACEMENT),
        Json::Array(items) => items.iter_mut().for_each(hide_all),
        Json::Object(entries) => entries.iter_mut().for_each(|(_, value)| hide_all(value)),
        Json::Null
        | Json::Bool(_)
        | Json::Int(_)
        | Json::UInt(_)
        | Json::BigInt(_)
        | Json::Float(_) => {}
    }
}

fn shorten_jwts(text: &str) -> String {
    let mut short = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(JWT_START) {
        short.push_str(&rest[..at]);
        short.push_str(JWT_START);
        short.push_str(REPLACEMENT);
        let is_jwt = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        rest = rest[at + JWT_START.len()..].trim_start_matches(is_jwt);
    }
    short.push_str(rest);
    short
}

/// Lower case, trimmed, and every run of other than word characters made one `_`.
fn normalised(name: &str) -> String {
    let mut normal = String::with_capacity(name.len());
    let mut in_gap = false;
    for c in name.trim().to_lowercase().chars() {
        let is_word = c.is_alphanumeric() || c == '_';
        if is_word {
            normal.push(c);
        } else if !in_gap {
            normal.push('_');
        }
        in_gap = !is_word;
    }
    normal
}
