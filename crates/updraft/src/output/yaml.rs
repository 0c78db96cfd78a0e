//! YAML laid out as PyYAML's `dump` does: block style, keys in order, ASCII only.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

/// Where long texts are folded.
const LINE_CHARS: usize = 80;

const INDENT: usize = 2;

/// Plain text that YAML 1.1 takes for something else: a flag, a number, nothing, a date.
static MEANS_SOMETHING: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?x) ^ (?:
            | ~ | null | Null | NULL | = | <<
            | yes | Yes | YES | no | No | NO | true | True | TRUE | false | False | FALSE
            | on | On | ON | off | Off | OFF
            | [-+]? 0b [01_]+
            | [-+]? 0 [0-7_]+
            | [-+]? (?: 0 | [1-9] [0-9_]* )
            | [-+]? 0x [0-9a-fA-F_]+
            | [-+]? [1-9] [0-9_]* (?: : [0-5]? [0-9] )+
            | [-+]? [0-9] [0-9_]* \. [0-9_]* (?: [eE] [-+] [0-9]+ )?
            | \. [0-9] [0-9_]* (?: [eE] [-+] [0-9]+ )?
            | [-+]? [0-9] [0-9_]* (?: : [0-5]? [0-9] )+ \. [0-9_]*
            | [-+]? \. (?: inf | Inf | INF )
            | \. (?: nan | NaN | NAN )
            | [0-9]{4} - [0-9]{2} - [0-9]{2}
            | [0-9]{4} - [0-9]{1,2} - [0-9]{1,2} (?: [Tt] | [\ \t]+ )
              [0-9]{1,2} : [0-9]{2} : [0-9]{2} (?: \. [0-9]* )?
              (?: [\ \t]* (?: Z | [-+] [0-9]{1,2} (?: : [0-9]{2} )? ) )?
        ) $",
    )
    .expect("the pattern is a constant")
});

/// The document, ending with a line break.
pub(crate) fn yaml(value: &Value) -> String {
    let mut document = Document {
        text: String::new(),
        column: 0,
    };
    document.node(value, 0, Place::Root);
    document.break_line();
    document.text
}

/// Where a node stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    /// Behind a dash.
    Item,
    /// Behind a key.
    Member,
}

struct Document {
    text: String,
    column: usize,
}

impl Document {
    fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.column += text.chars().count();
    }

    fn break_line(&mut self) {
        self.text.push('\n');
        self.column = 0;
    }

    /// Begins a line, unless the node stands at the start of one.
    fn indent(&mut self, indent: usize) {
        if self.column > indent {
            self.break_line();
        }
        let missing = indent - self.column;
        self.push(&" ".repeat(missing));
    }

    /// Writes a node whose lines are indented by `indent`.
    fn node(&mut self, value: &Value, indent: usize, place: Place) {
        match value {
            Value::Array(items) if !items.is_empty() => self.sequence(items, indent, place),
            Value::Object(members) if !members.is_empty() => self.mapping(members, indent, place),
            scalar => {
                if place == Place::Member {
                    self.push(" ");
                }
                self.scalar(scalar, indent);
            }
        }
    }

    fn sequence(&mut self, items: &[Value], indent: usize, place: Place) {
        for (index, item) in items.iter().enumerate() {
            if index > 0 || place == Place::Member {
                self.break_line();
            }
            self.indent(indent);
            self.push("- ");
            self.node(item, indent + INDENT, Place::Item);
        }
    }

    fn mapping(&mut self, members: &serde_json::Map<String, Value>, indent: usize, place: Place) {
        let mut members: Vec<(&String, &Value)> = members.iter().collect();
        members.sort_by_key(|(name, _)| *name);
        for (index, (name, value)) in members.into_iter().enumerate() {
            if index > 0 || place == Place::Member {
                self.break_line();
            }
            self.indent(indent);
            match Style::of(name) {
                // A key stays on its line.
                Style::Plain => self.push(name),
                Style::Single if !name.contains('\n') => {
                    self.push(&format!("'{}'", name.replace('\'', "''")));
                }
                Style::Single | Style::Double => self.double(name, indent, Folding::Off),
            }
            self.push(":");
            let is_sequence = matches!(value, Value::Array(items) if !items.is_empty());
            // Dashes stand below their key.
            let deeper = if is_sequence { indent } else { indent + INDENT };
            self.node(value, deeper, Place::Member);
        }
    }

    fn scalar(&mut self, value: &Value, indent: usize) {
        match value {
            Value::Null => self.push("null"),
            Value::Bool(flag) => self.push(if *flag { "true" } else { "false" }),
            Value::Number(number) => self.push(&number.to_string()),
            Value::Array(_) => self.push("[]"),
            Value::Object(_) => self.push("{}"),
            Value::String(text) => match Style::of(text) {
                Style::Plain => self.plain(text, indent),
                Style::Single => self.single(text, indent),
                Style::Double => self.double(text, indent, Folding::On),
            },
        }
    }

    fn plain(&mut self, text: &str, indent: usize) {
        let mut after_space = false;
        let mut characters = text.chars().peekable();
        while let Some(character) = characters.next() {
            let is_space = character == ' ';
            let folds = is_space && !after_space && self.column > LINE_CHARS;
            if folds && characters.peek() != Some(&' ') {
                self.continue_at(indent);
            } else {
                self.push(character.encode_utf8(&mut [0; 4]));
            }
            after_space = is_space;
        }
    }

    fn single(&mut self, text: &str, indent: usize) {
        self.push("'");
        let (mut after_space, mut after_break) = (false, false);
        let last = text.len().saturating_sub(1);
        let mut characters = text.char_indices().peekable();
        while let Some((index, character)) = characters.next() {
            match character {
                ' ' => {
                    let next_is_space = characters.peek().is_some_and(|(_, next)| *next == ' ');
                    let inside = index > 0 && index < last;
                    if !after_space && self.column > LINE_CHARS && inside && !next_is_space {
                        self.continue_at(indent);
                    } else {
                        self.push(" ");
                    }
                    after_space = true;
                }
                '\n' => {
                    if !after_break {
                        self.break_line();
                    }
                    self.break_line();
                    after_break = true;
                }
                _ => {
                    if after_break {
                        self.indent(indent);
                    }
                    match character {
                        '\'' => self.push("''"),
                        _ => self.push(character.encode_utf8(&mut [0; 4])),
                    }
                    (after_space, after_break) = (false, false);
                }
            }
        }
        if after_break {
            self.indent(indent);
        }
        self.push("'");
    }

    fn double(&mut self, text: &str, indent: usize, folding: Folding) {
        self.push("\"");
        let mut after_space = false;
        let last = text.len().saturating_sub(1);
        let mut characters = text.char_indices().peekable();
        while let Some((index, character)) = characters.next() {
            let is_space = character == ' ';
            let inside = index > 0 && index < last;
            let folds = is_space && !after_space && self.column > LINE_CHARS && inside;
            if folds && folding == Folding::On {
                self.continue_at(indent);
                if characters.peek().is_some_and(|(_, next)| *next == ' ') {
                    self.push("\\");
                }
            } else {
                self.push(&escaped(character));
            }
            after_space = is_space;
        }
        self.push("\"");
    }

    fn continue_at(&mut self, indent: usize) {
        self.break_line();
        self.push(&" ".repeat(indent));
    }
}

/// Whether a long text may go on on the next line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Folding {
    On,
    Off,
}

/// How a text is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Plain,
    Single,
    Double,
}

impl Style {
    fn of(text: &str) -> Self {
        let is_printable = |character: char| matches!(character, '\n' | ' '..='~');
        let spaces_meet_breaks = text.contains(" \n") || text.contains("\n ");
        if spaces_meet_breaks || !text.chars().all(is_printable) {
            return Self::Double;
        }
        let blank_ends = text.starts_with([' ', '\n']) || text.ends_with([' ', '\n']);
        let is_plain = !blank_ends
            && !text.contains('\n')
            && !reads_as_structure(text)
            && !MEANS_SOMETHING.is_match(text);
        if is_plain { Self::Plain } else { Self::Single }
    }
}

/// Whether YAML would take the text for more than a text.
fn reads_as_structure(text: &str) -> bool {
    let first = text.chars().next();
    let blank_second = text.chars().nth(1).is_none_or(|next| next == ' ');
    text.starts_with("---")
        || text.starts_with("...")
        || first.is_some_and(|first| "#,[]{}&*!|>'\"%@`".contains(first))
        || (first.is_some_and(|first| "?:-".contains(first)) && blank_second)
        || text.contains(": ")
        || text.ends_with(':')
        || text.contains(" #")
}

fn escaped(character: char) -> String {
    match character {
        '\0' => "\\0".to_owned(),
        '\x07' => "\\a".to_owned(),
        '\x08' => "\\b".to_owned(),
        '\t' => "\\t".to_owned(),
        '\n' => "\\n".to_owned(),
        '\x0b' => "\\v".to_owned(),
        '\x0c' => "\\f".to_owned(),
        '\r' => "\\r".to_owned(),
        '\x1b' => "\\e".to_owned(),
        '"' => "\\\"".to_owned(),
        '\\' => "\\\\".to_owned(),
        '\u{85}' => "\\N".to_owned(),
        '\u{a0}' => "\\_".to_owned(),
        '\u{2028}' => "\\L".to_owned(),
        '\u{2029}' => "\\P".to_owned(),
        ' '..='~' => character.to_string(),
        _ => match u32::from(character) {
            code @ 0..=0xff => format!("\\x{code:02X}"),
            code @ 0x100..=0xffff => format!("\\u{code:04X}"),
            code => format!("\\U{code:08X}"),
        },
    }
}
