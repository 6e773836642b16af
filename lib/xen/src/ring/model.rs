//! The memory behind a shared page in a model that loom explores: fields and bytes whose orderings it follows.
//!
//! A byte that one side may touch while the other writes it is an error, as the indices are there to keep the sides apart. A
//! field may be read as it was before, as far as the orderings allow that.

use alloc::collections::BTreeMap;
use core::ops::Range;

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64};

pub(super) use loom::sync::atomic::fence;

/// A page of a model: the fields and bytes that were named, all zero at first, and nothing else.
#[derive(Debug)]
pub struct ModelPage {
    words: BTreeMap<usize, AtomicU32>,
    bytes: BTreeMap<usize, UnsafeCell<u8>>,
}

// SAFETY: bytes are touched one at a time, and loom, which runs one thread at a time, ends a model in which two sides could
// touch the same one at once.
unsafe impl Sync for ModelPage {}

impl ModelPage {
    /// A page that has 32-bit fields at these offsets, and bytes in these ranges.
    #[must_use]
    pub fn new(words: &[(usize, u32)], bytes: &[Range<usize>]) -> Self {
        let words = words.iter().map(|&(offset, value)| (offset, AtomicU32::new(value)));
        let bytes = bytes.iter().cloned().flatten();
        Self {
            words: words.collect(),
            bytes: bytes.map(|offset| (offset, UnsafeCell::new(0))).collect(),
        }
    }

    /// The page, as either side has it.
    #[must_use]
    pub fn shared(&self) -> super::SharedPage<'_> {
        super::SharedPage(Memory(Some(self)))
    }

    /// A field, as its reader sees it.
    #[must_use]
    pub fn field(&self, offset: usize) -> u32 {
        self.shared().load(offset)
    }
}

/// A page of a model; none for one that lies at an address, which no model has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Memory<'a>(Option<&'a ModelPage>);

impl<'a> Memory<'a> {
    pub(super) unsafe fn at(_: *mut u8) -> Self {
        Self(None)
    }

    fn page(self) -> &'a ModelPage {
        self.0.expect("a page of the model")
    }

    pub(super) fn word(self, offset: usize) -> &'a AtomicU32 {
        self.page().words.get(&offset).expect("a field of the model")
    }

    pub(super) fn long(self, _: usize) -> &'a AtomicU64 {
        unreachable!("no model has such a field")
    }

    pub(super) fn half(self, _: usize) -> &'a AtomicU16 {
        unreachable!("no model has such a field")
    }

    pub(super) fn octet(self, _: usize) -> &'a AtomicU8 {
        unreachable!("no model has such a field")
    }

    pub(super) fn byte(self, offset: usize) -> u8 {
        // SAFETY: loom has just found that nobody writes it meanwhile.
        self.cell(offset).with(|byte| unsafe { *byte })
    }

    pub(super) fn set_byte(self, offset: usize, value: u8) {
        // SAFETY: loom has just found that nobody touches it meanwhile.
        self.cell(offset).with_mut(|byte| unsafe { *byte = value });
    }

    fn cell(self, offset: usize) -> &'a UnsafeCell<u8> {
        self.page().bytes.get(&offset).expect("a byte of the model")
    }
}
