//! Memory of domains (public/memory.h): allocating it, giving it back, telling a domain its map.

use alloc::vec::Vec;

use xen_sys as sys;

use crate::hypervisor::MemoryMapEntry;
use crate::{DomId, Error, Result, hypercall};

/// Allocates `frames.len()` extents of 2^`order` pages to `domid`. `frames` holds the guest frames at which they shall
/// appear; for a PV domain Xen replaces each by the machine frame it took.
///
/// # Errors
/// [`Error::Partly`] when memory ran out on the way: the first extents are allocated then.
pub fn populate_physmap(domid: DomId, order: u32, frames: &mut [u64]) -> Result<()> {
    reservation(
        "XENMEM_populate_physmap",
        sys::XENMEM_populate_physmap,
        domid,
        order,
        frames,
    )
}

/// Gives pages of this (paravirtual) domain back to Xen, by machine frame. Nothing may map them any more.
///
/// # Errors
/// [`Error::Partly`] when Xen refuses one; those before it are gone.
pub fn decrease_reservation(frames: &mut [u64]) -> Result<()> {
    reservation(
        "XENMEM_decrease_reservation",
        sys::XENMEM_decrease_reservation,
        DomId::SELF,
        0,
        frames,
    )
}

fn reservation(operation: &'static str, command: u32, domid: DomId, order: u32, frames: &mut [u64]) -> Result<()> {
    if frames.is_empty() {
        return Ok(());
    }
    let mut argument = sys::xen_memory_reservation {
        extent_start: sys::__guest_handle_xen_pfn_t { p: frames.as_mut_ptr() },
        nr_extents: frames.len() as u64,
        extent_order: order,
        mem_flags: 0,
        domid: domid.0,
    };
    // SAFETY: the argument outlives the call; Xen reads and writes at most nr_extents frames of the slice.
    let done = unsafe {
        hypercall::call(
            operation,
            sys::__HYPERVISOR_memory_op,
            [command as usize, &raw mut argument as usize, 0, 0, 0],
        )?
    };
    let done = usize::try_from(done).unwrap_or(0);
    if done == frames.len() {
        Ok(())
    } else {
        Err(Error::Partly {
            operation,
            done,
            wanted: frames.len(),
        })
    }
}

/// Sets the memory map that a PV domain is told.
///
/// # Errors
/// Xen refuses: more entries than it takes.
pub fn set_memory_map(domid: DomId, map: &[MemoryMapEntry]) -> Result<()> {
    // The ABI packs an entry to 20 bytes.
    let mut entries = Vec::with_capacity(map.len() * 20);
    for entry in map {
        entries.extend_from_slice(&entry.start.to_le_bytes());
        entries.extend_from_slice(&entry.size.to_le_bytes());
        entries.extend_from_slice(&entry.kind.to_le_bytes());
    }
    let mut argument = sys::xen_foreign_memory_map {
        domid: domid.0,
        ..Default::default()
    };
    argument.map.nr_entries = u32::try_from(map.len()).map_err(|_| Error::OutOfRange {
        what: "memory map",
        value: map.len() as u64,
    })?;
    argument.map.buffer.p = entries.as_mut_ptr().cast();
    // SAFETY: Xen reads nr_entries packed entries of the vector; both outlive the call.
    unsafe {
        hypercall::call(
            "XENMEM_set_memory_map",
            sys::__HYPERVISOR_memory_op,
            [sys::XENMEM_set_memory_map as usize, &raw mut argument as usize, 0, 0, 0],
        )?;
    }
    Ok(())
}

/// Machine frame of the first frame of a domain's grant table (`XENMEM_resource_grant_table`).
///
/// # Errors
/// Xen refuses.
pub fn grant_table_frame(domid: DomId) -> Result<u64> {
    let mut frame = 0u64;
    let mut argument = sys::xen_mem_acquire_resource {
        domid: domid.0,
        type_: 1,
        id: sys::XENMEM_resource_grant_table_id_shared,
        nr_frames: 1,
        pad: 0,
        frame: 0,
        frame_list: sys::__guest_handle_xen_pfn_t { p: &raw mut frame },
    };
    const { assert!(sys::XENMEM_resource_grant_table == 1) };
    // SAFETY: Xen writes one frame number; both outlive the call.
    unsafe {
        hypercall::call(
            "XENMEM_acquire_resource",
            sys::__HYPERVISOR_memory_op,
            [
                sys::XENMEM_acquire_resource as usize,
                &raw mut argument as usize,
                0,
                0,
                0,
            ],
        )?;
    }
    Ok(frame)
}
