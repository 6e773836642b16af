//! How much of everything the store grants a domain.

use serde::{Deserialize, Serialize};

/// What the store grants a domain at most. What is not given is the host's setting, or else the store's default.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StoreQuota {
    /// Nodes that it owns.
    pub nodes: Option<u32>,
    /// Bytes that its nodes take, with their paths and permissions.
    pub bytes: Option<u32>,
    /// Watches.
    pub watches: Option<u32>,
    /// Transactions that are open at a time.
    pub transactions: Option<u32>,
    /// Operations in one transaction.
    pub operations: Option<u32>,
    /// Entries in the permissions of one node.
    pub permissions: Option<u32>,
    /// Bytes of an absolute path.
    pub path: Option<u32>,
    /// Bytes of one node.
    pub node_size: Option<u32>,
    /// Answers that it did not read yet.
    pub outstanding: Option<u32>,
    /// Events that it did not read yet.
    pub events: Option<u32>,
}

/// One quota: its name in a manifest, its value, and which values are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaValue {
    /// The name.
    pub name: &'static str,
    /// The value, if one is given.
    pub value: Option<u32>,
    /// The smallest that is accepted.
    pub least: u32,
    /// The largest that is accepted.
    pub most: u32,
}

/// The store's protocol leaves a node 4096 bytes with its path, an absolute path 3072 (`XENSTORE_PAYLOAD_MAX`,
/// `XENSTORE_ABS_PATH_MAX` of public/io/xs_wire.h). The other
/// limits keep a slip of the pen from being a store without bounds. None is 0, which in the store's protocol stands for
/// no limit at all (docs/misc/xenstore.txt, SET_QUOTA).
const QUOTAS: [(&str, u32, u32); 10] = [
    ("nodes", 1, 1 << 20),
    ("bytes", 1, 1 << 30),
    ("watches", 1, 1 << 20),
    ("transactions", 1, 1 << 10),
    ("operations", 1, 1 << 20),
    ("permissions", 1, 256),
    ("path", 64, 3072),
    ("node-size", 1, 4096),
    ("outstanding", 1, 1 << 16),
    ("events", 1, 1 << 20),
];

impl StoreQuota {
    /// Every quota, in the order of the fields.
    #[must_use]
    pub fn values(&self) -> [QuotaValue; 10] {
        let mut copy = self.clone();
        let given = copy.fields().map(|field| *field);
        core::array::from_fn(|index| {
            let (name, least, most) = QUOTAS.get(index).copied().unwrap_or_default();
            QuotaValue {
                name,
                value: given.get(index).copied().flatten(),
                least,
                most,
            }
        })
    }

    /// These quotas, and those of `defaults` where none is given.
    #[must_use]
    pub fn or(&self, defaults: &Self) -> Self {
        let mut both = self.clone();
        let mut defaults = defaults.clone();
        for (field, default) in both.fields().into_iter().zip(defaults.fields()) {
            *field = field.or(*default);
        }
        both
    }

    /// The fields in the order of [`QUOTAS`].
    pub(crate) fn fields(&mut self) -> [&mut Option<u32>; 10] {
        [
            &mut self.nodes,
            &mut self.bytes,
            &mut self.watches,
            &mut self.transactions,
            &mut self.operations,
            &mut self.permissions,
            &mut self.path,
            &mut self.node_size,
            &mut self.outstanding,
            &mut self.events,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_quota_has_its_own_name_and_place() {
        let mut quota = StoreQuota::default();
        for (number, field) in (0..).zip(quota.fields()) {
            *field = Some(number);
        }
        let values = quota.values();
        assert_eq!(
            values.map(|value| value.value),
            core::array::from_fn(|index| u32::try_from(index).ok())
        );
        assert_eq!(values[7].name, "node-size");
        assert_eq!(quota.node_size, Some(7));
        let given = StoreQuota {
            nodes: Some(5),
            ..StoreQuota::default()
        };
        let expected = StoreQuota {
            nodes: Some(5),
            ..quota.clone()
        };
        assert_eq!(given.or(&quota), expected);
    }
}
