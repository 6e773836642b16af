//! The setup header of a bzImage: Linux's Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header".

use super::Error;

/// `setup_sects`: number of 512-byte sectors of the real-mode code after the first one. One byte.
const SETUP_SECTS: usize = 0x1f1;
/// `boot_flag`: 0xAA55. Two bytes.
const BOOT_FLAG: usize = 0x1fe;
/// `header`: "HdrS". Four bytes.
const HEADER_MAGIC: usize = 0x202;
/// `version` of the boot protocol: major number in the high byte. Two bytes.
const VERSION: usize = 0x206;
/// `payload_offset`: from the start of the protected-mode code. Four bytes. Since protocol 2.08.
const PAYLOAD_OFFSET: usize = 0x248;
/// `payload_length`: four bytes. Since protocol 2.08.
const PAYLOAD_LENGTH: usize = 0x24c;
/// Where the fields used here end.
const HEADER_END: usize = PAYLOAD_LENGTH + 4;
/// The first protocol version with a described payload.
const VERSION_WITH_PAYLOAD: u16 = 0x0208;
/// What a `setup_sects` of zero stands for.
const DEFAULT_SETUP_SECTS: u8 = 4;
/// Length of a sector in bytes.
const SECTOR: u64 = 512;

/// The compressed payload of `file`, or `None` when the file is no bzImage.
pub(super) fn payload(file: &[u8]) -> Result<Option<&[u8]>, Error> {
    if bytes_at(file, BOOT_FLAG) != Some([0x55, 0xaa]) || bytes_at(file, HEADER_MAGIC) != Some(*b"HdrS") {
        return Ok(None);
    }
    let cut = || Error::SetupHeader {
        length: file.len(),
        needed: HEADER_END,
    };
    let [sectors] = bytes_at(file, SETUP_SECTS).ok_or_else(cut)?;
    let version = bytes_at(file, VERSION).map(u16::from_le_bytes).ok_or_else(cut)?;
    if version < VERSION_WITH_PAYLOAD {
        return Err(Error::Protocol { version });
    }
    let offset = bytes_at(file, PAYLOAD_OFFSET).map(u32::from_le_bytes).ok_or_else(cut)?;
    let size = bytes_at(file, PAYLOAD_LENGTH).map(u32::from_le_bytes).ok_or_else(cut)?;
    let sectors = if sectors == 0 { DEFAULT_SETUP_SECTS } else { sectors };
    // At most 256 sectors and a 32-bit offset: no overflow in 64 bits.
    let start = (u64::from(sectors) + 1) * SECTOR + u64::from(offset);
    let end = start + u64::from(size);
    usize::try_from(start)
        .ok()
        .zip(usize::try_from(end).ok())
        .and_then(|(start, end)| file.get(start..end))
        .map(Some)
        .ok_or(Error::Payload {
            length: file.len(),
            offset: start,
            size,
        })
}

/// The `N` bytes at `offset`, if the file has them.
fn bytes_at<const N: usize>(file: &[u8], offset: usize) -> Option<[u8; N]> {
    file.get(offset..)?.first_chunk().copied()
}
