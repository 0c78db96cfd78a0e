//! Who wins: environment, then file, then the file's `_cmd`, then its `_secret`, then default.
//!
//! Within the environment a plain variable beats `_CMD`, which beats `_SECRET`; the last two
//! exist for sensitive options only. Each source is asked for the option's name and then for
//! the name it had in Airflow 2, before the next source is asked at all.

mod names;

use std::path::Path;
use std::sync::Arc;

use crate::environment::Environment;
use crate::expand::expand;
use crate::ini::{IniFile, Interpolation};
use crate::lookups::Lookups;
use crate::moved;
use crate::options::OptionTable;
use crate::problem::{Problem, Warning};
use crate::resolve::names::named_options;
use crate::value::{Obtained, Origin, Value};
use crate::values::ValuesByName;

pub(crate) const VARIABLE_PREFIX: &str = "AIRFLOW__";

/// Options that Airflow reads and does not list.
const UNLISTED: [(&str, &str); 2] = [
    ("core", "airflow_home"),
    ("scheduler", "num_stuck_in_queued_retries"),
];

/// Variables with this in their names hold one argument of a secrets backend each.
pub(crate) const BACKEND_ARGUMENT: &str = "backend_kwarg__";

/// What is resolved, and what was noticed on the way.
pub(crate) struct Resolved {
    pub(crate) by_name: ValuesByName,
    pub(crate) problems: Vec<Problem>,
    pub(crate) warnings: Vec<Warning>,
}

pub(crate) struct Sources<'a> {
    pub(crate) home: &'a Path,
    pub(crate) environment: &'a Environment,
    pub(crate) file: &'a IniFile,
    pub(crate) file_path: Arc<Path>,
    pub(crate) table: &'a OptionTable,
    pub(crate) lookups: &'a Lookups<'a>,
}

/// `AIRFLOW__SECTION__KEY`; dots of a section become underscores.
pub(crate) fn variable_name(section: &str, key: &str) -> String {
    let section = section.replace('.', "_").to_uppercase();
    format!("{VARIABLE_PREFIX}{section}__{}", key.to_uppercase())
}

/// Resolves every option that is in the table, the file or the environment.
pub(crate) fn resolve(sources: &Sources<'_>) -> Resolved {
    let mut resolver = Resolver {
        sources,
        problems: Vec::new(),
        warnings: Vec::new(),
    };
    let mut by_name = ValuesByName::new();
    for (section, key) in named_options(sources) {
        if let Some(value) = resolver.resolve_one(&section, &key) {
            by_name.entry(section).or_default().insert(key, value);
        }
    }
    Resolved {
        by_name,
        problems: resolver.problems,
        warnings: resolver.warnings,
    }
}

struct Resolver<'a> {
    sources: &'a Sources<'a>,
    problems: Vec<Problem>,
    warnings: Vec<Warning>,
}

/// What one source says about one name.
enum Answer {
    Silent,
    Value(Value),
    /// It says something that cannot be used; the problem is noted.
    Unusable,
}

impl Resolver<'_> {
    fn resolve_one(&mut self, section: &str, key: &str) -> Option<Value> {
        let present = (section, key);
        let names = [Some(present), moved::old_name(section, key)];
        let steps = [
            Self::ask_environment,
            Self::ask_file,
            Self::ask_file_command,
            Self::ask_file_secret,
        ];
        for step in steps {
            for name in names.into_iter().flatten() {
                match step(self, name) {
                    Answer::Silent => {}
                    Answer::Unusable => return None,
                    Answer::Value(value) => {
                        self.note(present, name, &value.origin);
                        return Some(value);
                    }
                }
            }
        }
        let default = self
            .sources
            .table
            .get(section, key)?
            .default_in(self.sources.home)?;
        self.expanded(present, &default, Origin::Default).found()
    }

    fn ask_environment(&mut self, name: (&str, &str)) -> Answer {
        let environment = self.sources.environment;
        let variable = variable_name(name.0, name.1);
        let origin = |variable: &str, obtained| Origin::Environment {
            variable: variable.to_owned(),
            obtained,
        };
        if let Some(text) = environment.get(&variable) {
            return self.expanded(name, text, origin(&variable, Obtained::Literally));
        }
        if !self.sources.table.is_sensitive(name.0, name.1) {
            return Answer::Silent;
        }
        let variable_cmd = format!("{variable}_CMD");
        if let Some(command) = environment.get(&variable_cmd) {
            return self.run(name, command, origin(&variable_cmd, Obtained::ByCommand));
        }
        let variable_secret = format!("{variable}_SECRET");
        if let Some(path) = environment.get(&variable_secret) {
            let origin = origin(&variable_secret, Obtained::FromSecretsBackend);
            return self.ask_secrets_backend(name, path, origin);
        }
        Answer::Silent
    }

    fn ask_file(&mut self, name: (&str, &str)) -> Answer {
        let file = self.sources.file;
        let Some(written) = file.get(name.0, name.1) else {
            return Answer::Silent;
        };
        let origin = self.file_origin(written.line, Obtained::Literally);
        match (Interpolation {
            file,
            section: name.0,
        })
        .apply(&written.raw)
        {
            Err(reason) => self.unusable(name, reason, origin),
            Ok(text) => match self.expanded(name, &text, origin) {
                Answer::Value(value) => Answer::Value(value.written_as(written.raw.clone())),
                other => other,
            },
        }
    }

    fn ask_file_command(&mut self, name: (&str, &str)) -> Answer {
        match self.detour_in_file(name, "_cmd") {
            Ok(Some((command, line))) => {
                let origin = self.file_origin(line, Obtained::ByCommand);
                self.run(name, &command, origin).unless_empty()
            }
            Ok(None) => Answer::Silent,
            Err(unusable) => unusable,
        }
    }

    fn ask_file_secret(&mut self, name: (&str, &str)) -> Answer {
        match self.detour_in_file(name, "_secret") {
            Ok(Some((path, line))) => {
                let origin = self.file_origin(line, Obtained::FromSecretsBackend);
                self.ask_secrets_backend(name, &path, origin).unless_empty()
            }
            Ok(None) => Answer::Silent,
            Err(unusable) => unusable,
        }
    }

    /// The command or path that stands in the file for a sensitive option.
    fn detour_in_file(
        &mut self,
        name: (&str, &str),
        suffix: &str,
    ) -> Result<Option<(String, usize)>, Answer> {
        let file = self.sources.file;
        if !self.sources.table.is_sensitive(name.0, name.1) {
            return Ok(None);
        }
        let Some(written) = file.get(name.0, &format!("{}{suffix}", name.1)) else {
            return Ok(None);
        };
        match (Interpolation {
            file,
            section: name.0,
        })
        .apply(&written.raw)
        {
            Ok(text) => Ok(Some((text, written.line))),
            Err(reason) => {
                let origin = self.file_origin(written.line, Obtained::Literally);
                Err(self.unusable(name, reason, origin))
            }
        }
    }

    fn expanded(&mut self, name: (&str, &str), text: &str, origin: Origin) -> Answer {
        match expand(text, self.sources.environment) {
            Ok(text) => self.answer(name, text, origin),
            Err(_) => {
                let reason = "the value refers to itself through environment variables".to_owned();
                self.unusable(name, reason, origin)
            }
        }
    }

    fn run(&mut self, name: (&str, &str), command: &str, origin: Origin) -> Answer {
        match (self.sources.lookups.run_command)(command) {
            Ok(output) => self.answer(name, output, origin),
            Err(reason) => self.unusable(name, reason, origin),
        }
    }

    fn ask_secrets_backend(&mut self, name: (&str, &str), path: &str, origin: Origin) -> Answer {
        let Answer::Value(backend) = self.secrets_backend() else {
            return Answer::Silent;
        };
        match (self.sources.lookups.ask_secrets_backend)(backend.text(), path) {
            Ok(Some(secret)) => self.answer(name, secret, origin),
            Ok(None) => Answer::Silent,
            Err(reason) => self.unusable(name, reason, origin),
        }
    }

    /// `[secrets] backend`: without one, a `_SECRET` is as good as not there.
    fn secrets_backend(&mut self) -> Answer {
        let name = ("secrets", "backend");
        match self.ask_environment(name) {
            Answer::Silent => self.ask_file(name).unless_empty(),
            answer => answer.unless_empty(),
        }
    }

    fn answer(&self, name: (&str, &str), text: String, origin: Origin) -> Answer {
        let sensitive = self.sources.table.is_sensitive(name.0, name.1);
        Answer::Value(Value::new(text, origin, sensitive))
    }

    fn unusable(&mut self, name: (&str, &str), reason: String, origin: Origin) -> Answer {
        let (section, key) = (name.0.to_owned(), name.1.to_owned());
        self.problems.push(Problem::NoValue {
            section,
            key,
            reason,
            origin,
        });
        Answer::Unusable
    }

    fn file_origin(&self, line: usize, obtained: Obtained) -> Origin {
        Origin::File {
            path: Arc::clone(&self.sources.file_path),
            line,
            obtained,
        }
    }

    /// Remembers an old name and a name that nobody reads.
    fn note(&mut self, present: (&str, &str), used: (&str, &str), origin: &Origin) {
        let owned = |name: (&str, &str)| (name.0.to_owned(), name.1.to_owned());
        let table = self.sources.table;
        if present != used {
            let (old, new) = (owned(used), owned(present));
            self.warnings.push(Warning::OldName {
                old,
                new,
                origin: origin.clone(),
            });
        } else if table.get(present.0, present.1).is_none()
            && table.is_ours_or_core(present.0)
            && !UNLISTED.contains(&present)
            && !present.1.contains(BACKEND_ARGUMENT)
        {
            let (section, key) = owned(present);
            self.warnings.push(Warning::Unknown {
                section,
                key,
                origin: origin.clone(),
            });
        }
    }
}

impl Answer {
    fn unless_empty(self) -> Self {
        match self {
            Self::Value(value) if value.text().is_empty() => Self::Silent,
            answer => answer,
        }
    }

    fn found(self) -> Option<Value> {
        match self {
            Self::Value(value) => Some(value),
            Self::Silent | Self::Unusable => None,
        }
    }
}
