//! What an installation needs before its first run: keys, and somebody to log in.

use anyhow::Result;
use secrecy::SecretString;
use updraft_api_server::hash_password;
use updraft_config::Settings;
use updraft_runtime::{Clock, Ids};
use updraft_store::{Store, UserAccount};

use crate::installation::{fernet_keys, kept_secret};

/// The user that `standalone` makes.
const ADMIN: &str = "admin";

/// 62^16 passwords cannot be guessed.
const PASSWORD_CHARS: usize = 16;

/// Length of a generated secret: 62^43 is just above 2^256.
const SECRET_CHARS: usize = 43;

/// The secrets of an installation: from its settings, else made once and kept in the home folder.
pub(crate) struct Keys {
    /// The Fernet keys, newest first, separated by commas.
    pub(crate) fernet: SecretString,
    pub(crate) jwt: SecretString,
    pub(crate) api: SecretString,
}

/// Reads the keys, making those that do not exist yet.
pub(crate) fn keys(settings: &Settings) -> Result<Keys> {
    let home = &settings.values.home;
    let random = || Ids::random().alphanumeric(SECRET_CHARS);
    Ok(Keys {
        fernet: fernet_keys(settings)?,
        jwt: match &settings.api_auth.jwt_secret {
            Some(secret) => secret.clone(),
            None => kept_secret(home, "jwt.secret", random)?,
        },
        api: match &settings.api.secret_key {
            Some(secret) => secret.clone(),
            None => kept_secret(home, "api.secret", random)?,
        },
    })
}

/// Makes the administrator if nobody can log in yet. Gives the password, which is then known
/// nowhere else.
pub(crate) async fn ensure_admin(store: &Store, settings: &Settings) -> Result<Option<String>> {
    if settings.core.simple_auth_manager_all_admins
        || store.read().await?.count_user_accounts().await? > 0
    {
        return Ok(None);
    }
    let password = Ids::random().alphanumeric(PASSWORD_CHARS);
    let mut tx = store.write().await?;
    tx.set_user_account(&UserAccount {
        username: ADMIN.to_owned(),
        password_hash: hash_password(&password),
        role: ADMIN.to_owned(),
        created_at: Clock::machine().now(),
    })
    .await?;
    tx.commit().await?;
    Ok(Some(password))
}
