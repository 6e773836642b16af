//! Pages that domains lend each other (public/grant_table.h): [`GrantedPage`] is one that another domain granted to this
//! one, mapped in the window of `mmu`; [`copy_granted`] copies out of such pages; [`OwnTable`] grants pages of this domain.
//!
//! Needs no privilege: whoever is named in a grant may map it. Xen itself enters and removes the mapping, so that it
//! knows who still holds the page.

mod copy;
mod own;

use xen_sys as sys;

use crate::mmu::WindowPage;
use crate::ring::SharedPage;
use crate::{DomId, Errno, Error, Result, hypercall};

pub use copy::{CopyError, GrantStatus, GrantedBytes, copy_granted};
pub use own::OwnTable;

/// Status codes of grant operations (`GNTST_*`), as the error numbers that mean the same.
const STATUS: [(i16, Errno); 6] = [
    (-2, Errno::ESRCH),
    (-3, Errno::ENOENT),
    (-5, Errno::EFAULT),
    (-8, Errno::EPERM),
    (-9, Errno::EINVAL),
    (-12, Errno::EAGAIN),
];

/// A granted page. Dropping it gives it back.
#[derive(Debug)]
pub struct GrantedPage {
    page: Option<WindowPage>,
    handle: u32,
}

impl GrantedPage {
    /// Maps grant `reference` of `domid`, writable.
    ///
    /// # Errors
    /// No room in the window; or Xen refuses: no such grant, not granted to this domain, or read-only.
    pub fn map(domid: DomId, reference: u32) -> Result<Self> {
        let page = WindowPage::take()?;
        let mut argument = sys::gnttab_map_grant_ref {
            host_addr: page.address() as u64,
            flags: sys::GNTMAP_host_map,
            ref_: reference,
            dom: domid.0,
            ..Default::default()
        };
        // SAFETY: one gnttab_map_grant_ref that outlives the call. The page of the window is free, so nothing of Rust is
        // mapped over; what appears there is only reached through `SharedPage`.
        unsafe {
            operation("GNTTABOP_map_grant_ref", sys::GNTTABOP_map_grant_ref, &mut argument)?;
        }
        check("GNTTABOP_map_grant_ref", argument.status)?;
        Ok(Self {
            page: Some(page),
            handle: argument.handle,
        })
    }

    /// The page, which its owner can change at any time.
    #[must_use]
    pub fn shared_page(&self) -> Option<SharedPage<'_>> {
        // SAFETY: mapped for as long as `self` is borrowed.
        self.page
            .as_ref()
            .map(|page| unsafe { SharedPage::new(page.address() as *mut u8) })
    }
}

impl Drop for GrantedPage {
    fn drop(&mut self) {
        let Some(page) = self.page.take() else { return };
        let mut argument = sys::gnttab_unmap_grant_ref {
            host_addr: page.address() as u64,
            dev_bus_addr: 0,
            handle: self.handle,
            status: 0,
        };
        // SAFETY: one gnttab_unmap_grant_ref that outlives the call; nobody holds the page any more.
        let done = unsafe {
            operation("GNTTABOP_unmap_grant_ref", sys::GNTTABOP_unmap_grant_ref, &mut argument)
                .and_then(|()| check("GNTTABOP_unmap_grant_ref", argument.status))
        };
        if done.is_err() {
            // Still mapped: the page of the window stays out of use rather than be handed out like that.
            core::mem::forget(page);
        }
    }
}

/// # Safety
/// `T` must be the argument of `command`.
unsafe fn operation<T>(name: &'static str, command: u32, argument: &mut T) -> Result<()> {
    // SAFETY: the caller vouches for the type; one element, which Xen reads and writes within the call.
    unsafe {
        hypercall::call(
            name,
            sys::__HYPERVISOR_grant_table_op,
            [command as usize, &raw mut *argument as usize, 1, 0, 0],
        )?;
    }
    Ok(())
}

fn check(operation: &'static str, status: i16) -> Result<()> {
    if status == 0 {
        return Ok(());
    }
    let known = STATUS.iter().find(|(code, _)| *code == status);
    let errno = known.map_or(Errno::EINVAL, |(_, errno)| *errno);
    Err(Error::Refused { operation, errno })
}
