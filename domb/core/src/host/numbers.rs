//! Domains that serve others keep their number from one instance to the next: what others grant and offer them is granted
//! and offered to a number.

use manifest::Domain;
use xen::{DomId, Hypervisor};

use super::{Host, RequestError, Services};
use crate::store::StoreLink;

/// How often it is looked whether Xen is done with the instance before, in nanoseconds.
const LOOK_EVERY_NS: u64 = 1_000_000;
/// For so long. After that the start counts as one that failed.
const LONGEST_END_NS: u64 = 10_000_000_000;
/// Numbers from here on are not for domains (`DOMID_FIRST_RESERVED`).
const FIRST_RESERVED: u16 = 0x7ff0;

/// The number of a domain that keeps it.
#[derive(Debug, Default)]
pub(super) struct Number {
    /// From its first start on.
    domid: Option<DomId>,
    /// Since when the end of the instance before is waited for.
    waits_since: Option<u64>,
}

fn keeps_its_number(domain: &Domain) -> bool {
    !domain.roles.is_empty()
}

impl<H: Hypervisor, C: Services, L: StoreLink> Host<'_, H, C, L> {
    /// The number that a domain must have: the one that it had before, and for the store at its first start, which must be
    /// known beforehand, the lowest that is free. None where any will do.
    ///
    /// # Errors
    /// It is taken, or Xen refuses.
    pub(super) fn number_for(&mut self, index: usize) -> Result<Option<DomId>, RequestError> {
        let entry = self.domains.get(index).ok_or(RequestError::Unknown)?;
        if let Some(domid) = entry.number.domid {
            return match self.hypervisor.domain_info(domid)? {
                Some(_) => Err(RequestError::NumberTaken(domid)),
                None => Ok(Some(domid)),
            };
        }
        if !self.is_store(index) {
            return Ok(None);
        }
        for number in 1..FIRST_RESERVED {
            if self.hypervisor.domain_info(DomId(number))?.is_none() {
                return Ok(Some(DomId(number)));
            }
        }
        Err(RequestError::NumberTaken(DomId(FIRST_RESERVED - 1)))
    }

    /// Notes the number of a domain that runs, if it is one that keeps it.
    pub(super) fn keep_number(&mut self, index: usize, domid: DomId) {
        if let Some(entry) = self.domains.get_mut(index)
            && keeps_its_number(&entry.domain)
        {
            entry.number.domid = Some(domid);
        }
    }

    /// Until when a domain waits for Xen to be done with the instance before; none when it need not, or waited enough.
    pub(super) fn old_instance_goes(&mut self, index: usize) -> Option<u64> {
        let now = (self.clock)();
        let entry = self.domains.get_mut(index)?;
        let domid = entry.number.domid?;
        let is_there = matches!(self.hypervisor.domain_info(domid), Ok(Some(_)));
        let since = *entry.number.waits_since.get_or_insert(now);
        if !is_there || now.saturating_sub(since) >= LONGEST_END_NS {
            entry.number.waits_since = None;
            return None;
        }
        Some(now.saturating_add(LOOK_EVERY_NS))
    }
}
