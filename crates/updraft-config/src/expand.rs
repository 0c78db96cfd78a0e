//! `~` and `$VARIABLE` inside a value, replaced until nothing changes any more.
//!
//! The rules are those of Python's `os.path.expandvars` and `os.path.expanduser`: an unknown
//! variable stays as it is written, and `~` counts at the start only. `~somebody` stays, too:
//! resolving it would need the user database.

use crate::environment::Environment;

/// Rounds after which a value is taken to refer to itself; real ones need one or two.
const ROUNDS_MAX: usize = 10;

/// Length at which a growing value is given up; far above any setting, far below harm.
const EXPANDED_BYTES_MAX: usize = 1 << 20;

/// The value refers to itself through environment variables.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct EndlessExpansion;

pub(crate) fn expand(text: &str, environment: &Environment) -> Result<String, EndlessExpansion> {
    let mut current = text.to_owned();
    for _ in 0..ROUNDS_MAX {
        let next = expand_user(expand_variables(&current, environment), environment);
        if next == current {
            return Ok(next);
        }
        if next.len() > EXPANDED_BYTES_MAX {
            break;
        }
        current = next;
    }
    Err(EndlessExpansion)
}

fn expand_variables(text: &str, environment: &Environment) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        expanded.push_str(&rest[..dollar]);
        rest = &rest[dollar..];
        let reference_len = reference_len(rest);
        let reference = &rest[..reference_len];
        let name = &reference[1..];
        let braced = name
            .strip_prefix('{')
            .and_then(|name| name.strip_suffix('}'));
        expanded.push_str(environment.get(braced.unwrap_or(name)).unwrap_or(reference));
        rest = &rest[reference_len..];
    }
    expanded.push_str(rest);
    expanded
}

/// Length of `$NAME` or `${NAME}` at the start of `text`; 1 for a dollar that starts neither.
fn reference_len(text: &str) -> usize {
    let after = &text[1..];
    if after.starts_with('{') {
        return after.find('}').map_or(1, |close| close + 2);
    }
    1 + after
        .bytes()
        .take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
        .count()
}

fn expand_user(text: String, environment: &Environment) -> String {
    let Some(rest) = text.strip_prefix('~') else {
        return text;
    };
    if !(rest.is_empty() || rest.starts_with('/')) {
        return text;
    }
    let Some(home) = environment.get("HOME") else {
        return text;
    };
    let expanded = format!("{}{rest}", home.trim_end_matches('/'));
    if expanded.is_empty() {
        "/".to_owned()
    } else {
        expanded
    }
}
