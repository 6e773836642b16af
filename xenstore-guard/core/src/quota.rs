//! How much of everything a domain may have. Privileged connections have no quotas but the hard limits of the protocol.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use manifest::{Manifest, StoreQuota};
use xen::DomId;

macro_rules! quotas {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $default:expr;)*) => {
        /// What is counted.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Quota {
            $($(#[$doc])* $name,)*
        }

        impl Quota {
            /// Every quota.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The name in GET_QUOTA, SET_QUOTA and logs: C xenstored's where it has one.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// The value where nobody set one: C xenstored's where it has one.
            #[must_use]
            pub const fn default_value(self) -> u32 {
                match self {
                    $(Self::$name => $default,)*
                }
            }
        }
    };
}

quotas! {
    /// Nodes owned.
    Nodes = "nodes", 1000;
    /// Bytes that the store keeps for a domain: nodes owned, watches, transactions, answers and events not sent.
    Memory = "memory", 2 * 1024 * 1024 + 512 * 1024;
    /// Watches set.
    Watches = "watches", 128;
    /// Transactions open.
    Transactions = "transactions", 10;
    /// Operations in one transaction.
    TransactionOperations = "transaction-nodes", 1024;
    /// Answers not sent; beyond it no request is taken.
    Outstanding = "outstanding", 20;
    /// Events not sent; beyond it they are lost.
    Events = "events", 4096;
    /// Entries of one node's permissions.
    NodePermissions = "node-permissions", 5;
    /// Bytes of a path, behind `/local/domain/N/`.
    PathLength = "path-max", 2048;
    /// Bytes of a node's value and permissions.
    NodeSize = "node-size", 2048;
}

impl Quota {
    /// The quota of a name; `permissions` is docs/misc/xenstore.txt's name of `node-permissions`.
    #[must_use]
    pub fn from_name(name: &[u8]) -> Option<Self> {
        if name == b"permissions" {
            return Some(Self::NodePermissions);
        }
        Self::ALL.iter().copied().find(|quota| quota.name().as_bytes() == name)
    }
}

/// A value for every quota; 0 stands for none at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits([u32; Quota::ALL.len()]);

impl Default for Limits {
    fn default() -> Self {
        let mut limits = Self([0; Quota::ALL.len()]);
        for &quota in Quota::ALL {
            limits.set(quota, quota.default_value());
        }
        limits
    }
}

impl Limits {
    /// The value of a quota.
    #[must_use]
    pub fn get(&self, quota: Quota) -> u32 {
        self.0.get(quota as usize).copied().unwrap_or_default()
    }

    /// Sets it.
    pub fn set(&mut self, quota: Quota, value: u32) {
        if let Some(slot) = self.0.get_mut(quota as usize) {
            *slot = value;
        }
    }
}

/// The quotas of a server at its start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Quotas {
    /// Of domains that have none of their own.
    pub defaults: Limits,
    /// Of single domains. They hold for every domain of that number.
    pub of_domain: BTreeMap<DomId, Vec<(Quota, u32)>>,
}

impl Quotas {
    /// Those of a host manifest. What it gives a single domain holds for a number from when it is assigned the domain's name.
    #[must_use]
    pub fn from_manifest(manifest: &Manifest) -> Self {
        let mut quotas = Self::default();
        for (quota, value) in given(&manifest.host.store.quota) {
            quotas.defaults.set(quota, value);
        }
        quotas
    }
}

/// What a manifest gives.
pub(crate) fn given(quota: &StoreQuota) -> impl Iterator<Item = (Quota, u32)> {
    [
        (Quota::Nodes, quota.nodes),
        (Quota::Memory, quota.bytes),
        (Quota::Watches, quota.watches),
        (Quota::Transactions, quota.transactions),
        (Quota::TransactionOperations, quota.operations),
        (Quota::NodePermissions, quota.permissions),
        (Quota::PathLength, quota.path),
        (Quota::NodeSize, quota.node_size),
        (Quota::Outstanding, quota.outstanding),
        (Quota::Events, quota.events),
    ]
    .into_iter()
    .filter_map(|(quota, value)| Some((quota, value?)))
}
