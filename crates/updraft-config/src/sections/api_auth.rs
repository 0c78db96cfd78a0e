use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use crate::section::Section;

/// `[api_auth]`.
#[derive(Clone, Debug)]
pub struct ApiAuthConfig {
    /// `jwt_secret`: secret that signs tokens; empty makes one at each start, which ends all
    /// sessions and suits one process only.
    pub jwt_secret: Option<SecretString>,
    /// `jwt_private_key_path`: file of a private key that signs tokens; it goes before the
    /// secret.
    pub jwt_private_key_path: Option<PathBuf>,
    /// `jwt_algorithm`: signature algorithm; empty chooses one that fits the key.
    pub jwt_algorithm: Option<String>,
    /// `jwt_kid`: key id in the header of tokens.
    pub jwt_kid: Option<String>,
    /// `jwt_issuer`: issuer that tokens name and must name.
    pub jwt_issuer: Option<String>,
    /// `jwt_audience`: audiences that tokens may name; the first is written into new ones.
    pub jwt_audience: Vec<String>,
    /// `jwt_leeway`: difference between two clocks that is forgiven.
    pub jwt_leeway: Duration,
    /// `jwt_expiration_time`: life of a user's token.
    pub jwt_expiration_time: Duration,
    /// `jwt_cli_expiration_time`: life of a token that the command line asked for.
    pub jwt_cli_expiration_time: Duration,
    /// `trusted_jwks_url`: file or URL with the public keys that tokens are checked against.
    pub trusted_jwks_url: Option<String>,
}

impl ApiAuthConfig {
    pub(crate) fn read(section: &mut Section<'_>) -> Self {
        Self {
            jwt_secret: section.optional_secret("jwt_secret"),
            jwt_private_key_path: section.optional_path("jwt_private_key_path"),
            jwt_algorithm: section.optional_text("jwt_algorithm"),
            jwt_kid: section.optional_text("jwt_kid"),
            jwt_issuer: section.optional_text("jwt_issuer"),
            jwt_audience: section.list("jwt_audience"),
            jwt_leeway: section.seconds("jwt_leeway"),
            jwt_expiration_time: section.seconds("jwt_expiration_time"),
            jwt_cli_expiration_time: section.seconds("jwt_cli_expiration_time"),
            trusted_jwks_url: section.optional_text("trusted_jwks_url"),
        }
    }
}
