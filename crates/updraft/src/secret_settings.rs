//! Settings whose values a secrets backend holds: the `…_SECRET` forms.
//!
//! They are wanted before there is anything else, so a Python of their own is started for each.
//! Where no setting has that form, none is.

use std::cell::OnceCell;
use std::time::Duration;

use updraft_config::{Environment, Lookups, Settings};
use updraft_plugins::SecretsBackend;
use updraft_python::PythonRuntime;

use crate::output::remark;
use crate::standalone::{options, secrets_backend};

/// Loads settings with every way to obtain a value.
pub(crate) fn with_lookups<T>(
    environment: &Environment,
    load: impl FnOnce(&Lookups<'_>) -> T,
) -> T {
    let asked = OnceCell::new();
    let ask = |_class: &str, name: &str| {
        let asked = asked.get_or_init(|| Asked::find(environment));
        asked.as_ref().map_err(Clone::clone)?.ask(name)
    };
    load(&Lookups {
        ask_secrets_backend: &ask,
        ..Lookups::of_machine()
    })
}

/// A backend and what it takes to ask it.
struct Asked {
    backend: SecretsBackend,
    python: PythonRuntime,
    environment: Vec<(String, String)>,
    limit: Duration,
}

impl Asked {
    /// Finds them in the settings that are written down.
    fn find(environment: &Environment) -> Result<Self, String> {
        let lookups = Lookups {
            ask_secrets_backend: &|_, _| Ok(None),
            ..Lookups::of_machine()
        };
        let settings =
            Settings::load(environment, &lookups).map_err(|bad| one_line(&bad.to_string()))?;
        let backend = secrets_backend(&settings).map_err(|error| format!("{error:#}"))?;
        let backend = backend.ok_or("[secrets] backend is not set")?;
        let request = options::provision_request(&settings);
        let python = updraft_python::provision(&request, &mut |line| remark(line))
            .map_err(|error| error.to_string())?;
        let inherited = environment
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        Ok(Self {
            backend,
            python,
            environment: settings.child_environment(inherited),
            limit: settings.updraft.plugin_timeout,
        })
    }

    fn ask(&self, name: &str) -> Result<Option<String>, String> {
        let environment = self.environment.clone();
        self.backend
            .setting(&self.python, environment, name, self.limit)
            .map_err(|error| one_line(&error.to_string()))
    }
}

/// A reason stands in the middle of a line.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
