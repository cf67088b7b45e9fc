//! Paths of what `scripts/install-stand-ins.sh` installs.

use std::path::{Path, PathBuf};

use crate::Error;

/// The project's folder, which contains `.local/`.
pub fn project_root() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own)
}

/// An installed program, by its path in `.local/`.
pub(crate) fn program(path: &str) -> Result<PathBuf, Error> {
    let local = project_root().join(".local");
    let program = local.join(path);
    // The script writes the stamp last. Without it the installation is incomplete.
    if !program.exists() || !local.join("stand-ins.stamp").exists() {
        return Err(Error::NotInstalled { program: path.to_owned() });
    }
    Ok(program)
}

/// The folder of the identity providers' stand-ins.
pub(crate) fn providers() -> Result<PathBuf, Error> {
    let folder = project_root().join(".local/providers");
    if !folder.join("stamp").exists() {
        return Err(Error::NoProviders);
    }
    Ok(folder)
}
