//! Lines for the log and for the operator: words a program can take apart, `key=value`.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

use manifest::Domain;
use measure::Record;
use xen::Hypervisor;

use super::{Consoles, Host, State};
use crate::build::Built;

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
    let named = times.create_ns + times.populate_ns + times.copy_ns + times.tables_ns + hash_ns;
    format!(
        "domid={} type={} vcpus={} memory_kib={} total_us={} hash_us={} create_us={} populate_us={} copy_us={} \
         tables_us={} rest_us={}",
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
        total_ns.saturating_sub(named) / 1000,
    )
}

impl<H: Hypervisor, C: Consoles> Host<'_, H, C> {
    /// A line for each domain of the manifest: its state and what it takes.
    pub fn list(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        for (domain, entry) in self.manifest.domains.iter().zip(&self.entries) {
            let state = match &entry.state {
                State::Off => "off".into(),
                State::Refused(problem) => format!("refused ({problem})"),
                State::Failed(problem) => format!("failed ({problem})"),
                State::Running(_) => "running".into(),
                State::Paused(_) => "paused".into(),
                State::Preserved(_, end) => format!("preserved (after {end})"),
                State::Ending(..) => "ending".into(),
                State::Waiting(_) => "waiting to restart".into(),
            };
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
            let _ = write!(line, " starts={} state={state}", entry.starts);
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
