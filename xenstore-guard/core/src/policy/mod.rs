//! Who may do what, decided before the permissions that owners give (docs/store-policy.md).
//!
//! The rules are made of the host manifest: whose home it is, the roles of the domain that asks, which classes of devices
//! it serves, and what `store-access` lets it do. The builder tells which domain of the manifest a domid is before it
//! introduces it ([`Policy::assign`]); a domid that it told nothing about is a guest like any other.
//!
//! Paths given here are absolute or special and were checked: names between single slashes, none at the end.

mod delegation;
mod explain;
mod judge;
mod place;
mod rule;
mod wiring;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use manifest::{BackendClass, Manifest, Role, StoreQuota};
use xen::DomId;
use xen::store::{Operation, Permission};

use delegation::Delegation;
pub use explain::{Explanation, Step};
use place::FIRST_RESERVED;
use rule::{Outcome, Rule, Trace};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A value, names of children, permissions; to be told of changes.
    Read,
    /// Making a node, or giving it a value.
    Write,
    /// Removing a node and all below it.
    Remove,
    /// Giving a node new permissions. [`Policy::decide_permissions`] looks at the permissions, too.
    Permissions,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Read, Self::Write, Self::Remove, Self::Permissions];

    /// What an operation does with the node that it names; none for operations that name none. WATCH reads: it is never
    /// refused itself, but its events are (XSA-115).
    #[must_use]
    pub const fn of(operation: Operation) -> Option<Self> {
        match operation {
            Operation::Read
            | Operation::Directory
            | Operation::DirectoryPart
            | Operation::GetPermissions
            | Operation::Watch => Some(Self::Read),
            Operation::Write | Operation::Mkdir => Some(Self::Write),
            Operation::Rm => Some(Self::Remove),
            Operation::SetPermissions => Some(Self::Permissions),
            _ => None,
        }
    }
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may be done, as far as the policy is concerned.
    pub allowed: bool,
    /// Whether the permissions have no say: the manifest lets the domain do it, whatever the node's owner says.
    pub granted: bool,
    /// The name of the rule that decided.
    pub rule: &'static str,
}

/// A policy, with what is known of the domains.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// None where permissions alone decide.
    rules: Option<Rules>,
    domains: BTreeMap<DomId, Known>,
}

/// What a manifest says, by the index of its domains.
#[derive(Debug, Clone, Default)]
struct Rules {
    domains: Vec<Rights>,
    /// The quotas of each, and last those of a domain that the manifest does not name.
    quotas: Vec<StoreQuota>,
}

/// What a domain may do beyond what every guest may.
#[derive(Debug, Clone, Default)]
struct Rights {
    name: String,
    management: bool,
    serves: Vec<BackendClass>,
    delegations: Vec<Delegation>,
}

/// Those of a domain that the manifest does not name.
static GUEST: Rights = Rights {
    name: String::new(),
    management: false,
    serves: Vec::new(),
    delegations: Vec::new(),
};

/// What is known of a domain.
#[derive(Debug, Clone, Default)]
struct Known {
    name: Option<Box<str>>,
    /// Which domain of the manifest it is.
    index: Option<usize>,
    /// The domain that it acts for.
    target: Option<DomId>,
}

impl Policy {
    /// Stock xenstored's: permissions alone decide.
    #[must_use]
    pub const fn stock() -> Self {
        Self {
            rules: None,
            domains: BTreeMap::new(),
        }
    }

    /// That of a host manifest. An entry of `store-access` that names a domain which does not exist lets nobody do anything.
    #[must_use]
    pub fn from_manifest(manifest: &Manifest) -> Self {
        let index_of = |name: &str| manifest.domains.iter().position(|domain| domain.name == name);
        let rights = |domain: &manifest::Domain| Rights {
            name: domain.name.clone(),
            management: domain.has(Role::Management),
            serves: if domain.has(Role::Driver) {
                domain.serves.clone()
            } else {
                Vec::new()
            },
            delegations: domain
                .store_access
                .iter()
                .filter_map(|access| match &access.of {
                    None => Some(Delegation::new(access, None)),
                    Some(name) => Some(Delegation::new(access, Some(index_of(name)?))),
                })
                .collect(),
        };
        let host = &manifest.host.store.quota;
        let quotas = manifest.domains.iter().map(|domain| domain.store_quota.or(host));
        let quotas = quotas.chain(core::iter::once(host.clone())).collect();
        Self {
            rules: Some(Rules {
                domains: manifest.domains.iter().map(rights).collect(),
                quotas,
            }),
            domains: BTreeMap::new(),
        }
    }

    /// Says which domain of the manifest a domid is from now on. A name that the manifest does not have is a guest's.
    pub fn assign(&mut self, domid: DomId, name: &str) {
        let rules = self.rules.as_ref();
        let index = rules.and_then(|rules| rules.domains.iter().position(|domain| domain.name == name));
        let known = self.domains.entry(domid).or_default();
        known.name = Some(name.into());
        known.index = index;
    }

    /// Forgets a domid: its domain is released.
    pub fn forget(&mut self, domid: DomId) {
        self.domains.remove(&domid);
        for known in self.domains.values_mut() {
            if known.target == Some(domid) {
                known.target = None;
            }
        }
    }

    /// Says for which domain another may act (SET_TARGET).
    pub fn set_target(&mut self, domid: DomId, target: DomId) {
        self.domains.entry(domid).or_default().target = Some(target);
    }

    /// The name that a domid was assigned.
    #[must_use]
    pub fn name_of(&self, domid: DomId) -> Option<&str> {
        self.domains.get(&domid)?.name.as_deref()
    }

    /// The quotas that the manifest gives a domid; none without a manifest. What is not given there is the store's default.
    #[must_use]
    pub fn quota_of(&self, domid: DomId) -> Option<&StoreQuota> {
        let rules = self.rules.as_ref()?;
        rules.quotas.get(self.index_of(domid).unwrap_or(rules.domains.len()))
    }

    /// Decides about an operation of this kind on a node, or on the special name of a watch.
    ///
    /// For WATCH the answer is about events: ask with the path that changed, [`Kind::Read`], before each.
    #[must_use]
    #[inline]
    pub fn decide(&self, domid: DomId, kind: Kind, path: &str) -> Decision {
        self.judge(domid, kind, path, &mut ())
    }

    /// Decides about an operation that names no node.
    #[must_use]
    pub fn decide_operation(&self, domid: DomId, operation: Operation) -> Decision {
        self.judge_operation(domid, operation, &mut ())
    }

    /// Decides about new permissions of a node: whether they may be set, and whether they let in nobody whom the policy
    /// keeps out of there.
    #[must_use]
    pub fn decide_permissions(&self, domid: DomId, path: &str, permissions: &[Permission]) -> Decision {
        let decision = self.decide(domid, Kind::Permissions, path);
        if !decision.allowed || self.rules.is_none() || domid == DomId::INITIAL {
            return decision;
        }
        let may = |domid, kind| self.decide(domid, kind, path).allowed;
        let admitted = permissions.iter().enumerate().all(|(index, entry)| {
            let access = entry.access;
            if !access.read && !access.write || index > 0 && entry.domid == domid {
                return true;
            }
            // The first entry is about all domains that no other one is about.
            let everyone = index == 0 || entry.domid.0 >= FIRST_RESERVED;
            !everyone
                && (!access.read || may(entry.domid, Kind::Read))
                && (!access.write || may(entry.domid, Kind::Write))
        });
        if admitted {
            decision
        } else {
            ().decided(Rule::Others, Outcome::Denied)
        }
    }

    fn rights(&self, domid: DomId) -> &Rights {
        self.domains
            .get(&domid)
            .and_then(|known| self.rules.as_ref()?.domains.get(known.index?))
            .unwrap_or(&GUEST)
    }

    /// Which domain of the manifest a domid is.
    fn index_of(&self, domid: DomId) -> Option<usize> {
        self.domains.get(&domid)?.index
    }

    fn target_of(&self, domid: DomId) -> Option<DomId> {
        self.domains.get(&domid)?.target
    }
}

impl Rights {
    /// Whether it serves backends of a class.
    fn serves(&self, class: &str) -> bool {
        self.serves.iter().any(|served| served.name() == class)
    }

    /// Whether it serves frontends of a class.
    fn serves_frontend(&self, class: &str) -> bool {
        self.serves.iter().any(|served| served.frontend() == class)
    }
}
