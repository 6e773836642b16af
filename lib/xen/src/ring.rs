//! Pages shared with a domain that may be hostile: every field is read once, into a value of our own, and checked
//! before use. No reference to shared memory is ever formed.

#[cfg(not(loom))]
mod memory;
#[cfg(loom)]
#[path = "ring/model.rs"]
mod memory;

use core::sync::atomic::Ordering;

use crate::PAGE_SIZE;
#[cfg(loom)]
pub use memory::ModelPage;
use memory::{Memory, fence};

/// One page that another domain can change at any time.
#[derive(Debug, Clone, Copy)]
pub struct SharedPage<'a>(Memory<'a>);

impl SharedPage<'_> {
    /// Wraps a mapped page.
    ///
    /// # Safety
    /// `address` must be page-aligned and stay mapped, readable and writable, for the life of the result, and be reached
    /// in no other way than through such pages.
    #[must_use]
    pub unsafe fn new(address: *mut u8) -> Self {
        // SAFETY: the caller's promise.
        Self(unsafe { Memory::at(address) })
    }

    /// Reads a 32-bit field once, and nothing after it earlier.
    pub(crate) fn load(self, offset: usize) -> u32 {
        self.0.word(offset).load(Ordering::Acquire)
    }

    /// Writes a 32-bit field: after all that was written before, and so that what is read next is not older than what the
    /// other side had written when it missed this. Of two sides of which each writes its index, looks at the other's and
    /// goes to sleep, one sees that it must not.
    pub(crate) fn store(self, offset: usize, value: u32) {
        self.0.word(offset).store(value, Ordering::Release);
        fence(Ordering::SeqCst);
    }

    /// Reads a 16-bit field once, and nothing after it earlier.
    pub(crate) fn load_u16(self, offset: usize) -> u16 {
        self.0.half(offset).load(Ordering::Acquire)
    }

    /// Writes a 16-bit field, after all that was written before.
    pub(crate) fn store_u16(self, offset: usize, value: u16) {
        self.0.half(offset).store(value, Ordering::Release);
    }

    /// Reads a byte once, and nothing after it earlier.
    pub(crate) fn load_u8(self, offset: usize) -> u8 {
        self.0.octet(offset).load(Ordering::SeqCst)
    }

    /// Writes a byte, after all that was written before.
    pub(crate) fn store_u8(self, offset: usize, value: u8) {
        self.0.octet(offset).store(value, Ordering::SeqCst);
    }

    /// Sets bits of a byte, and lets nothing that follows be read earlier.
    pub(crate) fn set_bits(self, offset: usize, bits: u8) {
        self.0.octet(offset).fetch_or(bits, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    /// Clears bits of a byte after all that was written before; which of them were set.
    pub(crate) fn take_bits(self, offset: usize, bits: u8) -> u8 {
        fence(Ordering::SeqCst);
        self.0.octet(offset).fetch_and(!bits, Ordering::SeqCst) & bits
    }

    /// Writes a byte if it is `from` still; whether it was.
    pub(crate) fn replace_u8(self, offset: usize, from: u8, to: u8) -> bool {
        self.0
            .octet(offset)
            .compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
    }

    /// Copies bytes out of the page; false, and nothing copied, when they would end beyond it.
    #[must_use]
    pub fn read_bytes(self, offset: usize, buffer: &mut [u8]) -> bool {
        if !fits(offset, buffer.len()) {
            return false;
        }
        for (index, slot) in buffer.iter_mut().enumerate() {
            *slot = self.byte(offset + index);
        }
        true
    }

    /// Copies bytes into the page; false, and nothing copied, when they would end beyond it.
    #[must_use]
    pub fn write_bytes(self, offset: usize, bytes: &[u8]) -> bool {
        if !fits(offset, bytes.len()) {
            return false;
        }
        for (index, &byte) in bytes.iter().enumerate() {
            self.set_byte(offset + index, byte);
        }
        true
    }

    /// Writes a 64-bit field at a multiple of eight, after all that was written before; false when it lies elsewhere.
    #[must_use]
    pub fn publish(self, offset: usize, value: u64) -> bool {
        if !fits(offset, 8) || !offset.is_multiple_of(8) {
            return false;
        }
        self.0.long(offset).store(value, Ordering::Release);
        true
    }

    fn byte(self, offset: usize) -> u8 {
        self.0.byte(offset)
    }

    fn set_byte(self, offset: usize, value: u8) {
        self.0.set_byte(offset, value);
    }
}

/// Whether `count` bytes at `offset` lie within a page.
fn fits(offset: usize, count: usize) -> bool {
    offset.checked_add(count).is_some_and(|end| end <= PAGE_SIZE)
}

/// One direction of a ring of bytes within a page: `size` bytes (a power of two) at `data`, and two free-running
/// indices.
#[derive(Debug, Clone, Copy)]
pub struct ByteRing {
    /// Offset of the bytes.
    pub data: usize,
    /// Their number, a power of two.
    pub size: u32,
    /// Offset of the consumer's index.
    pub consumer: usize,
    /// Offset of the producer's index.
    pub producer: usize,
}

/// The console's ring as the guest writes it (public/io/console.h, `out`).
pub const CONSOLE_OUT: ByteRing = ByteRing {
    data: 1024,
    size: 2048,
    consumer: 3080,
    producer: 3084,
};
/// The console's ring as the guest reads it (public/io/console.h, `in`).
pub const CONSOLE_IN: ByteRing = ByteRing {
    data: 0,
    size: 1024,
    consumer: 3072,
    producer: 3076,
};

/// The other side's index cannot be: it claims more bytes than the ring holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("ring index: producer {producer:#x}, consumer {consumer:#x}, {size} bytes")]
pub struct BadIndex {
    /// The producer's index.
    pub producer: u32,
    /// The consumer's index.
    pub consumer: u32,
    /// Size of the ring.
    pub size: u32,
}

impl ByteRing {
    fn used(self, page: SharedPage<'_>) -> Result<(u32, u32, u32), BadIndex> {
        let consumer = page.load(self.consumer);
        let producer = page.load(self.producer);
        let used = producer.wrapping_sub(consumer);
        if used > self.size {
            return Err(BadIndex {
                producer,
                consumer,
                size: self.size,
            });
        }
        Ok((producer, consumer, used))
    }

    /// Takes what is there, up to `buffer.len()` bytes; their number.
    ///
    /// # Errors
    /// [`BadIndex`]: nothing was taken.
    pub fn read(self, page: SharedPage<'_>, buffer: &mut [u8]) -> Result<usize, BadIndex> {
        let (_, consumer, used) = self.used(page)?;
        let mut taken = 0u32;
        for slot in buffer.iter_mut().take(used as usize) {
            *slot = page.byte(self.data + (consumer.wrapping_add(taken) & (self.size - 1)) as usize);
            taken += 1;
        }
        if taken > 0 {
            page.store(self.consumer, consumer.wrapping_add(taken));
        }
        Ok(taken as usize)
    }

    /// Puts in what fits of `bytes`; their number.
    ///
    /// # Errors
    /// [`BadIndex`]: nothing was put in.
    pub fn write(self, page: SharedPage<'_>, bytes: &[u8]) -> Result<usize, BadIndex> {
        let (producer, _, used) = self.used(page)?;
        let mut put = 0u32;
        for &byte in bytes.iter().take((self.size - used) as usize) {
            page.set_byte(
                self.data + (producer.wrapping_add(put) & (self.size - 1)) as usize,
                byte,
            );
            put += 1;
        }
        if put > 0 {
            page.store(self.producer, producer.wrapping_add(put));
        }
        Ok(put as usize)
    }

    /// Copies what is there from `skip` bytes behind the first on, and leaves it there; the number of bytes.
    ///
    /// # Errors
    /// [`BadIndex`]: nothing was copied.
    pub fn peek(self, page: SharedPage<'_>, skip: usize, buffer: &mut [u8]) -> Result<usize, BadIndex> {
        let (_, consumer, used) = self.used(page)?;
        let skip = u32::try_from(skip).unwrap_or(u32::MAX).min(used);
        let mut seen = 0u32;
        for slot in buffer.iter_mut().take((used - skip) as usize) {
            let index = consumer.wrapping_add(skip).wrapping_add(seen);
            *slot = page.byte(self.data + (index & (self.size - 1)) as usize);
            seen += 1;
        }
        Ok(seen as usize)
    }

    /// Takes `count` bytes out unread.
    ///
    /// # Errors
    /// [`BadIndex`]: nothing was taken, as there are not so many.
    pub fn consume(self, page: SharedPage<'_>, count: usize) -> Result<(), BadIndex> {
        let (producer, consumer, used) = self.used(page)?;
        match u32::try_from(count) {
            Ok(count) if count <= used => {
                page.store(self.consumer, consumer.wrapping_add(count));
                Ok(())
            }
            _ => Err(BadIndex {
                producer,
                consumer,
                size: self.size,
            }),
        }
    }

    /// Bytes that fit now.
    ///
    /// # Errors
    /// [`BadIndex`].
    pub fn room(self, page: SharedPage<'_>) -> Result<usize, BadIndex> {
        let (_, _, used) = self.used(page)?;
        Ok((self.size - used) as usize)
    }

    /// The consumer's index: free-running, as the page has it.
    #[must_use]
    pub fn consumer_index(self, page: SharedPage<'_>) -> u32 {
        page.load(self.consumer)
    }

    /// The producer's index: free-running, as the page has it.
    #[must_use]
    pub fn producer_index(self, page: SharedPage<'_>) -> u32 {
        page.load(self.producer)
    }

    /// Sets the consumer's index.
    pub fn set_consumer_index(self, page: SharedPage<'_>, index: u32) {
        page.store(self.consumer, index);
    }

    /// Sets the producer's index.
    pub fn set_producer_index(self, page: SharedPage<'_>, index: u32) {
        page.store(self.producer, index);
    }

    /// Empties the ring and starts both indices over.
    pub fn clear(self, page: SharedPage<'_>) {
        page.store(self.consumer, 0);
        page.store(self.producer, 0);
    }

    /// Takes everything there is and forgets it, whatever the indices say: how to go on after [`BadIndex`].
    pub fn resynchronise(self, page: SharedPage<'_>) {
        page.store(self.consumer, page.load(self.producer));
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[repr(align(4096))]
    struct Page([u8; PAGE_SIZE]);

    fn page(bytes: &mut Page) -> SharedPage<'_> {
        // SAFETY: aligned, and borrowed for the life of the result.
        unsafe { SharedPage::new(bytes.0.as_mut_ptr()) }
    }

    #[test]
    fn the_offsets_are_those_of_the_header() {
        use core::mem::offset_of;
        use xen_sys::xencons_interface as ring;
        assert_eq!(CONSOLE_OUT.data, offset_of!(ring, out));
        assert_eq!(CONSOLE_OUT.consumer, offset_of!(ring, out_cons));
        assert_eq!(CONSOLE_OUT.producer, offset_of!(ring, out_prod));
        assert_eq!(CONSOLE_IN.data, offset_of!(ring, in_));
        assert_eq!(CONSOLE_IN.consumer, offset_of!(ring, in_cons));
        assert_eq!(CONSOLE_IN.producer, offset_of!(ring, in_prod));
    }

    #[test]
    fn bytes_come_out_as_they_went_in_over_many_turns() {
        let mut bytes = Page([0; PAGE_SIZE]);
        let page = page(&mut bytes);
        page.store(CONSOLE_OUT.producer, u32::MAX - 5);
        page.store(CONSOLE_OUT.consumer, u32::MAX - 5);
        for turn in 0..40u8 {
            let sent: [u8; 300] = core::array::from_fn(|i| turn.wrapping_add(i.to_le_bytes()[0]));
            assert_eq!(CONSOLE_OUT.write(page, &sent), Ok(300));
            let mut got = [0; 512];
            assert_eq!(CONSOLE_OUT.read(page, &mut got), Ok(300));
            assert_eq!(got[..300], sent);
        }
    }

    #[test]
    fn a_full_ring_takes_no_more() {
        let mut bytes = Page([0; PAGE_SIZE]);
        let page = page(&mut bytes);
        assert_eq!(CONSOLE_IN.write(page, &[7; 2000]), Ok(1024));
        assert_eq!(CONSOLE_IN.write(page, &[7; 2000]), Ok(0));
    }

    #[test]
    fn hostile_indices_are_refused_and_can_be_left_behind() {
        let mut bytes = Page([0; PAGE_SIZE]);
        let page = page(&mut bytes);
        for (producer, consumer) in [(2049, 0), (u32::MAX, 0), (0, 1), (1 << 31, 0), (5, 4000)] {
            page.store(CONSOLE_OUT.producer, producer);
            page.store(CONSOLE_OUT.consumer, consumer);
            let mut got = [0; 16];
            assert_eq!(
                CONSOLE_OUT.read(page, &mut got),
                Err(BadIndex {
                    producer,
                    consumer,
                    size: 2048
                })
            );
            assert!(CONSOLE_OUT.write(page, b"x").is_err());
            CONSOLE_OUT.resynchronise(page);
            assert_eq!(CONSOLE_OUT.read(page, &mut got), Ok(0));
        }
    }
}
