//! Lines of several files in the order of their timestamps, read as they are needed.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::PathBuf;

use serde_json::Value;
use updraft_rest_api::time::parse_time;

use super::files::{CHUNK_BYTES, Offsets, Part, name_of, read_part};

/// The lines that are still to be given. Does I/O.
pub(super) struct Merge {
    sources: Vec<Source>,
}

struct Source {
    path: PathBuf,
    /// Where the next line begins that was not given yet.
    taken: u64,
    /// Where the next bytes are read.
    read: u64,
    end: u64,
    /// The beginning of a line whose end is in the next chunk.
    part: Vec<u8>,
    lines: VecDeque<Line>,
    /// The moment of the last line that had one.
    moment: i64,
}

struct Line {
    /// Microseconds. A line without a timestamp belongs to the line before it.
    moment: i64,
    text: String,
    bytes: u64,
}

impl Merge {
    pub(super) fn new(parts: Vec<Part>) -> Self {
        let sources = parts.into_iter().map(|part| Source {
            path: part.path,
            taken: part.start,
            read: part.start,
            end: part.end,
            part: Vec::new(),
            lines: VecDeque::new(),
            moment: i64::MIN,
        });
        Self {
            sources: sources.collect(),
        }
    }

    /// The next lines, until they are `bytes_max` long together. None: that was all.
    pub(super) fn next(&mut self, bytes_max: u64) -> io::Result<Vec<String>> {
        // The lines of one file stand in order already.
        let is_alone = self.sources.len() == 1;
        let mut lines = Vec::new();
        let mut bytes = 0;
        while bytes < bytes_max {
            for source in &mut self.sources {
                source.fill(is_alone)?;
            }
            let first = self
                .sources
                .iter_mut()
                .filter(|source| !source.lines.is_empty())
                .min_by_key(|source| source.lines.front().map(|line| line.moment));
            let Some(line) = first.and_then(Source::take) else {
                break;
            };
            bytes += line.bytes;
            lines.push(line.text);
        }
        Ok(lines)
    }

    /// Whether everything was given.
    pub(super) fn is_done(&self) -> bool {
        self.sources.iter().all(|source| source.taken >= source.end)
    }

    /// Where the next answer begins.
    pub(super) fn offsets(&self) -> Offsets {
        let offsets = self
            .sources
            .iter()
            .map(|source| (name_of(&source.path), source.taken));
        offsets.collect()
    }
}

impl Source {
    /// Makes sure that there is a line, if there is one.
    fn fill(&mut self, is_alone: bool) -> io::Result<()> {
        while self.lines.is_empty() && self.read < self.end {
            let until = self.end.min(self.read + CHUNK_BYTES);
            let bytes = read_part(&mut File::open(&self.path)?, self.read, until)?;
            self.read = until;
            self.part.extend(bytes);
            let whole = match self.part.iter().rposition(|byte| *byte == b'\n') {
                _ if self.read >= self.end => self.part.len(),
                Some(newline) => newline + 1,
                None => 0,
            };
            let rest = self.part.split_off(whole);
            let chunk = std::mem::replace(&mut self.part, rest);
            for line in chunk.split_inclusive(|byte| *byte == b'\n') {
                self.add(line, is_alone);
            }
        }
        Ok(())
    }

    fn add(&mut self, line: &[u8], is_alone: bool) {
        let bytes = u64::try_from(line.len()).unwrap_or(0);
        let text = String::from_utf8_lossy(line);
        let text = text.trim_end_matches(['\n', '\r']);
        if !is_alone && let Some(moment) = moment_of(text) {
            self.moment = moment;
        }
        self.lines.push_back(Line {
            moment: self.moment,
            text: text.to_owned(),
            bytes,
        });
    }

    fn take(&mut self) -> Option<Line> {
        let line = self.lines.pop_front()?;
        self.taken += line.bytes;
        Some(line)
    }
}

fn moment_of(line: &str) -> Option<i64> {
    let fields: Value = serde_json::from_str(line).ok()?;
    let instant = parse_time(fields.get("timestamp")?.as_str()?).ok()?;
    Some(instant.as_microsecond())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::files::{Offsets, find_parts};
    use super::Merge;

    fn at(second: u32, event: &str) -> String {
        format!("{{\"timestamp\":\"2026-01-01T00:00:{second:02}Z\",\"event\":\"{event}\"}}\n")
    }

    fn write(folder: &Path, name: &str, lines: &[String]) {
        std::fs::write(folder.join(name), lines.concat()).unwrap();
    }

    fn events(lines: &[String]) -> Vec<String> {
        let event = |line: &String| match serde_json::from_str::<serde_json::Value>(line) {
            Ok(fields) => fields["event"].as_str().unwrap().to_owned(),
            Err(_) => line.clone(),
        };
        lines.iter().map(event).collect()
    }

    #[test]
    fn files_of_a_try_are_merged_by_time_and_lines_without_one_stay_where_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let main = [at(1, "a"), "plain\n".to_owned(), at(5, "e")];
        write(folder, "attempt=1.log", &main);
        write(
            folder,
            "attempt=1.log.trigger.7.log",
            &[at(2, "b"), at(4, "d")],
        );
        write(folder, "attempt=1.log.trigger.8.log", &[at(3, "c")]);
        write(folder, "attempt=10.log", &[at(1, "another try")]);
        std::os::unix::fs::symlink("/etc/hostname", folder.join("attempt=1.log.link")).unwrap();
        let parts = find_parts(&folder.join("attempt=1.log"), &Offsets::new(), true);
        assert_eq!(parts.len(), 3);
        let mut merge = Merge::new(parts);
        let lines = merge.next(u64::MAX).unwrap();
        assert_eq!(events(&lines), ["a", "plain", "b", "c", "d", "e"]);
        assert!(merge.is_done());
        assert!(merge.next(u64::MAX).unwrap().is_empty());
    }

    #[test]
    fn what_is_left_out_follows_and_nothing_comes_twice() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let one: Vec<String> = (0..30).map(|second| at(second * 2, "one")).collect();
        let two: Vec<String> = (0..30).map(|second| at(second * 2 + 1, "two")).collect();
        write(folder, "l", &one);
        write(folder, "l.trigger.1.log", &two);
        let mut offsets = Offsets::new();
        let mut seen = Vec::new();
        loop {
            let mut merge = Merge::new(find_parts(&folder.join("l"), &offsets, false));
            seen.extend(merge.next(100).unwrap());
            offsets = merge.offsets();
            if merge.is_done() {
                break;
            }
        }
        let expected: Vec<&str> = (0..30).flat_map(|_| ["one", "two"]).collect();
        assert_eq!(events(&seen), expected);
    }

    #[test]
    fn half_a_line_waits_for_its_end_and_a_long_one_comes_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("l");
        let long = "x".repeat(600_000);
        std::fs::write(&path, format!("{long}\nhalf")).unwrap();
        let mut merge = Merge::new(find_parts(&path, &Offsets::new(), false));
        assert_eq!(merge.next(u64::MAX).unwrap(), std::slice::from_ref(&long));
        std::fs::write(&path, format!("{long}\nhalf a line\n")).unwrap();
        let offsets = merge.offsets();
        let mut merge = Merge::new(find_parts(&path, &offsets, false));
        assert_eq!(merge.next(u64::MAX).unwrap(), ["half a line"]);
    }
}
