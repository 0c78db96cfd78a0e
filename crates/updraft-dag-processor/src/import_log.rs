//! The log of a parse, where Airflow puts it:
//! `<log folder>/<date>/<bundle>/<relative path>.log`, with the link `latest` to the newest date.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tracing::warn;
use updraft_execution::LogFile;

use crate::files::FileKey;

/// The name of the link to the folder of the day.
const LATEST: &str = "latest";

/// The log of one file for the day of `now`. The caller says when to [`link_latest`].
pub(crate) fn open(log_folder: &Path, key: &FileKey, now: Timestamp) -> LogFile {
    let folder = log_folder.join(day(now)).join(key.bundle.as_str());
    // A path of a bundle never leaves it, but a name may have been made up by a request.
    let path = if key.path.split('/').any(|part| part == "..") {
        folder.join("outside.log")
    } else {
        folder.join(format!("{}.log", key.path.trim_start_matches('/')))
    };
    LogFile::new(path)
}

/// Points the link `latest` at the folder of the day.
pub(crate) fn link_latest(log_folder: &Path, now: Timestamp) {
    let link = log_folder.join(LATEST);
    let day = PathBuf::from(day(now));
    if fs::read_link(&link).is_ok_and(|target| target == day) {
        return;
    }
    if let Err(error) = replace_link(log_folder, &day, &link) {
        warn!(path = %link.display(), %error, "failed to link the latest parse logs");
    }
}

fn replace_link(log_folder: &Path, day: &Path, link: &Path) -> io::Result<()> {
    fs::create_dir_all(log_folder.join(day))?;
    match fs::symlink_metadata(link) {
        Ok(metadata) if metadata.is_symlink() => fs::remove_file(link)?,
        // Somebody's own file or folder of that name stays.
        Ok(_) => return Ok(()),
        Err(_) => {}
    }
    symlink(day, link)
}

fn day(now: Timestamp) -> String {
    now.to_zoned(TimeZone::UTC).date().to_string()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use jiff::Timestamp;

    use super::{link_latest, open};
    use crate::files::FileKey;

    fn key(path: &str) -> FileKey {
        FileKey {
            bundle: "dags-folder".into(),
            path: path.to_owned(),
        }
    }

    #[test]
    fn a_log_lies_under_its_day_its_bundle_and_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let now: Timestamp = "2025-03-04T23:59:59Z".parse().unwrap();
        let mut log = open(folder.path(), &key("team/etl.py"), now);
        log.append(&["{}".to_owned()], now);
        let path = folder.path().join("2025-03-04/dags-folder/team/etl.py.log");
        assert_eq!(fs::read_to_string(path).unwrap(), "{}\n");
    }

    #[test]
    fn a_path_cannot_lead_out_of_the_log_folder() {
        let folder = tempfile::tempdir().unwrap();
        let now = Timestamp::UNIX_EPOCH;
        open(folder.path(), &key("../../../evil.py"), now).append(&["{}".to_owned()], now);
        assert!(
            folder
                .path()
                .join("1970-01-01/dags-folder/outside.log")
                .exists()
        );
    }

    #[test]
    fn the_link_follows_the_day_but_spares_a_folder_of_the_same_name() {
        let folder = tempfile::tempdir().unwrap();
        for day in ["2025-03-04", "2025-03-05"] {
            link_latest(folder.path(), format!("{day}T00:00:00Z").parse().unwrap());
            let target = fs::read_link(folder.path().join("latest")).unwrap();
            assert_eq!(target, Path::new(day));
        }
        let other = tempfile::tempdir().unwrap();
        fs::create_dir(other.path().join("latest")).unwrap();
        link_latest(other.path(), Timestamp::UNIX_EPOCH);
        assert!(other.path().join("latest").is_dir());
        assert!(fs::read_link(other.path().join("latest")).is_err());
    }
}
