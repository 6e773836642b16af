//! Xen's error numbers and the error of this crate.

use core::fmt;

/// An error number of Xen (public/errno.h), positive.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Errno(pub u16);

impl Errno {
    /// `EPERM`: not allowed, as answered to an unprivileged domain.
    pub const EPERM: Self = Self(1);
    /// `ENOENT`.
    pub const ENOENT: Self = Self(2);
    /// `ESRCH`: no such domain.
    pub const ESRCH: Self = Self(3);
    /// `EAGAIN`.
    pub const EAGAIN: Self = Self(11);
    /// `ENOMEM`.
    pub const ENOMEM: Self = Self(12);
    /// `EACCES`: also the answer to an unknown version of `domctl` and `sysctl`.
    pub const EACCES: Self = Self(13);
    /// `EFAULT`.
    pub const EFAULT: Self = Self(14);
    /// `EBUSY`.
    pub const EBUSY: Self = Self(16);
    /// `EINVAL`.
    pub const EINVAL: Self = Self(22);
    /// `ENOSYS`.
    pub const ENOSYS: Self = Self(38);
    /// `ENOBUFS`.
    pub const ENOBUFS: Self = Self(105);
    /// `ERESTART`: to be called again.
    pub const ERESTART: Self = Self(85);

    /// The name in public/errno.h, where this crate knows it.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            1 => "EPERM",
            2 => "ENOENT",
            3 => "ESRCH",
            4 => "EINTR",
            5 => "EIO",
            6 => "ENXIO",
            7 => "E2BIG",
            8 => "ENOEXEC",
            9 => "EBADF",
            11 => "EAGAIN",
            12 => "ENOMEM",
            13 => "EACCES",
            14 => "EFAULT",
            16 => "EBUSY",
            17 => "EEXIST",
            18 => "EXDEV",
            19 => "ENODEV",
            22 => "EINVAL",
            28 => "ENOSPC",
            33 => "EDOM",
            34 => "ERANGE",
            36 => "ENAMETOOLONG",
            38 => "ENOSYS",
            61 => "ENODATA",
            75 => "EOVERFLOW",
            84 => "EILSEQ",
            85 => "ERESTART",
            95 => "EOPNOTSUPP",
            105 => "ENOBUFS",
            _ => return None,
        })
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "errno {}", self.0),
        }
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What can go wrong when Xen is asked for something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Xen refused.
    #[error("{operation}: {errno}")]
    Refused {
        /// The operation, by its name in Xen's headers.
        operation: &'static str,
        /// Xen's answer.
        errno: Errno,
    },
    /// Xen did only a part of what was asked, usually for want of memory.
    #[error("{operation}: only {done} of {wanted}")]
    Partly {
        /// The operation, by its name in Xen's headers.
        operation: &'static str,
        /// How many were done.
        done: usize,
        /// How many were asked for.
        wanted: usize,
    },
    /// The hypervisor speaks a version of an unstable interface that this build does not know.
    #[error("{interface} interface: Xen {xen} knows none of the versions {known}")]
    UnknownVersion {
        /// `domctl` or `sysctl`.
        interface: &'static str,
        /// Xen's own version, such as 4.17.
        xen: XenVersion,
        /// The versions that were tried.
        known: &'static str,
    },
    /// Outside what this crate can express: a range, a count or an address.
    #[error("{what}: {value:#x} is out of range")]
    OutOfRange {
        /// What was out of range.
        what: &'static str,
        /// The value.
        value: u64,
    },
    /// No room is left in a window of this domain's address space.
    #[error("{window} window: no room for {pages} pages")]
    NoRoom {
        /// Which window.
        window: &'static str,
        /// Pages wanted.
        pages: usize,
    },
}

/// Version of the running hypervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct XenVersion {
    /// 4 in 4.17.
    pub major: u16,
    /// 17 in 4.17.
    pub minor: u16,
}

impl fmt::Display for XenVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Result of this crate.
pub type Result<T> = core::result::Result<T, Error>;
