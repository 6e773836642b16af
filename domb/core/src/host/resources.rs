//! Memory and vCPUs of a domain that runs, within what it was built for.

use alloc::format;

use log::info;
use manifest::{MEMORY_STEP_KIB, MIN_MEMORY_KIB};
use xen::Hypervisor;

use super::{Host, RequestError, Services};
use crate::build::{Built, MEMORY_SLACK_KIB};
use crate::store::{StoreLink, session, tree};

impl<H: Hypervisor, C: Services, L: StoreLink> Host<'_, H, C, L> {
    /// Tells a guest how much memory to have, in KiB, and Xen that it can have no more. The guest's balloon driver obeys in
    /// its time.
    ///
    /// # Errors
    /// It is unknown, does not run, or no store serves it; less than [`MIN_MEMORY_KIB`] or more than its maximum; the store or Xen
    /// refuses, and then all is as before.
    pub fn set_memory(&mut self, name: &str, kib: u64) -> Result<(), RequestError> {
        let (index, built) = self.served(name)?;
        let most = self.domains.get(index).map_or(0, |entry| entry.domain.maxmem_kib);
        if !(MIN_MEMORY_KIB..=most).contains(&kib) {
            return Err(RequestError::Amount {
                what: "memory in KiB",
                wanted: kib,
                least: MIN_MEMORY_KIB,
                most,
            });
        }
        let kib = kib - kib % MEMORY_STEP_KIB;
        let domid = built.domid;
        let path = format!("{}/memory/target", tree::home(domid));
        self.ask(|client| session::write(client, &path, &format!("{kib}")))?;
        if let Err(problem) = self.hypervisor.set_max_memory(domid, kib + MEMORY_SLACK_KIB) {
            self.ask(|client| session::write(client, &path, &format!("{}", built.target_kib)))?;
            return Err(problem.into());
        }
        self.note(index, |built| built.target_kib = kib);
        info!("domain {name} told to have memory_kib={kib} domid={domid}");
        Ok(())
    }

    /// Tells a guest how many of its vCPUs to use: those with the lowest numbers. It obeys in its time.
    ///
    /// # Errors
    /// It is unknown, does not run, or no store serves it; none, or more than it was built for; the store refuses.
    pub fn set_vcpus(&mut self, name: &str, vcpus: u16) -> Result<(), RequestError> {
        let (index, built) = self.served(name)?;
        let most = self.domains.get(index).map_or(0, |entry| entry.domain.max_vcpus);
        if !(1..=most).contains(&vcpus) {
            return Err(RequestError::Amount {
                what: "vcpus",
                wanted: vcpus.into(),
                least: 1,
                most: most.into(),
            });
        }
        let home = tree::home(built.domid);
        self.ask(|client| {
            for vcpu in 0..most {
                let path = format!("{home}/cpu/{vcpu}/availability");
                session::write(client, &path, tree::availability(vcpu, vcpus))?;
            }
            Ok(())
        })?;
        self.note(index, |built| built.vcpus = vcpus);
        info!("domain {name} told to use vcpus={vcpus} domid={}", built.domid);
        Ok(())
    }

    /// A domain that runs and that the store serves.
    fn served(&self, name: &str) -> Result<(usize, Built), RequestError> {
        let index = self.index(name)?;
        self.domains.running(index).ok_or(RequestError::NotRunning)?;
        let wired = self.domains.get(index).and_then(|entry| entry.wired.clone());
        Ok((index, wired.ok_or(RequestError::NoStore)?))
    }

    /// Remembers for a store that forgot.
    fn note(&mut self, index: usize, change: impl FnOnce(&mut Built)) {
        if let Some(built) = self.domains.get_mut(index).and_then(|entry| entry.wired.as_mut()) {
            change(built);
        }
    }
}
