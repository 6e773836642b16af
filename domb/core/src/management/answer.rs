//! What domb answers.

use alloc::string::String;
use alloc::vec::Vec;

use super::VERSION;
use super::entry::{DeviceEntry, DomainEntry, HostReport, LogLine, VcpuEntry};
use super::frame;
use super::wire::{DecodeError, Reader, TooLong, choice};

choice! {
    /// An answer. The number of the variant is the frame's kind.
    pub enum Answer {
        /// The request is being worked on. Some may be left out.
        128 => Progress {
            /// At what: `copy`, `hash`, a step of building a domain.
            stage: String,
            /// How much of it is done.
            done: u64,
            /// How much there is; 0 where that is not known.
            total: u64,
        },
        /// It is done.
        129 => Done {
            /// With what result.
            result: Done,
        },
        /// The policy does not allow it. Nothing was done.
        130 => Refused {
            /// The rule that says so.
            rule: String,
            /// In words.
            text: String,
        },
        /// It could not be done. What was begun was taken back.
        131 => Failed {
            /// The step that failed.
            step: String,
            /// Why.
            text: String,
        },
        /// The request's payload is none of its kind, or the kind is not known.
        132 => Malformed {
            /// The field that is wrong.
            field: String,
            /// Where, from the payload's first byte.
            offset: u32,
            /// What would have been right there.
            expected: String,
        },
        /// It was given up, as the client asked. What was begun was taken back.
        133 => Cancelled,
    }
}

choice! {
    /// The result of a request: its number is the request's, or 0 where there is nothing to tell.
    pub enum Done {
        /// Nothing to tell.
        0 => Nothing,
        /// Of [`super::Request::HostInfo`].
        1 => HostInfo {
            /// The host.
            host: HostReport,
        },
        /// Of [`super::Request::List`].
        2 => List {
            /// The domains.
            domains: Vec<DomainEntry>,
            /// Where to go on; none at the end.
            next: Option<u16>,
        },
        /// Of [`super::Request::Info`].
        3 => Info {
            /// The domain.
            domain: DomainEntry,
            /// The canonical encoding of its entry.
            configuration: Vec<u8>,
            /// Its vCPUs.
            vcpus: Vec<VcpuEntry>,
        },
        /// Of [`super::Request::Create`].
        4 => Create {
            /// The new domain's number.
            domid: u16,
        },
        /// Of [`super::Request::ImageOffer`].
        5 => ImageOffer {
            /// Whether it is wanted.
            state: ImageState,
        },
        /// Of [`super::Request::ImageWindow`].
        6 => ImageWindow {
            /// Bytes of the image that domb has now.
            received: u64,
            /// All are there, and their digest is right.
            held: bool,
        },
        /// Of [`super::Request::DeviceAttach`].
        14 => DeviceAttach {
            /// The device's number.
            number: u32,
        },
        /// Of [`super::Request::DeviceList`].
        16 => DeviceList {
            /// The devices.
            devices: Vec<DeviceEntry>,
        },
        /// Of [`super::Request::Console`]. The ring is granted, and the port offered, to the domain that asked.
        17 => Console {
            /// The domain.
            domid: u16,
            /// Reference of the ring's page.
            reference: u32,
            /// Port to bind to.
            port: u32,
        },
        /// Of [`super::Request::MeasurementLog`].
        18 => MeasurementLog {
            /// Bytes of the whole log.
            total: u64,
            /// Bytes from the offset on; none at the end.
            bytes: Vec<u8>,
        },
        /// Of [`super::Request::PolicyExplain`].
        19 => PolicyExplain {
            /// Whether the policy allows it.
            allowed: bool,
            /// The rule that decides.
            rule: String,
            /// In words.
            text: String,
        },
        /// Of [`super::Request::HostLog`].
        20 => HostLog {
            /// The lines; the first has a higher number than was asked for where older ones are gone.
            lines: Vec<LogLine>,
            /// The number that the next line has or will have.
            next: u64,
        },
        /// Of [`super::Request::XenLog`].
        21 => XenLog {
            /// What is there; none at the end.
            text: Vec<u8>,
            /// Where to go on.
            next: u32,
        },
        /// Of [`super::Request::Cancel`].
        22 => Cancel {
            /// Whether a request of that id was under way.
            found: bool,
        },
    }
}

choice! {
    /// What domb has of an image.
    #[derive(Copy)]
    pub enum ImageState {
        /// All: nothing needs to be sent.
        0 => Held,
        /// Send the rest.
        1 => Wanted {
            /// Bytes that are there already: where to begin.
            received: u64,
            /// The most pieces that a window may have.
            max_pieces: u32,
        },
    }
}

impl Answer {
    /// Whether no other answer to the request follows.
    #[must_use]
    pub fn is_last(&self) -> bool {
        !matches!(self, Self::Progress { .. })
    }

    /// The frame of this answer to request `id`.
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
    /// [`DecodeError`]: an unknown kind, or bytes that are not the encoding of an answer of this kind.
    pub fn decode(kind: u16, payload: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        let answer = Self::read_fields(kind, 0, &mut reader, "kind")?;
        reader.finish()?;
        Ok(answer)
    }
}

impl From<DecodeError> for Answer {
    fn from(error: DecodeError) -> Self {
        Self::Malformed {
            field: error.field.into(),
            offset: u32::try_from(error.offset).unwrap_or(u32::MAX),
            expected: error.expected.into(),
        }
    }
}
