//! Names a Dag file to clients, who give the name back to have it parsed.
//!
//! The form is that of itsdangerous' URL-safe serializer with HMAC-SHA1, as Airflow's: payload, dot,
//! signature. A client cannot forge one, so it cannot have arbitrary files parsed.

use aws_lc_rs::{digest, hmac};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use updraft_model::BundleName;

/// Signs and reads tokens with `[api] secret_key`.
pub(crate) struct Signer {
    key: hmac::Key,
}

/// A Dag file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DagFile {
    pub(crate) bundle_name: BundleName,
    pub(crate) relative_fileloc: String,
}

impl Signer {
    pub(crate) fn new(secret_key: &SecretString) -> Self {
        let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
        context.update(b"itsdangerous");
        context.update(b"signer");
        context.update(secret_key.expose_secret().as_bytes());
        let derived = context.finish();
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, derived.as_ref()),
        }
    }

    /// A signed value.
    pub(crate) fn sign(&self, value: &Value) -> String {
        let payload = URL_SAFE_NO_PAD.encode(value.to_string());
        let signature = hmac::sign(&self.key, payload.as_bytes());
        format!("{payload}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// The value of a token, or `None` when it was not signed here. A text that is no token at all
    /// has no signature either.
    pub(crate) fn read(&self, token: &str) -> Option<Value> {
        let (payload, signature) = token.rsplit_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        hmac::verify(&self.key, payload.as_bytes(), &signature).ok()?;
        let json = URL_SAFE_NO_PAD.decode(payload).ok()?;
        serde_json::from_slice(&json).ok()
    }

    pub(crate) fn file_token(&self, bundle_name: &BundleName, relative_fileloc: &str) -> String {
        self.sign(&json!({
            "bundle_name": bundle_name,
            "relative_fileloc": relative_fileloc,
        }))
    }

    pub(crate) fn read_file_token(&self, token: &str) -> Option<DagFile> {
        let value = self.read(token)?;
        Some(DagFile {
            bundle_name: value.get("bundle_name")?.as_str()?.into(),
            relative_fileloc: value.get("relative_fileloc")?.as_str()?.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{DagFile, Signer};

    #[test]
    fn a_token_equals_airflows_and_cannot_be_forged() {
        let signer = Signer::new(&"secretsecretsecretsecretsecretsecret".into());
        let token = signer.file_token(&"dags-folder".into(), "golden.py");
        assert_eq!(
            token,
            "eyJidW5kbGVfbmFtZSI6ImRhZ3MtZm9sZGVyIiwicmVsYXRpdmVfZmlsZWxvYyI6ImdvbGRlbi5weSJ9\
             .BxOSZBFqq8FqTLtFdM5H7GHw8Hk"
        );
        assert_eq!(
            signer.read_file_token(&token),
            Some(DagFile {
                bundle_name: "dags-folder".into(),
                relative_fileloc: "golden.py".to_owned(),
            })
        );
        let other = Signer::new(&"another key".into());
        assert_eq!(other.read_file_token(&token), None);
        assert_eq!(signer.read_file_token("nonsense"), None);
    }
}
