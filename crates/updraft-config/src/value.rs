//! A resolved value and where it came from.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Shown in place of a secret, in Airflow's spelling.
pub(crate) const HIDDEN: &str = "< hidden >";

/// The effective value of one option.
#[derive(Clone, PartialEq, Eq)]
pub struct Value {
    text: String,
    raw: Option<String>,
    sensitive: bool,
    /// The source that won.
    pub origin: Origin,
}

/// The source of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A variable such as `AIRFLOW__CORE__PARALLELISM`, or its `_CMD` or `_SECRET` form.
    Environment {
        variable: String,
        obtained: Obtained,
    },
    /// A line of `airflow.cfg`.
    File {
        path: Arc<Path>,
        line: usize,
        obtained: Obtained,
    },
    /// The table of options.
    Default,
}

/// How the text at the origin became the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obtained {
    /// It is the value.
    Literally,
    /// It is a command; the value is what the command printed.
    ByCommand,
    /// It is a name; the value is what the secrets backend holds under it.
    FromSecretsBackend,
}

impl Value {
    pub(crate) fn new(text: String, origin: Origin, sensitive: bool) -> Self {
        Self {
            text,
            raw: None,
            sensitive,
            origin,
        }
    }

    /// Keeps the text as it stands in the file, percent signs doubled.
    pub(crate) fn written_as(mut self, raw: String) -> Self {
        self.raw = Some(raw);
        self
    }

    /// Another value from the same origin.
    pub(crate) fn replaced_by(&self, text: String) -> Self {
        Self::new(text, self.origin.clone(), self.sensitive)
    }

    /// The value itself. Do not print it without [`Value::is_sensitive`].
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the value is a secret.
    pub fn is_sensitive(&self) -> bool {
        self.sensitive
    }

    /// The text to put into an `airflow.cfg` to get this value.
    pub(crate) fn as_written(&self) -> String {
        match (&self.raw, &self.origin) {
            (Some(raw), _) => raw.clone(),
            (None, Origin::Default) => self.text.replace('%', "%%"),
            (None, _) => self.text.clone(),
        }
    }

    /// The value for a message: quoted, or hidden.
    pub(crate) fn quoted(&self) -> String {
        if self.sensitive {
            "a hidden value".to_owned()
        } else {
            format!("{:?}", self.text)
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.quoted(), self.origin)
    }
}

impl Origin {
    /// The word that `config list --include-sources` prints.
    pub fn source_word(&self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Environment {
                obtained: Obtained::Literally,
                ..
            } => "env var",
            Self::File {
                obtained: Obtained::Literally,
                ..
            } => "airflow.cfg",
            Self::Environment {
                obtained: Obtained::ByCommand,
                ..
            }
            | Self::File {
                obtained: Obtained::ByCommand,
                ..
            } => "cmd",
            Self::Environment {
                obtained: Obtained::FromSecretsBackend,
                ..
            }
            | Self::File {
                obtained: Obtained::FromSecretsBackend,
                ..
            } => "secret",
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("the default"),
            Self::Environment { variable, obtained } => {
                write!(f, "from {obtained}environment variable {variable}")
            }
            Self::File {
                path,
                line,
                obtained,
            } => {
                write!(f, "from {obtained}{}, line {line}", path.display())
            }
        }
    }
}

impl fmt::Display for Obtained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Literally => "",
            Self::ByCommand => "the command in ",
            Self::FromSecretsBackend => "the secrets backend, named by ",
        })
    }
}
