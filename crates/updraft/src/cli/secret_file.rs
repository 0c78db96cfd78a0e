//! Files that variables and connections are exported to and imported from.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Context as _;
use serde_json::{Map, Value};

use super::failure::Failure;
use crate::output::{remark, say, write};

/// Where an export goes: a file, or standard output for `-`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Destination {
    StandardOutput,
    File(PathBuf),
}

impl FromStr for Destination {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "-" => Self::StandardOutput,
            path => Self::File(path.into()),
        })
    }
}

impl Destination {
    /// Writes the whole export.
    pub(super) fn write(&self, text: &str) -> Result<(), Failure> {
        match self {
            Self::StandardOutput => {
                write(text);
                Ok(())
            }
            Self::File(path) => std::fs::write(path, text)
                .with_context(|| format!("failed to write `{}`", path.display()))
                .map_err(Failure::from),
        }
    }

    /// Says how much was written, where it does not mix with the export.
    pub(super) fn report(&self, count: usize, what: &str) {
        match self {
            Self::StandardOutput => remark(&format!("\n{count} {what} successfully exported.")),
            Self::File(path) => say(&format!(
                "{count} {what} successfully exported to {}.",
                path.display()
            )),
        }
    }
}

/// Refuses `--hide-sensitive` where there is nothing to hide.
pub(super) fn require_values_shown(show_values: bool, hide_sensitive: bool) -> Result<(), Failure> {
    if hide_sensitive && !show_values {
        return Err(Failure::because(
            "--hide-sensitive can only be used with --show-values",
        ));
    }
    Ok(())
}

/// The document with the members of every object in order.
pub(super) fn sorted(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut members: Vec<(String, Value)> = members
                .into_iter()
                .map(|(name, value)| (name, sorted(value)))
                .collect();
            members.sort_by(|(left, _), (right, _)| left.cmp(right));
            Value::Object(members.into_iter().collect())
        }
        Value::Array(items) => items.into_iter().map(sorted).collect(),
        scalar => scalar,
    }
}

/// Variables by key, from JSON or lines of `KEY=value`.
pub(super) fn read_variables(path: &Path) -> Result<Map<String, Value>, Failure> {
    match format_of(path)? {
        Format::Json => json_object(path, &text_of(path, "variables")?),
        Format::Env => env_lines(path, &text_of(path, "variables")?),
    }
}

/// Connections by id, each a URI or an object, from JSON or lines of `ID=URI`.
pub(super) fn read_connections(path: &Path) -> Result<Map<String, Value>, Failure> {
    match format_of(path)? {
        Format::Json => json_object(path, &text_of(path, "connections")?),
        Format::Env => env_lines(path, &text_of(path, "connections")?),
    }
}

enum Format {
    Json,
    Env,
}

fn format_of(path: &Path) -> Result<Format, Failure> {
    let extension = path.extension().and_then(std::ffi::OsStr::to_str);
    match extension.map(str::to_lowercase).as_deref() {
        Some("json") => Ok(Format::Json),
        Some("env") => Ok(Format::Env),
        Some("yaml" | "yml") => Err(Failure::because(format!(
            "`{}`: importing YAML is not available yet",
            path.display()
        ))
        .hint("turn the file into JSON: the members stay the same")),
        _ => Err(Failure::because(format!(
            "unsupported file format of `{}`; expected the extension .json or .env",
            path.display()
        ))),
    }
}

fn text_of(path: &Path, what: &str) -> Result<String, Failure> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(Failure::because(
            format!("Missing {what} file `{}`", path.display()),
        )),
        Err(error) => Err(Failure::from(
            anyhow::Error::new(error).context(format!("failed to read `{}`", path.display())),
        )),
    }
}

/// Reads a file that holds one JSON object.
pub(super) fn json_object(path: &Path, text: &str) -> Result<Map<String, Value>, Failure> {
    let document: Value =
        serde_json::from_str(text).with_context(|| format!("`{}` is not JSON", path.display()))?;
    match document {
        Value::Object(members) => Ok(members),
        _ => Err(Failure::because(format!(
            "`{}`: expected a JSON object with one member for each entry",
            path.display()
        ))),
    }
}

fn env_lines(path: &Path, text: &str) -> Result<Map<String, Value>, Failure> {
    let mut members = Map::new();
    for (index, line) in text.lines().enumerate() {
        if line.is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        let wrong = |reason: &str| {
            Failure::because(format!(
                "`{}`, line {}: {reason}",
                path.display(),
                index + 1
            ))
        };
        let (key, value) = line
            .split_once('=')
            .ok_or_else(|| wrong("expected `key=value`"))?;
        if key.is_empty() || value.is_empty() {
            return Err(wrong("expected `key=value`, neither of them empty"));
        }
        if members.insert(key.to_owned(), value.into()).is_some() {
            return Err(wrong(&format!("`{key}` stands in the file twice")));
        }
    }
    Ok(members)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::{env_lines, format_of, json_object};

    #[test]
    fn lines_of_a_file_are_keys_and_values_or_refused_by_number() {
        let read = |text: &str| env_lines(Path::new("a.env"), text);
        let members = read("# comment\n\nA=1=2\nB=x y\n").unwrap();
        assert_eq!(
            serde_json::Value::Object(members),
            json!({"A": "1=2", "B": "x y"})
        );
        for (text, line) in [("A", 1), ("A=1\n=2", 2), ("\nA=", 2), ("A=1\nA=2", 2)] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(&format!("line {line}")), "{error}");
        }
    }

    #[test]
    fn other_files_are_refused_with_what_is_expected() {
        assert!(format_of(Path::new("a.JSON")).is_ok());
        let error = format_of(Path::new("a.toml")).err().unwrap().to_string();
        assert!(error.contains(".json or .env"), "{error}");
        let error = json_object(Path::new("a.json"), "[1]")
            .unwrap_err()
            .to_string();
        assert!(error.contains("JSON object"), "{error}");
    }
}
