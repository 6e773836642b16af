//! What a client can ask for.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use xen::grant_table::GrantedBytes;

use super::VERSION;
use super::entry::DeviceClass;
use super::frame;
use super::wire::{DecodeError, Reader, TooLong, Wire, choice, record};

choice! {
    /// A request. The number of the variant is the frame's kind.
    pub enum Request {
        /// What the host is.
        1 => HostInfo,
        /// The domains, as many as an answer holds, in the order of their numbers.
        2 => List {
            /// The first number to be told of.
            from: u16,
        },
        /// One domain, with its configuration and vCPUs.
        3 => Info {
            /// Which one.
            guest: Guest,
        },
        /// Build and start a domain. domb must hold the images.
        4 => Create {
            /// The canonical encoding of the domain's entry, as the manifest has it.
            configuration: Vec<u8>,
            /// The class of the policy that it is to be in; none for the first that it fits.
            class: Option<String>,
            /// Its kernel: the ELF file, unpacked.
            kernel: Image,
            /// Its ramdisk.
            ramdisk: Option<Image>,
            /// The devices that it starts with.
            devices: Vec<Device>,
            /// Leave it paused.
            paused: bool,
        },
        /// Whether domb holds an image, or wants it.
        5 => ImageOffer {
            /// The image.
            image: Image,
        },
        /// The next bytes of an image that domb wants. The pages may be used again after the answer.
        6 => ImageWindow {
            /// SHA-256 of the image.
            digest: [u8; 32],
            /// Where the bytes begin in the image: as many as were received before.
            offset: u64,
            /// The bytes, in their order.
            pieces: Vec<GrantedBytes>,
        },
        /// End a domain at once, and free what it has.
        7 => Destroy {
            /// Which one.
            guest: Guest,
        },
        /// Ask a domain to power off.
        8 => Shutdown {
            /// Which one.
            guest: Guest,
        },
        /// Ask a domain to reboot.
        9 => Reboot {
            /// Which one.
            guest: Guest,
        },
        /// Stop a domain's vCPUs.
        10 => Pause {
            /// Which one.
            guest: Guest,
        },
        /// Let them run again.
        11 => Unpause {
            /// Which one.
            guest: Guest,
        },
        /// Set the memory that a domain is to have.
        12 => MemorySet {
            /// Which one.
            guest: Guest,
            /// How much, in KiB.
            kib: u64,
        },
        /// Set how many vCPUs a domain is to have online.
        13 => VcpuSet {
            /// Which one.
            guest: Guest,
            /// How many.
            count: u16,
        },
        /// Give a domain a device.
        14 => DeviceAttach {
            /// Which one.
            guest: Guest,
            /// The device.
            device: Device,
        },
        /// Take a device away.
        15 => DeviceDetach {
            /// From which one.
            guest: Guest,
            /// What the device is.
            class: DeviceClass,
            /// Its number.
            number: u32,
            /// Do not wait for the domain to let go.
            force: bool,
        },
        /// The devices of a domain.
        16 => DeviceList {
            /// Which one.
            guest: Guest,
            /// Only these.
            class: Option<DeviceClass>,
        },
        /// Where a domain's console is to be had.
        17 => Console {
            /// Which one.
            guest: Guest,
            /// Take it from whoever in this domain has it.
            claim: bool,
        },
        /// The measurement log (TCG2 format), as much as an answer holds.
        18 => MeasurementLog {
            /// Only what was measured for this one.
            guest: Option<Guest>,
            /// The first byte.
            offset: u64,
        },
        /// What the policy would say to a request, and by which rule. Nothing is done.
        19 => PolicyExplain {
            /// The request.
            subject: Subject,
        },
        /// domb's own log, as many lines as an answer holds.
        20 => HostLog {
            /// The first line.
            sequence: u64,
        },
        /// The hypervisor's log.
        21 => XenLog {
            /// Where to begin: 0, or what the answer before said.
            index: u32,
            /// Forget what was read.
            clear: bool,
        },
        /// Give up another request of this connection. That one still gets its last answer.
        22 => Cancel {
            /// Its id.
            id: u32,
        },
        /// Start a domain of the manifest that does not run.
        23 => Start {
            /// Which one.
            guest: Guest,
        },
    }
}

choice! {
    /// Which domain.
    pub enum Guest {
        /// By number.
        0 => Id {
            /// The number.
            domid: u16,
        },
        /// By name.
        1 => Name {
            /// The name.
            name: String,
        },
        /// By UUID.
        2 => Uuid {
            /// The UUID, in the order of its text.
            uuid: [u8; 16],
        },
    }
}

record! {
    /// A file that a domain is made of.
    pub struct Image {
        /// Its SHA-256.
        pub digest: [u8; 32],
        /// Its size in bytes.
        pub size: u64,
        /// Ed25519 signatures of it, for a policy that asks for one.
        pub signatures: Vec<[u8; 64]>,
    }
}

record! {
    /// A device and how it is to be.
    pub struct Device {
        /// What it is.
        pub class: DeviceClass,
        /// The name of the domain that serves it.
        pub backend: String,
        /// How it is configured, in the encoding of its class.
        pub parameters: Vec<u8>,
    }
}

/// A request that the policy is asked about: any but [`Request::PolicyExplain`] and [`Request::Cancel`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject(Box<Request>);

impl Subject {
    /// One of a request; none when the policy has nothing to say to it.
    #[must_use]
    pub fn new(request: Request) -> Option<Self> {
        let allowed = !matches!(request, Request::PolicyExplain { .. } | Request::Cancel { .. });
        allowed.then(|| Self(Box::new(request)))
    }

    /// The request.
    #[must_use]
    pub fn request(&self) -> &Request {
        &self.0
    }
}

impl Wire for Subject {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
    }

    fn read(reader: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
        let number = u8::read(reader, field)?;
        if matches!(number, 19 | 22) {
            return reader.error(1, field, "another request than 19 or 22");
        }
        Request::read_fields(number.into(), 1, reader, field).map(|request| Self(Box::new(request)))
    }
}

impl Request {
    /// The frame of this request.
    ///
    /// # Errors
    /// [`TooLong`].
    pub fn frame(&self, id: u32) -> Result<Vec<u8>, TooLong> {
        let mut payload = Vec::new();
        self.write_fields(&mut payload);
        frame::frame(VERSION, self.number().into(), id, &payload)
    }

    /// Reads the payload of a frame of version [`VERSION`].
    ///
    /// # Errors
    /// [`DecodeError`]: an unknown kind, or bytes that are not the encoding of a request of this kind.
    pub fn decode(kind: u16, payload: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        let request = Self::read_fields(kind, 0, &mut reader, "kind")?;
        reader.finish()?;
        Ok(request)
    }
}
