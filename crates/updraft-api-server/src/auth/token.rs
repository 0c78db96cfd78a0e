//! JSON Web Tokens of API users: HS512 over the installation's secret.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use updraft_config::ApiAuthConfig;
use updraft_runtime::Ids;

use super::{Role, User};

/// The audience when `[api_auth] jwt_audience` names none.
const DEFAULT_AUDIENCE: &str = "apache-airflow";

/// The key id of a shared secret, which has no id.
const NO_KEY_ID: &str = "not-used";

/// Why a token is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenError {
    Expired,
    Invalid,
}

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    sub: String,
    role: Option<String>,
    #[serde(default)]
    teams: Vec<String>,
    jti: String,
    #[serde(skip_deserializing)]
    aud: String,
    #[serde(skip_serializing_if = "Option::is_none", skip_deserializing)]
    iss: Option<String>,
    iat: i64,
    nbf: i64,
    exp: i64,
}

/// Makes and checks tokens, and remembers those that were given back before their end.
pub(crate) struct Tokens {
    config: ApiAuthConfig,
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
    /// Token ids with their ends.
    revoked: Mutex<HashMap<String, i64>>,
}

impl Tokens {
    pub(crate) fn new(config: ApiAuthConfig, secret: &SecretString) -> Self {
        let secret = secret.expose_secret().as_bytes();
        let mut validation = Validation::new(Algorithm::HS512);
        let audiences = audiences(&config);
        validation.set_audience(&audiences);
        if let Some(issuer) = &config.jwt_issuer {
            validation.set_issuer(&[issuer]);
        }
        validation.set_required_spec_claims(&["exp", "nbf"]);
        // Time is ours to check: the library would ask the machine's clock.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        Self {
            encoding: EncodingKey::from_secret(secret),
            decoding: DecodingKey::from_secret(secret),
            validation,
            revoked: Mutex::new(HashMap::new()),
            config,
        }
    }

    /// A token that the API accepts as `user`.
    pub(crate) fn issue(&self, user: &User, now: Timestamp, life: Duration) -> String {
        let now = now.as_second();
        let life = i64::try_from(life.as_secs()).unwrap_or(i64::MAX);
        let claims = Claims {
            sub: user.name.clone(),
            role: Some(user.role.as_str().to_owned()),
            teams: Vec::new(),
            jti: Ids::random().uuid().simple().to_string(),
            aud: audiences(&self.config).swap_remove(0),
            iss: self.config.jwt_issuer.clone(),
            iat: now,
            nbf: now,
            exp: now.saturating_add(life),
        };
        let mut header = Header::new(Algorithm::HS512);
        header.kid = Some(
            self.config
                .jwt_kid
                .clone()
                .unwrap_or_else(|| NO_KEY_ID.to_owned()),
        );
        encode(&header, &claims, &self.encoding).expect("plain claims and a shared secret")
    }

    /// How long an ordinary token lives.
    pub(crate) fn life(&self) -> Duration {
        self.config.jwt_expiration_time
    }

    /// How long a token of the command line lives.
    pub(crate) fn cli_life(&self) -> Duration {
        self.config.jwt_cli_expiration_time
    }

    /// Who a token stands for.
    pub(crate) fn verify(&self, token: &str, now: Timestamp) -> Result<User, TokenError> {
        let claims = self.claims(token)?;
        let leeway = i64::try_from(self.config.jwt_leeway.as_secs()).unwrap_or(0);
        let now = now.as_second();
        if claims.exp.saturating_add(leeway) < now {
            return Err(TokenError::Expired);
        }
        if claims.nbf.saturating_sub(leeway) > now || claims.iat.saturating_sub(leeway) > now {
            return Err(TokenError::Invalid);
        }
        let revoked = self.revoked.lock().unwrap_or_else(PoisonError::into_inner);
        if revoked.contains_key(&claims.jti) {
            return Err(TokenError::Invalid);
        }
        drop(revoked);
        let role = claims.role.as_deref().and_then(Role::parse);
        Ok(User {
            name: claims.sub,
            role: role.ok_or(TokenError::Invalid)?,
        })
    }

    /// Makes a token useless from now on.
    pub(crate) fn revoke(&self, token: &str, now: Timestamp) {
        if let Ok(claims) = self.claims(token) {
            let mut revoked = self.revoked.lock().unwrap_or_else(PoisonError::into_inner);
            revoked.retain(|_, end| *end >= now.as_second());
            revoked.insert(claims.jti, claims.exp);
        }
    }

    fn claims(&self, token: &str) -> Result<Claims, TokenError> {
        decode::<Claims>(token, &self.decoding, &self.validation)
            .map(|data| data.claims)
            .map_err(|_| TokenError::Invalid)
    }
}

fn audiences(config: &ApiAuthConfig) -> Vec<String> {
    if config.jwt_audience.is_empty() {
        vec![DEFAULT_AUDIENCE.to_owned()]
    } else {
        config.jwt_audience.clone()
    }
}
