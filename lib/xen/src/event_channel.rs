//! Event channels (public/event_channel.h): ports of this domain, closed when dropped, and ports made for another.

use xen_sys as sys;

use crate::{DomId, Result, hypercall};

/// A port of this domain. Dropping it closes the port.
#[derive(Debug, PartialEq, Eq)]
pub struct Port(u32);

impl Port {
    /// The port's number.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.0
    }

    /// Binds a virtual interrupt of this vCPU (`VIRQ_*`).
    ///
    /// # Errors
    /// Xen refuses: already bound, or not for this domain.
    pub fn bind_virq(virq: u32) -> Result<Self> {
        let mut argument = sys::evtchn_bind_virq { virq, vcpu: 0, port: 0 };
        // SAFETY: an evtchn_bind_virq that outlives the call.
        unsafe { op("EVTCHNOP_bind_virq", sys::EVTCHNOP_bind_virq, &mut argument)? };
        Ok(Self(argument.port))
    }

    /// Binds to a port that `remote` offered to this domain.
    ///
    /// # Errors
    /// Xen refuses: no such port, or not offered.
    pub fn bind_interdomain(remote: DomId, remote_port: u32) -> Result<Self> {
        let mut argument = sys::evtchn_bind_interdomain {
            remote_dom: remote.0,
            remote_port,
            local_port: 0,
        };
        // SAFETY: an evtchn_bind_interdomain that outlives the call.
        unsafe {
            op(
                "EVTCHNOP_bind_interdomain",
                sys::EVTCHNOP_bind_interdomain,
                &mut argument,
            )?;
        };
        Ok(Self(argument.local_port))
    }

    /// Makes a port of this domain to which `remote` may bind.
    ///
    /// # Errors
    /// Xen refuses: no port is left.
    pub fn offer(remote: DomId) -> Result<Self> {
        alloc_unbound(DomId::SELF, remote).map(Self)
    }

    /// Takes over a port that exists already, such as the console's of `start_info`.
    #[must_use]
    pub fn adopt(number: u32) -> Self {
        Self(number)
    }

    /// Sends an event to the other end.
    ///
    /// # Errors
    /// Xen refuses.
    pub fn notify(&self) -> Result<()> {
        let mut argument = sys::evtchn_send { port: self.0 };
        // SAFETY: an evtchn_send that outlives the call.
        unsafe { op("EVTCHNOP_send", sys::EVTCHNOP_send, &mut argument) }
    }

    /// Lets events of this port through.
    ///
    /// # Errors
    /// Xen refuses.
    pub fn unmask(&self) -> Result<()> {
        let mut argument = sys::evtchn_unmask { port: self.0 };
        // SAFETY: an evtchn_unmask that outlives the call.
        unsafe { op("EVTCHNOP_unmask", sys::EVTCHNOP_unmask, &mut argument) }
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        let mut argument = sys::evtchn_close { port: self.0 };
        // SAFETY: an evtchn_close that outlives the call. A refusal means that the port is closed already.
        let _ = unsafe { op("EVTCHNOP_close", sys::EVTCHNOP_close, &mut argument) };
    }
}

/// Makes a port in `domain` to which `remote` may bind; it goes with the domain.
///
/// # Errors
/// Xen refuses: no privilege over `domain`, or it has no port left.
pub fn alloc_unbound(domain: DomId, remote: DomId) -> Result<u32> {
    let mut argument = sys::evtchn_alloc_unbound {
        dom: domain.0,
        remote_dom: remote.0,
        port: 0,
    };
    // SAFETY: an evtchn_alloc_unbound that outlives the call.
    unsafe { op("EVTCHNOP_alloc_unbound", sys::EVTCHNOP_alloc_unbound, &mut argument)? };
    Ok(argument.port)
}

/// # Safety
/// `T` must be the argument of `command`.
unsafe fn op<T>(operation: &'static str, command: u32, argument: &mut T) -> Result<()> {
    // SAFETY: the caller vouches for the type; the reference is valid for the call and Xen writes only within `T`.
    unsafe {
        hypercall::call(
            operation,
            sys::__HYPERVISOR_event_channel_op,
            [command as usize, &raw mut *argument as usize, 0, 0, 0],
        )?;
    }
    Ok(())
}
