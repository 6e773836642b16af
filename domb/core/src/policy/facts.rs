//! What is known about a request when it is decided.

use manifest::{BackendClass, Kind, Request, Scope};
use measure::Digest;
use measure::signature::SIGNATURE_SIZE;

/// How many signatures of one image are looked at.
pub const MAX_SIGNATURES: usize = 4;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub enum Asked<'a> {
    /// A new guest.
    Create(&'a NewGuest<'a>),
    /// Another amount of memory, in KiB.
    MemorySet(Subject<'a>, u64),
    /// Another number of vCPUs.
    VcpuSet(Subject<'a>, u16),
    /// One more device.
    DeviceAttach(Subject<'a>, Device<'a>),
    /// Something with nothing to compare. Of the manifest's domains also to start one.
    Plain(Request, Subject<'a>),
}

impl<'a> Asked<'a> {
    /// The request.
    #[must_use]
    pub const fn request(&self) -> Request {
        match self {
            Self::Create(_) => Request::Create,
            Self::MemorySet(..) => Request::MemorySet,
            Self::VcpuSet(..) => Request::VcpuSet,
            Self::DeviceAttach(..) => Request::DeviceAttach,
            Self::Plain(request, _) => *request,
        }
    }

    /// What it is about; a new guest, which is in no class yet, is the host's.
    #[must_use]
    pub const fn subject(&self) -> Subject<'a> {
        match self {
            Self::Create(_) => Subject::Host,
            Self::MemorySet(subject, _)
            | Self::VcpuSet(subject, _)
            | Self::DeviceAttach(subject, _)
            | Self::Plain(_, subject) => *subject,
        }
    }
}

/// What a request is about.
#[derive(Debug, Clone, Copy)]
pub enum Subject<'a> {
    /// The host as a whole.
    Host,
    /// The domain of this name in the manifest.
    Domain(&'a str),
    /// A guest that was created at run time.
    Guest(&'a Guest<'a>),
}

impl Subject<'_> {
    /// What access to it is access to.
    #[must_use]
    pub fn scope(&self) -> Scope {
        match self {
            Self::Host => Scope::Host,
            Self::Domain(name) => Scope::Domain((*name).into()),
            Self::Guest(guest) => Scope::Class(guest.class.into()),
        }
    }
}

/// A guest that is to be built.
#[derive(Debug, Clone, Copy)]
pub struct NewGuest<'a> {
    /// Its name.
    pub name: &'a str,
    /// The class that the request names.
    pub class: Option<&'a str>,
    /// How Xen is to run it.
    pub kind: Kind,
    /// Its kernel.
    pub kernel: ImageFacts<'a>,
    /// Its initial ramdisk.
    pub ramdisk: Option<ImageFacts<'a>>,
    /// Its command line, without the final NUL.
    pub command_line: &'a str,
    /// The most memory that it may ever have, in KiB: its `maxmem`.
    pub max_memory_kib: u64,
    /// The most vCPUs that it may ever have: its `maxvcpus`.
    pub max_vcpus: u16,
    /// The devices that it starts with.
    pub devices: &'a [Device<'a>],
}

/// An image that domb has copied.
#[derive(Debug, Clone, Copy)]
pub struct ImageFacts<'a> {
    /// The SHA-256 of the copy.
    pub sha256: Digest,
    /// The signatures that came with it; the first [`MAX_SIGNATURES`] are looked at.
    pub signatures: &'a [[u8; SIGNATURE_SIZE]],
}

/// A device.
#[derive(Debug, Clone, Copy)]
pub struct Device<'a> {
    /// What it is.
    pub class: BackendClass,
    /// The name of the domain that serves it.
    pub backend: &'a str,
}

/// A guest that exists.
#[derive(Debug, Clone, Copy)]
pub struct Guest<'a> {
    /// Its name.
    pub name: &'a str,
    /// The class that it was created in.
    pub class: &'a str,
    /// The most memory that it may ever have, in KiB.
    pub max_memory_kib: u64,
    /// The most vCPUs that it may ever have.
    pub max_vcpus: u16,
    /// How many devices it has.
    pub devices: u16,
}
