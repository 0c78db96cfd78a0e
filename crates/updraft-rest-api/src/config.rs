//! The settings of an installation.

use serde::Serialize;

/// Sections with their options.
#[derive(Clone, Debug, Serialize)]
pub struct Config {
    pub sections: Vec<ConfigSection>,
}

/// A section.
#[derive(Clone, Debug, Serialize)]
pub struct ConfigSection {
    pub name: String,
    pub options: Vec<ConfigOption>,
}

/// An option and its value.
#[derive(Clone, Debug, Serialize)]
pub struct ConfigOption {
    pub key: String,
    pub value: String,
}

impl Config {
    /// The same as the text of a configuration file.
    #[must_use]
    pub fn to_text(&self) -> String {
        let sections: Vec<String> = self.sections.iter().map(ConfigSection::to_text).collect();
        sections.join("\n")
    }
}

impl ConfigSection {
    fn to_text(&self) -> String {
        let lines: Vec<String> = self
            .options
            .iter()
            .map(|option| format!("{} = {}", option.key, option.value))
            .collect();
        format!("[{}]\n{}\n", self.name, lines.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::{Config, ConfigOption, ConfigSection};

    #[test]
    fn the_text_is_that_of_a_file_with_an_empty_line_between_sections() {
        let section = |name: &str, options: &[(&str, &str)]| ConfigSection {
            name: name.to_owned(),
            options: options
                .iter()
                .map(|(key, value)| ConfigOption {
                    key: (*key).to_owned(),
                    value: (*value).to_owned(),
                })
                .collect(),
        };
        let config = Config {
            sections: vec![
                section("core", &[("parallelism", "7"), ("executor", "Local")]),
                section("api", &[("port", "1")]),
            ],
        };
        assert_eq!(
            config.to_text(),
            "[core]\nparallelism = 7\nexecutor = Local\n\n[api]\nport = 1\n"
        );
    }
}
