//! Regular expressions as Python's `re` reads them.

use std::fmt::Write as _;

use fancy_regex::Regex;

/// A pattern that this engine cannot read, or that takes too long.
#[derive(Debug, thiserror::Error)]
#[error("pattern '{pattern}': {reason}")]
pub(crate) struct BadPattern {
    pattern: String,
    reason: String,
}

/// A pattern that was read.
pub(crate) struct PythonRegex {
    pattern: String,
    regex: Regex,
}

impl PythonRegex {
    pub(crate) fn new(pattern: &str) -> Result<Self, BadPattern> {
        let bad = |reason: String| BadPattern {
            pattern: pattern.to_owned(),
            reason,
        };
        let translated = translated(pattern).map_err(bad)?;
        let regex = Regex::new(&translated).map_err(|error| bad(error.to_string()))?;
        Ok(Self {
            pattern: pattern.to_owned(),
            regex,
        })
    }

    /// `re.search`: anywhere in the text.
    pub(crate) fn search(&self, text: &str) -> Result<bool, BadPattern> {
        self.regex.is_match(text).map_err(|error| BadPattern {
            pattern: self.pattern.clone(),
            reason: error.to_string(),
        })
    }
}

/// `re.match`: from the start, but not to the end.
pub(crate) fn matches_start(pattern: &str, text: &str) -> Result<bool, BadPattern> {
    PythonRegex::new(pattern)?;
    PythonRegex::new(&format!(r"\A(?:{pattern})"))?.search(text)
}

/// Rewrites what means something else here: `$` also matches before a line break at the end, `\Z` is
/// the end, and in a class only `^`, `-`, `]` and `\` are special. A letter that Python gives no
/// meaning to may not be escaped.
fn translated(pattern: &str) -> Result<String, String> {
    const ESCAPED_LETTERS: &str = "AbBdDsSwWZafnrtvxuUN";
    let mut out = String::with_capacity(pattern.len());
    let mut characters = pattern.chars().peekable();
    let mut in_class = false;
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some('Z') if !in_class => out.push_str(r"\z"),
                Some(letter)
                    if letter.is_ascii_alphabetic() && !ESCAPED_LETTERS.contains(letter) =>
                {
                    return Err(format!("bad escape \\{letter}"));
                }
                Some(escaped) => {
                    let _ = write!(out, "\\{escaped}");
                }
                None => out.push('\\'),
            },
            '$' if !in_class => out.push_str(r"(?=\n?\z)"),
            '[' if !in_class => {
                in_class = true;
                out.push('[');
                if characters.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
                // Right after the beginning a bracket stands for itself.
                if characters.next_if_eq(&']').is_some() {
                    out.push_str(r"\]");
                }
            }
            ']' if in_class => {
                in_class = false;
                out.push(']');
            }
            '[' | '&' | '~' if in_class => {
                let _ = write!(out, "\\{character}");
            }
            other => out.push(other),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::{PythonRegex, matches_start};

    fn search(pattern: &str, text: &str) -> bool {
        PythonRegex::new(pattern).unwrap().search(text).unwrap()
    }

    #[test]
    fn patterns_mean_what_they_mean_in_python() {
        for (pattern, text, expected) in [
            ("^[a-z]+$", "abc\n", true),
            ("^[a-z]+$", "abc\n\n", false),
            (r"^[a-z]+\Z", "abc\n", false),
            ("[[]", "[", true),
            ("[]x]", "]", true),
            ("[^]x]", "]", false),
            ("[a&&b]", "&", true),
            (r"[\]$]", "$", true),
            (r"^(?!test_).*$", "test_x", false),
            (r"^(?P<q>a|b)(?P=q)$", "bb", true),
            (r"\$", "$", true),
        ] {
            assert_eq!(search(pattern, text), expected, "{pattern} {text:?}");
        }
    }

    #[test]
    fn a_match_begins_at_the_start_and_a_bad_pattern_says_so() {
        assert!(matches_start("a|b", "bx").unwrap());
        assert!(!matches_start("a|b", "xb").unwrap());
        assert!(matches_start(")(", "x").is_err());
        // Nested repetition over a text that does not match must not take for ever.
        let slow = PythonRegex::new(r"^(a+)+\1b$").unwrap();
        assert!(!slow.search(&"a".repeat(40)).unwrap_or(false));
    }
}
