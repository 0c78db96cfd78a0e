//! The processes of one home.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Returns every live process that has this home in its environment: `updraft` itself, its
/// zygotes, their children and what those execute.
#[must_use]
pub fn processes_of(home: &Path) -> Vec<i32> {
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| lives(*pid) && has_in_environment(*pid, home))
        .collect()
}

/// Returns the live processes that `parent` started and still waits for.
#[must_use]
pub fn children_of(parent: i32) -> Vec<i32> {
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| lives(*pid) && parent_of(*pid) == Some(parent))
        .collect()
}

/// Ends all of them, whoever started them.
pub(crate) fn kill_all_of(home: &Path) {
    for pid in processes_of(home) {
        // One that ended by itself is as good.
        let _gone = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
}

fn lives(pid: i32) -> bool {
    state_and_parent(pid).is_some_and(|(state, _)| !matches!(state, 'Z' | 'X'))
}

fn parent_of(pid: i32) -> Option<i32> {
    state_and_parent(pid).map(|(_, parent)| parent)
}

fn state_and_parent(pid: i32) -> Option<(char, i32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program may hold blanks and parentheses; the fields follow the last one.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split_ascii_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

fn has_in_environment(pid: i32, home: &Path) -> bool {
    let block = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let needle = [b"AIRFLOW_HOME=", home.as_os_str().as_bytes()].concat();
    block.split(|byte| *byte == 0).any(|entry| entry == needle)
}
