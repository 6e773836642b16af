//! The event types of the log.

use core::fmt;

/// A TCG_EVENTTYPE (Platform Firmware Profile, section 10.4.1, table "Events").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventType(pub u32);

impl EventType {
    /// Code of the platform's firmware, here the domain builder and what governs it. PCR 0.
    pub const POST_CODE: Self = Self(0x01);
    /// Says something about the log and extends no PCR.
    pub const NO_ACTION: Self = Self(0x03);
    /// The platform's configuration, here a domain's. PCR 1.
    pub const PLATFORM_CONFIG_FLAGS: Self = Self(0x0A);
    /// What a boot loader loads: command lines, kernels, RAM disks. PCR 8 and 9.
    pub const IPL: Self = Self(0x0D);

    /// The specification's name of a type that this crate writes.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::POST_CODE => Some("EV_POST_CODE"),
            Self::NO_ACTION => Some("EV_NO_ACTION"),
            Self::PLATFORM_CONFIG_FLAGS => Some("EV_PLATFORM_CONFIG_FLAGS"),
            Self::IPL => Some("EV_IPL"),
            Self(_) => None,
        }
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => write!(f, "{:#x}", self.0),
        }
    }
}
