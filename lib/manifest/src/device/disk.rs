//! Disks.

use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Serialize};

use super::Vdev;
use crate::BackendClass;

/// The most disks of a domain.
pub const MAX_DISKS: usize = 64;
/// The most bytes of a disk's target.
pub const MAX_TARGET: usize = 1024;

/// A disk that another domain serves (Xen's public/io/blkif.h, xl-disk-configuration(5)).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// The name of the domain that serves it; `None` for the only one that serves disks of its class.
    pub backend: Option<String>,
    /// The block device or file in that domain: an absolute path of at most [`MAX_TARGET`] bytes.
    pub target: String,
    /// What is in the file.
    pub format: Format,
    /// What the disk is to the guest: no two disks of a domain are the same.
    pub vdev: Vdev,
    /// Who may write.
    pub access: Access,
    /// Whether it is a CD, which is read-only.
    pub cdrom: bool,
    /// The program that serves it, where that is not left to the domain.
    pub backend_type: Option<DiskBackend>,
    /// Whether the guest is offered to discard blocks.
    pub discard: bool,
    /// Whether the backend may pass pages of the guest to the storage below: not with network storage.
    pub direct_io_safe: bool,
    /// Whether the guest is told that it can trust the backend.
    pub trusted: bool,
}

impl Disk {
    /// The classes of backends that can serve it.
    #[must_use]
    pub const fn classes(&self) -> &'static [BackendClass] {
        match (self.backend_type, self.format) {
            (Some(DiskBackend::Phy), _) => &[BackendClass::Vbd],
            (None, Format::Raw) => &[BackendClass::Vbd, BackendClass::Qdisk],
            _ => &[BackendClass::Qdisk],
        }
    }
}

/// What is in a disk's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Format {
    /// The disk's blocks.
    #[default]
    Raw,
    /// QEMU's old format.
    Qcow,
    /// QEMU's format.
    Qcow2,
    /// Virtual Hard Disk.
    Vhd,
    /// QEMU's enhanced format.
    Qed,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 5] = [Self::Raw, Self::Qcow, Self::Qcow2, Self::Vhd, Self::Qed];

    /// The name in a manifest and in xl's configurations.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow => "qcow",
            Self::Qcow2 => "qcow2",
            Self::Vhd => "vhd",
            Self::Qed => "qed",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

/// Who may write to a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Access {
    /// Nobody.
    ReadOnly,
    /// The guest, and no other at the same time.
    #[default]
    ReadWrite,
    /// The guest, and others at the same time: the guests agree among themselves who writes what.
    Shared,
}

impl Access {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::ReadOnly, Self::ReadWrite, Self::Shared];

    /// The name in a manifest.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ReadOnly => "r",
            Self::ReadWrite => "rw",
            Self::Shared => "shared",
        }
    }
}

/// What serves a disk in the backend's domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DiskBackend {
    /// The kernel, from a block device: raw disks only.
    Phy,
    /// A program, from a file.
    Qdisk,
}

impl DiskBackend {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::Phy, Self::Qdisk];

    /// The name in a manifest and in xl's configurations.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Phy => "phy",
            Self::Qdisk => "qdisk",
        }
    }
}
