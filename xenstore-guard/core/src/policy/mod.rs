//! Who may do what, decided before the permissions that owners give.

use alloc::string::String;

use xen::DomId;

use crate::Path;

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subject<'a> {
    /// The domain.
    pub domid: DomId,
    /// Its name in the manifest, where it was told.
    pub name: Option<&'a str>,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A value, a list of children, permissions, events.
    Read,
    /// A value; making and removing a node.
    Write,
    /// New permissions.
    Permissions,
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Permissions decide.
    Allow,
    /// Refused by the rule of this name.
    Deny(&'static str),
}

/// The answer with its reasons, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Whether the operation would be done.
    pub allowed: bool,
    /// Why, in words.
    pub reason: String,
}

/// A policy.
#[derive(Debug, Clone, Default)]
pub struct Policy {}

impl Policy {
    /// Stock xenstored's: permissions alone decide.
    #[must_use]
    pub const fn stock() -> Self {
        Self {}
    }

    /// Decides.
    #[must_use]
    pub fn decide(&self, _subject: &Subject<'_>, _kind: Kind, _path: &Path<'_>) -> Decision {
        Decision::Allow
    }
}
