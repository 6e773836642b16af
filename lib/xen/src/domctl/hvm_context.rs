//! The first state of a PVH domain's vCPUs: Xen's save records (public/hvm/save.h) with flat 32-bit protected mode for
//! the first vCPU (docs/misc/pvh.pandoc) and write-back memory for all.

use alloc::vec;
use alloc::vec::Vec;

use xen_sys as sys;

use super::Toolstack;
use crate::hypervisor::{DomId, PvhContext};
use crate::{Error, Result};

const CODE_END: u16 = 0;
const CODE_HEADER: u16 = 1;
const CODE_CPU: u16 = 2;
const CODE_MTRR: u16 = 14;
const DESCRIPTOR: usize = size_of::<sys::hvm_save_descriptor>();
/// Protection and extension type bits of CR0.
const CR0_PE_ET: u64 = 0x11;
/// `MTRRdefType`: MTRRs on, everything write-back.
const MTRR_ON_WRITE_BACK: u64 = 0x806;

pub(super) fn set(toolstack: &Toolstack, domid: DomId, context: &PvhContext) -> Result<()> {
    let whole = get(toolstack, domid)?;
    let missing = |what| Error::OutOfRange {
        what,
        value: u64::from(domid.0),
    };
    let header = record(&whole, CODE_HEADER, 0).ok_or(missing("HVM context without a header of domain"))?;
    let mtrr = record(&whole, CODE_MTRR, 0).ok_or(missing("HVM context without MTRRs of domain"))?;
    let def_type = core::mem::offset_of!(sys::hvm_hw_mtrr, msr_mtrr_def_type);
    let mut mtrr = mtrr.to_vec();
    mtrr.get_mut(def_type..def_type + 8)
        .ok_or(missing("short MTRR record of domain"))?
        .copy_from_slice(&MTRR_ON_WRITE_BACK.to_le_bytes());
    for vcpu in 0..context.max_vcpus {
        put(toolstack, domid, header, CODE_MTRR, vcpu, &mtrr)?;
    }
    // The first vCPU comes last: each setting takes all vCPUs down.
    put(toolstack, domid, header, CODE_CPU, 0, &boot_cpu(context))
}

fn boot_cpu(context: &PvhContext) -> Vec<u8> {
    let mut cpu = sys::hvm_hw_cpu {
        cs_limit: u32::MAX,
        ds_limit: u32::MAX,
        es_limit: u32::MAX,
        ss_limit: u32::MAX,
        tr_limit: 0x67,
        cs_arbytes: 0xc9b,
        ds_arbytes: 0xc93,
        es_arbytes: 0xc93,
        ss_arbytes: 0xc93,
        tr_arbytes: 0x8b,
        cr0: CR0_PE_ET,
        dr6: 0xffff_0ff0,
        dr7: 0x400,
        ..Default::default()
    };
    cpu.rip = u64::from(context.entry);
    cpu.rbx = u64::from(context.start_info);
    // SAFETY: a C structure of numbers without padding: save.h spells its padding out as fields.
    unsafe { core::slice::from_raw_parts((&raw const cpu).cast::<u8>(), size_of::<sys::hvm_hw_cpu>()) }.to_vec()
}

/// The whole context, as Xen gives it.
fn get(toolstack: &Toolstack, domid: DomId) -> Result<Vec<u8>> {
    const OPERATION: &str = "XEN_DOMCTL_gethvmcontext";
    // SAFETY: a null buffer asks for the size alone.
    let size = unsafe {
        toolstack
            .domctl(OPERATION, sys::XEN_DOMCTL_gethvmcontext, domid, |u| {
                u.hvmcontext = sys::xen_domctl_hvmcontext::default();
            })?
            .u
            .hvmcontext
            .size
    };
    let mut buffer = vec![0u8; size as usize];
    // SAFETY: Xen writes at most `size` bytes, for which the vector has room.
    let filled = unsafe {
        toolstack
            .domctl(OPERATION, sys::XEN_DOMCTL_gethvmcontext, domid, |u| {
                u.hvmcontext = sys::xen_domctl_hvmcontext {
                    size,
                    buffer: sys::__guest_handle_uint8 { p: buffer.as_mut_ptr() },
                };
            })?
            .u
            .hvmcontext
            .size
    };
    buffer.truncate(filled as usize);
    Ok(buffer)
}

/// Sets one record: header, record, end.
fn put(toolstack: &Toolstack, domid: DomId, header: &[u8], code: u16, instance: u16, record: &[u8]) -> Result<()> {
    let mut stream = Vec::with_capacity(3 * DESCRIPTOR + header.len() + record.len());
    for (code, instance, body) in [
        (CODE_HEADER, 0, header),
        (code, instance, record),
        (CODE_END, 0, &[][..]),
    ] {
        let length = u32::try_from(body.len()).map_err(|_| Error::OutOfRange {
            what: "HVM record",
            value: body.len() as u64,
        })?;
        stream.extend_from_slice(&code.to_le_bytes());
        stream.extend_from_slice(&instance.to_le_bytes());
        stream.extend_from_slice(&length.to_le_bytes());
        stream.extend_from_slice(body);
    }
    let size = u32::try_from(stream.len()).map_err(|_| Error::OutOfRange {
        what: "HVM context",
        value: stream.len() as u64,
    })?;
    // SAFETY: Xen reads `size` bytes of the vector, which outlives the call.
    unsafe {
        toolstack.domctl("XEN_DOMCTL_sethvmcontext", sys::XEN_DOMCTL_sethvmcontext, domid, |u| {
            u.hvmcontext = sys::xen_domctl_hvmcontext {
                size,
                buffer: sys::__guest_handle_uint8 { p: stream.as_mut_ptr() },
            };
        })?;
    }
    Ok(())
}

/// The body of a record in a context.
fn record(context: &[u8], code: u16, instance: u16) -> Option<&[u8]> {
    let mut rest = context;
    loop {
        let (descriptor, after) = rest.split_at_checked(DESCRIPTOR)?;
        let [c0, c1, i0, i1, l0, l1, l2, l3] = <[u8; DESCRIPTOR]>::try_from(descriptor).ok()?;
        let found = (u16::from_le_bytes([c0, c1]), u16::from_le_bytes([i0, i1]));
        let (body, after) = after.split_at_checked(u32::from_le_bytes([l0, l1, l2, l3]) as usize)?;
        if found == (code, instance) {
            return Some(body);
        }
        if found.0 == CODE_END {
            return None;
        }
        rest = after;
    }
}
