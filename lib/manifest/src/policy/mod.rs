//! What domains may ask domb for at run time: the policy.
//!
//! Whatever no entry here allows is denied. The types hold what the manifest says; `domb-core` decides by them.

mod access;
mod check;
mod class;
mod error;
mod image_rule;

#[cfg(test)]
mod tests;

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

pub use access::{Access, Request, Scope};
pub(crate) use check::errors;
pub use class::{CommandLineRule, GuestBox, GuestClass, MAX_CLASS_DEVICES, MAX_CLASS_GUESTS};
pub use error::{PolicyError, PolicyPlace, PolicyWrong};
pub use image_rule::ImageRule;
#[cfg(feature = "toml")]
pub(crate) use image_rule::NO_IMAGE;

/// The most keys that a manifest may have.
pub const MAX_KEYS: usize = 64;
/// The most classes of guests that a manifest may have.
pub const MAX_CLASSES: usize = 128;
/// The most entries of access that a manifest may have.
pub const MAX_ACCESS: usize = 1024;
/// The most items in one list of a class: kernels, ramdisks, command lines, backends.
pub const MAX_RULES: usize = 128;

/// Who may ask for what.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Policy {
    /// Who may sign images, at most [`MAX_KEYS`].
    pub keys: Vec<SigningKey>,
    /// The kinds of guests that may be asked for, at most [`MAX_CLASSES`]. A guest whose class nobody names is in the first
    /// one that it fits.
    pub classes: Vec<GuestClass>,
    /// Who may ask for what, at most [`MAX_ACCESS`].
    pub access: Vec<Access>,
}

/// Who may sign images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningKey {
    /// The name that classes refer to, unique among the keys: as a domain's name.
    pub name: String,
    /// The Ed25519 public key (RFC 8032, section 5.1.5).
    pub ed25519: [u8; 32],
}

impl Policy {
    /// The key of this name.
    #[must_use]
    pub fn key(&self, name: &str) -> Option<&SigningKey> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// The class of this name.
    #[must_use]
    pub fn class(&self, name: &str) -> Option<&GuestClass> {
        self.classes.iter().find(|class| class.name == name)
    }

    /// The entry, with its index, that lets `domain` ask for `request` within `scope`.
    #[must_use]
    pub fn allows(&self, domain: &str, request: Request, scope: &Scope) -> Option<(usize, &Access)> {
        self.access
            .iter()
            .enumerate()
            .find(|(_, access)| access.domain == domain && access.scope == *scope && access.may.contains(&request))
    }
}
