//! A host manifest together with the files that it names.

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};

use domb_core::elf::Kernel;
use manifest::toml::{self, HostFile, ImageSource, SourceError, SourceErrors};
use manifest::{Domain, Image, Kind, Manifest};
use measure::{Bank, Digest, Digests};

use crate::Error;
use crate::kernel_image::{self, Contents};
use crate::progress::{Progress, size};

/// A host manifest that was read from a TOML file, and its images.
#[derive(Debug)]
pub struct HostManifest {
    /// The manifest, with the digests of the images.
    pub manifest: Manifest,
    /// The images' bytes as they go into the bundle, in the manifest's order.
    pub images: Vec<Vec<u8>>,
    /// What is wrong with single domains: domb will refuse them, and those that need them.
    pub faults: Vec<SourceError>,
}

impl HostManifest {
    /// Reads the TOML file at `path` and each image that it names, unpacking the kernels.
    ///
    /// # Errors
    /// [`Error::Read`] for the TOML file; [`Error::Manifest`] with everything that is wrong with it as a whole, or with the
    /// images: a file that cannot be read, that is not the one of the pinned digest, or that is a damaged bzImage.
    pub fn load(path: &Path, progress: Progress) -> Result<Self, Error> {
        let text = fs::read_to_string(path).map_err(|source| Error::Read {
            path: path.to_path_buf(),
            source,
        })?;
        let host_file = toml::read(&text, &path.to_string_lossy())?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut images = Vec::new();
        let mut errors = Vec::new();
        for source in &host_file.images {
            match load_image(&host_file, source, folder, progress) {
                Ok(image) => images.push(image),
                Err(error) => errors.push(*error),
            }
        }
        let (entries, images): (Vec<Image>, Vec<Vec<u8>>) = images.into_iter().unzip();
        let manifest = host_file.manifest(entries);
        if !errors.is_empty() {
            // Which images there are is not known, so nothing else can be said.
            return Err(SourceErrors(errors).into());
        }
        let problems = manifest.check();
        let (whole, faults): (Vec<_>, Vec<_>) = problems.into_iter().partition(|problem| problem.domain.is_none());
        if !whole.is_empty() {
            return Err(SourceErrors(whole.iter().map(|problem| host_file.place(problem)).collect()).into());
        }
        let mut faults: Vec<SourceError> = faults.iter().map(|problem| host_file.place(problem)).collect();
        faults.extend(check_kernels(&host_file, &manifest, &images));
        faults.sort_by_key(|fault| (fault.line, fault.column));
        Ok(Self {
            manifest,
            images,
            faults,
        })
    }

    /// The bytes of an image.
    #[must_use]
    pub fn image_bytes(&self, image: &Image) -> Option<&[u8]> {
        let index = self.manifest.images.iter().position(|other| other.name == image.name)?;
        self.images.get(index).map(Vec::as_slice)
    }
}

/// Reads one image's file, compares its pin, unpacks it if it is a bzImage, and hashes the result.
fn load_image(
    host_file: &HostFile,
    source: &ImageSource,
    folder: &Path,
    progress: Progress,
) -> Result<(Image, Vec<u8>), Box<SourceError>> {
    let path: PathBuf = folder.join(&source.file);
    let wrong = |reason: String| Box::new(host_file.image_error(source, format!("{}: {reason}", path.display())));
    let file = fs::read(&path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    if source.sha256.is_some() {
        let found = Digest::of(Bank::Sha256, &file);
        if source.sha256 != Some(found) {
            return Err(Box::new(host_file.pin_error(source, found)));
        }
    }
    progress.say(format_args!(
        "{}: read {} from {}",
        source.name,
        size(file.len()),
        path.display()
    ));
    let unpacked = kernel_image::unpack(&file).map_err(|error| wrong(error.to_string()))?;
    if let Contents::BzImage(compression) = unpacked.contents {
        progress.say(format_args!(
            "{}: unpacked to {} ({compression})",
            source.name,
            size(unpacked.bytes.len())
        ));
    }
    let bytes = match unpacked.bytes {
        Cow::Owned(bytes) => bytes,
        Cow::Borrowed(_) => file,
    };
    let image = Image {
        name: source.name.clone(),
        size: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
        digests: Digests::of(&host_file.host.banks, &bytes),
    };
    Ok((image, bytes))
}

/// For each domain whose kernel domb cannot load as the domain's kind, why.
fn check_kernels(host_file: &HostFile, manifest: &Manifest, images: &[Vec<u8>]) -> Vec<SourceError> {
    let check = |domain: &Domain| {
        let index = manifest.images.iter().position(|image| image.name == domain.kernel)?;
        check_kernel(domain, images.get(index)?).err()
    };
    let faults = manifest
        .domains
        .iter()
        .enumerate()
        .filter_map(|(index, domain)| Some((index, domain, check(domain)?)));
    faults
        .map(|(index, domain, reason)| {
            let reason = format!("domain {}: kernel {}: {reason}", domain.name, domain.kernel);
            host_file.domain_error(index, "kernel", reason)
        })
        .collect()
}

fn check_kernel(domain: &Domain, bytes: &[u8]) -> Result<(), String> {
    let checked = Kernel::parse(bytes).and_then(|kernel| match domain.kind {
        Kind::Pv => kernel.pv().map(|_| ()),
        Kind::Pvh => kernel.pvh().map(|_| ()),
    });
    checked.map_err(|error| format!("cannot be loaded as {}: {error}", domain.kind))
}
