//! Page tables of a paravirtual domain: Xen checks and makes every change.
//!
//! [`Window`] is the stretch of this domain's address space in which frames of others appear. The runtime builds the
//! tables under it and installs it once; [`ForeignPages`] are the runs of it in use.

use alloc::vec;
use alloc::vec::Vec;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};

use xen_sys as sys;

use crate::hypervisor::Mapping;
use crate::{DomId, Error, PAGE_SIZE, Result, hypercall};

/// Bits of a page-table entry.
pub mod pte {
    /// Valid.
    pub const PRESENT: u64 = 1;
    /// Writable.
    pub const WRITE: u64 = 1 << 1;
    /// Read or written before.
    pub const ACCESSED: u64 = 1 << 5;
    /// Written before.
    pub const DIRTY: u64 = 1 << 6;
    /// Not executable.
    pub const NO_EXECUTE: u64 = 1 << 63;
}

/// Updates sent to Xen at once.
const BATCH: usize = 256;
/// Flush this address on this processor (`UVMF_INVLPG | UVMF_LOCAL`; their definitions cast, so bindgen skips them).
const UVMF_INVLPG_LOCAL: usize = 2;
const FOREIGN_PTE: u64 = pte::PRESENT | pte::WRITE | pte::ACCESSED | pte::DIRTY | pte::NO_EXECUTE;

/// Sets page-table entries, each given as machine address and new value; `owner` is whose frames the values name.
///
/// # Errors
/// [`Error::Refused`] at the first that Xen refuses; `done` tells how many were made before.
///
/// # Safety
/// The entries must be of tables of this domain, and no change may take away or alias memory that Rust uses.
pub unsafe fn update(requests: &[sys::mmu_update], owner: DomId, done: &mut usize) -> Result<()> {
    *done = 0;
    for batch in requests.chunks(BATCH) {
        let mut count = 0u32;
        // SAFETY: Xen reads the batch and writes one count; both outlive the call.
        let answer = unsafe {
            hypercall::call(
                "mmu_update",
                sys::__HYPERVISOR_mmu_update,
                [
                    batch.as_ptr() as usize,
                    batch.len(),
                    &raw mut count as usize,
                    usize::from(owner.0),
                    0,
                ],
            )
        };
        *done += count as usize;
        answer?;
    }
    Ok(())
}

/// Sets the entry that maps `address` in this domain's own tables.
///
/// # Errors
/// Xen refuses: no table there, or the entry is not valid.
///
/// # Safety
/// As [`update`].
pub unsafe fn update_va_mapping(address: usize, entry: u64) -> Result<()> {
    // SAFETY: plain numbers; the caller vouches for what the change means.
    unsafe {
        hypercall::call(
            "update_va_mapping",
            sys::__HYPERVISOR_update_va_mapping,
            [address, usize::try_from(entry).unwrap_or(0), UVMF_INVLPG_LOCAL, 0, 0],
        )?;
    }
    Ok(())
}

/// One `mmuext_op` with a frame number as its argument, on behalf of `domid`.
///
/// # Errors
/// Xen refuses: the table is not valid.
///
/// # Safety
/// A new base pointer must map all that this domain uses.
pub unsafe fn extended(operation: &'static str, command: u32, frame: u64, domid: DomId) -> Result<()> {
    let mut argument = sys::mmuext_op {
        cmd: command,
        ..Default::default()
    };
    argument.arg1.mfn = frame;
    // SAFETY: Xen reads one mmuext_op, which outlives the call.
    unsafe {
        hypercall::call(
            operation,
            sys::__HYPERVISOR_mmuext_op,
            [&raw const argument as usize, 1, 0, usize::from(domid.0), 0],
        )?;
    }
    Ok(())
}

/// Forgets what the processor remembers of this domain's page tables.
fn flush_local() -> Result<()> {
    // SAFETY: takes no argument and only costs time.
    unsafe { extended("MMUEXT_TLB_FLUSH_LOCAL", sys::MMUEXT_TLB_FLUSH_LOCAL, 0, DomId::SELF) }
}

/// Whose numbering a frame is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameOf {
    /// The domain's own: guest frames of a translated domain, machine frames of a PV one.
    Domain,
    /// The machine, for a translated domain too (`MMU_PT_UPDATE_NO_TRANSLATE`).
    Machine,
}

struct Window {
    base: usize,
    /// Machine address of each L1 table, in order.
    tables: Vec<u64>,
    /// A page of the window is in use.
    used: Vec<bool>,
    /// Where the last search ended.
    next: usize,
}

struct Shared {
    window: UnsafeCell<Option<Window>>,
    busy: AtomicBool,
}

// SAFETY: `with_window` lets one caller in at a time.
unsafe impl Sync for Shared {}

static WINDOW: Shared = Shared {
    window: UnsafeCell::new(None),
    busy: AtomicBool::new(false),
};

fn with_window<T>(action: impl FnOnce(&mut Window) -> Result<T>) -> Result<T> {
    if WINDOW.busy.swap(true, Ordering::Acquire) {
        return Err(Error::NoRoom {
            window: "foreign (in use)",
            pages: 0,
        });
    }
    // SAFETY: `busy` was clear, so nobody else holds a reference; it is cleared after the last use of this one.
    let window = unsafe { &mut *WINDOW.window.get() };
    let result = match window.as_mut() {
        Some(window) => action(window),
        None => Err(Error::NoRoom {
            window: "foreign (not installed)",
            pages: 0,
        }),
    };
    WINDOW.busy.store(false, Ordering::Release);
    result
}

/// Installs the window: `tables[i]` is the machine address of the L1 table that maps the 2 MiB at `base + i * 2 MiB`.
///
/// # Safety
/// The tables must be this domain's, in use at those addresses, and empty; nobody else may change them.
pub unsafe fn install_window(base: usize, tables: Vec<u64>) {
    let pages = tables.len() * (PAGE_SIZE / 8);
    while WINDOW.busy.swap(true, Ordering::Acquire) {}
    // SAFETY: `busy` keeps everyone else out.
    unsafe {
        *WINDOW.window.get() = Some(Window {
            base,
            tables,
            used: vec![false; pages],
            next: 0,
        });
    };
    WINDOW.busy.store(false, Ordering::Release);
}

impl Window {
    fn take(&mut self, pages: usize) -> Result<usize> {
        let search = |from: usize, to: usize| -> Option<usize> {
            let mut run = 0;
            for index in from..to {
                run = if self.used.get(index) == Some(&false) {
                    run + 1
                } else {
                    0
                };
                if run == pages {
                    return Some(index + 1 - pages);
                }
            }
            None
        };
        let total = self.used.len();
        let first = search(self.next, total)
            .or_else(|| search(0, total))
            .ok_or(Error::NoRoom {
                window: "foreign",
                pages,
            })?;
        if let Some(run) = self.used.get_mut(first..first + pages) {
            run.fill(true);
        }
        self.next = first + pages;
        Ok(first)
    }

    fn give_back(&mut self, first: usize, pages: usize) {
        if let Some(run) = self.used.get_mut(first..first + pages) {
            run.fill(false);
        }
        self.next = self.next.min(first);
    }

    fn entry_address(&self, page: usize) -> u64 {
        let per_table = PAGE_SIZE / 8;
        self.tables.get(page / per_table).copied().unwrap_or(0) + (page % per_table * 8) as u64
    }
}

/// One page of the window, for whoever enters a mapping there by other means than a page-table update.
#[derive(Debug)]
pub(crate) struct WindowPage {
    index: usize,
    address: usize,
}

impl WindowPage {
    pub(crate) fn take() -> Result<Self> {
        with_window(|window| {
            let index = window.take(1)?;
            Ok(Self {
                index,
                address: window.base + index * PAGE_SIZE,
            })
        })
    }

    pub(crate) fn address(&self) -> usize {
        self.address
    }
}

impl Drop for WindowPage {
    fn drop(&mut self) {
        // The window is busy only within a call of this module, never across one.
        let _ = with_window(|window| {
            window.give_back(self.index, 1);
            Ok(())
        });
    }
}

/// Frames of another domain in the window.
#[derive(Debug)]
pub struct ForeignPages {
    first: usize,
    base: usize,
    /// Pages of the window taken.
    room: usize,
    /// Pages of it that show something.
    shown: usize,
}

impl ForeignPages {
    /// Maps frames of `domid`, writable.
    ///
    /// # Errors
    /// No room in the window, or Xen refuses one of the frames: nothing is mapped then.
    pub fn map(domid: DomId, frames: &[u64], of: FrameOf) -> Result<Self> {
        if frames.is_empty() || domid >= DomId::SELF || domid == DomId::INITIAL {
            // Of its own memory a domain has references, which a mapping would alias.
            return Err(Error::OutOfRange {
                what: "domain of a foreign mapping",
                value: u64::from(domid.0),
            });
        }
        let (first, base) = with_window(|window| {
            let first = window.take(frames.len())?;
            Ok((first, window.base + first * PAGE_SIZE))
        })?;
        let mut pages = Self {
            first,
            base,
            room: frames.len(),
            shown: 0,
        };
        pages.show(domid, frames, of)?;
        Ok(pages)
    }

    /// Puts other frames in the place of those mapped now.
    ///
    /// # Errors
    /// More frames than this run has room for, or Xen refuses one: some may have been exchanged then.
    pub fn show(&mut self, domid: DomId, frames: &[u64], of: FrameOf) -> Result<()> {
        if frames.len() > self.room {
            return Err(Error::OutOfRange {
                what: "frames for a foreign mapping",
                value: frames.len() as u64,
            });
        }
        let command = match of {
            FrameOf::Domain => sys::MMU_NORMAL_PT_UPDATE,
            FrameOf::Machine => sys::MMU_PT_UPDATE_NO_TRANSLATE,
        };
        let mut requests: Vec<sys::mmu_update> = with_window(|window| {
            Ok(frames
                .iter()
                .enumerate()
                .map(|(index, &frame)| sys::mmu_update {
                    ptr: window.entry_address(self.first + index) | u64::from(command),
                    val: (frame << 12) | FOREIGN_PTE,
                })
                .collect())
        })?;
        let before = self.shown;
        let mut done = 0;
        // SAFETY: only entries of this run of the window change, and no reference into it exists.
        let answer = unsafe { update(&requests, domid, &mut done) };
        self.shown = before.max(done);
        answer?;
        if frames.len() < before {
            requests.clear();
            self.hide(frames.len())?;
        } else if before > 0 {
            flush_local()?;
        }
        Ok(())
    }

    /// Takes out the pages from `from` on.
    fn hide(&mut self, from: usize) -> Result<()> {
        let requests: Vec<sys::mmu_update> = with_window(|window| {
            Ok((from..self.shown)
                .map(|index| sys::mmu_update {
                    ptr: window.entry_address(self.first + index) | u64::from(sys::MMU_NORMAL_PT_UPDATE),
                    val: 0,
                })
                .collect())
        })?;
        let mut done = 0;
        // SAFETY: only entries of this run of the window change, and no reference into it exists.
        unsafe { update(&requests, DomId::SELF, &mut done)? };
        self.shown = from;
        flush_local()
    }

    fn check(&self, offset: usize, count: usize) -> Result<*mut u8> {
        match offset.checked_add(count) {
            Some(end) if end <= self.shown * PAGE_SIZE => Ok((self.base + offset) as *mut u8),
            _ => Err(Error::OutOfRange {
                what: "offset in a foreign mapping",
                value: offset as u64,
            }),
        }
    }

    /// The first mapped page as a page shared with its owner; none when nothing is shown.
    #[must_use]
    pub fn shared_page(&self) -> Option<crate::ring::SharedPage<'_>> {
        // SAFETY: the first page of the run is mapped for as long as `self` is borrowed.
        (self.shown > 0).then(|| unsafe { crate::ring::SharedPage::new(self.base as *mut u8) })
    }
}

impl Mapping for ForeignPages {
    fn len(&self) -> usize {
        self.shown * PAGE_SIZE
    }

    fn write(&mut self, offset: usize, bytes: &[u8]) -> Result<()> {
        let to = self.check(offset, bytes.len())?;
        // SAFETY: `check` keeps the range within mapped pages; they are no memory of this domain, so do not overlap.
        unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
        Ok(())
    }

    fn zero(&mut self, offset: usize, count: usize) -> Result<()> {
        let to = self.check(offset, count)?;
        // SAFETY: as in `write`.
        unsafe { core::ptr::write_bytes(to, 0, count) };
        Ok(())
    }

    fn read(&self, offset: usize, buffer: &mut [u8]) -> Result<()> {
        let from = self.check(offset, buffer.len())?;
        // SAFETY: as in `write`.
        unsafe { core::ptr::copy_nonoverlapping(from, buffer.as_mut_ptr(), buffer.len()) };
        Ok(())
    }
}

impl Drop for ForeignPages {
    fn drop(&mut self) {
        if self.hide(0).is_err() {
            // Xen refused to clear entries of our own table: the run stays out of use rather than be handed out while
            // it still shows a foreign page.
            return;
        }
        let _ = with_window(|window| {
            window.give_back(self.first, self.room);
            Ok(())
        });
    }
}
