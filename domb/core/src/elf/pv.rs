//! A kernel as a PV guest: loaded by pseudo-physical address, entered in 64-bit mode with paging on.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::error::ElfError;
use super::features::Feature;
use super::note::{Notes, invalid};
use super::{Kernel, Segment};

/// Bytes in a page.
const PAGE: u64 = 4096;

/// What is loaded where, and where a PV guest begins (the comments on start of day in Xen's public header `xen.h`).
///
/// A virtual address is `virt_base` more than the pseudo-physical address: all of the initial mapping is linear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PvKernel<'a> {
    /// The virtual address of pseudo-physical address 0; a multiple of the page size.
    pub virt_base: u64,
    /// What was subtracted from `p_paddr` to get pseudo-physical addresses.
    pub paddr_offset: u64,
    /// The virtual address of the first instruction.
    pub entry: u64,
    /// The virtual address of the lowest segment.
    pub start: u64,
    /// The first virtual address behind the highest segment.
    pub end: u64,
    /// The virtual address of the page that Xen fills with hypercall stubs, wholly inside the kernel. Newer Linux
    /// kernels need none.
    pub hypercall_page: Option<u64>,
    /// Where the kernel wants its initial table from pseudo-physical to machine frames, outside of the kernel; with
    /// `None` it lies behind the RAM disk in the initial mapping.
    pub init_p2m: Option<u64>,
    /// The RAM disk need not be mapped: start_info gives its frame number then (SIF_MOD_START_PFN).
    pub mod_start_pfn: bool,
    /// In ascending order, without overlap, at least one.
    pub segments: Vec<PvSegment<'a>>,
}

/// A part of the file and its place in the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PvSegment<'a> {
    /// Virtual address in the initial mapping, bytes. Need not be at a page's start.
    pub virtual_address: u64,
    /// Pseudo-physical address, bytes.
    pub physical: u64,
    /// Bytes of memory; those beyond `data` are zero.
    pub memory_size: u64,
    /// The bytes from the file.
    pub data: &'a [u8],
}

impl PvSegment<'_> {
    fn end(&self) -> u64 {
        self.virtual_address.saturating_add(self.memory_size)
    }
}

impl<'a> PvKernel<'a> {
    pub(super) fn new(kernel: &Kernel<'a>) -> Result<Self, ElfError> {
        let notes = &kernel.notes;
        check_kind(notes)?;
        let (virt_base, paddr_offset) = bases(notes)?;
        let place = |segment| place(segment, virt_base, paddr_offset);
        let segments = kernel.segments.iter().map(place).collect::<Result<Vec<_>, _>>()?;
        let start = segments.first().map_or(0, |segment| segment.virtual_address);
        let end = segments.last().map_or(0, PvSegment::end);

        let entry = notes.entry.unwrap_or(kernel.entry);
        if !segments
            .iter()
            .any(|segment| (segment.virtual_address..segment.end()).contains(&entry))
        {
            return Err(ElfError::Entry { entry });
        }
        if let Some(page) = notes.hypercall_page {
            let behind = page.checked_add(PAGE).is_none_or(|page_end| page_end > end);
            if page % PAGE != 0 || page < start || behind {
                return Err(invalid(
                    "HYPERCALL_PAGE",
                    format!("{page:#x} is no page inside the kernel"),
                ));
            }
        }
        if let Some(table) = notes.init_p2m
            && (table % PAGE != 0 || (start..end).contains(&table))
        {
            return Err(invalid(
                "INIT_P2M",
                format!("{table:#x} is inside the kernel or not at a page's start"),
            ));
        }
        Ok(Self {
            virt_base,
            paddr_offset,
            entry,
            start,
            end,
            hypercall_page: notes.hypercall_page,
            init_p2m: notes.init_p2m,
            mod_start_pfn: notes.mod_start_pfn,
            segments,
        })
    }
}

/// Checks the notes that say for which loader and which interface the kernel was made.
fn check_kind(notes: &Notes) -> Result<(), ElfError> {
    let begins = |text: &Option<String>, with: &str| text.as_ref().is_some_and(|text| text.starts_with(with));
    match &notes.xen_version {
        None => return Err(ElfError::MissingNote("XEN_VERSION", "PV")),
        Some(version) if !version.starts_with("xen-3.0") => {
            return Err(invalid("XEN_VERSION", format!("`{version}`, accepted is `xen-3.0`")));
        }
        Some(_) => {}
    }
    if !begins(&notes.loader, "generic") && !begins(&notes.guest_os, "linux") {
        return Err(invalid(
            "LOADER",
            String::from("neither is it `generic` nor is GUEST_OS `linux`"),
        ));
    }
    if notes.bsd_symtab {
        return Err(invalid(
            "BSD_SYMTAB",
            String::from("loading a symbol table is not supported"),
        ));
    }
    for feature in [Feature::AutoTranslatedPhysmap, Feature::SupervisorModeKernel] {
        if notes.features.requires(feature) {
            return Err(invalid(
                "FEATURES",
                format!("it needs {feature:?}, which a PV guest does not have"),
            ));
        }
    }
    Ok(())
}

/// VIRT_BASE and PADDR_OFFSET, which default to zero; an offset alone has no meaning.
fn bases(notes: &Notes) -> Result<(u64, u64), ElfError> {
    if notes.paddr_offset.is_some() && notes.virt_base.is_none() {
        return Err(ElfError::MissingNote("VIRT_BASE", "PV"));
    }
    let virt_base = notes.virt_base.unwrap_or(0);
    let paddr_offset = notes.paddr_offset.unwrap_or(0);
    for (name, value) in [("VIRT_BASE", virt_base), ("PADDR_OFFSET", paddr_offset)] {
        if value % PAGE != 0 {
            return Err(invalid(name, format!("{value:#x} is not at a page's start")));
        }
    }
    Ok((virt_base, paddr_offset))
}

/// Gives a segment its place; the virtual address follows from the physical one, not from `p_vaddr`.
fn place<'a>(segment: &Segment<'a>, virt_base: u64, paddr_offset: u64) -> Result<PvSegment<'a>, ElfError> {
    let refused = |reason| ElfError::Segment {
        index: segment.index,
        reason,
    };
    let below = || {
        refused(format!(
            "physical address {:#x} is below PADDR_OFFSET {paddr_offset:#x}",
            segment.physical
        ))
    };
    let physical = segment.physical.checked_sub(paddr_offset).ok_or_else(below)?;
    let wraps = || {
        refused(format!(
            "it ends beyond the address space when VIRT_BASE is {virt_base:#x}"
        ))
    };
    let virtual_address = virt_base.checked_add(physical).ok_or_else(wraps)?;
    virtual_address.checked_add(segment.memory_size).ok_or_else(wraps)?;
    Ok(PvSegment {
        virtual_address,
        physical,
        memory_size: segment.memory_size,
        data: segment.data,
    })
}
