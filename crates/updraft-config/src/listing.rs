//! `config list`, in Airflow's words and layout.
//!
//! The text goes to whoever called the command line; nothing here prints.

use crate::descriptions;
use crate::listing::json::indented_json;
use crate::resolve::variable_name;
use crate::value::HIDDEN;
use crate::values::Values;

mod json;

/// The flags of `config list`.
#[derive(Clone, Debug, Default)]
pub struct ListOptions {
    /// `--section`: only this one.
    pub section: Option<String>,
    /// `--include-descriptions`: what the options do, where Updraft acts on them.
    pub include_descriptions: bool,
    /// `--include-sources`: where each value comes from.
    pub include_sources: bool,
    /// `--include-env-vars`: the variable that sets each option.
    pub include_env_vars: bool,
    /// `--comment-out-everything`.
    pub comment_out_everything: bool,
    /// `--exclude-providers`: only the options of Airflow itself and of Updraft.
    pub exclude_providers: bool,
    /// `--defaults`: the defaults, commented out, with descriptions and variables.
    pub defaults: bool,
    /// `--hide-sensitive`: hide the values of secrets.
    pub hide_sensitive: bool,
    /// `--show-values`: without it, only names are listed.
    pub show_values: bool,
}

impl ListOptions {
    fn with_implied(&self) -> Self {
        let mut flags = self.clone();
        if flags.defaults {
            flags.include_descriptions = true;
            flags.include_env_vars = true;
            flags.include_sources = false;
            flags.comment_out_everything = true;
        }
        flags
    }
}

/// One option as it is listed.
struct Listed<'a> {
    section: &'a str,
    key: &'a str,
    /// Present when it is asked for and Updraft acts on the option.
    description: Option<&'a String>,
}

impl Values {
    /// `config list`: every section with its options, as an `airflow.cfg`.
    pub fn list(&self, flags: &ListOptions) -> String {
        let flags = flags.with_implied();
        let descriptions = flags
            .include_descriptions
            .then(descriptions::all)
            .unwrap_or_default();
        let mut text = String::new();
        for section in self.listed_sections(&flags) {
            text.push_str(&format!("[{section}]\n"));
            let mut separated = false;
            for key in self.listed_keys(section, &flags) {
                separated = {
                    let description = descriptions.get(section).and_then(|it| it.get(key));
                    self.list_option(
                        &mut text,
                        &Listed {
                            section,
                            key,
                            description,
                        },
                        &flags,
                    )
                };
            }
            if flags.include_descriptions && !separated {
                text.push('\n');
            }
        }
        text
    }

    /// Sections of the table, then those that only the file has.
    pub(crate) fn listed_sections(&self, flags: &ListOptions) -> Vec<&str> {
        let table = self.table();
        let known = table.sections().filter(|section| {
            !flags.exclude_providers || table.options(section).any(|(_, it)| it.provider.is_none())
        });
        let mut names: Vec<&str> = known.collect();
        let in_file = self
            .written()
            .sections()
            .filter(|name| !names.contains(name));
        let unknown: Vec<&str> = in_file.collect();
        names.extend(unknown);
        names.retain(|name| flags.section.as_deref().is_none_or(|only| only == *name));
        names
    }

    /// Options of the table, then those that only the file has.
    pub(crate) fn listed_keys(&self, section: &str, flags: &ListOptions) -> Vec<&str> {
        let known = self
            .table()
            .options(section)
            .filter(|(_, it)| !flags.exclude_providers || it.provider.is_none());
        let mut keys: Vec<&str> = known.map(|(key, _)| key).collect();
        let in_file = self
            .written()
            .keys(section)
            .filter(|key| !keys.contains(key));
        let unknown: Vec<&str> = in_file.collect();
        keys.extend(unknown);
        keys
    }

    /// Writes one option; says whether an empty line follows it.
    fn list_option(&self, text: &mut String, option: &Listed<'_>, flags: &ListOptions) -> bool {
        let Listed {
            section,
            key,
            description,
        } = *option;
        let mut separated = false;
        if let Some(description) = description {
            text.push_str(&format!("# {description}\n"));
            separated = true;
        }
        if flags.include_sources {
            let source = self
                .exact(section, key)
                .map(|value| value.origin.source_word());
            text.push_str(&format!(
                "#\n# Source: {}\n",
                source.unwrap_or("not defined")
            ));
            separated = true;
        }
        if flags.include_env_vars {
            text.push_str(&format!(
                "#\n# Variable: {}\n#\n",
                variable_name(section, key)
            ));
            separated = true;
        }
        text.push_str(&self.assignment(option, flags));
        if separated {
            text.push('\n');
        }
        separated
    }

    fn assignment(&self, option: &Listed<'_>, flags: &ListOptions) -> String {
        let key = option.key;
        let value = if flags.show_values {
            self.listed_value(option, flags)
        } else {
            None
        };
        match value {
            None => format!("# {key} = \n"),
            Some(value) if flags.comment_out_everything => {
                let lines: Vec<&str> = value.lines().collect();
                format!("# {key} = {}\n", lines.join("\n# "))
            }
            Some(value) if value.contains('\n') => {
                format!("{key} = {}\n", indented_json(&value).unwrap_or(value))
            }
            Some(value) => format!("{key} = {value}\n"),
        }
    }

    fn listed_value(&self, option: &Listed<'_>, flags: &ListOptions) -> Option<String> {
        let Listed { section, key, .. } = *option;
        if flags.hide_sensitive && self.table().is_sensitive(section, key) {
            return Some(HIDDEN.to_owned());
        }
        if flags.defaults {
            let default = self.default_of(section, key);
            return default.map(|text| text.replace('%', "%%"));
        }
        match self.exact(section, key) {
            Some(value) => Some(value.as_written()),
            // A `_cmd` line is no option of its own; the file has it all the same.
            None => self
                .written()
                .get(section, key)
                .map(|written| written.raw.clone()),
        }
    }
}
