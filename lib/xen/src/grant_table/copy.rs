//! Copies out of pages that another domain granted, without mapping them (`GNTTABOP_copy`).
//!
//! Xen checks each grant for itself and copies once. The other domain can change its pages meanwhile, but not the copy.

use alloc::vec::Vec;
use core::fmt;

use xen_sys as sys;

use crate::{DomId, Error, PAGE_SIZE, hypercall};

/// Copies that are handed to Xen at once.
const BATCH: usize = 128;

/// Bytes within a page that another domain granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GrantedBytes {
    /// The grant reference.
    pub reference: u32,
    /// Offset of the first byte in the page.
    pub offset: u16,
    /// Bytes; not beyond the page's end.
    pub length: u16,
}

/// Xen's answer for one grant (`GNTST_*`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct GrantStatus(pub i16);

impl fmt::Display for GrantStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match i32::from(self.0) {
            0 => "GNTST_okay",
            sys::GNTST_general_error => "GNTST_general_error",
            sys::GNTST_bad_domain => "GNTST_bad_domain",
            sys::GNTST_bad_gntref => "GNTST_bad_gntref",
            sys::GNTST_bad_handle => "GNTST_bad_handle",
            sys::GNTST_bad_virt_addr => "GNTST_bad_virt_addr",
            sys::GNTST_bad_dev_addr => "GNTST_bad_dev_addr",
            sys::GNTST_no_device_space => "GNTST_no_device_space",
            sys::GNTST_permission_denied => "GNTST_permission_denied",
            sys::GNTST_bad_page => "GNTST_bad_page",
            sys::GNTST_bad_copy_arg => "GNTST_bad_copy_arg",
            sys::GNTST_address_too_big => "GNTST_address_too_big",
            sys::GNTST_eagain => "GNTST_eagain",
            sys::GNTST_no_space => "GNTST_no_space",
            other => return write!(f, "grant status {other}"),
        })
    }
}

impl fmt::Debug for GrantStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a copy came to nothing. A part of the bytes may have been copied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CopyError {
    /// Xen refused one grant.
    #[error("domid {domid}: grant {reference}: {length} bytes at {offset}: {status}")]
    Grant {
        /// Whose grant.
        domid: DomId,
        /// The grant reference.
        reference: u32,
        /// Offset in its page.
        offset: u16,
        /// Bytes wanted from there on.
        length: u16,
        /// Xen's answer.
        status: GrantStatus,
    },
    /// Bytes that would end beyond a page. Xen was not asked.
    #[error("domid {domid}: grant {reference}: {length} bytes at {offset} end beyond the page")]
    BeyondPage {
        /// Whose grant.
        domid: DomId,
        /// The grant reference.
        reference: u32,
        /// Offset in its page.
        offset: u16,
        /// Bytes wanted from there on.
        length: u16,
    },
    /// The pieces and the room for them differ. Xen was not asked.
    #[error("domid {domid}: granted pieces of {given} bytes for {room} bytes")]
    Length {
        /// Whose grants.
        domid: DomId,
        /// Bytes of all pieces.
        given: usize,
        /// Bytes there is room for.
        room: usize,
    },
    /// Xen refused the operation as a whole, or the destination has no frame.
    #[error(transparent)]
    Xen(#[from] Error),
}

/// Copies the pieces that `domid` granted, one behind the other, into `to`, which they must fill. `frame_of` gives the
/// machine frame of the page of this domain's memory at an address.
///
/// # Errors
/// [`CopyError`]; what `to` holds then is undefined.
///
/// # Safety
/// `frame_of` must give the frame that is mapped at the address: Xen writes there.
pub unsafe fn copy_granted(
    domid: DomId,
    pieces: &[GrantedBytes],
    to: &mut [u8],
    frame_of: impl Fn(usize) -> crate::Result<u64>,
) -> Result<(), CopyError> {
    let mut plan = plan(domid, pieces, to.as_mut_ptr() as usize, to.len(), frame_of)?;
    for batch in plan.chunks_mut(BATCH) {
        // SAFETY: gnttab_copy structures that outlive the call. Each names bytes of `to`, which is borrowed for this:
        // by the promise of the caller their frames are those of these addresses.
        unsafe {
            hypercall::call(
                "GNTTABOP_copy",
                sys::__HYPERVISOR_grant_table_op,
                [
                    sys::GNTTABOP_copy as usize,
                    batch.as_mut_ptr() as usize,
                    batch.len(),
                    0,
                    0,
                ],
            )?;
        }
        check(domid, batch)?;
    }
    Ok(())
}

/// One operation for each piece and each page of the destination that it touches.
fn plan(
    domid: DomId,
    pieces: &[GrantedBytes],
    to: usize,
    room: usize,
    frame_of: impl Fn(usize) -> crate::Result<u64>,
) -> Result<Vec<sys::gnttab_copy>, CopyError> {
    let given = pieces.iter().map(|piece| usize::from(piece.length)).sum();
    if given != room {
        return Err(CopyError::Length { domid, given, room });
    }
    let mut plan = Vec::with_capacity(pieces.len() * 2);
    let mut address = to;
    for piece in pieces {
        if usize::from(piece.offset) + usize::from(piece.length) > PAGE_SIZE {
            return Err(CopyError::BeyondPage {
                domid,
                reference: piece.reference,
                offset: piece.offset,
                length: piece.length,
            });
        }
        let mut done = 0;
        while done < piece.length {
            let offset = u16::try_from(address % PAGE_SIZE).unwrap_or(0);
            let length = (piece.length - done).min(PAGE_BYTES - offset);
            let mut copy = sys::gnttab_copy {
                len: length,
                flags: SOURCE_IS_GRANT,
                // Not one of Xen's: an operation that it did not get to is no success.
                status: i16::MIN,
                ..Default::default()
            };
            copy.source.u.ref_ = piece.reference;
            copy.source.domid = domid.0;
            copy.source.offset = piece.offset + done;
            copy.dest.u.gmfn = frame_of(address)?;
            copy.dest.domid = DomId::SELF.0;
            copy.dest.offset = offset;
            plan.push(copy);
            done += length;
            address += usize::from(length);
        }
    }
    Ok(plan)
}

/// A page and the flag, as the fields of the structure have them.
const PAGE_BYTES: u16 = 4096;
const SOURCE_IS_GRANT: u16 = 1;
const _: () = assert!(PAGE_BYTES as usize == PAGE_SIZE && SOURCE_IS_GRANT as u32 == sys::GNTCOPY_source_gref);

fn check(domid: DomId, batch: &[sys::gnttab_copy]) -> Result<(), CopyError> {
    match batch.iter().find(|copy| copy.status != 0) {
        None => Ok(()),
        Some(copy) => Err(CopyError::Grant {
            domid,
            // SAFETY: `plan` wrote this member, and any bits are a number.
            reference: unsafe { copy.source.u.ref_ },
            offset: copy.source.offset,
            length: copy.len,
            status: GrantStatus(copy.status),
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    fn frames(address: usize) -> crate::Result<u64> {
        Ok((address / PAGE_SIZE) as u64 + 1000)
    }

    fn bytes(reference: u32, offset: u16, length: u16) -> GrantedBytes {
        GrantedBytes {
            reference,
            offset,
            length,
        }
    }

    #[test]
    fn no_operation_crosses_a_page_of_either_side() {
        let pieces = [bytes(8, 0, 4096), bytes(9, 100, 1000), bytes(10, 0, 0)];
        let plan = plan(DomId(7), &pieces, 0x2f00, 5096, frames).unwrap();
        let seen: Vec<_> = plan
            .iter()
            // SAFETY: any bits are a number.
            .map(|copy| unsafe {
                (
                    copy.source.u.ref_,
                    copy.source.offset,
                    copy.dest.u.gmfn,
                    copy.dest.offset,
                    copy.len,
                )
            })
            .collect();
        assert_eq!(
            seen,
            [
                (8, 0, 1002, 0xf00, 0x100),
                (8, 0x100, 1003, 0, 0xf00),
                (9, 100, 1003, 0xf00, 0x100),
                (9, 356, 1004, 0, 744),
            ]
        );
        assert!(plan.iter().all(|copy| copy.flags == 1 && copy.source.domid == 7));
        assert!(plan.iter().all(|copy| copy.dest.domid == DomId::SELF.0));
    }

    #[test]
    fn an_error_names_domain_reference_and_status() {
        let mut plan = plan(DomId(7), &[bytes(8, 0, 10), bytes(12, 4, 20)], 0, 30, frames).unwrap();
        plan[0].status = 0;
        let error = check(DomId(7), &plan).unwrap_err().to_string();
        assert_eq!(error, "domid 7: grant 12: 20 bytes at 4: grant status -32768");
        plan[1].status = -3;
        let error = check(DomId(7), &plan).unwrap_err().to_string();
        assert_eq!(error, "domid 7: grant 12: 20 bytes at 4: GNTST_bad_gntref");
        plan[1].status = 0;
        assert_eq!(check(DomId(7), &plan), Ok(()));
    }

    #[test]
    fn pieces_that_do_not_fit_are_refused_before_xen_is_asked() {
        let refused = |pieces: &[GrantedBytes], room| {
            plan(DomId(7), pieces, 0, room, frames)
                .map(|plan| plan.len())
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            refused(&[bytes(3, 1, 4096)], 4096),
            "domid 7: grant 3: 4096 bytes at 1 end beyond the page"
        );
        assert_eq!(
            refused(&[bytes(3, 0, 10)], 11),
            "domid 7: granted pieces of 10 bytes for 11 bytes"
        );
    }
}
