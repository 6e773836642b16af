//! What is decided about a guest, out of its file and its images.

use std::fs;
use std::path::Path;

use domb_core::policy::{Device, ImageFacts, NewGuest};
use manifest::{BackendClass, Domain, Manifest, Role, toml, xl_cfg};
use measure::Digest;
use measure::signature::{Purpose, SIGNATURE_SIZE};

use crate::Error;
use crate::sign_command::loaded;
use crate::signature_file;

/// A guest's configuration, and what its images are.
#[derive(Debug)]
pub(super) struct GuestFacts {
    domain: Domain,
    kernel: Image,
    ramdisk: Option<Image>,
    devices: Vec<(BackendClass, String)>,
}

#[derive(Debug)]
struct Image {
    sha256: Digest,
    signatures: Vec<[u8; SIGNATURE_SIZE]>,
}

impl GuestFacts {
    /// Reads the guest's file, its images, and their signatures. A file whose name ends in `.cfg` is one of xl.
    pub(super) fn read(path: &Path, manifest: &Manifest) -> Result<Self, Error> {
        let bytes = fs::read(path).map_err(|source| Error::Read {
            path: path.to_path_buf(),
            source,
        })?;
        let (name, host) = (path.to_string_lossy(), &manifest.host.name);
        let domain = if path.extension().is_some_and(|extension| extension == "cfg") {
            xl_cfg::read(&bytes, &name, host)?.domain
        } else {
            let text = String::from_utf8(bytes).map_err(|error| Error::Read {
                path: path.to_path_buf(),
                source: std::io::Error::new(std::io::ErrorKind::InvalidData, error),
            })?;
            toml::read_guest(&text, &name, host)?.domain
        };
        let folder = path.parent().unwrap_or(Path::new(""));
        let kernel = Image::read(&folder.join(&domain.kernel), Purpose::Kernel)?;
        let ramdisk = domain.ramdisk.as_ref();
        let ramdisk = ramdisk
            .map(|ramdisk| Image::read(&folder.join(ramdisk), Purpose::Ramdisk))
            .transpose()?;
        let disks = domain
            .disks
            .iter()
            .map(|disk| served(manifest, disk.backend.as_deref(), disk.classes()));
        let interfaces = domain
            .interfaces
            .iter()
            .map(|interface| served(manifest, interface.backend.as_deref(), &[BackendClass::Vif]));
        Ok(Self {
            devices: disks.chain(interfaces).collect(),
            domain,
            kernel,
            ramdisk,
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.domain.name
    }

    pub(super) fn devices(&self) -> Vec<Device<'_>> {
        self.devices
            .iter()
            .map(|(class, backend)| Device { class: *class, backend })
            .collect()
    }

    /// The guest as it is decided about, less its devices.
    pub(super) fn new_guest<'a>(&'a self, class: Option<&'a str>) -> NewGuest<'a> {
        NewGuest {
            name: &self.domain.name,
            class,
            kind: self.domain.kind,
            kernel: self.kernel.facts(),
            ramdisk: self.ramdisk.as_ref().map(Image::facts),
            command_line: &self.domain.command_line,
            max_memory_kib: self.domain.maxmem_kib,
            max_vcpus: self.domain.max_vcpus,
            devices: &[],
        }
    }
}

impl Image {
    fn read(path: &Path, purpose: Purpose) -> Result<Self, Error> {
        let (sha256, _) = loaded(path)?;
        let signatures = signature_file::read_of(path, purpose, &sha256)?;
        Ok(Self {
            sha256,
            signatures: signatures.into_iter().map(|signature| signature.signature).collect(),
        })
    }

    fn facts(&self) -> ImageFacts<'_> {
        ImageFacts {
            sha256: self.sha256,
            signatures: &self.signatures,
        }
    }
}

/// Who serves a device, and as what: the domain that is named, else the only one that serves such devices.
fn served(manifest: &Manifest, backend: Option<&str>, classes: &[BackendClass]) -> (BackendClass, String) {
    let class = |serves: &[BackendClass]| classes.iter().copied().find(|class| serves.contains(class));
    let mut drivers = manifest.domains.iter().filter(|domain| domain.has(Role::Driver));
    let driver = match backend {
        Some(name) => drivers.find(|driver| driver.name == name),
        None => drivers.find(|driver| class(&driver.serves).is_some()),
    };
    let first = classes.first().copied().unwrap_or(BackendClass::Vbd);
    let served = driver.and_then(|driver| class(&driver.serves)).unwrap_or(first);
    let name = backend.or(driver.map(|driver| driver.name.as_str()));
    (served, name.unwrap_or("(nobody)").into())
}
