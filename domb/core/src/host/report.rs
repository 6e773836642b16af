//! Lines for the log and for the operator: words a program can take apart, `key=value`.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write};

use manifest::Domain;
use measure::Record;
use xen::Hypervisor;

use super::{Host, Services, State};
use crate::build::Built;
use crate::store::StoreLink;

/// A measurement: PCR, digest in each bank, event.
pub(super) fn measured(record: &Record) -> String {
    let mut line = format!("pcr={}", record.pcr);
    for digest in &record.digests {
        // Writing to a String cannot fail.
        let _ = write!(line, " {}={digest}", digest.bank());
    }
    let _ = write!(line, " event={:?}", record.data);
    line
}

/// A creation: what was built and where the time went.
pub(super) fn created(domain: &Domain, built: &Built, hash_ns: u64, total_ns: u64) -> String {
    let times = built.times;
    let named = times.create_ns + times.populate_ns + times.copy_ns + times.tables_ns + times.store_ns + hash_ns;
    format!(
        "domid={} type={} vcpus={} memory_kib={} total_us={} hash_us={} create_us={} populate_us={} copy_us={} \
         tables_us={} store_us={} rest_us={}",
        built.domid,
        domain.kind,
        domain.vcpus,
        domain.memory_kib,
        total_ns / 1000,
        hash_ns / 1000,
        times.create_ns / 1000,
        times.populate_ns / 1000,
        times.copy_ns / 1000,
        times.tables_ns / 1000,
        times.store_ns / 1000,
        total_ns.saturating_sub(named) / 1000,
    )
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Refused(problem) => write!(f, "refused ({problem})"),
            Self::Failed(problem) => write!(f, "failed ({problem})"),
            Self::Running(_) => f.write_str("running"),
            Self::Paused(_) => f.write_str("paused"),
            Self::Preserved(_, end) => write!(f, "preserved (after {end})"),
            Self::Ending(..) => f.write_str("ending"),
            Self::Waiting(_) => f.write_str("waiting to restart"),
        }
    }
}

impl<H: Hypervisor, C: Services, L: StoreLink> Host<'_, H, C, L> {
    /// A line for each domain of the manifest: its state and what it takes.
    pub fn list(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        for entry in self.domains.iter() {
            let domain = &entry.domain;
            let mut line = format!("domain={} type={}", domain.name, domain.kind);
            if let Some(domid) = entry.state.domid() {
                let _ = write!(line, " domid={domid}");
                if let Ok(Some(info)) = self.hypervisor.domain_info(domid) {
                    let _ = write!(
                        line,
                        " memory_kib={} cpu_ms={}",
                        info.pages * 4,
                        info.cpu_time_ns / 1_000_000
                    );
                }
            }
            if let Some((_, total)) = entry.times {
                let _ = write!(line, " build_us={}", total / 1000);
            }
            let _ = write!(line, " starts={} state={}", entry.starts, entry.state);
            lines.push(line);
        }
        lines
    }

    /// The machine's memory.
    ///
    /// # Errors
    /// Xen refuses.
    pub fn memory(&mut self) -> xen::Result<String> {
        let host = self.hypervisor.host_info()?;
        Ok(format!(
            "memory free_pages={} scrub_pages={} total_pages={} cpus={}",
            host.free_pages, host.scrub_pages, host.total_pages, host.cpus
        ))
    }
}
