//! Checks passwords: hashed ones of the store, plain ones of Airflow's passwords file.

use std::path::PathBuf;

use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use serde_json::Value;
use tracing::warn;
use updraft_runtime::Ids;

use super::{Role, User};
use crate::state::ApiState;

/// The file that Airflow keeps passwords in when the settings name none.
const PASSWORDS_FILE: &str = "simple_auth_manager_passwords.json.generated";

/// Length of the salt: recommended, and enough for any number of users.
const SALT_BYTES: usize = 16;

/// A password as it is stored.
///
/// # Panics
/// Never: the parameters are the library's defaults.
#[must_use]
pub fn hash_password(password: &str) -> String {
    let salt = Ids::random().alphanumeric(SALT_BYTES);
    let salt = SaltString::encode_b64(salt.as_bytes()).expect("the length is one that fits");
    Argon2::default()
        .hash_password(password.as_bytes(), &salt)
        .expect("default parameters are valid")
        .to_string()
}

/// Who logs in with this name and password, if anybody.
pub(crate) async fn find_user(
    state: &ApiState,
    name: &str,
    password: &str,
) -> Result<Option<User>, updraft_store::Error> {
    let account = state.store().read().await?.find_user_account(name).await?;
    if let Some(account) = account {
        let (hash, password) = (account.password_hash, password.to_owned());
        // Argon2 is slow on purpose.
        let fits = state
            .tasks()
            .blocking(move || verify(&hash, &password))
            .await;
        let role = Role::parse(&account.role);
        if role.is_none() {
            warn!(
                user = name,
                role = account.role,
                "refused a user with an unknown role"
            );
        }
        return Ok(role.filter(|_| fits).map(|role| User {
            name: account.username,
            role,
        }));
    }
    Ok(find_configured_user(state, name, password).await)
}

fn verify(hash: &str, password: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| {
        Argon2::default()
            .verify_password(password.as_bytes(), &hash)
            .is_ok()
    })
}

/// A user of `[core] simple_auth_manager_users` whose password stands in the passwords file.
async fn find_configured_user(state: &ApiState, name: &str, password: &str) -> Option<User> {
    let core = &state.settings().core;
    let user = core
        .simple_auth_manager_users
        .iter()
        .find(|user| user.name == name)?;
    let file = core
        .simple_auth_manager_passwords_file
        .clone()
        .unwrap_or_else(|| state.settings().home.join(PASSWORDS_FILE));
    let stored = state.tasks().blocking(move || read_passwords(file)).await?;
    let stored = stored.get(name)?.as_str()?;
    aws_lc_rs::constant_time::verify_slices_are_equal(stored.as_bytes(), password.as_bytes())
        .ok()?;
    Some(User {
        name: name.to_owned(),
        role: Role::parse(&user.role)?,
    })
}

fn read_passwords(file: PathBuf) -> Option<Value> {
    let text = std::fs::read_to_string(file).ok()?;
    serde_json::from_str(&text).ok()
}
