//! What the domain builder measures, one function for each record.
//!
//! The builder writes these records, the host tool and a verifier compute them from files: the same function on both
//! sides makes the same bytes. The event data of each is text that names what was hashed:
//!
//! | PCR | type | data | what is hashed |
//! |---|---|---|---|
//! | 0 | EV_POST_CODE | `domb` | the builder's memory image: from the lowest address of a loaded segment to the end of the highest one's file part, gaps zero |
//! | 0 | EV_POST_CODE | `domb command line` | its bytes without the NUL |
//! | 0 | EV_POST_CODE | `manifest` | the canonical encoding of the whole manifest |
//! | 1 | EV_PLATFORM_CONFIG_FLAGS | `<domain>: configuration` | the canonical encoding of the domain's part of the manifest |
//! | 8 | EV_IPL | `<domain>: command line` | its bytes without the NUL |
//! | 9 | EV_IPL | `<domain>: kernel` | the whole ELF file that is loaded, as the bundle holds it |
//! | 9 | EV_IPL | `<domain>: ramdisk` | the file |
//!
//! PCR 8 and 9 follow the conventions of measured Linux boot loaders.

use alloc::format;
use alloc::string::String;
use core::fmt;

use crate::digest::Digests;
use crate::event_type::EventType;

/// The PCR of the builder itself and of the manifest.
pub const PCR_BUILDER: u32 = 0;
/// The PCR of the domains' configurations.
pub const PCR_CONFIGURATION: u32 = 1;
/// The PCR of command lines.
pub const PCR_COMMAND_LINE: u32 = 8;
/// The PCR of kernels and RAM disks.
pub const PCR_KERNEL: u32 = 9;

/// One thing measured: what an event of the log holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The PCR that is extended.
    pub pcr: u32,
    /// The event's type.
    pub event_type: EventType,
    /// The digests, one per bank.
    pub digests: Digests,
    /// The event's data: text that names what was hashed.
    pub data: String,
}

impl Record {
    fn builder(data: &str, digests: &Digests) -> Self {
        Self {
            pcr: PCR_BUILDER,
            event_type: EventType::POST_CODE,
            digests: digests.clone(),
            data: String::from(data),
        }
    }

    fn domain(pcr: u32, event_type: EventType, domain: &str, what: &str, digests: &Digests) -> Self {
        Self {
            pcr,
            event_type,
            digests: digests.clone(),
            data: format!("{domain}: {what}"),
        }
    }
}

/// The builder's own memory image.
#[must_use]
pub fn domb(digests: &Digests) -> Record {
    Record::builder("domb", digests)
}

/// The builder's command line.
#[must_use]
pub fn domb_command_line(digests: &Digests) -> Record {
    Record::builder("domb command line", digests)
}

/// The canonical encoding of the whole manifest.
#[must_use]
pub fn manifest(digests: &Digests) -> Record {
    Record::builder("manifest", digests)
}

/// The canonical encoding of one domain's part of the manifest.
#[must_use]
pub fn configuration(domain: &str, digests: &Digests) -> Record {
    Record::domain(
        PCR_CONFIGURATION,
        EventType::PLATFORM_CONFIG_FLAGS,
        domain,
        "configuration",
        digests,
    )
}

/// A domain's command line.
#[must_use]
pub fn command_line(domain: &str, digests: &Digests) -> Record {
    Record::domain(PCR_COMMAND_LINE, EventType::IPL, domain, "command line", digests)
}

/// A domain's kernel.
#[must_use]
pub fn kernel(domain: &str, digests: &Digests) -> Record {
    Record::domain(PCR_KERNEL, EventType::IPL, domain, "kernel", digests)
}

/// A domain's RAM disk.
#[must_use]
pub fn ramdisk(domain: &str, digests: &Digests) -> Record {
    Record::domain(PCR_KERNEL, EventType::IPL, domain, "ramdisk", digests)
}

/// `PCR 9 web: kernel sha256:…`, as a log line shows it.
impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PCR {} {} {}", self.pcr, self.data, self.digests)
    }
}
