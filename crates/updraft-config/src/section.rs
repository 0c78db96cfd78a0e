//! Gives types to the values of one section.
//!
//! A reader never fails: a bad value is noted with its origin and the default stands in, so
//! that one start reports every bad setting. What counts as a number or a truth value is what
//! Airflow's own getters accept (`testdata/conversions.json`).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use serde::de::DeserializeOwned;

use crate::convert;
use crate::problem::Problem;
use crate::value::{Origin, Value};
use crate::values::Values;

const PORT: &str = "a port (0 to 65535)";

/// Reads one section; made by the settings, used by the `read` of each typed section.
pub(crate) struct Section<'a> {
    pub(crate) name: &'static str,
    pub(crate) values: &'a Values,
    pub(crate) problems: &'a mut Vec<Problem>,
}

impl Section<'_> {
    /// Any text; the default when unset.
    pub(crate) fn text(&mut self, key: &str) -> String {
        self.required(key, "a text", |text| Some(text.to_owned()))
    }

    /// A text, where empty means unset.
    pub(crate) fn optional_text(&mut self, key: &str) -> Option<String> {
        self.optional(key, "a text", |text| Some(text.to_owned()))
    }

    /// A secret, where empty means unset. Commands end their output with a line break that is
    /// no part of the secret, so white space around it is dropped.
    pub(crate) fn optional_secret(&mut self, key: &str) -> Option<SecretString> {
        self.optional(key, "a secret", |text| {
            Some(SecretString::from(text.trim()))
        })
    }

    /// What variables of the environment say whose names go on after `prefix`, by the rest of the
    /// name. They may be secrets, and no table lists them.
    pub(crate) fn variables_after(&self, prefix: &str) -> BTreeMap<String, SecretString> {
        let values = self.values.iter();
        values
            .filter(|(section, _, value)| {
                *section == self.name && matches!(value.origin, Origin::Environment { .. })
            })
            .filter_map(|(_, key, value)| {
                let rest = key.strip_prefix(prefix).filter(|rest| !rest.is_empty())?;
                Some((rest.to_owned(), SecretString::from(value.text())))
            })
            .collect()
    }

    /// A truth value.
    pub(crate) fn flag(&mut self, key: &str) -> bool {
        self.required(key, "True or False", convert::boolean)
    }

    /// A truth value that may be left open.
    pub(crate) fn optional_flag(&mut self, key: &str) -> Option<bool> {
        self.optional(key, "True or False", convert::boolean)
    }

    /// A whole number from zero.
    pub(crate) fn count(&mut self, key: &str) -> u32 {
        self.required(key, "a count", |text| {
            u32::try_from(convert::integer(text)?).ok()
        })
    }

    /// A whole number from zero that may be left out.
    pub(crate) fn optional_count(&mut self, key: &str) -> Option<u32> {
        self.optional(key, "a count", |text| {
            u32::try_from(convert::integer(text)?).ok()
        })
    }

    /// A whole number from one.
    pub(crate) fn positive(&mut self, key: &str) -> u32 {
        let positive = |text: &str| {
            u32::try_from(convert::integer(text)?)
                .ok()
                .filter(|n| *n > 0)
        };
        self.required(key, "a count of at least 1", positive)
    }

    /// A whole number, where −1 means no bound.
    pub(crate) fn bound(&mut self, key: &str) -> Option<u32> {
        self.required(
            key,
            "a count, or -1 for no bound",
            |text| match convert::integer(text)? {
                -1 => Some(None),
                count => u32::try_from(count).ok().map(Some),
            },
        )
    }

    /// A port of this or another machine.
    pub(crate) fn port(&mut self, key: &str) -> u16 {
        self.required(key, PORT, |text| {
            u16::try_from(convert::integer(text)?).ok()
        })
    }

    /// A port that may be left empty.
    pub(crate) fn optional_port(&mut self, key: &str) -> Option<u16> {
        self.optional(key, PORT, |text| {
            u16::try_from(convert::integer(text)?).ok()
        })
    }

    /// A number of bytes.
    pub(crate) fn bytes(&mut self, key: &str) -> u64 {
        self.required(key, "a number of bytes", |text| {
            u64::try_from(convert::integer(text)?).ok()
        })
    }

    /// A file mode or umask, as Python writes an octal number.
    pub(crate) fn mode(&mut self, key: &str) -> u32 {
        self.required(key, "an octal number such as 0o664", convert::octal)
    }

    /// A duration in seconds.
    pub(crate) fn seconds(&mut self, key: &str) -> Duration {
        self.required(key, "a number of seconds", convert::seconds)
    }

    /// A duration in seconds, where zero switches the feature off.
    pub(crate) fn seconds_unless_zero(&mut self, key: &str) -> Option<Duration> {
        Some(self.seconds(key)).filter(|duration| !duration.is_zero())
    }

    /// A duration in milliseconds that may be left empty.
    pub(crate) fn optional_milliseconds(&mut self, key: &str) -> Option<Duration> {
        self.optional(key, "a number of milliseconds", |text| {
            u64::try_from(convert::integer(text)?)
                .ok()
                .map(Duration::from_millis)
        })
    }

    /// A path.
    pub(crate) fn path(&mut self, key: &str) -> PathBuf {
        self.required(key, "a path", |text| {
            (!text.is_empty()).then(|| PathBuf::from(text))
        })
    }

    /// A path, where empty means unset.
    pub(crate) fn optional_path(&mut self, key: &str) -> Option<PathBuf> {
        self.optional(key, "a path", |text| Some(PathBuf::from(text)))
    }

    /// Texts between commas.
    pub(crate) fn list(&mut self, key: &str) -> Vec<String> {
        self.optional(key, "a list", |text| Some(convert::list(text)))
            .unwrap_or_default()
    }

    /// One of a few words.
    pub(crate) fn choice<T: Copy>(&mut self, key: &str, choices: &[(&str, T)]) -> T {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let expected = format!("one of {}", words.join(", "));
        self.required(key, &expected, |text| {
            choices
                .iter()
                .find(|(word, _)| *word == text)
                .map(|(_, choice)| *choice)
        })
    }

    /// A JSON document, where empty means unset.
    pub(crate) fn optional_json<T: DeserializeOwned>(
        &mut self,
        key: &str,
        expected: &str,
    ) -> Option<T> {
        self.optional(key, expected, |text| serde_json::from_str(text).ok())
    }

    /// A value that a type knows how to read from text, where empty means unset.
    pub(crate) fn optional<T>(
        &mut self,
        key: &str,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let value = self.values.exact(self.name, key)?;
        if value.text().is_empty() {
            return None;
        }
        let parsed = parse(value.text());
        if parsed.is_none() {
            self.note_bad_value(key, expected, value);
        }
        parsed
    }

    /// A value that is always there because the table has a default.
    pub(crate) fn required<T>(
        &mut self,
        key: &str,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> T {
        if let Some(value) = self.values.exact(self.name, key) {
            match parse(value.text()) {
                Some(parsed) => return parsed,
                None => self.note_bad_value(key, expected, value),
            }
        }
        let default = self.values.default_of(self.name, key);
        default
            .and_then(|default| parse(&default))
            .expect("every option that is read as required has a good default in the table")
    }

    /// Notes that a value which looks right on its own cannot be used.
    pub(crate) fn refuse(&mut self, key: &str, reason: String) {
        let (section, key) = (self.name.to_owned(), key.to_owned());
        self.problems.push(Problem::Conflict {
            section,
            key,
            reason,
        });
    }

    fn note_bad_value(&mut self, key: &str, expected: &str, value: &Value) {
        self.problems.push(Problem::BadValue {
            section: self.name.to_owned(),
            key: key.to_owned(),
            expected: expected.to_owned(),
            found: value.quoted(),
            origin: value.origin.clone(),
        });
    }
}
