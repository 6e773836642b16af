//! What a domain is to the store, and what the store grants it.

use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Serialize};

/// The most entries of [`crate::Domain::store_access`].
pub const MAX_STORE_ACCESS: usize = 64;
/// The most bytes of [`StoreAccess::path`]: a relative path's length in the store's protocol (`XENSTORE_REL_PATH_MAX`
/// of public/io/xs_wire.h).
pub const MAX_STORE_PATH: usize = 2048;
/// The largest recovery box of the store in MiB.
pub const MAX_RECOVERY_MIB: u16 = 256;

/// What a domain does for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Role {
    /// It is the store. At most one domain, of type pv, that needs nothing; every other domain needs it.
    Store,
    /// It serves devices: those of [`crate::Domain::serves`].
    Driver,
    /// It looks after others, as far as [`crate::Domain::store_access`] lets it.
    Management,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 3] = [Self::Store, Self::Driver, Self::Management];

    /// The name in a manifest.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Driver => "driver",
            Self::Management => "management",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

/// A kind of devices, by the name of its backends' directory in the store (Xen's tools/libs/light,
/// `libxl__device_kind`; public/io/*.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum BackendClass {
    /// Disks.
    Vbd,
    /// Disks served by QEMU; their frontends are those of [`BackendClass::Vbd`].
    Qdisk,
    /// Network interfaces.
    Vif,
    /// Shared directories.
    P9fs,
    /// Framebuffers.
    Vfb,
    /// Keyboards and pointers.
    Vkbd,
    /// Displays.
    Vdispl,
    /// Sound cards.
    Vsnd,
    /// Sockets.
    Pvcalls,
    /// SCSI hosts.
    Vscsi,
    /// USB controllers.
    Vusb,
    /// USB controllers served by QEMU; their frontends are those of [`BackendClass::Vusb`].
    Qusb,
    /// PCI devices.
    Pci,
    /// Consoles.
    Console,
    /// TPMs.
    Vtpm,
}

impl BackendClass {
    /// Every class.
    pub const ALL: [Self; 15] = [
        Self::Vbd,
        Self::Qdisk,
        Self::Vif,
        Self::P9fs,
        Self::Vfb,
        Self::Vkbd,
        Self::Vdispl,
        Self::Vsnd,
        Self::Pvcalls,
        Self::Vscsi,
        Self::Vusb,
        Self::Qusb,
        Self::Pci,
        Self::Console,
        Self::Vtpm,
    ];

    /// The name in a manifest, and of the backends' directory in the store.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vbd => "vbd",
            Self::Qdisk => "qdisk",
            Self::Vif => "vif",
            Self::P9fs => "9pfs",
            Self::Vfb => "vfb",
            Self::Vkbd => "vkbd",
            Self::Vdispl => "vdispl",
            Self::Vsnd => "vsnd",
            Self::Pvcalls => "pvcalls",
            Self::Vscsi => "vscsi",
            Self::Vusb => "vusb",
            Self::Qusb => "qusb",
            Self::Pci => "pci",
            Self::Console => "console",
            Self::Vtpm => "vtpm",
        }
    }

    /// The name of the frontends' directory in the store.
    #[must_use]
    pub const fn frontend(self) -> &'static str {
        match self {
            Self::Qdisk => Self::Vbd.name(),
            Self::Qusb => Self::Vusb.name(),
            _ => self.name(),
        }
    }
}

impl fmt::Display for BackendClass {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

/// What the manifest lets a domain do in the store beyond what every domain of its roles may.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreAccess {
    /// The name of the domain in whose home `path` begins.
    pub of: Option<String>,
    /// The nodes: names between slashes, `*` for any one name, at the end `**` for the node before it and all below.
    /// Without `of` it begins with a slash, or is `@introduceDomain` or `@releaseDomain`. At most [`MAX_STORE_PATH`] bytes.
    pub path: String,
    /// What may be done with them.
    pub access: StoreRight,
}

/// What may be done with nodes of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum StoreRight {
    /// Reading.
    Read,
    /// Reading and writing.
    Write,
}

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
/// `XENSTORE_ABS_PATH_MAX` of public/io/xs_wire.h). The other limits keep a slip of the pen from being a store without bounds.
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

/// The host's settings for the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreSettings {
    /// The size in MiB of the memory in which the builder keeps what the store needs after a crash; 0 for none, at most
    /// [`MAX_RECOVERY_MIB`].
    pub recovery_mib: u16,
    /// Quotas of the domains that give none themselves.
    pub quota: StoreQuota,
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self {
            recovery_mib: 8,
            quota: StoreQuota::default(),
        }
    }
}

/// Names that are no nodes, but can be watched.
const SPECIAL: [&str; 2] = ["@introduceDomain", "@releaseDomain"];
/// The trees in which only the builder writes.
const BUILDERS: [&str; 4] = ["local", "tool", "vm", "libxl"];

/// Whether `path` is one that [`StoreAccess::path`] describes.
///
/// Names are those of the store: letters, digits, `-`, `_` and `@`. A number in place of a domain's is refused: Xen gives
/// numbers as domains come, so that a fixed one means another domain after the next start.
pub(crate) fn is_path(path: &str, relative: bool) -> bool {
    let name = |part: &str| {
        part == "*"
            || !part.is_empty()
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'@'))
    };
    if !relative && SPECIAL.contains(&path) {
        return true;
    }
    let names = if relative {
        Some(path)
    } else {
        path.strip_prefix('/')
            .filter(|path| !path.strip_prefix("local/domain/").is_some_and(begins_with_number))
    };
    path.len() <= MAX_STORE_PATH
        && names
            .map(|names| names.strip_suffix("/**").unwrap_or(names))
            .is_some_and(|names| names == "**" || names.split('/').all(name))
}

/// Whether `path`, which has no domain that it is of, cannot be given to anybody to write: it lies in a tree of the builder
/// and in no home, or is no node.
pub(crate) fn is_builders(path: &str) -> bool {
    let names = path.strip_prefix('/').unwrap_or(path);
    let root = names.split('/').next().unwrap_or_default();
    SPECIAL.contains(&path) || BUILDERS.contains(&root) && !names.starts_with("local/domain/")
}

/// Whether the first part is a domain's number other than 0.
fn begins_with_number(path: &str) -> bool {
    let first = path.split('/').next().unwrap_or_default();
    first != "0" && !first.is_empty() && first.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        for path in [
            "/",
            "",
            "local/domain/*/data",
            "/local//domain",
            "/local/domain/",
            "/local/**/data",
            "/a*",
            "/***",
            "/a b",
            "/ä",
            "/local/domain/7/data",
            &["/", &"x".repeat(MAX_STORE_PATH)].concat(),
        ] {
            assert!(!is_path(path, false), "{path}");
        }
        for path in [
            "/local/domain/*/data",
            "/local/domain/0/backend/**",
            "/**",
            "/*/x",
            "/tool/**",
            "@releaseDomain",
        ] {
            assert!(is_path(path, false), "{path}");
        }
        assert!(!is_path("@releaseDomain/7", false));
        for path in [
            "/tool",
            "/vm/**",
            "/libxl/*/x",
            "/local/domain",
            "/local/**",
            "@introduceDomain",
        ] {
            assert!(is_builders(path), "{path}");
        }
        for path in [
            "/",
            "/**",
            "/*",
            "/local/domain/**",
            "/local/domain/*/control",
            "/own/**",
        ] {
            assert!(!is_builders(path), "{path}");
        }
        for path in ["data", "data/**", "**", "*/x", "device/vif/0", "7"] {
            assert!(is_path(path, true), "{path}");
        }
        for path in ["", "/data", "data/", "**/x", "/**"] {
            assert!(!is_path(path, true), "{path}");
        }
    }

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

    #[test]
    fn every_class_has_its_own_name() {
        for (index, class) in BackendClass::ALL.iter().enumerate() {
            let same = BackendClass::ALL.iter().filter(|other| other.name() == class.name());
            assert_eq!(same.count(), 1);
            assert_eq!(*class as usize, index);
        }
        assert_eq!(BackendClass::Qdisk.frontend(), "vbd");
        assert_eq!(BackendClass::P9fs.frontend(), "9pfs");
    }
}
