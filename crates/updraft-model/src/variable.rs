//! A row of `variable`, with its value in the clear; the store encrypts at rest.

/// A named value that Dags read.
#[derive(Clone, PartialEq, Eq)]
pub struct Variable {
    pub key: String,
    pub value: String,
    pub description: Option<String>,
    pub team_name: Option<String>,
}

impl std::fmt::Debug for Variable {
    /// Leaves the value out: it is often a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Variable")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}
