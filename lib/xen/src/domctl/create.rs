//! `XEN_DOMCTL_createdomain` in the layout of the running version, and the first vCPU of a PV domain.

use alloc::boxed::Box;

use xen_sys as sys;

use super::{Toolstack, create_flags};
use crate::hypervisor::{CreateDomain, DomId, DomainKind, PvContext};
use crate::{Error, Result};

/// 64-bit flat segments of a PV kernel (public/arch-x86/xen-x86_64.h).
const FLAT_KERNEL_CS: u16 = 0xe033;
const FLAT_KERNEL_SS: u16 = 0xe02b;

pub(super) fn create_domain(toolstack: &Toolstack, request: &CreateDomain) -> Result<DomId> {
    let frames = |what, count: u32| {
        i32::try_from(count).map_err(|_| Error::OutOfRange {
            what,
            value: u64::from(count),
        })
    };
    let v15 = sys::xen_domctl_createdomain {
        ssidref: 0,
        handle: request.uuid,
        flags: create_flags(request.kind),
        iommu_opts: 0,
        max_vcpus: request.max_vcpus,
        max_evtchn_port: request.max_event_channels,
        max_grant_frames: frames("grant table frames", request.max_grant_frames)?,
        max_maptrack_frames: frames("maptrack frames", request.max_maptrack_frames)?,
        // Version 1 entries only: nothing here needs more, and transitive grants stay out.
        grant_opts: 1,
        vmtrace_size: 0,
        cpupool_id: 0,
        arch: sys::xen_arch_domainconfig {
            emulation_flags: if request.kind == DomainKind::Pvh {
                sys::XEN_X86_EMU_LAPIC
            } else {
                0
            },
            misc_flags: 0,
        },
    };
    let v17 = sys::xen_domctl_createdomain_v17 {
        ssidref: v15.ssidref,
        handle: v15.handle,
        flags: v15.flags,
        iommu_opts: v15.iommu_opts,
        max_vcpus: v15.max_vcpus,
        max_evtchn_port: v15.max_evtchn_port,
        max_grant_frames: v15.max_grant_frames,
        max_maptrack_frames: v15.max_maptrack_frames,
        grant_opts: v15.grant_opts,
        altp2m_opts: 0,
        vmtrace_size: v15.vmtrace_size,
        cpupool_id: v15.cpupool_id,
        arch: v15.arch,
    };
    const { assert!(size_of::<sys::xen_domctl_createdomain_v17>() <= size_of::<sys::xen_domctl__bindgen_ty_1>()) };
    // SAFETY: createdomain has no pointers; the union has room for the longer layout (checked above).
    let answer = unsafe {
        toolstack.domctl(
            "XEN_DOMCTL_createdomain",
            sys::XEN_DOMCTL_createdomain,
            request.domid.unwrap_or(DomId::INITIAL),
            |u| {
                if toolstack.domctl >= 0x17 {
                    (&raw mut *u).cast::<sys::xen_domctl_createdomain_v17>().write(v17);
                } else {
                    u.createdomain = v15;
                }
            },
        )?
    };
    let domid = DomId(answer.domain);
    // SAFETY: max_vcpus has no pointers.
    let vcpus = unsafe {
        toolstack.domctl("XEN_DOMCTL_max_vcpus", sys::XEN_DOMCTL_max_vcpus, domid, |u| {
            u.max_vcpus = sys::xen_domctl_max_vcpus { max: request.max_vcpus };
        })
    };
    if let Err(error) = vcpus {
        toolstack.destroy_domain(domid)?;
        return Err(error);
    }
    Ok(domid)
}

pub(super) fn set_pv_context(toolstack: &Toolstack, domid: DomId, context: &PvContext) -> Result<()> {
    let mut vcpu = Box::<sys::vcpu_guest_context>::default();
    vcpu.flags = u64::from(sys::VGCF_in_kernel | sys::VGCF_online);
    let registers = &mut vcpu.user_regs;
    registers.__bindgen_anon_16.rip = context.entry;
    registers.__bindgen_anon_18.rsp = context.stack;
    registers.__bindgen_anon_14.rsi = context.start_info;
    // Interrupts on (bit 9); the event mask of the new vCPU is set all the same.
    registers.__bindgen_anon_17.rflags = 1 << 9;
    registers.cs = FLAT_KERNEL_CS;
    registers.ss = FLAT_KERNEL_SS;
    vcpu.kernel_ss = u64::from(FLAT_KERNEL_SS);
    vcpu.kernel_sp = context.stack;
    if let Some(cr3) = vcpu.ctrlreg.get_mut(3) {
        *cr3 = context.l4_frame << 12;
    }
    // SAFETY: Xen reads one vcpu_guest_context, which outlives the call.
    unsafe {
        toolstack.domctl(
            "XEN_DOMCTL_setvcpucontext",
            sys::XEN_DOMCTL_setvcpucontext,
            domid,
            |u| {
                u.vcpucontext = sys::xen_domctl_vcpucontext {
                    vcpu: 0,
                    ctxt: sys::__guest_handle_vcpu_guest_context_t { p: &raw mut *vcpu },
                };
            },
        )?;
    }
    Ok(())
}
