//! The `airflow.cfg` of a new home.
//!
//! Airflow writes every default into its first file, which then stay what they were through all
//! later versions. This one holds the keys that must not change, and nothing else.

/// The keys of one installation, made at its first start.
pub struct InstallationKeys<'a> {
    /// `[core] fernet_key`.
    pub fernet_key: &'a str,
    /// `[api] secret_key`.
    pub secret_key: &'a str,
    /// `[api_auth] jwt_secret`.
    pub jwt_secret: &'a str,
}

/// Renders the file; whoever writes it keeps it readable for its owner only.
pub fn starter_file(keys: &InstallationKeys<'_>) -> String {
    let escaped = |key: &str| key.replace('%', "%%");
    format!(
        "\
# Written at the first start of Updraft. An option that is not here has its default:
# `updraft config list --defaults --show-values` lists them all.
# The keys below belong to this installation. Keep them secret, and keep them.

[core]
# Encrypts connections and variables in the store.
fernet_key = {}

[api]
# Signs cookies.
secret_key = {}

[api_auth]
# Signs tokens.
jwt_secret = {}
",
        escaped(keys.fernet_key),
        escaped(keys.secret_key),
        escaped(keys.jwt_secret),
    )
}
