//! The host manifest: which domains exist on a host, what each is made of, and what each may do.
//!
//! The manifest has two forms. People write TOML ([`toml`], only with the feature of that name, only in host tools).
//! domb reads the canonical encoding ([`Manifest::decode`]): one strict binary form with exactly one encoding for
//! each manifest, so that its digest identifies it.
//!
//! A manifest can be wrong in two ways, and they are kept apart:
//! - as a whole ([`Manifest::decode`] refuses it): not the canonical encoding, no SHA-256 bank, image names that
//!   cannot name files of a bundle, a policy that contradicts itself or names what is not there;
//! - in one domain ([`Manifest::check`], [`Manifest::start_order`]): that domain and those that need it are
//!   refused, with the reason, and the others start.
//!
//! The crate does no I/O and runs without the standard library.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(any(feature = "toml", test))]
extern crate std;

mod check;
pub mod device;
mod domain;
mod encoding;
mod error;
mod host;
mod image;
mod management;
mod name;
mod policy;
mod quota;
#[cfg(feature = "toml")]
pub mod source;
mod start_order;
mod store;
#[cfg(feature = "toml")]
pub mod toml;
pub mod uuid;
#[cfg(feature = "toml")]
pub mod xl_cfg;

#[cfg(test)]
mod samples;

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

pub use check::Problem;
pub use device::{DeviceError, DeviceKind, Disk, Interface};
pub use domain::{
    Action, Console, Domain, Kind, MAX_MEMORY_KIB, MAX_NEEDS, MAX_VCPUS, MEMORY_STEP_KIB, MIN_MEMORY_KIB,
};
pub use encoding::Unreadable;
pub use error::Error;
pub use host::{Host, LogLevel};
pub use image::Image;
pub use management::{MAX_CHANNELS, MAX_IMAGE_MEMORY_KIB, ManagementSettings};
pub use name::MAX_NAME;
pub use policy::{
    Access, CommandLineRule, GuestBox, GuestClass, ImageRule, MAX_ACCESS, MAX_CLASS_DEVICES, MAX_CLASS_GUESTS,
    MAX_CLASSES, MAX_KEYS, MAX_RULES, Policy, PolicyError, PolicyPlace, PolicyWrong, Request, Scope, SigningKey,
};
pub use quota::{QuotaValue, StoreQuota};
pub use store::{
    BackendClass, MAX_RECOVERY_MIB, MAX_STORE_ACCESS, MAX_STORE_PATH, Role, StoreAccess, StoreRight, StoreSettings,
};

/// The most images that a manifest may have.
pub const MAX_IMAGES: usize = 1024;
/// The most domains that a manifest may have.
pub const MAX_DOMAINS: usize = 1024;

/// A host: its settings, the images in its bundle, its domains, its policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// What is true of the host as a whole.
    pub host: Host,
    /// The images, in the order in which they stand in the bundle.
    pub images: Vec<Image>,
    /// The domains, in the order in which they start where no dependency says otherwise.
    pub domains: Vec<Domain>,
    /// What domains may ask for at run time.
    pub policy: Policy,
}

impl Manifest {
    /// The image of this name.
    #[must_use]
    pub fn image(&self, name: &str) -> Option<&Image> {
        self.images.iter().find(|image| image.name == name)
    }

    /// The domain that is the store, as an index into [`Manifest::domains`]; the first one of several.
    #[must_use]
    pub fn store(&self) -> Option<usize> {
        self.domains.iter().position(|domain| domain.has(Role::Store))
    }

    /// The names of the domains that must be up before this one: those that it names itself, and the store.
    pub fn needs(&self, index: usize) -> impl Iterator<Item = &str> {
        self.needs_with(index, self.store())
    }

    /// [`Manifest::needs`], for whoever knows which domain is the store.
    pub(crate) fn needs_with(&self, index: usize, store: Option<usize>) -> impl Iterator<Item = &str> {
        let domain = self.domains.get(index).filter(|domain| !domain.has(Role::Store));
        let own = domain.map_or(&[][..], |domain| domain.needs.as_slice());
        let store = domain
            .and(store)
            .and_then(|store| self.domains.get(store))
            .filter(|store| !own.contains(&store.name));
        own.iter()
            .map(alloc::string::String::as_str)
            .chain(store.map(|store| store.name.as_str()))
    }
}
