//! Finds and signals the processes that belong to a child, wherever they have gone.
//!
//! A child leads a process group, but its descendants may leave it: `BashOperator` starts its
//! shell in a session of its own. Three traces lead to them: the chain of parents while the child
//! lives, the group and session, and a marker in the environment that survives exec.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::{Pid, getpid};
use tracing::{info, warn};

/// In the environment of a child and of everything it executes; unique for the child.
pub(crate) const CHILD_VARIABLE: &str = "UPDRAFT_CHILD";

/// In the environment of a zygote and of all its descendants: which process started it.
pub(crate) const INSTANCE_VARIABLE: &str = "UPDRAFT_INSTANCE";

/// Rounds of killing before giving up on a process that forks faster than it is killed.
const ROUNDS_MAX: usize = 10;

/// One line of `/proc/<pid>/stat`, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    pid: i32,
    state: char,
    parent: i32,
    group: i32,
    session: i32,
    started_ticks: u64,
}

/// Keeps processes of the same user from reading our memory and environment.
///
/// Tasks run as the same user as we do; without this a task could read keys out of `/proc`.
pub fn hide_from_children() -> nix::Result<()> {
    nix::sys::prctl::set_dumpable(false)
}

/// Signals a child, its process group, and all descendants that left the group.
///
/// Works for a dead child too: what it left behind is found by group, session and marker.
/// Returns how many processes were signalled.
pub fn signal_tree(child: Pid, marker: &str, signal: Signal) -> usize {
    let mut signalled = HashSet::new();
    // A process may fork between the look and the signal. Only a kill must leave nothing.
    let rounds = if signal == Signal::SIGKILL {
        ROUNDS_MAX
    } else {
        1
    };
    for _ in 0..rounds {
        let members = members(child.as_raw(), marker);
        let fresh: Vec<_> = members
            .into_iter()
            .filter(|pid| signalled.insert(*pid))
            .collect();
        if fresh.is_empty() {
            break;
        }
        for pid in fresh {
            send(pid, signal);
        }
    }
    signalled.len()
}

/// Kills what an earlier life of this Updraft left behind: children whose supervisor is gone can
/// report nothing, and must not run beside the next try of the same task.
///
/// Returns how many processes were killed.
pub fn kill_leftovers(home: &Path) -> usize {
    let mut killed = HashSet::new();
    // A process may fork between the look and the signal.
    for _ in 0..ROUNDS_MAX {
        let leftovers = processes().filter(|stat| stat.state != 'Z' && is_leftover(stat.pid, home));
        let fresh: Vec<i32> = leftovers
            .map(|stat| stat.pid)
            .filter(|pid| killed.insert(*pid))
            .collect();
        if fresh.is_empty() {
            break;
        }
        for pid in fresh {
            send(pid, Signal::SIGKILL);
        }
    }
    if !killed.is_empty() {
        let killed = killed.len();
        info!(killed, "killed processes that an earlier run left behind");
    }
    killed.len()
}

/// A dead process that nobody has reaped yet: its number and when it started.
pub(crate) type Zombie = (i32, u64);

/// Reaps dead processes that became our children when a zygote died, and returns the dead ones
/// that are left.
///
/// Whoever started a process or holds its [`ChildExit`](crate::ChildExit) reaps it at once. So
/// only those are taken that were dead at the last look already, of which `seen` is the result.
pub(crate) fn reap_orphans(seen: &HashSet<Zombie>) -> HashSet<Zombie> {
    let own_pid = getpid().as_raw();
    let zombies = processes().filter(|stat| stat.parent == own_pid && stat.state == 'Z');
    let (orphans, fresh): (Vec<Zombie>, Vec<Zombie>) = zombies
        .map(|stat| (stat.pid, stat.started_ticks))
        .partition(|zombie| seen.contains(zombie));
    for (pid, _) in orphans {
        let id = Id::Pid(Pid::from_raw(pid));
        // Somebody who waits for it may be faster; that is all the same.
        let _ = waitid(id, WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG);
    }
    fresh.into_iter().collect()
}

/// Resident memory of a process.
pub(crate) fn resident_bytes(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Names a child so that its descendants can be told from those of any other.
pub(crate) fn child_marker(zygote: u32, seq: u64) -> String {
    let started = stat(zygote as i32).map_or(0, |stat| stat.started_ticks);
    format!("{zygote}.{started}.{seq}")
}

/// Names this process and its home, for [`kill_leftovers`] of a later life.
pub(crate) fn instance_marker(home: &Path) -> String {
    let pid = getpid().as_raw();
    let started = stat(pid).map_or(0, |stat| stat.started_ticks);
    format!("{pid}.{started}.{}", home.display())
}

fn members(child: i32, marker: &str) -> BTreeSet<i32> {
    let all: Vec<Stat> = processes().filter(|stat| stat.state != 'Z').collect();
    let entry = format!("{CHILD_VARIABLE}={marker}");
    let mut members: BTreeSet<i32> = all
        .iter()
        .filter(|stat| {
            stat.pid == child
                || stat.group == child
                || stat.session == child
                || has_in_environment(stat.pid, &entry)
        })
        .map(|stat| stat.pid)
        .collect();
    // Parents may have higher numbers than their children, hence until nothing changes.
    loop {
        let before = members.len();
        let children = all.iter().filter(|stat| members.contains(&stat.parent));
        let found: Vec<_> = children.map(|stat| stat.pid).collect();
        members.extend(found);
        if members.len() == before {
            return members;
        }
    }
}

fn is_leftover(pid: i32, home: &Path) -> bool {
    let Some(marker) = environment_value(pid, INSTANCE_VARIABLE) else {
        return false;
    };
    let mut parts = marker.splitn(3, '.');
    let (Some(owner), Some(started), Some(path)) = (parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let (Ok(owner), Ok(started)) = (owner.parse::<i32>(), started.parse::<u64>()) else {
        return false;
    };
    let owner_lives =
        stat(owner).is_some_and(|stat| stat.state != 'Z' && stat.started_ticks == started);
    Path::new(path) == home && !owner_lives
}

fn send(pid: i32, signal: Signal) {
    match kill(Pid::from_raw(pid), signal) {
        Ok(()) | Err(Errno::ESRCH) => {}
        // `run_as_user`: the process belongs to somebody else, and sudo passes signals on.
        Err(error) => warn!(pid, %signal, %error, "failed to signal a process"),
    }
}

fn processes() -> impl Iterator<Item = Stat> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(stat)
}

fn stat(pid: i32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Reads `pid (name) state ppid pgrp session … starttime`. The name may hold anything, so the
/// fields count from the last parenthesis.
fn parse_stat(line: &str) -> Option<Stat> {
    let (pid, rest) = line.split_once(" (")?;
    let (_name, rest) = rest.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    Some(Stat {
        pid: pid.parse().ok()?,
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        group: fields.get(2)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        started_ticks: fields.get(19)?.parse().ok()?,
    })
}

fn has_in_environment(pid: i32, entry: &str) -> bool {
    fs::read(format!("/proc/{pid}/environ")).is_ok_and(|block| {
        block
            .split(|byte| *byte == 0)
            .any(|one| one == entry.as_bytes())
    })
}

fn environment_value(pid: i32, name: &str) -> Option<String> {
    let block = fs::read(format!("/proc/{pid}/environ")).ok()?;
    block.split(|byte| *byte == 0).find_map(|entry| {
        let (key, value) = std::str::from_utf8(entry).ok()?.split_once('=')?;
        (key == name).then(|| value.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::{INSTANCE_VARIABLE, Stat, instance_marker, kill_leftovers, parse_stat};

    #[test]
    fn only_what_a_dead_instance_of_the_same_home_left_is_killed() {
        let home = tempfile::tempdir().unwrap();
        let start = |marker: String| {
            Command::new("sleep")
                .arg("600")
                .env(INSTANCE_VARIABLE, marker)
                .spawn()
                .unwrap()
        };
        // No process has number 0, so this instance is dead.
        let mut leftover = start(format!("0.1.{}", home.path().display()));
        let mut others = [
            start("0.1./another/home".to_owned()),
            start(instance_marker(home.path())),
            start("nonsense".to_owned()),
        ];
        assert_eq!(kill_leftovers(home.path()), 1);
        assert!(!leftover.wait().unwrap().success());
        for other in &mut others {
            assert_eq!(other.try_wait().unwrap(), None);
            other.kill().unwrap();
            other.wait().unwrap();
        }
        assert_eq!(kill_leftovers(home.path()), 0);
    }

    #[test]
    fn a_process_name_with_parentheses_and_spaces_does_not_shift_the_fields() {
        let line = "42 (a) b (c)) S 7 42 40 0 -1 4194560 1 0 0 0 5 6 0 0 20 0 1 0 99 0 0";
        let expected = Stat {
            pid: 42,
            state: 'S',
            parent: 7,
            group: 42,
            session: 40,
            started_ticks: 99,
        };
        assert_eq!(parse_stat(line), Some(expected));
    }
}
