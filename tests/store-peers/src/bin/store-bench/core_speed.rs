//! The core alone, as its own example measures it.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// The lines that the example prints.
pub(crate) fn measure() -> Result<Vec<String>> {
    eprintln!("store-bench: the core alone");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args([
            "run",
            "--quiet",
            "--release",
            "-p",
            "xenstore-guard-core",
            "--example",
            "core_speed",
        ])
        .current_dir(testbed::workspace())
        .output()
        .context("cargo")?;
    ensure!(
        output.status.success(),
        "core_speed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?.lines().map(str::to_owned).collect())
}
