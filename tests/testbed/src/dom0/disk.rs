//! File system images made of directories, without mounting anything.

use std::path::Path;
use std::process::Command;

use crate::{Result, command};

/// Makes `image` an ext4 file system of `mib` MiB (sparse) with what is in `directory`, by means of `mke2fs`, which the
/// caller starts with the rights that reading the directory needs.
pub(super) fn make(mut mke2fs: Command, image: &Path, directory: &Path, mib: u32) -> Result<()> {
    mke2fs
        .args(["-q", "-F", "-t", "ext4", "-E", "root_owner=0:0", "-d"])
        .arg(directory);
    mke2fs.arg(image).arg(format!("{mib}M"));
    command::run(&mut mke2fs).map(drop)
}
