//! Why a bzImage could not be unpacked.

use super::Compression;

/// Why a bzImage could not be unpacked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The boot protocol is older than 2.08, the first that says where the payload is.
    #[error("bzImage of boot protocol {}.{:02}: a payload is described from 2.08 (Linux 2.6.26) on", version >> 8, version & 0xff)]
    Protocol {
        /// The header's version field: the major number in the high byte.
        version: u16,
    },
    /// The file ends before its setup header does.
    #[error("bzImage cut short: {length} bytes, its setup header needs {needed}")]
    SetupHeader {
        /// Length of the file in bytes.
        length: usize,
        /// Bytes that the header reaches to.
        needed: usize,
    },
    /// The payload is not inside the file.
    #[error("bzImage cut short: {length} bytes, its payload is {size} bytes at offset {offset}")]
    Payload {
        /// Length of the file in bytes.
        length: usize,
        /// Where the payload begins, in bytes from the start of the file.
        offset: u64,
        /// Length of the payload in bytes.
        size: u32,
    },
    /// A compression that Linux knows and this tool does not.
    #[error("bzImage compressed with {name}: not supported; accepted: gzip, XZ, LZMA, LZ4 (legacy frame), zstd")]
    Unsupported {
        /// The compression's name.
        name: &'static str,
    },
    /// The payload begins with no known magic number.
    #[error(
        "bzImage payload begins with {magic:02x?}: no known compression; accepted: gzip, XZ, LZMA, LZ4 (legacy frame), zstd"
    )]
    Unknown {
        /// The payload's first bytes, at most six.
        magic: Vec<u8>,
    },
    /// The payload has no room for the size that its last four bytes declare.
    #[error("bzImage payload of {size} bytes is too short to be {compression}")]
    PayloadTooShort {
        /// How the payload is compressed.
        compression: Compression,
        /// Length of the payload in bytes.
        size: usize,
    },
    /// The payload says that it unpacks to more than is allowed.
    #[error("bzImage payload declares {declared} bytes unpacked: more than the {limit} that are allowed")]
    TooLarge {
        /// The size in the payload's last four bytes.
        declared: u32,
        /// The limit in bytes.
        limit: usize,
    },
    /// The decoder found the payload to be damaged.
    #[error("bzImage payload is damaged: {compression}: {reason}")]
    Damaged {
        /// How the payload is compressed.
        compression: Compression,
        /// What the decoder said.
        reason: String,
    },
    /// The payload unpacked to another size than it declares.
    #[error("bzImage payload is damaged: {compression}: unpacked to {unpacked} bytes{}, {declared} declared", if *more { " or more" } else { "" })]
    Size {
        /// How the payload is compressed.
        compression: Compression,
        /// Bytes that came out.
        unpacked: usize,
        /// Whether the decoder was stopped with more to come.
        more: bool,
        /// The size in the payload's last four bytes.
        declared: u32,
    },
    /// The payload is whole, and holds something else than an ELF file.
    #[error("bzImage payload ({compression}) holds no ELF file: it begins with {first:02x?}")]
    NotElf {
        /// How the payload was compressed.
        compression: Compression,
        /// The first bytes of what was unpacked, at most four.
        first: Vec<u8>,
    },
}
