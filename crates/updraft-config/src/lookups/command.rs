//! Runs the command of a `_CMD` option.
//!
//! As in Airflow there is no shell: the line is split into words the way a shell would, and the
//! first word is the program. Pipes and redirections need `bash -c '…'`.

use std::process::{Command, Stdio};

pub(super) fn run(line: &str) -> Result<String, String> {
    let words = split_words(line)?;
    let (program, arguments) = words.split_first().ok_or("the command is empty")?;
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot run {program:?}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    // Only stderr is shown: stdout may hold part of the secret.
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "{program:?} ended with {}: {}",
        output.status,
        stderr.trim()
    ))
}

/// Splits like a POSIX shell: quotes, backslashes, no expansion.
fn split_words(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '\'' => quoted(&mut letters, '\'', word.get_or_insert_default())?,
            '"' => quoted(&mut letters, '"', word.get_or_insert_default())?,
            '\\' => {
                let escaped = letters.next().ok_or("the command ends with a backslash")?;
                word.get_or_insert_default().push(escaped);
            }
            plain => word.get_or_insert_default().push(plain),
        }
    }
    words.extend(word);
    Ok(words)
}

/// Reads up to the closing quote. A backslash escapes itself and `"`, within `"` only.
fn quoted(
    letters: &mut std::str::Chars<'_>,
    quote: char,
    word: &mut String,
) -> Result<(), &'static str> {
    while let Some(letter) = letters.next() {
        if letter == quote {
            return Ok(());
        }
        if letter == '\\' && quote == '"' {
            match letters.next() {
                Some(escaped @ ('"' | '\\')) => word.push(escaped),
                Some(other) => word.extend(['\\', other]),
                None => break,
            }
        } else {
            word.push(letter);
        }
    }
    Err("the command has a quote that is not closed")
}

#[cfg(test)]
mod tests;
