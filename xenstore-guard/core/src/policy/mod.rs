//! Who may do what, decided before the permissions that owners give.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use core::fmt;

use xen::DomId;
use xen::store::{Operation, Permission};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A value, names of children, permissions; to be told of changes.
    Read,
    /// Making a node, or giving it a value.
    Write,
    /// Removing a node and all below it.
    Remove,
    /// Giving a node new permissions.
    Permissions,
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may be done, as far as the policy is concerned.
    pub allowed: bool,
    /// Whether the permissions have no say.
    pub granted: bool,
    /// The name of the rule that decided.
    pub rule: &'static str,
}

/// A decision and how it came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// What was asked.
    pub question: String,
    /// The decision.
    pub decision: Decision,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}\nallowed, if the node's permissions allow it: rule stock",
            self.question
        )
    }
}

/// A policy.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    names: BTreeMap<DomId, Box<str>>,
}

impl Policy {
    /// Stock xenstored's: permissions alone decide.
    #[must_use]
    pub const fn stock() -> Self {
        Self { names: BTreeMap::new() }
    }

    /// Says which domain of the manifest a domid is from now on.
    pub fn assign(&mut self, domid: DomId, name: &str) {
        self.names.insert(domid, name.into());
    }

    /// Forgets a domid: its domain is released.
    pub fn forget(&mut self, domid: DomId) {
        self.names.remove(&domid);
    }

    /// Says for which domain another may act (SET_TARGET).
    pub fn set_target(&mut self, _domid: DomId, _target: DomId) {}

    /// The name that a domid was assigned.
    #[must_use]
    pub fn name_of(&self, domid: DomId) -> Option<&str> {
        self.names.get(&domid).map(|name| &**name)
    }

    /// Decides about an operation of this kind on a node, or on the special name of a watch.
    #[must_use]
    pub fn decide(&self, _domid: DomId, _kind: Kind, _path: &str) -> Decision {
        Decision {
            allowed: true,
            granted: false,
            rule: "stock",
        }
    }

    /// Decides about new permissions of a node.
    #[must_use]
    pub fn decide_permissions(&self, domid: DomId, path: &str, _permissions: &[Permission]) -> Decision {
        self.decide(domid, Kind::Permissions, path)
    }

    /// [`Policy::decide`] with the reasons.
    #[must_use]
    pub fn explain(&self, domid: DomId, operation: Operation, path: &str) -> Explanation {
        Explanation {
            question: format!("domain {domid}: {} {path}", operation.name()),
            decision: self.decide(domid, Kind::Read, path),
        }
    }
}
