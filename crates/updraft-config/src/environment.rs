//! A snapshot of the process environment.
//!
//! Everything else in Updraft takes this value, so a test can pass its own and two parts of
//! one process can never see different variables.

use std::collections::BTreeMap;
use std::fmt;

/// Environment variables, read once.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment {
    variables: BTreeMap<String, String>,
}

impl Environment {
    /// The variables of this process: the one place in Updraft that asks the system for them.
    ///
    /// `HOME` is filled in from the user database when it is unset, because `~` has to mean
    /// something under service managers too. A variable that is not UTF-8 is left out.
    pub fn of_process() -> Self {
        let utf8 = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        let mut variables: BTreeMap<String, String> =
            std::env::vars_os().filter_map(utf8).collect();
        if !variables.contains_key("HOME")
            && let Some(home) =
                std::env::home_dir().and_then(|home| home.to_str().map(String::from))
        {
            variables.insert("HOME".to_owned(), home);
        }
        Self { variables }
    }

    /// The same snapshot with one variable more or changed, as a command line flag wants it.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }

    /// The value of one variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// All variables, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        Self {
            variables: variables.into_iter().collect(),
        }
    }
}

impl fmt::Debug for Environment {
    /// Names only: a value may be a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}
