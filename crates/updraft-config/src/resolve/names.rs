//! Which options there are to resolve: those of the table, the file and the environment.

use std::collections::BTreeSet;

use super::{Sources, VARIABLE_PREFIX};
use crate::moved;

/// Every option that somebody named, under its present name.
pub(super) fn named_options(sources: &Sources<'_>) -> BTreeSet<(String, String)> {
    let owned = |section: &str, key: &str| (section.to_owned(), key.to_owned());
    let table = sources.table;
    let known = table.sections().flat_map(|section| {
        table
            .options(section)
            .map(move |(key, _)| owned(section, key))
    });
    let file = sources.file;
    let in_file = file
        .sections()
        .flat_map(|section| file.keys(section).map(move |key| owned(section, key)));
    let in_environment = sources.environment.iter().filter_map(|(name, _)| {
        let (section, key) = name.strip_prefix(VARIABLE_PREFIX)?.split_once("__")?;
        Some((
            section_of_variable(sources, &section.to_lowercase()),
            key.to_lowercase(),
        ))
    });
    let renamed = |(section, key): (String, String)| match moved::new_name(&section, &key) {
        Some((section, key)) => owned(section, key),
        None => (section, key),
    };
    known
        .chain(in_file)
        .chain(in_environment)
        .map(renamed)
        .filter(|(section, key)| !is_detour(sources, section, key))
        .collect()
}

/// The section that a variable's middle part stands for, with the dots it had.
fn section_of_variable(sources: &Sources<'_>, part: &str) -> String {
    let mut sections = sources.table.sections().chain(sources.file.sections());
    let dotted = sections.find(|name| name.replace('.', "_") == part);
    dotted.unwrap_or(part).to_owned()
}

/// Whether the name is `…_cmd` or `…_secret` of a sensitive option, and none itself.
fn is_detour(sources: &Sources<'_>, section: &str, key: &str) -> bool {
    ["_cmd", "_secret"].iter().any(|suffix| {
        let option = key.strip_suffix(suffix);
        option.is_some_and(|option| sources.table.is_sensitive(section, option))
    })
}
