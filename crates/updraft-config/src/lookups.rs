//! How a value is obtained that is not written down: by a command, or from a secrets backend.
//!
//! Both reach out of the process, so resolution gets them as functions and tests bring their
//! own.

mod command;

/// Asks the secrets backend (its class, the name of the secret); `None` when it has none.
pub type AskSecretsBackend<'a> = dyn Fn(&str, &str) -> Result<Option<String>, String> + 'a;

/// The two ways out of the process.
pub struct Lookups<'a> {
    /// Runs a command line and gives what it printed, untrimmed, or why it failed.
    pub run_command: &'a dyn Fn(&str) -> Result<String, String>,
    /// Asks the secrets backend.
    pub ask_secrets_backend: &'a AskSecretsBackend<'a>,
}

impl Lookups<'static> {
    /// Commands run on this machine. Secrets backends are Python classes, of which this crate knows
    /// nothing: whoever loads settings with `_SECRET`s brings a function that asks.
    pub fn of_machine() -> Self {
        Self {
            run_command: &command::run,
            ask_secrets_backend: &refuse_secrets_backend,
        }
    }
}

fn refuse_secrets_backend(class: &str, _name: &str) -> Result<Option<String>, String> {
    Err(format!(
        "{class} cannot be asked here; use the option's _CMD form instead"
    ))
}
