//! Finds and signals the processes that belong to a child, wherever they have gone.
//!
//! A child leads a process group, but its descendants may leave it: `BashOperator` starts its
//! shell in a session of its own. Three traces lead to them: the chain of parents while the child
//! lives, the group and session, and a marker in the environment that survives exec.

use std::collections::{BTreeSet, HashSet};
use std::fs;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::{Pid, getpid};
use tracing::warn;

use crate::proc::{Stat, processes, stat};

/// In the environment of a child and of everything it executes; unique for the child.
pub(crate) const CHILD_VARIABLE: &str = "UPDRAFT_CHILD";

/// Rounds of killing before giving up on a process that forks faster than it is killed.
pub(crate) const ROUNDS_MAX: usize = 10;

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

/// Names a child so that its descendants can be told from those of any other.
pub(crate) fn child_marker(zygote: u32, seq: u64) -> String {
    let started = stat(zygote as i32).map_or(0, |stat| stat.started_ticks);
    format!("{zygote}.{started}.{seq}")
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

pub(crate) fn send(pid: i32, signal: Signal) {
    match kill(Pid::from_raw(pid), signal) {
        Ok(()) | Err(Errno::ESRCH) => {}
        // `run_as_user`: the process belongs to somebody else, and sudo passes signals on.
        Err(error) => warn!(pid, %signal, %error, "failed to signal a process"),
    }
}

fn has_in_environment(pid: i32, entry: &str) -> bool {
    fs::read(format!("/proc/{pid}/environ")).is_ok_and(|block| {
        block
            .split(|byte| *byte == 0)
            .any(|one| one == entry.as_bytes())
    })
}
