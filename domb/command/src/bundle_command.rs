//! `domb bundle`: from a host manifest to the bundle that Xen hands to domb.

use std::io;
use std::path::Path;

use domb_core::bundle::{self, WriteError};
use manifest::toml::SourceErrors;
use measure::{Bank, Digest};

use crate::host_manifest::HostManifest;
use crate::progress::{Progress, size};
use crate::{Error, output};

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Length of the bundle in bytes.
    pub size: usize,
    /// Number of images in it.
    pub images: usize,
    /// Number of domains in its manifest.
    pub domains: usize,
    /// SHA-256 of the manifest's canonical encoding.
    pub manifest: Digest,
}

/// Writes the bundle of the host manifest at `host` to `to`. The same files give the same bytes.
///
/// With `force`, domains that domb will refuse do not stop it. They are told, as warnings, to `warn`.
///
/// # Errors
/// As [`HostManifest::load`]; [`Error::Manifest`] for domains that domb will refuse, without `force`; [`Error::Write`];
/// [`Error::Bundle`] when an image is too large for a bundle.
pub fn run(host: &Path, to: &Path, force: bool, progress: Progress, warn: impl Fn(&str)) -> Result<Written, Error> {
    let mut host = HostManifest::load(host, progress)?;
    if !host.faults.is_empty() {
        let faults = SourceErrors(std::mem::take(&mut host.faults));
        if !force {
            return Err(faults.into());
        }
        faults.0.iter().for_each(|fault| warn(&fault.to_string()));
    }
    for image in &host.manifest.images {
        let used = host.manifest.domains.iter().any(|domain| {
            domain.kernel == image.name || domain.ramdisk.as_ref().is_some_and(|ramdisk| *ramdisk == image.name)
        });
        if !used {
            warn(&format!("image {}: no domain uses it", image.name));
        }
    }
    let mut length = 0_usize;
    output::write_file(to, |file| {
        let sink = |bytes: &[u8]| -> io::Result<()> {
            length = length.saturating_add(bytes.len());
            file.write_all(bytes)
        };
        let read = |image: &manifest::Image| -> io::Result<&[u8]> {
            host.image_bytes(image)
                .ok_or_else(|| io::Error::other("an image without bytes"))
        };
        bundle::write(&host.manifest, read, sink).map_err(|error| match error {
            WriteError::Io(source) => Error::Write {
                path: to.to_path_buf(),
                source,
            },
            other => Error::Bundle(other.to_string()),
        })
    })?;
    progress.say(format_args!("wrote {} to {}", size(length), to.display()));
    Ok(Written {
        size: length,
        images: host.manifest.images.len(),
        domains: host.manifest.domains.len(),
        manifest: Digest::of(Bank::Sha256, &host.manifest.encode()),
    })
}
