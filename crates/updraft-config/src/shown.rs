//! Settings as they are shown to others: every effective value, secrets hidden.

use crate::listing::ListOptions;
use crate::value::{HIDDEN, Value};
use crate::values::Values;

/// Arguments of a secrets backend that are set one by one; they are as secret as those that are set
/// together, and stand in no table.
const SECRET_PREFIXES: [(&str, &str); 2] = [
    ("secrets", "backend_kwarg__"),
    ("workers", "secrets_backend_kwarg__"),
];

/// A section with its options that have a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownSection {
    pub name: String,
    /// Key and value.
    pub options: Vec<(String, String)>,
}

impl Values {
    /// Every section with the options that have a value.
    pub fn shown(&self) -> Vec<ShownSection> {
        let all = ListOptions::default();
        let sections = self.listed_sections(&all).into_iter();
        sections
            .map(|section| ShownSection {
                name: section.to_owned(),
                options: self
                    .listed_keys(section, &all)
                    .into_iter()
                    .filter_map(|key| {
                        let value = self.exact(section, key)?;
                        Some((key.to_owned(), shown(section, key, value).to_owned()))
                    })
                    .collect(),
            })
            .filter(|section| !section.options.is_empty())
            .collect()
    }

    /// The value of one option, under any spelling that [`Values::get`] takes.
    pub fn shown_value(&self, section: &str, key: &str) -> Option<&str> {
        let value = self.get(section, key)?;
        Some(shown(&section.to_lowercase(), &key.to_lowercase(), value))
    }
}

fn shown<'a>(section: &str, key: &str, value: &'a Value) -> &'a str {
    let is_secret_argument = SECRET_PREFIXES
        .iter()
        .any(|(name, prefix)| section == *name && key.starts_with(prefix));
    if value.is_sensitive() || is_secret_argument {
        HIDDEN
    } else {
        value.text()
    }
}

#[cfg(test)]
mod tests {
    use crate::{Environment, Lookups, Values};

    #[test]
    fn every_value_is_shown_but_those_of_secrets() {
        let environment = Environment::default()
            .with("AIRFLOW_HOME", "/home/me")
            .with("AIRFLOW__CORE__FERNET_KEY", "hush")
            .with("AIRFLOW__CORE__PARALLELISM", "7");
        let file = "[secrets]\nbackend_kwarg__token = hush\n[odd]\nkey = a%%b\n";
        let lookups = Lookups::of_machine();
        let values = Values::from_text(file, &environment, &lookups);
        let shown = values.shown();
        let value = |section: &str, key: &str| {
            let section = shown.iter().find(|each| each.name == section)?;
            let option = section.options.iter().find(|(name, _)| name == key)?;
            Some(option.1.as_str())
        };
        assert_eq!(value("core", "parallelism"), Some("7"));
        assert_eq!(value("core", "fernet_key"), Some("< hidden >"));
        assert_eq!(value("secrets", "backend_kwarg__token"), Some("< hidden >"));
        assert_eq!(value("odd", "key"), Some("a%b"));
        assert!(!format!("{shown:?}").contains("hush"));
        assert_eq!(values.shown_value("Core", "Parallelism"), Some("7"));
        let hidden = values.shown_value("secrets", "Backend_Kwarg__Token");
        assert_eq!(hidden, Some("< hidden >"));
        assert_eq!(values.shown_value("core", "nothing"), None);
    }
}
