//! Domains that are asked for while the host runs. Nothing of one is known before it was started, or after it is gone for good.

use alloc::string::ToString;
use alloc::vec::Vec;

use manifest::{Domain, Image, Manifest};
use measure::Digest;
use xen::{DomId, Hypervisor};

use super::domains::Source;
use super::{Host, ImageData, RequestError, Services, State};
use crate::store::StoreLink;

impl<'b, H: Hypervisor, C: Services, L: StoreLink> Host<'b, H, C, L> {
    /// Starts a domain that the manifest does not have, from images with these SHA-256 digests. In the configuration each is named by its digest.
    ///
    /// # Errors
    /// [`RequestError`]; it is also logged, with the domain's name.
    pub fn create_asked(
        &mut self,
        mut domain: Domain,
        kernel: &Digest,
        ramdisk: Option<&Digest>,
    ) -> Result<DomId, RequestError> {
        domain.kernel = hex(kernel);
        domain.ramdisk = ramdisk.map(hex);
        let kernel = self.images.with_digest(kernel)?;
        let ramdisk = ramdisk.map(|ramdisk| self.images.with_digest(ramdisk)).transpose()?;
        self.check_asked(&domain, &kernel, ramdisk.as_ref())?;
        let index = self.domains.add(domain, Source::Asked { kernel, ramdisk });
        let started = self.start(index);
        if started.is_err() && !matches!(self.domains.state(index), Some(State::Waiting(_))) {
            self.forget(index);
        }
        started
    }

    /// Whether a domain that is asked for could be one of the manifest's.
    fn check_asked(
        &self,
        domain: &Domain,
        kernel: &ImageData<'b>,
        ramdisk: Option<&ImageData<'b>>,
    ) -> Result<(), RequestError> {
        let refused = |error| Err(RequestError::Refused(error));
        if self.domains.index(&domain.name).is_some() {
            return refused(manifest::Error::DuplicateDomain(domain.name.clone()));
        }
        if let Some(other) = self.domains.iter().find(|other| other.domain.uuid == domain.uuid) {
            return refused(manifest::Error::DuplicateUuid(other.domain.name.clone()));
        }
        let privileges = [
            ("roles", !domain.roles.is_empty()),
            ("serves", !domain.serves.is_empty()),
            ("store-access", !domain.store_access.is_empty()),
            ("store-quota", domain.store_quota != manifest::StoreQuota::default()),
            ("needs", !domain.needs.is_empty()),
        ];
        if let Some((what, _)) = privileges.into_iter().find(|(_, given)| *given) {
            return Err(RequestError::OnlyManifest(what));
        }
        let image = |name: &str, image: &ImageData<'b>| Image {
            name: name.into(),
            size: image.len() as u64,
            digests: image.digests().clone(),
        };
        let mut images = Vec::from([image(&domain.kernel, kernel)]);
        if let (Some(name), Some(ramdisk)) = (&domain.ramdisk, ramdisk) {
            images.push(image(name, ramdisk));
        }
        images.dedup_by(|one, other| one.name == other.name);
        let alone = Manifest {
            host: self.manifest.host.clone(),
            images,
            domains: Vec::from([domain.clone()]),
            policy: manifest::Policy::default(),
        };
        match alone.check().into_iter().next() {
            Some(problem) => refused(problem.error),
            None => Ok(()),
        }
    }

    /// Forgets a domain that was asked for and is gone. Nothing is done for one of the manifest's.
    pub(super) fn forget(&mut self, index: usize) {
        if self.domains.state(index).is_some_and(|state| state.domid().is_none()) {
            self.domains.remove(index);
        }
    }

    /// The names of the domains that must be up before this one: those that it names itself, and the store.
    pub(super) fn needs(&self, index: usize) -> impl Iterator<Item = &str> {
        let fixed = self.domains.is_fixed(index);
        let asked = (!fixed).then(|| self.manifest.store()).flatten();
        let store = asked.map(|store| self.domains.name(store));
        self.manifest.needs(index).filter(move |_| fixed).chain(store)
    }
}

fn hex(digest: &Digest) -> alloc::string::String {
    digest.to_string()
}
