//! Where a page is written: to a new file that only its owner can read, which replaces the old file once
//! it is complete.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// A page that is not written yet. Its temporary file is beside the final path, and is deleted if the
/// page is never written.
pub(in crate::cli) struct Place {
    path: PathBuf,
    file: NamedTempFile,
}

impl Place {
    /// Checks that a page can be written to `path`. Refuses a link, a pipe or a device: this program must
    /// not replace those.
    pub(in crate::cli) fn new(path: &Path) -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("{}: {error}", path.display());
        match std::fs::symlink_metadata(path) {
            Ok(there) if !there.is_file() => {
                let kind = if there.is_symlink() { "a symbolic link" } else { "not a file" };
                return Err(format!("{} is {kind}: name a file, new or old", path.display()));
            }
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // Only its owner can read the file.
        let file = tempfile::Builder::new().prefix(".report-").tempfile_in(folder).map_err(failed)?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Writes the page and moves it to its path.
    pub(in crate::cli) fn write(mut self, page: &str) -> std::io::Result<()> {
        self.file.write_all(page.as_bytes())?;
        self.file.as_file().sync_all()?;
        self.file.persist(&self.path)?;
        Ok(())
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn a_page_is_for_its_owner_alone_whatever_stood_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.html");
        for _ in 0..2 {
            Place::new(&path).unwrap().write("page").unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), "page");
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            // Even if someone makes the page readable for everyone, the next page is for its owner alone.
            fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        }
        drop(Place::new(&path).unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "what was not written is not there");
    }

    #[test]
    fn links_pipes_and_folders_are_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        fs::write(&target, "precious").unwrap();
        symlink(&target, &link).unwrap();
        let dangling = folder.path().join("dangling");
        symlink(folder.path().join("nowhere"), &dangling).unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for path in [link.as_path(), &dangling, &pipe, folder.path()] {
            assert!(Place::new(path).is_err(), "{}", path.display());
        }
        // A link that appears in the meantime is replaced, not followed.
        let late = folder.path().join("late");
        let place = Place::new(&late).unwrap();
        symlink(&target, &late).unwrap();
        place.write("page").unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
        assert_eq!(fs::read_to_string(&late).unwrap(), "page");
    }
}
