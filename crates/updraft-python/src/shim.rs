//! The Python shim, carried in the binary and unpacked where an interpreter can read it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha1::{Digest as _, Sha1};

/// Every file of the shim, by its path below the shim's folder.
const FILES: &[(&str, &str)] = &[
    (
        "__main__.py",
        include_str!("../../../python/src/__main__.py"),
    ),
    (
        "updraft_shim/__init__.py",
        include_str!("../../../python/src/updraft_shim/__init__.py"),
    ),
    (
        "updraft_shim/bundle.py",
        include_str!("../../../python/src/updraft_shim/bundle.py"),
    ),
    (
        "updraft_shim/callback.py",
        include_str!("../../../python/src/updraft_shim/callback.py"),
    ),
    (
        "updraft_shim/child.py",
        include_str!("../../../python/src/updraft_shim/child.py"),
    ),
    (
        "updraft_shim/dag_parse.py",
        include_str!("../../../python/src/updraft_shim/dag_parse.py"),
    ),
    (
        "updraft_shim/extensions.py",
        include_str!("../../../python/src/updraft_shim/extensions.py"),
    ),
    (
        "updraft_shim/helper.py",
        include_str!("../../../python/src/updraft_shim/helper.py"),
    ),
    (
        "updraft_shim/helper_comms.py",
        include_str!("../../../python/src/updraft_shim/helper_comms.py"),
    ),
    (
        "updraft_shim/inventory.py",
        include_str!("../../../python/src/updraft_shim/inventory.py"),
    ),
    (
        "updraft_shim/learned.py",
        include_str!("../../../python/src/updraft_shim/learned.py"),
    ),
    (
        "updraft_shim/listeners.py",
        include_str!("../../../python/src/updraft_shim/listeners.py"),
    ),
    (
        "updraft_shim/probe.py",
        include_str!("../../../python/src/updraft_shim/probe.py"),
    ),
    (
        "updraft_shim/rows.py",
        include_str!("../../../python/src/updraft_shim/rows.py"),
    ),
    (
        "updraft_shim/runtime.py",
        include_str!("../../../python/src/updraft_shim/runtime.py"),
    ),
    (
        "updraft_shim/scratch.py",
        include_str!("../../../python/src/updraft_shim/scratch.py"),
    ),
    (
        "updraft_shim/secret.py",
        include_str!("../../../python/src/updraft_shim/secret.py"),
    ),
    (
        "updraft_shim/task.py",
        include_str!("../../../python/src/updraft_shim/task.py"),
    ),
    (
        "updraft_shim/task_instances.py",
        include_str!("../../../python/src/updraft_shim/task_instances.py"),
    ),
    (
        "updraft_shim/timetables.py",
        include_str!("../../../python/src/updraft_shim/timetables.py"),
    ),
    (
        "updraft_shim/triggerer.py",
        include_str!("../../../python/src/updraft_shim/triggerer.py"),
    ),
    (
        "updraft_shim/wire.py",
        include_str!("../../../python/src/updraft_shim/wire.py"),
    ),
    (
        "updraft_shim/zygote.py",
        include_str!("../../../python/src/updraft_shim/zygote.py"),
    ),
];

/// Writes the shim to `<runtime_dir>/shim-<hash>` unless it is there, and returns that folder.
///
/// The hash keeps two versions of Updraft that share a home from running each other's shim.
pub(crate) fn unpack(runtime_dir: &Path) -> io::Result<PathBuf> {
    let folder = runtime_dir.join(format!("shim-{}", fingerprint()));
    if folder.is_dir() {
        return Ok(folder);
    }
    // Written aside and renamed, so that nobody ever sees half a shim.
    let partial = runtime_dir.join(format!("shim-{}.{}", fingerprint(), std::process::id()));
    for (name, text) in FILES {
        let path = partial.join(name);
        fs::create_dir_all(path.parent().unwrap_or(&partial))?;
        fs::write(path, text)?;
    }
    match fs::rename(&partial, &folder) {
        Ok(()) => Ok(folder),
        // Another process was faster; its files are the same.
        Err(_) if folder.is_dir() => {
            fs::remove_dir_all(&partial)?;
            Ok(folder)
        }
        Err(error) => Err(error),
    }
}

/// Names the shim in this binary.
pub(crate) fn fingerprint() -> String {
    let mut hash = Sha1::new();
    for (name, text) in FILES {
        hash.update(name);
        hash.update([0]);
        hash.update(text);
        hash.update([0]);
    }
    let hex = |byte: &u8| format!("{byte:02x}");
    hash.finalize().iter().take(8).map(hex).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::{FILES, unpack};

    #[test]
    fn every_file_of_the_shim_is_in_the_binary() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../python/src");
        let mut on_disk = BTreeSet::new();
        for folder in ["", "updraft_shim"] {
            for entry in fs::read_dir(source.join(folder)).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                if Path::new(&name)
                    .extension()
                    .is_some_and(|ending| ending == "py")
                {
                    on_disk.insert(Path::new(folder).join(name));
                }
            }
        }
        let embedded: BTreeSet<_> = FILES
            .iter()
            .map(|(name, _)| Path::new(name).into())
            .collect();
        assert_eq!(embedded, on_disk);
    }

    #[test]
    fn unpacking_twice_gives_the_same_folder_and_leaves_nothing_else() {
        let home = tempfile::tempdir().unwrap();
        let first = unpack(home.path()).unwrap();
        assert_eq!(unpack(home.path()).unwrap(), first);
        assert!(first.join("updraft_shim/zygote.py").is_file());
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
    }
}
