//! Domains that are asked for while the host runs. Nothing of one is known before it was started, or after it is gone for good.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use manifest::{Domain, Image, Manifest};
use measure::Digest;
use xen::{DomId, Hypervisor};

use super::domains::Source;
use super::{Host, ImageData, RequestError, Services, State};
use crate::store::StoreLink;

/// A domain that is asked for.
#[derive(Debug, Clone)]
pub struct Wish {
    /// Its configuration. The names of kernel and ramdisk in it do not count: each is named by its digest.
    pub domain: Domain,
    /// The SHA-256 of its kernel.
    pub kernel: Digest,
    /// That of its ramdisk.
    pub ramdisk: Option<Digest>,
    /// The class of the policy that it is in.
    pub class: Option<String>,
    /// It is not to run until someone lets it.
    pub paused: bool,
}

impl<'b, H: Hypervisor, C: Services, L: StoreLink> Host<'b, H, C, L> {
    /// Starts a domain that the manifest does not have.
    ///
    /// # Errors
    /// [`RequestError`]; it is also logged, with the domain's name.
    pub fn create_asked(&mut self, wish: Wish) -> Result<DomId, RequestError> {
        let mut domain = wish.domain;
        domain.kernel = wish.kernel.to_string();
        domain.ramdisk = wish.ramdisk.map(|ramdisk| ramdisk.to_string());
        let kernel = self.images.with_digest(&wish.kernel)?;
        let ramdisk = wish.ramdisk.map(|ramdisk| self.images.with_digest(&ramdisk));
        let ramdisk = ramdisk.transpose()?;
        self.check_asked(&domain, &kernel, ramdisk.as_ref())?;
        let index = self.domains.add(domain, Source::Asked { kernel, ramdisk });
        if let Some(entry) = self.domains.get_mut(index) {
            entry.class = wish.class;
            entry.start_paused = wish.paused;
        }
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
