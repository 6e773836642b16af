//! The library that stands in for Xen in the stock stores (`stand-in/`), compiled once for each process.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context as _, Result, bail};

const SOURCES: [&str; 4] = ["domains.c", "event_channels.c", "grants.c", "redirect.c"];

/// The compiled library.
pub(crate) fn library() -> Result<&'static Path> {
    static LIBRARY: OnceLock<std::result::Result<PathBuf, String>> = OnceLock::new();
    match LIBRARY.get_or_init(|| compile().map_err(|error| format!("{error:#}"))) {
        Ok(path) => Ok(path),
        Err(error) => bail!("{error}"),
    }
}

fn compile() -> Result<PathBuf> {
    let directory = testbed::workspace().join("target/store-peers");
    std::fs::create_dir_all(&directory).context("target/store-peers")?;
    let library = directory.join("stand-in.so");
    // Renamed when complete: tests in other processes may be compiling the same.
    let part = directory.join(format!("stand-in.{}.so", std::process::id()));
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("stand-in");
    let output = Command::new("gcc")
        .args(["-O1", "-Wall", "-shared", "-fPIC", "-o"])
        .arg(&part)
        .args(SOURCES.map(|source| sources.join(source)))
        .arg("-ldl")
        .output()
        .context("gcc")?;
    if !output.status.success() {
        bail!("gcc: {}", String::from_utf8_lossy(&output.stderr));
    }
    std::fs::rename(&part, &library).context("stand-in.so")?;
    Ok(library)
}
