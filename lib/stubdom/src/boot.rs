//! From Xen's "start of day" (public/xen.h) to the image's main function.

use alloc::string::String;
use core::ops::Range;

use xen::event_channel::Port;
use xen::ring::SharedPage;
use xen::sched::{Shutdown, shutdown};
use xen::{PAGE_SIZE, hypercall, memory, mmu};
use xen_sys as sys;

use crate::executor::MainFuture;
use crate::{console, cpu, executor, heap, image, layout, lending, logger, page_tables, traps};

/// Memory of the first heap, in which the page tables' books are kept until all memory is mapped.
const EARLY_HEAP: usize = 64 << 10;
/// `machine_to_phys_mapping`: Xen's read-only table of the page of each machine frame (public/arch-x86/xen-x86_64.h).
const MACHINE_TO_PHYS: usize = 0xffff_8000_0000_0000;
/// The initial domain (`SIF_INITDOMAIN`).
const SIF_INITDOMAIN: u32 = 2;

/// How an image's main function ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The domain goes off. The initial domain takes the machine with it.
    Poweroff,
    /// The domain asks to be started again; for the initial domain, the machine.
    Reboot,
}

/// What an image finds when it starts.
#[derive(Debug)]
pub struct Domain {
    /// This is Xen's initial domain.
    pub initial: bool,
    /// The command line.
    pub command_line: String,
    /// The ramdisk; empty when there is none.
    pub ramdisk: &'static [u8],
    /// The store's ring; none for the initial domain, and where no store serves this domain.
    pub store: Option<StoreConnection>,
    /// Bytes of memory that this domain kept.
    pub memory: u64,
    /// Bytes of it that were given back to Xen.
    pub given_back: u64,
}

impl Domain {
    /// The value of `name=` on the command line; the last one where it stands more than once.
    #[must_use]
    pub fn option(&self, name: &str) -> Option<&str> {
        option(&self.command_line, name)
    }
}

fn option<'a>(command_line: &'a str, name: &str) -> Option<&'a str> {
    command_line
        .split_whitespace()
        .rev()
        .find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
}

/// The store's ring of this domain, as its `start_info` names it.
#[derive(Debug)]
pub struct StoreConnection {
    /// The ring; none in the store itself.
    pub(crate) ring: Option<SharedPage<'static>>,
    /// Port: of this domain where there is a ring; for the store itself, what its builder offers in domain 0.
    pub port: u32,
}

/// What Xen says at the start, in pages.
pub(crate) struct StartOfDay {
    /// Machine address of `shared_info`.
    pub(crate) shared_info: u64,
    /// Xen's first page tables.
    pub(crate) first_tables: Range<u64>,
    /// The ramdisk.
    pub(crate) ramdisk: Range<u64>,
    /// Machine frame of each page.
    frames: &'static [u64],
}

impl StartOfDay {
    /// The machine frame of a page.
    pub(crate) fn machine_frame(&self, page: u64) -> u64 {
        usize::try_from(page)
            .ok()
            .and_then(|page| self.frames.get(page))
            .copied()
            .expect("a page of this domain")
    }
}

unsafe extern "C" {
    fn stubdom_hypercall(op: usize, arguments: *const [usize; 5]) -> isize;
}

unsafe extern "Rust" {
    safe fn stubdom_image_memory() -> usize;
    safe fn stubdom_image_main(domain: Domain) -> MainFuture;
}

/// The first Rust code: `start_info` is what Xen left in RSI.
#[unsafe(no_mangle)]
unsafe extern "C" fn stubdom_start(start_info: *const sys::start_info) -> ! {
    // SAFETY: nothing ran before, so no static has changed.
    unsafe { image::keep_initial_data() };
    // SAFETY: the entry code makes the hypercall it is given.
    unsafe { hypercall::install(stubdom_hypercall) };
    traps::install();
    // SAFETY: Xen passes a start_info and keeps it in place.
    let info = unsafe { &*start_info };
    // SAFETY: the linker script keeps this page for it; Xen says which frame it is.
    unsafe {
        mmu::update_va_mapping(
            layout::shared_info(),
            info.shared_info | mmu::pte::PRESENT | mmu::pte::WRITE | mmu::pte::ACCESSED | mmu::pte::DIRTY,
        )
        .expect("Xen maps shared_info");
    }
    cpu::enable_vector_state();
    let domain = take_memory(info, start_info as usize);
    open_console(info, domain.initial);
    logger::start(domain.option("loglvl"));
    let exit = executor::run(stubdom_image_main(domain));
    loop {
        shutdown(match exit {
            Exit::Poweroff => Shutdown::Poweroff,
            Exit::Reboot => Shutdown::Reboot,
        });
    }
}

/// Maps the memory that this image wants, makes the heap of it and gives the rest back.
fn take_memory(info: &sys::start_info, start_info: usize) -> Domain {
    let pages = info.nr_pages;
    // SAFETY: Xen passes the frame list of all nr_pages pages; it stays in place, mapped.
    let frames = unsafe {
        core::slice::from_raw_parts(
            info.mfn_list as *const u64,
            usize::try_from(pages).expect("a 64-bit address space"),
        )
    };
    let first_tables = layout::pages(address(info.pt_base), address(info.pt_base)).start;
    let first_tables = first_tables..first_tables + info.nr_pt_frames;
    let ramdisk_pages = info.mod_len.div_ceil(PAGE_SIZE as u64);
    let ramdisk = if info.mod_len == 0 {
        0..0
    } else if info.flags & sys::SIF_MOD_START_PFN != 0 {
        info.mod_start..info.mod_start + ramdisk_pages
    } else {
        let first = info.mod_start / PAGE_SIZE as u64;
        first..first + ramdisk_pages
    };
    let frame_list = layout::pages(address(info.mfn_list), address(info.mfn_list) + frames.len() * 8);
    // Everything that Xen put at the start, but for a ramdisk somewhere else: up to its boot stack, one page.
    let boot_end = [
        first_tables.end + 1,
        frame_list.end,
        layout::pages(start_info, start_info + PAGE_SIZE).end,
        layout::pages(layout::image_start(), layout::image_end()).end,
        if ramdisk.start < first_tables.end {
            ramdisk.end
        } else {
            0
        },
    ]
    .into_iter()
    .max()
    .unwrap_or(pages);
    let day = StartOfDay {
        shared_info: info.shared_info,
        first_tables,
        ramdisk: ramdisk.clone(),
        frames,
    };

    // SAFETY: pages between boot_end and the end of Xen's padding (at least 512 KiB) are mapped and unused.
    unsafe {
        heap::add(
            address(boot_end) * PAGE_SIZE,
            address(boot_end) * PAGE_SIZE + EARLY_HEAP,
        );
    };
    let heap_start = boot_end + (EARLY_HEAP / PAGE_SIZE) as u64;

    let command_line = command_line(info);
    let wanted = option(&command_line, "memory")
        .and_then(megabytes)
        .unwrap_or_else(stubdom_image_memory);
    let wanted = (wanted / PAGE_SIZE) as u64;
    let kept = kept_pages(pages, boot_end, &ramdisk, wanted);
    let given_back = give_back(&day, kept..pages);
    let tables = page_tables::frames_needed(kept);
    let (heap_ranges, tables_first) =
        free_runs(boot_end, heap_start, &ramdisk, kept, tables).expect("memory for the page tables");
    // SAFETY: called once; the frames are neither part of what Xen left nor of the heap.
    unsafe { page_tables::install(&day, kept, tables_first) };
    for range in heap_ranges {
        if range.start < range.end {
            // SAFETY: mapped writable by the new tables, and nothing else is there.
            unsafe { heap::add(address(range.start) * PAGE_SIZE, address(range.end) * PAGE_SIZE) };
        }
    }
    let ramdisk: &'static [u8] = if info.mod_len == 0 {
        &[]
    } else {
        // SAFETY: the pages of the ramdisk are mapped read-only for good.
        unsafe { core::slice::from_raw_parts((address(ramdisk.start) * PAGE_SIZE) as *const u8, address(info.mod_len)) }
    };
    let initial = info.flags & SIF_INITDOMAIN != 0;
    lending::keep_frames(frames);
    Domain {
        initial,
        command_line,
        ramdisk,
        store: (!initial && info.store_evtchn != 0).then(|| StoreConnection {
            // SAFETY: Xen's builder made this page for the ring; it is this domain's, and nothing else uses it.
            ring: (info.store_mfn != 0).then(|| unsafe { own_page(info.store_mfn) }),
            port: info.store_evtchn,
        }),
        memory: kept * PAGE_SIZE as u64,
        given_back: given_back * PAGE_SIZE as u64,
    }
}

/// What is free of the pages from `heap_start` to `kept`, before and behind the ramdisk, once the page tables took the
/// end of the last run that has room for them; and the first page of the tables.
fn free_runs(
    boot_end: u64,
    heap_start: u64,
    ramdisk: &Range<u64>,
    kept: u64,
    tables: u64,
) -> Option<([Range<u64>; 2], u64)> {
    let (before_end, behind) = if ramdisk.start >= boot_end {
        (ramdisk.start, ramdisk.end..kept)
    } else {
        (kept, kept..kept)
    };
    let mut free = [heap_start..before_end, behind];
    let run = free
        .iter_mut()
        .rev()
        .find(|run| run.end.saturating_sub(run.start) >= tables)?;
    run.end -= tables;
    let first = run.end;
    Some((free, first))
}

/// How many pages, from the first on, this domain keeps so that `wanted` are free beside what Xen put there.
fn kept_pages(pages: u64, boot_end: u64, ramdisk: &Range<u64>, wanted: u64) -> u64 {
    let floor = if ramdisk.start >= boot_end {
        boot_end + (ramdisk.end - ramdisk.start)
    } else {
        boot_end
    };
    let with_tables = |kept: u64| kept + page_tables::frames_needed(kept);
    let kept = with_tables(floor + wanted);
    kept.max(ramdisk.end).min(pages)
}

/// Gives pages back to Xen; how many. They are cleared first: Xen scrubs neither what it gives its initial domain nor
/// what a living domain gives back, and the next domain must not find what a former one left.
fn give_back(day: &StartOfDay, range: Range<u64>) -> u64 {
    let scratch = layout::scratch_page();
    let writable = mmu::pte::PRESENT | mmu::pte::WRITE | mmu::pte::ACCESSED | mmu::pte::DIRTY | mmu::pte::NO_EXECUTE;
    let mut given = 0;
    let mut batch = [0u64; 256];
    let mut page = range.start;
    // Xen's first tables end somewhere; behind that nothing is mapped.
    let mut mapped = true;
    while page < range.end {
        let mut count = 0;
        for (slot, page) in batch.iter_mut().zip(page..range.end) {
            let frame = day.machine_frame(page);
            // SAFETY: the scratch page is the linker script's, used only here; nothing of Rust is in the frame.
            unsafe {
                mmu::update_va_mapping(scratch, (frame << 12) | writable).expect("Xen maps the scratch page");
                core::ptr::write_bytes(scratch as *mut u8, 0, PAGE_SIZE);
                mapped = mapped && mmu::update_va_mapping(address(page) * PAGE_SIZE, 0).is_ok();
            }
            *slot = frame;
            count += 1;
        }
        // SAFETY: as above. The last frame must not stay mapped.
        unsafe { mmu::update_va_mapping(scratch, 0).expect("Xen unmaps the scratch page") };
        if memory::decrease_reservation(batch.get_mut(..count).unwrap_or_default()).is_err() {
            break;
        }
        given += count as u64;
        page += count as u64;
    }
    given
}

fn open_console(info: &sys::start_info, initial: bool) {
    // SAFETY: both halves of the union are plain numbers; which one is meant depends on the flag.
    let (frame, port) = unsafe { (info.console.domU.mfn, info.console.domU.evtchn) };
    if initial || port == 0 {
        return;
    }
    // SAFETY: the page is this domain's, made for the ring by its builder, and used for nothing else.
    let page = unsafe { own_page(frame) };
    console::use_ring(page, Port::adopt(port));
}

/// A page of this domain, by machine frame.
///
/// # Safety
/// The frame must be this domain's, and nothing else may use the page.
unsafe fn own_page(frame: u64) -> SharedPage<'static> {
    // SAFETY: Xen maps machine_to_phys_mapping read-only for every PV domain, and the frame is this domain's.
    let page = unsafe { (MACHINE_TO_PHYS as *const u64).add(address(frame)).read() };
    // SAFETY: mapped writable for good; the caller vouches for the rest.
    unsafe { SharedPage::new((address(page) * PAGE_SIZE) as *mut u8) }
}

fn command_line(info: &sys::start_info) -> String {
    let bytes: alloc::vec::Vec<u8> = info
        .cmd_line
        .iter()
        .take_while(|&&byte| byte != 0)
        .map(|byte| byte.cast_unsigned())
        .collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn megabytes(text: &str) -> Option<usize> {
    text.strip_suffix('M')
        .unwrap_or(text)
        .parse::<usize>()
        .ok()?
        .checked_mul(1 << 20)
}

fn address(number: u64) -> usize {
    usize::try_from(number).expect("a 64-bit address space")
}
