//! Processes that outlived the Updraft which started them.
//!
//! After a crash of ours a task goes on by itself. It can report nothing any more, and must not
//! run beside the next try of the same task. Each Updraft process therefore leaves a file with
//! its name in the runtime folder; its zygotes and their children keep that file open, and what
//! they execute has its path in the environment.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use nix::unistd::getpid;
use tracing::info;

use crate::proc::{processes, stat};
use crate::process_tree::{ROUNDS_MAX, send};

/// In the environment of a zygote and of its descendants: the file of the owner.
pub(crate) const INSTANCE_VARIABLE: &str = "UPDRAFT_INSTANCE";

/// How the name of such a file begins. Number and start of the process follow.
const FILE_PREFIX: &str = "instance-";

/// Leaves the file that stands for this process.
pub(crate) fn mark_instance(runtime_dir: &Path) -> io::Result<PathBuf> {
    let pid = getpid().as_raw();
    let started = stat(pid).map_or(0, |stat| stat.started_ticks);
    let file = fs::canonicalize(runtime_dir)?.join(format!("{FILE_PREFIX}{pid}.{started}"));
    fs::write(&file, "")?;
    Ok(file)
}

/// Kills everything that belongs to a dead Updraft of this runtime folder.
///
/// To be called before any task is started. Returns how many processes were killed.
pub fn kill_leftovers(runtime_dir: &Path) -> io::Result<usize> {
    let dead = dead_instances(&fs::canonicalize(runtime_dir)?)?;
    let mut killed = HashSet::new();
    if dead.is_empty() {
        return Ok(0);
    }
    // A process may fork between the look and the signal.
    for _ in 0..ROUNDS_MAX {
        let fresh: Vec<i32> = processes()
            .filter(|stat| stat.state != 'Z' && belongs_to(stat.pid, &dead))
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
    for file in dead {
        fs::remove_file(file)?;
    }
    if !killed.is_empty() {
        let killed = killed.len();
        info!(killed, "killed processes that an earlier run left behind");
    }
    Ok(killed.len())
}

/// Files whose process is gone.
fn dead_instances(runtime_dir: &Path) -> io::Result<HashSet<PathBuf>> {
    let mut dead = HashSet::new();
    for entry in fs::read_dir(runtime_dir)? {
        let path = entry?.path();
        if owner(&path).is_some_and(|(pid, started)| !lives(pid, started)) {
            dead.insert(path);
        }
    }
    Ok(dead)
}

/// Number and start of the process that a file stands for.
fn owner(file: &Path) -> Option<(i32, u64)> {
    let name = file.file_name()?.to_str()?.strip_prefix(FILE_PREFIX)?;
    let (pid, started) = name.split_once('.')?;
    Some((pid.parse().ok()?, started.parse().ok()?))
}

fn lives(pid: i32, started: u64) -> bool {
    stat(pid).is_some_and(|stat| stat.state != 'Z' && stat.started_ticks == started)
}

fn belongs_to(pid: i32, instances: &HashSet<PathBuf>) -> bool {
    // Processes of other users cannot be read, and are none of ours.
    let open = fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten()
        .flatten();
    open.filter_map(|entry| fs::read_link(entry.path()).ok())
        .any(|path| instances.contains(&path))
        || environment_value(pid, INSTANCE_VARIABLE)
            .is_some_and(|value| instances.contains(Path::new(&value)))
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
    use std::fs;
    use std::process::Command;

    use super::{INSTANCE_VARIABLE, kill_leftovers, mark_instance};

    #[test]
    fn only_what_a_dead_process_of_the_same_home_left_is_killed() {
        let home = tempfile::tempdir().unwrap();
        let start = |instance: &std::path::Path| {
            let mut command = Command::new("sleep");
            command
                .arg("600")
                .env(INSTANCE_VARIABLE, instance)
                .spawn()
                .unwrap()
        };
        // No process has number 0, so this one is dead.
        let dead = fs::canonicalize(home.path()).unwrap().join("instance-0.1");
        fs::write(&dead, "").unwrap();
        let own = mark_instance(home.path()).unwrap();
        let mut leftover = start(&dead);
        let mut others = [
            start(&own),
            start("/another/home/instance-0.1".as_ref()),
            start("nonsense".as_ref()),
        ];

        assert_eq!(kill_leftovers(home.path()).unwrap(), 1);
        assert!(!leftover.wait().unwrap().success());
        for other in &mut others {
            assert_eq!(other.try_wait().unwrap(), None);
            other.kill().unwrap();
            other.wait().unwrap();
        }
        assert_eq!((dead.exists(), own.exists()), (false, true));
        assert_eq!(kill_leftovers(home.path()).unwrap(), 0);
    }
}
