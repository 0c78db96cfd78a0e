//! What belongs to one installation: its settings, its keys, its store.
//!
//! `standalone` and the commands beside it see the same. Nothing here takes the home folder for
//! itself, so commands work while a `standalone` runs.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use secrecy::{ExposeSecret, SecretString};
use updraft_config::{DatabaseUrl, Settings};
use updraft_store::Store;

/// Where the Fernet key of an installation is that configures none.
const FERNET_KEY_FILE: &str = "fernet.key";

/// Slots of the default pool when `[core] default_pool_task_slot_count` does not say.
const DEFAULT_POOL_SLOTS: i32 = 128;

/// The Fernet keys, newest first and separated by commas: those of `[core] fernet_key`, else the
/// one kept in the home folder, which is made now if there is none yet.
pub(crate) fn fernet_keys(settings: &Settings) -> Result<SecretString> {
    let configured = &settings.core.fernet_keys;
    if configured.is_empty() {
        let home = &settings.values.home;
        return kept_secret(home, FERNET_KEY_FILE, updraft_store::Keyring::generate_key);
    }
    let keys: Vec<&str> = configured.iter().map(ExposeSecret::expose_secret).collect();
    Ok(keys.join(",").into())
}

/// The secret kept in the file `name` of the home folder; made by `generate` if there is none.
///
/// The file belongs to its owner alone. When two processes make it at once, both get the same.
pub(crate) fn kept_secret(
    home: &Path,
    name: &str,
    generate: impl FnOnce() -> String,
) -> Result<SecretString> {
    let path = home.join(name);
    if let Some(secret) = read_secret(&path)? {
        return Ok(secret);
    }
    let temporary = home.join(format!(
        "{name}.{}",
        updraft_runtime::Ids::random().alphanumeric(8)
    ));
    let made = write_new(&temporary, &generate()).and_then(|()| {
        // Fails when somebody else was faster, and never leaves half a file.
        let linked = std::fs::hard_link(&temporary, &path);
        std::fs::remove_file(&temporary)?;
        match linked {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            linked => linked.and_then(|()| File::open(home)?.sync_all()),
        }
    });
    made.with_context(|| format!("failed to write `{}`", path.display()))?;
    read_secret(&path)?.with_context(|| format!("`{}` is empty; delete it", path.display()))
}

fn read_secret(path: &Path) -> Result<Option<SecretString>> {
    match std::fs::read_to_string(path) {
        Ok(text) if !text.trim().is_empty() => Ok(Some(text.trim().to_owned().into())),
        Ok(_) => Ok(None),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("failed to read `{}`", path.display())),
    }
}

fn write_new(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// `[database] sql_alchemy_conn` for the store, with the password.
pub(crate) fn database_url(settings: &Settings) -> String {
    match &settings.database.url {
        DatabaseUrl::Postgres(url) => url.connect_url().expose_secret().to_owned(),
        sqlite @ DatabaseUrl::Sqlite(_) => sqlite.to_string(),
    }
}

/// Creates the pool that every task uses which names no other.
pub(crate) async fn ensure_default_pool(store: &Store, settings: &Settings) -> Result<()> {
    let slots = settings.core.default_pool_task_slot_count;
    let slots = slots.map_or(DEFAULT_POOL_SLOTS, |slots| {
        i32::try_from(slots).unwrap_or(i32::MAX)
    });
    let mut tx = store.write().await?;
    tx.ensure_default_pool(slots).await?;
    tx.commit().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use secrecy::ExposeSecret as _;

    use super::kept_secret;

    #[test]
    fn a_secret_is_made_once_and_read_by_its_owner_only() {
        let home = tempfile::tempdir().unwrap();
        let made = kept_secret(home.path(), "a.key", || "first".into()).unwrap();
        let read = kept_secret(home.path(), "a.key", || unreachable!("it exists")).unwrap();
        assert_eq!(made.expose_secret(), read.expose_secret());
        let file = home.path().join("a.key").metadata().unwrap();
        assert_eq!(file.permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_slower_of_two_makers_gets_the_secret_of_the_faster() {
        let home = tempfile::tempdir().unwrap();
        let slower = kept_secret(home.path(), "a.key", || {
            kept_secret(home.path(), "a.key", || "fast".into()).unwrap();
            "slow".into()
        });
        assert_eq!(slower.unwrap().expose_secret(), "fast");
    }
}
