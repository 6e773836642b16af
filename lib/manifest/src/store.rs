//! What a domain is to the store, and what the store grants it.

use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::quota::StoreQuota;

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
    /// It looks after others, as far as [`crate::Domain::store_access`] lets it, and asks domb for what
    /// [`crate::Policy::access`] allows.
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
