//! Frames: what is the same in every version, so that both ends of any two versions understand at least this.
//!
//! A frame is a header of 16 bytes and its payload: the magic `DOMB`, the version, the kind, the id of the request that
//! it is or answers, and the length of the payload, all little-endian. Version 0 is never the version of a request: its
//! frames are how a server says that it cannot read the client's.

use alloc::string::String;
use alloc::vec::Vec;

use super::wire::{DecodeError, Reader, TooLong, Wire};

/// The first bytes of every frame.
pub const MAGIC: [u8; 4] = *b"DOMB";
/// Bytes of a header.
pub const HEADER_BYTES: usize = 16;
/// The most bytes of a frame.
pub const MAX_FRAME: usize = 64 << 10;
/// The most bytes of a payload.
pub const MAX_PAYLOAD: usize = MAX_FRAME - HEADER_BYTES;
/// The version of the frames that never change.
pub const FIXED_VERSION: u16 = 0;
/// Of version 0: the server knows only the versions that the payload lists.
const UNKNOWN_VERSION: u16 = 0;
/// Of version 0: what came is no frame; the payload is text, and the connection ends.
const NO_FRAME: u16 = 1;

/// What stands before each payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The version that kind and payload are of.
    pub version: u16,
    /// What the payload is.
    pub kind: u16,
    /// The request's id, chosen by the client.
    pub id: u32,
    /// Bytes of the payload.
    pub length: usize,
}

/// Bytes that are no frame: where the next one would begin is not known either, so the connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadHeader {
    /// It begins with other bytes than [`MAGIC`].
    #[error("no frame: it begins with {0:02x?}; expected 44 4f 4d 42, `DOMB`")]
    Magic([u8; 4]),
    /// A payload longer than allowed.
    #[error("payload of {0} bytes; accepted: at most {MAX_PAYLOAD}")]
    Length(u32),
}

impl Header {
    /// Reads a header.
    ///
    /// # Errors
    /// [`BadHeader`].
    pub fn parse(bytes: &[u8; HEADER_BYTES]) -> Result<Self, BadHeader> {
        let [m0, m1, m2, m3, v0, v1, k0, k1, i0, i1, i2, i3, l0, l1, l2, l3] = *bytes;
        let magic = [m0, m1, m2, m3];
        if magic != MAGIC {
            return Err(BadHeader::Magic(magic));
        }
        let length = u32::from_le_bytes([l0, l1, l2, l3]);
        Ok(Self {
            version: u16::from_le_bytes([v0, v1]),
            kind: u16::from_le_bytes([k0, k1]),
            id: u32::from_le_bytes([i0, i1, i2, i3]),
            length: usize::try_from(length)
                .ok()
                .filter(|length| *length <= MAX_PAYLOAD)
                .ok_or(BadHeader::Length(length))?,
        })
    }
}

/// Makes a frame.
///
/// # Errors
/// [`TooLong`].
pub fn frame(version: u16, kind: u16, id: u32, payload: &[u8]) -> Result<Vec<u8>, TooLong> {
    let length = u32::try_from(payload.len())
        .ok()
        .filter(|_| payload.len() <= MAX_PAYLOAD)
        .ok_or(TooLong(payload.len()))?;
    let mut bytes = Vec::with_capacity(HEADER_BYTES + payload.len());
    bytes.extend(MAGIC);
    version.write(&mut bytes);
    kind.write(&mut bytes);
    id.write(&mut bytes);
    length.write(&mut bytes);
    bytes.extend_from_slice(payload);
    Ok(bytes)
}

/// An answer of version 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fixed {
    /// The request's version is not known; these are.
    UnknownVersion(Vec<u16>),
    /// What came is no frame, and why. The connection ends after this.
    NoFrame(String),
}

impl Fixed {
    /// The frame; its id is that of the request, 0 where there is none.
    ///
    /// # Errors
    /// [`TooLong`].
    pub fn frame(&self, id: u32) -> Result<Vec<u8>, TooLong> {
        let mut payload = Vec::new();
        let kind = match self {
            Self::UnknownVersion(versions) => {
                versions.iter().for_each(|version| version.write(&mut payload));
                UNKNOWN_VERSION
            }
            Self::NoFrame(text) => {
                payload.extend_from_slice(text.as_bytes());
                NO_FRAME
            }
        };
        frame(FIXED_VERSION, kind, id, &payload)
    }

    /// Reads the payload of a frame of version 0.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn decode(kind: u16, payload: &[u8]) -> Result<Self, DecodeError> {
        let bad = |field, offset, expected| DecodeError {
            field,
            offset,
            expected,
        };
        match kind {
            UNKNOWN_VERSION => {
                let mut reader = Reader::new(payload);
                let versions = (0..payload.len() / 2)
                    .map(|_| u16::read(&mut reader, "versions"))
                    .collect::<Result<_, _>>()?;
                reader.finish()?;
                Ok(Self::UnknownVersion(versions))
            }
            NO_FRAME => match core::str::from_utf8(payload) {
                Ok(text) => Ok(Self::NoFrame(text.into())),
                Err(error) => Err(bad("text", error.valid_up_to(), "UTF-8")),
            },
            _ => Err(bad("kind", 0, "one of 0 1")),
        }
    }
}
