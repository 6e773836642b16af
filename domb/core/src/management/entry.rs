//! What answers tell of the host, of domains and of their parts.

use alloc::string::String;
use alloc::vec::Vec;

use super::wire::{DecodeError, Reader, Wire, choice, record};

record! {
    /// The host.
    pub struct HostReport {
        /// Its name in the manifest.
        pub name: String,
        /// domb's own version.
        pub domb: String,
        /// Xen's version.
        pub xen: XenVersion,
        /// Xen's system time at the answer, in nanoseconds: how long the machine is up.
        pub system_time_ns: u64,
        /// Memory of the machine, in KiB.
        pub memory_kib: u64,
        /// Memory that Xen can still give to domains, in KiB.
        pub free_kib: u64,
        /// Physical CPUs.
        pub cpus: u32,
        /// Whether there is hardware virtualization, which PVH guests need.
        pub hvm: bool,
        /// Whether there is an IOMMU that is on.
        pub iommu: bool,
        /// SHA-256 of the manifest's canonical encoding.
        pub manifest: [u8; 32],
        /// The number of the domain that asks.
        pub asker: u16,
    }
}

record! {
    /// Version of the hypervisor.
    pub struct XenVersion {
        /// 4 in 4.17.5.
        pub major: u16,
        /// 17 in 4.17.5.
        pub minor: u16,
        /// `.5` in 4.17.5.
        pub extra: String,
    }
}

record! {
    /// A domain, as a list has it.
    pub struct DomainEntry {
        /// Its number.
        pub domid: u16,
        /// Its name.
        pub name: String,
        /// Its UUID, in the order of its text.
        pub uuid: [u8; 16],
        /// How Xen runs it.
        pub kind: GuestKind,
        /// What it is doing.
        pub state: StateFlags,
        /// Memory that it holds, in KiB.
        pub memory_kib: u64,
        /// The most that it may hold, in KiB.
        pub max_memory_kib: u64,
        /// vCPUs that are online.
        pub vcpus: u16,
        /// The most that it may bring up.
        pub max_vcpus: u16,
        /// CPU time that it used, in nanoseconds.
        pub cpu_time_ns: u64,
        /// Xen's system time at its start, in nanoseconds.
        pub started_ns: u64,
        /// The class of the policy that it was created under.
        pub class: Option<String>,
        /// How often it was built again since the host started.
        pub restarts: u32,
        /// How many of these were after crashes.
        pub crashes: u32,
    }
}

choice! {
    /// How Xen runs a domain.
    #[derive(Copy)]
    pub enum GuestKind {
        /// Paravirtualized.
        0 => Pv,
        /// In a hardware virtual machine without emulated devices.
        1 => Pvh,
    }
}

/// What a domain is doing: the letters of `xl list`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StateFlags(u8);

impl StateFlags {
    /// `r`: a vCPU runs at this moment.
    pub const RUNNING: Self = Self(1);
    /// `b`: every vCPU waits for an event.
    pub const BLOCKED: Self = Self(1 << 1);
    /// `p`: paused.
    pub const PAUSED: Self = Self(1 << 2);
    /// `s`: shut down.
    pub const SHUT_DOWN: Self = Self(1 << 3);
    /// `c`: crashed.
    pub const CRASHED: Self = Self(1 << 4);
    /// `d`: being destroyed.
    pub const DYING: Self = Self(1 << 5);
    const LETTERS: [(Self, char); 6] = [
        (Self::RUNNING, 'r'),
        (Self::BLOCKED, 'b'),
        (Self::PAUSED, 'p'),
        (Self::SHUT_DOWN, 's'),
        (Self::CRASHED, 'c'),
        (Self::DYING, 'd'),
    ];

    /// These and those of `other`.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` are set.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// `-b----`, as `xl list` shows it.
impl core::fmt::Display for StateFlags {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let text: String = Self::LETTERS
            .into_iter()
            .map(|(flag, letter)| if self.has(flag) { letter } else { '-' })
            .collect();
        f.pad(&text)
    }
}

impl Wire for StateFlags {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(self.0);
    }

    fn read(reader: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
        match u8::read(reader, field)? {
            bits @ 0..=0x3f => Ok(Self(bits)),
            _ => reader.error(1, field, "bits 0 to 5"),
        }
    }
}

record! {
    /// A vCPU.
    pub struct VcpuEntry {
        /// Its number.
        pub vcpu: u16,
        /// Whether it is online.
        pub online: bool,
        /// Whether it waits for an event.
        pub blocked: bool,
        /// Whether it runs at this moment.
        pub running: bool,
        /// The physical CPU that it runs on, or ran on last.
        pub cpu: u32,
        /// CPU time that it used, in nanoseconds.
        pub cpu_time_ns: u64,
        /// The physical CPUs that it may run on: a bit each, the lowest of the first byte for CPU 0.
        pub affinity: Vec<u8>,
    }
}

choice! {
    /// What a device is.
    #[derive(Copy)]
    pub enum DeviceClass {
        /// A disk.
        0 => Block,
        /// A network card.
        1 => Network,
        /// A PCI function that is passed through.
        2 => Pci,
    }
}

record! {
    /// A device of a domain.
    pub struct DeviceEntry {
        /// What it is.
        pub class: DeviceClass,
        /// Its number: `51712` for `xvda`, 0 for the first network card.
        pub number: u32,
        /// The domain that serves it.
        pub backend: u16,
        /// How far both ends are: `XenbusState` of public/io/xenbus.h, 4 for connected.
        pub state: u8,
        /// What it was configured with.
        pub parameters: Vec<u8>,
    }
}

record! {
    /// A line of domb's log.
    pub struct LogLine {
        /// Its number; they begin with 0 and have no gaps.
        pub sequence: u64,
        /// Xen's system time, in nanoseconds.
        pub system_time_ns: u64,
        /// 1 error, 2 warning, 3 information, 4 debugging, 5 tracing.
        pub level: u8,
        /// The text.
        pub text: String,
    }
}
