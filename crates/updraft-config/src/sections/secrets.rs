use std::collections::BTreeMap;
use std::time::Duration;

use secrecy::SecretString;

use crate::resolve::BACKEND_ARGUMENT;
use crate::section::Section;

/// `[secrets]`.
#[derive(Clone, Debug)]
pub struct SecretsConfig {
    /// `backend`: Python class that the server asks first for connections and variables.
    pub backend: Option<String>,
    /// `backend_kwargs`: JSON object with the arguments of that class.
    pub backend_kwargs: Option<SecretString>,
    /// Single arguments, which go before those of the object: variables
    /// `AIRFLOW__SECRETS__BACKEND_KWARG__…`, which no table of options lists.
    pub backend_kwarg: BTreeMap<String, SecretString>,
    /// `use_cache`: remember variables while Dag files are parsed.
    pub use_cache: bool,
    /// `cache_ttl_seconds`: time a variable is remembered.
    pub cache_ttl: Duration,
}

impl SecretsConfig {
    pub(crate) fn read(section: &mut Section<'_>) -> Self {
        Self {
            backend: section.optional_text("backend"),
            backend_kwargs: section.optional_secret("backend_kwargs"),
            backend_kwarg: section.variables_after(BACKEND_ARGUMENT),
            use_cache: section.flag("use_cache"),
            cache_ttl: section.seconds("cache_ttl_seconds"),
        }
    }
}
