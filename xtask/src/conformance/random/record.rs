//! The record of the random Dags: plain text, fifty seeds a file.
//!
//! A seed's part begins with `== <seed> <checksum of its Dag file>`; each line after it is a
//! subject and its value, as in `1 first a[0] = success 1/0`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::observe::Lines;
use crate::{airflow, workspace};

const SEEDS_PER_FILE: u64 = 50;
const SEPARATOR: &str = " = ";

/// What was recorded of one seed.
pub(super) struct Recorded {
    /// Of the Dag file: another one has another outcome.
    pub(super) checksum: String,
    pub(super) lines: Lines,
}

fn folder() -> PathBuf {
    workspace::root()
        .join("conformance")
        .join(format!("random-airflow-{}", airflow::VERSION))
}

/// FNV-1a: this guards against accidents, not against enemies.
pub(super) fn checksum(text: &str) -> String {
    let sum = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{sum:016x}")
}

/// Reads the whole record; empty when there is none.
pub(super) fn read() -> Result<BTreeMap<u64, Recorded>> {
    let mut record = BTreeMap::new();
    let folder = folder();
    if !folder.exists() {
        return Ok(record);
    }
    let named = || format!("failed to read the record in `{}`", folder.display());
    for entry in fs::read_dir(&folder).with_context(named)? {
        read_file(&entry.with_context(named)?.path(), &mut record)?;
    }
    Ok(record)
}

fn read_file(path: &Path, record: &mut BTreeMap<u64, Recorded>) -> Result<()> {
    let named = || format!("failed to read `{}`", path.display());
    let text = fs::read_to_string(path).with_context(named)?;
    let mut seed = None;
    for (number, line) in text.lines().enumerate() {
        let place = || format!("{}:{}", path.display(), number + 1);
        if let Some(head) = line.strip_prefix("== ") {
            let (found, checksum) = head.split_once(' ').with_context(place)?;
            let found: u64 = found.parse().with_context(place)?;
            seed = Some(found);
            let checksum = checksum.to_owned();
            let lines = Lines::new();
            record.insert(found, Recorded { checksum, lines });
            continue;
        }
        let Some((subject, value)) = line.split_once(SEPARATOR) else {
            bail!(
                "{}: expected `<subject> = <value>`, found `{line}`",
                place()
            );
        };
        let part = seed.and_then(|seed| record.get_mut(&seed));
        let part = part.with_context(|| format!("{}: a line before any seed", place()))?;
        part.lines.insert(subject.to_owned(), value.to_owned());
    }
    Ok(())
}

/// Replaces the record.
pub(super) fn write(record: &BTreeMap<u64, Recorded>) -> Result<()> {
    let folder = folder();
    if folder.exists() {
        fs::remove_dir_all(&folder).context("failed to remove the old record")?;
    }
    fs::create_dir_all(&folder).context("failed to create the folder of the record")?;
    let mut files: BTreeMap<u64, String> = BTreeMap::new();
    for (seed, Recorded { checksum, lines }) in record {
        let text = files.entry(seed / SEEDS_PER_FILE).or_default();
        text.push_str(&format!("== {seed} {checksum}\n"));
        for (subject, value) in lines {
            text.push_str(&format!("{subject}{SEPARATOR}{value}\n"));
        }
    }
    for (number, text) in files {
        let first = number * SEEDS_PER_FILE;
        let last = first + SEEDS_PER_FILE - 1;
        let path = folder.join(format!("{first:04}-{last:04}.txt"));
        fs::write(&path, text).with_context(|| format!("failed to write `{}`", path.display()))?;
    }
    println!("recorded {} seeds in {}", record.len(), folder.display());
    Ok(())
}
