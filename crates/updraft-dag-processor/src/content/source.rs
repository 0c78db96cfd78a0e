//! The source code of a Dag, for the code view.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// Code beyond this is cut: it goes into a row, and nobody reads it in a browser.
const SOURCE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Reads the file a Dag was defined in, which may lie in a zip file. Says so when it cannot.
pub(super) fn read(fileloc: &str) -> String {
    let path = Path::new(fileloc);
    let read = match zip_and_member(path) {
        Some((archive, member)) => read_member(&archive, &member),
        None => fs::File::open(path).and_then(read_text),
    };
    read.unwrap_or_else(|error| {
        format!("# The source code of {fileloc} could not be read: {error}\n")
    })
}

/// Splits `…/dags.zip/team/etl.py`, when `…/dags.zip` is a file.
fn zip_and_member(path: &Path) -> Option<(PathBuf, String)> {
    let archive = path
        .ancestors()
        .skip(1)
        .find(|ancestor| ancestor.is_file())?;
    let member = path.strip_prefix(archive).ok()?.to_str()?;
    Some((archive.to_owned(), member.to_owned()))
}

fn read_member(archive: &Path, member: &str) -> io::Result<String> {
    let file = io::BufReader::new(fs::File::open(archive)?);
    let mut archive = zip::ZipArchive::new(file).map_err(io::Error::other)?;
    read_text(archive.by_name(member).map_err(io::Error::other)?)
}

fn read_text(source: impl io::Read) -> io::Result<String> {
    let mut bytes = Vec::new();
    source.take(SOURCE_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::read;

    #[test]
    fn code_is_read_from_files_and_from_within_zip_files() {
        let folder = tempfile::tempdir().unwrap();
        let plain = folder.path().join("a.py");
        std::fs::write(&plain, "plain").unwrap();
        let zip = folder.path().join("dags.zip");
        let mut archive = zip::ZipWriter::new(std::fs::File::create(&zip).unwrap());
        let options = zip::write::SimpleFileOptions::default();
        archive.start_file("team/b.py", options).unwrap();
        archive.write_all(b"zipped").unwrap();
        archive.finish().unwrap();
        assert_eq!(read(plain.to_str().unwrap()), "plain");
        assert_eq!(read(zip.join("team/b.py").to_str().unwrap()), "zipped");
        let missing = read(zip.join("c.py").to_str().unwrap());
        assert!(missing.contains("could not be read"), "{missing}");
    }
}
