//! Encryption at rest, as Airflow does it: Fernet, with several keys for rotation.

use fernet::{Fernet, MultiFernet};

use crate::Error;

/// The keys of `[core] fernet_key`. The first encrypts, all decrypt.
pub struct Keyring {
    /// `None` when no key is configured: values are stored in the clear.
    keys: Option<MultiFernet>,
}

impl Keyring {
    /// Reads comma-separated keys. An empty text means no encryption, as in Airflow.
    ///
    /// # Errors
    /// [`Error::FernetKey`] when an entry is not a key.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.trim().is_empty() {
            return Ok(Self { keys: None });
        }
        let keys = text
            .split(',')
            .enumerate()
            .map(|(index, key)| {
                Fernet::new(key.trim()).ok_or(Error::FernetKey {
                    position: index + 1,
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            keys: Some(MultiFernet::new(keys)),
        })
    }

    /// A new random key, as text.
    #[must_use]
    pub fn generate_key() -> String {
        Fernet::generate_key()
    }

    /// Whether [`Keyring::seal`] encrypts.
    pub(crate) fn encrypts(&self) -> bool {
        self.keys.is_some()
    }

    /// The text to store for `plain`.
    pub(crate) fn seal(&self, plain: &str) -> String {
        match &self.keys {
            Some(keys) => keys.encrypt(plain.as_bytes()),
            None => plain.to_owned(),
        }
    }

    /// What was sealed. `what` names the value in the error.
    pub(crate) fn open(
        &self,
        sealed: &str,
        what: impl FnOnce() -> String,
    ) -> Result<String, Error> {
        self.keys
            .as_ref()
            .and_then(|keys| keys.decrypt(sealed).ok())
            .and_then(|plain| String::from_utf8(plain).ok())
            .ok_or_else(|| Error::Undecryptable { what: what() })
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyring")
            .field("encrypts", &self.encrypts())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
