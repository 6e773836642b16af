//! The compressed payload of a bzImage: which compression it is, and its decoder.
//!
//! Linux's build (scripts/Makefile.lib) puts the unpacked size, 32 bits little-endian, after the compressed kernel;
//! gzip has that field itself, as its last four bytes.

use std::fmt;
use std::io::Read;

use lzma_rust2::{LzmaReader, XzReader};
use ruzstd::decoding::StreamingDecoder;

use super::{Error, lz4_legacy};

/// Length of the size at the payload's end.
const SIZE_FIELD: usize = 4;
/// The most memory that the XZ and LZMA decoders may use for their dictionary, in KiB. Linux's build uses 128 MiB
/// for XZ.
const LZMA_MEMORY_KIB: u32 = 512 << 10;
/// The largest zstd window taken, in bytes. Linux's build uses 128 MiB (`zstd -22 --ultra`).
const ZSTD_WINDOW: u64 = 512 << 20;

/// A compression of a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// `CONFIG_KERNEL_GZIP`: RFC 1952.
    Gzip,
    /// `CONFIG_KERNEL_XZ`: LZMA2 behind the x86 branch filter (BCJ).
    Xz,
    /// `CONFIG_KERNEL_LZMA`: the older "LZMA alone" file.
    Lzma,
    /// `CONFIG_KERNEL_LZ4`: the legacy frame.
    Lz4,
    /// `CONFIG_KERNEL_ZSTD`: RFC 8878.
    Zstd,
}

impl fmt::Display for Compression {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Gzip => "gzip",
            Self::Xz => "XZ",
            Self::Lzma => "LZMA",
            Self::Lz4 => "LZ4",
            Self::Zstd => "zstd",
        })
    }
}

impl Compression {
    /// The compression that `payload` begins with the magic number of.
    pub(super) fn of(payload: &[u8]) -> Result<Self, Error> {
        const KNOWN: [(&[u8], Compression); 5] = [
            (&[0x1f, 0x8b], Compression::Gzip),
            (b"\xfd7zXZ\0", Compression::Xz),
            (&lz4_legacy::MAGIC, Compression::Lz4),
            (&[0x28, 0xb5, 0x2f, 0xfd], Compression::Zstd),
            // LZMA has no magic number. Its properties byte is 0x5d wherever the defaults were used, and the
            // dictionary sizes that tools offer have zeros in their low bytes.
            (&[0x5d, 0, 0], Compression::Lzma),
        ];
        const UNSUPPORTED: [(&[u8], &str); 3] = [
            (b"BZh", "bzip2"),
            (b"\x89LZO", "LZO"),
            (&[0x04, 0x22, 0x4d, 0x18], "LZ4 (current frame)"),
        ];
        if let Some((_, compression)) = KNOWN.iter().find(|(magic, _)| payload.starts_with(magic)) {
            return Ok(*compression);
        }
        if let Some((_, name)) = UNSUPPORTED.iter().find(|(magic, _)| payload.starts_with(magic)) {
            return Err(Error::Unsupported { name });
        }
        Err(Error::Unknown {
            magic: payload.iter().copied().take(6).collect(),
        })
    }

    /// Unpacks `payload` to exactly the size that it declares, which may be at most `limit` bytes.
    pub(super) fn unpack(self, payload: &[u8], limit: usize) -> Result<Vec<u8>, Error> {
        let (before, declared) = payload.split_last_chunk::<SIZE_FIELD>().ok_or(Error::PayloadTooShort {
            compression: self,
            size: payload.len(),
        })?;
        let declared = u32::from_le_bytes(*declared);
        let size = usize::try_from(declared)
            .ok()
            .filter(|size| *size <= limit)
            .ok_or(Error::TooLarge { declared, limit })?;
        let damaged = |reason: String| Error::Damaged {
            compression: self,
            reason,
        };
        let unpacked = match self {
            Self::Gzip => read_bounded(flate2::read::GzDecoder::new(payload), size),
            Self::Xz => read_bounded(XzReader::new_mem_limit(before, false, LZMA_MEMORY_KIB), size),
            Self::Lzma => LzmaReader::new_mem_limit(before, LZMA_MEMORY_KIB, None)
                .map_err(|error| error.to_string())
                .and_then(|reader| read_bounded(reader, size)),
            Self::Lz4 => lz4_legacy::unpack(before, size),
            Self::Zstd => unpack_zstd(before, size),
        }
        .map_err(damaged)?;
        if unpacked.len() != size {
            let more = unpacked.len() > size;
            return Err(Error::Size {
                compression: self,
                unpacked: unpacked.len(),
                more,
                declared,
            });
        }
        Ok(unpacked)
    }
}

/// Unpacks one zstd frame and compares its check sum, if it has one.
fn unpack_zstd(frame: &[u8], size: usize) -> Result<Vec<u8>, String> {
    let mut reader =
        StreamingDecoder::new_with_max_window_size(frame, ZSTD_WINDOW).map_err(|error| error.to_string())?;
    let unpacked = read_bounded(&mut reader, size)?;
    let decoder = reader.into_frame_decoder();
    if let (Some(written), Some(computed)) = (decoder.get_checksum_from_data(), decoder.get_calculated_checksum())
        && written != computed
    {
        return Err(format!("check sum {computed:08x}, {written:08x} declared"));
    }
    Ok(unpacked)
}

/// Reads to the end, or one byte further than `size`: enough for the caller to see that there is more.
fn read_bounded(reader: impl Read, size: usize) -> Result<Vec<u8>, String> {
    let mut unpacked = Vec::new();
    let bound = u64::try_from(size).unwrap_or(u64::MAX).saturating_add(1);
    reader
        .take(bound)
        .read_to_end(&mut unpacked)
        .map_err(|error| error.to_string())?;
    Ok(unpacked)
}
