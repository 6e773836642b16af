//! Where the testbed keeps things.

use std::path::PathBuf;

/// The checkout's root.
pub fn workspace() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.ancestors()
        .nth(2)
        .map_or_else(|| here.clone(), std::path::Path::to_path_buf)
}

/// What set-up brought: `$DOMB_CACHE`, or `target/cache` in the checkout.
pub fn cache() -> PathBuf {
    match std::env::var_os("DOMB_CACHE") {
        Some(directory) if !directory.is_empty() => PathBuf::from(directory),
        _ => workspace().join("target/cache"),
    }
}

/// One directory for each scenario, with its logs: `target/scenarios` in the checkout.
pub fn scenarios() -> PathBuf {
    workspace().join("target/scenarios")
}
