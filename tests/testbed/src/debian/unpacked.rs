//! Packages unpacked into the cache, each under its name and version.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Archive;
use crate::{Error, Result, command, setup};

/// Unpacks `package` at `version` under `packages` unless it is there already; gives its directory.
pub fn unpack(packages: &Path, archive: &Archive, package: &str, version: &str) -> Result<PathBuf> {
    let directory = packages.join(format!("{package}_{}", version.replace([':', '~'], "-")));
    if directory.is_dir() {
        return Ok(directory);
    }
    setup::say(&format!("{package} {version}: downloading and unpacking"));
    let file = archive.download(package, version)?;
    // Renamed when complete: a directory under the final name is always whole.
    let part = packages.join(format!("{package}.part"));
    if part.exists() {
        std::fs::remove_dir_all(&part).map_err(Error::file("remove", &part))?;
    }
    std::fs::create_dir_all(&part).map_err(Error::file("create", &part))?;
    command::run(Command::new("dpkg-deb").arg("-x").arg(&file).arg(&part))?;
    std::fs::remove_file(&file).map_err(Error::file("remove", &file))?;
    std::fs::rename(&part, &directory).map_err(Error::file("rename", &part))?;
    Ok(directory)
}
