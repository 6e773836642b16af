//! The LZ4 legacy frame, which Linux's build makes with `lz4 -l`: lz4's doc/lz4_Frame_format.md, "Legacy frame".
//!
//! A magic number, then blocks: a 32-bit little-endian length and that many bytes of one LZ4 block, each of which
//! unpacks on its own to at most 8 MiB. The frame has no end mark and no check sum.

/// The magic number 0x184C2102 as it stands in the file.
pub(super) const MAGIC: [u8; 4] = [0x02, 0x21, 0x4c, 0x18];
/// The most that one block unpacks to.
const BLOCK: usize = 8 << 20;

/// Unpacks `frame`, stopping once more than `limit` bytes came out.
pub(super) fn unpack(frame: &[u8], limit: usize) -> Result<Vec<u8>, String> {
    let mut rest = frame.strip_prefix(&MAGIC).ok_or("no magic number")?;
    let mut unpacked = Vec::new();
    let mut block = Vec::new();
    while !rest.is_empty() && unpacked.len() <= limit {
        let at = frame.len() - rest.len();
        let (length, after) = rest
            .split_first_chunk()
            .ok_or_else(|| format!("cut short at byte {at}"))?;
        rest = after;
        if *length == MAGIC {
            // Frames may follow one another.
            continue;
        }
        let length = u32::from_le_bytes(*length);
        let (packed, after) = usize::try_from(length)
            .ok()
            .and_then(|length| rest.split_at_checked(length))
            .ok_or_else(|| format!("block of {length} bytes at byte {at}: only {} are left", rest.len()))?;
        rest = after;
        block.resize(BLOCK, 0);
        let size = lz4_flex::block::decompress_into(packed, &mut block)
            .map_err(|error| format!("block of {length} bytes at byte {at}: {error}"))?;
        block.truncate(size);
        unpacked.extend_from_slice(&block);
    }
    Ok(unpacked)
}
