//! `airflow.cfg`, read as Python's `configparser` reads it.
//!
//! Names keep their case, `=` and `:` both separate, a line that is indented deeper than its
//! option continues the value, `#` and `;` start a comment at the start of a line only, and a
//! section or an option that comes twice is an error. Unlike `configparser`, all errors of a
//! file are reported, not the first.

mod interpolation;

use indexmap::IndexMap;

pub(crate) use interpolation::Interpolation;

/// Options in this section stand in every other section too.
const DEFAULT_SECTION: &str = "DEFAULT";

/// The parsed file: sections and their options, as written.
#[derive(Clone, Debug, Default)]
pub(crate) struct IniFile {
    sections: IndexMap<String, IndexMap<String, IniValue>>,
    defaults: IndexMap<String, IniValue>,
}

/// One value, not yet interpolated.
#[derive(Clone)]
pub(crate) struct IniValue {
    pub(crate) raw: String,
    pub(crate) line: usize,
}

/// A line that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IniError {
    pub(crate) line: usize,
    pub(crate) reason: String,
}

impl IniFile {
    pub(crate) fn parse(text: &str) -> (Self, Vec<IniError>) {
        let mut parser = Parser::default();
        for (index, line) in text.split('\n').enumerate() {
            parser.read_line(index + 1, line.trim_end_matches('\r'));
        }
        parser.finish()
    }

    /// Names of the sections, in file order.
    pub(crate) fn sections(&self) -> impl Iterator<Item = &str> {
        self.sections.keys().map(String::as_str)
    }

    /// Options of a section, in file order, with those of `[DEFAULT]` at the end.
    pub(crate) fn keys(&self, section: &str) -> impl Iterator<Item = &str> {
        let own = self.sections.get(section);
        let shared = self
            .defaults
            .keys()
            .filter(move |key| own.is_some_and(|it| !it.contains_key(*key)));
        own.into_iter()
            .flat_map(IndexMap::keys)
            .chain(shared)
            .map(String::as_str)
    }

    /// An option of a section, or of `[DEFAULT]` when the section exists without it.
    pub(crate) fn get(&self, section: &str, key: &str) -> Option<&IniValue> {
        self.sections
            .get(section)?
            .get(key)
            .or_else(|| self.defaults.get(key))
    }
}

impl std::fmt::Debug for IniValue {
    /// Where, not what: the value may be a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}", self.line)
    }
}

#[derive(Default)]
struct Parser {
    file: IniFile,
    errors: Vec<IniError>,
    /// The open section; `None` before the first header.
    section: Option<String>,
    /// The open option and the lines of its value.
    option: Option<OpenOption>,
    indent: usize,
}

struct OpenOption {
    key: String,
    line: usize,
    lines: Vec<String>,
}

impl Parser {
    fn read_line(&mut self, number: usize, line: &str) {
        let content = line.trim();
        if content.starts_with(['#', ';']) {
            return;
        }
        if content.is_empty() {
            if let Some(option) = &mut self.option {
                option.lines.push(String::new());
            }
            return;
        }
        let indent = line.chars().take_while(|c| c.is_whitespace()).count();
        if indent > self.indent
            && let Some(option) = &mut self.option
        {
            option.lines.push(content.to_owned());
            return;
        }
        self.indent = indent;
        self.close_option();
        match section_header(content) {
            Some(header) => self.open_section(number, header),
            None => self.open_option(number, content),
        }
    }

    fn open_section(&mut self, number: usize, header: &str) {
        if self.file.sections.contains_key(header) {
            self.error(
                number,
                format!("section [{header}] is there twice; merge the two"),
            );
        } else if header != DEFAULT_SECTION {
            self.file
                .sections
                .insert(header.to_owned(), IndexMap::new());
        }
        self.section = Some(header.to_owned());
    }

    fn open_option(&mut self, number: usize, content: &str) {
        if self.section.is_none() {
            self.error(
                number,
                "an option before the first [section] header".to_owned(),
            );
            return;
        }
        let Some(separator) = content.find(['=', ':']) else {
            // Not quoted: the line may be the rest of a secret.
            let reason = "expected `option = value`; a continuation line is indented";
            self.error(number, reason.to_owned());
            return;
        };
        let key = content[..separator].trim_end().to_owned();
        if key.is_empty() {
            self.error(number, "the name of the option is missing".to_owned());
            return;
        }
        let first = content[separator + 1..].trim().to_owned();
        self.option = Some(OpenOption {
            key,
            line: number,
            lines: vec![first],
        });
    }

    fn close_option(&mut self) {
        let (Some(option), Some(section)) = (self.option.take(), &self.section) else {
            return;
        };
        let options = match self.file.sections.get_mut(section) {
            Some(options) => options,
            None => &mut self.file.defaults,
        };
        if options.contains_key(&option.key) {
            let reason = format!("option {:?} is there twice in [{section}]", option.key);
            self.error(option.line, reason);
            return;
        }
        let raw = option.lines.join("\n").trim_end().to_owned();
        options.insert(
            option.key,
            IniValue {
                raw,
                line: option.line,
            },
        );
    }

    fn error(&mut self, line: usize, reason: String) {
        self.errors.push(IniError { line, reason });
    }

    fn finish(mut self) -> (IniFile, Vec<IniError>) {
        self.close_option();
        (self.file, self.errors)
    }
}

/// The name between the first `[` and the last `]`; text after the bracket is ignored.
fn section_header(content: &str) -> Option<&str> {
    let inside = content.strip_prefix('[')?;
    let header = &inside[..inside.rfind(']')?];
    (!header.is_empty()).then_some(header)
}

#[cfg(test)]
mod tests;
