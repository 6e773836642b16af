//! The policy that a host manifest says.

use std::fs;
use std::path::Path;

use manifest::toml::{self, SourceErrors};
use manifest::{Image, Manifest};
use measure::Digests;
use xenstore_guard_core::policy::Policy;

use crate::Error;

/// The policy of a manifest; without one, that of stock xenstored.
pub(crate) fn load(path: Option<&Path>) -> Result<Policy, Error> {
    Ok(match path {
        Some(path) => Policy::from_manifest(&read(path)?),
        None => Policy::stock(),
    })
}

/// Reads a manifest and checks it; the images that it names are not looked at, as a store has no use for them.
pub(crate) fn read(path: &Path) -> Result<Manifest, Error> {
    let text = fs::read_to_string(path).map_err(|source| Error::Read {
        path: path.to_path_buf(),
        source,
    })?;
    let host_file = toml::read(&text, &path.to_string_lossy())?;
    let images = host_file.images.iter().map(|source| Image {
        name: source.name.clone(),
        size: 0,
        digests: Digests::of(&host_file.host.banks, &[]),
    });
    let manifest = host_file.manifest(images.collect());
    let problems = manifest.check();
    if problems.is_empty() {
        return Ok(manifest);
    }
    Err(SourceErrors(problems.iter().map(|problem| host_file.place(problem)).collect()).into())
}
