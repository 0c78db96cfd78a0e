//! `%(name)s` and `%%` inside a value of `airflow.cfg`.

use super::IniFile;

/// Depth of references through references, as `configparser` has it.
const DEPTH_MAX: usize = 10;

/// Replaces the references in the values of one section.
pub(crate) struct Interpolation<'a> {
    pub(crate) file: &'a IniFile,
    pub(crate) section: &'a str,
}

impl Interpolation<'_> {
    /// The value as a reader sees it, or what is wrong with its percent signs.
    pub(crate) fn apply(&self, raw: &str) -> Result<String, String> {
        self.apply_at(raw, 1)
    }

    fn apply_at(&self, raw: &str, depth: usize) -> Result<String, String> {
        if depth > DEPTH_MAX {
            return Err("its %(…)s references are nested too deeply".to_owned());
        }
        let mut text = String::with_capacity(raw.len());
        let mut rest = raw;
        while let Some(percent) = rest.find('%') {
            text.push_str(&rest[..percent]);
            rest = &rest[percent + 1..];
            if let Some(after) = rest.strip_prefix('%') {
                text.push('%');
                rest = after;
            } else {
                let (name, after) = reference(rest)?;
                text.push_str(&self.resolve(name, depth)?);
                rest = after;
            }
        }
        text.push_str(rest);
        Ok(text)
    }

    fn resolve(&self, name: &str, depth: usize) -> Result<String, String> {
        match self.file.get(self.section, name) {
            Some(value) => self.apply_at(&value.raw, depth + 1),
            None => Err(format!("%({name})s names no option of [{}]", self.section)),
        }
    }
}

/// Splits `(name)s…` after a percent sign into the name and what follows.
fn reference(text: &str) -> Result<(&str, &str), String> {
    let lone = || "a lone % must be written %%".to_owned();
    let inside = text.strip_prefix('(').ok_or_else(lone)?;
    let (name, after) = inside.split_once(")s").ok_or_else(lone)?;
    if name.is_empty() || name.contains(')') {
        return Err(lone());
    }
    Ok((name, after))
}
