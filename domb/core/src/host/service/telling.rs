//! What is told of the host and of domains.

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use manifest::Kind;
use measure::{AppendError, Bank, Digest, EventLog};
use xen::{Hypervisor, ShutdownReason};

use super::{LOG_BYTES, Outcome, failed};
use crate::host::domains::Entry;
use crate::host::{Host, Services};
use crate::management::{DomainEntry, Done, GuestKind, HostReport, StateFlags, VcpuEntry, XenVersion};
use crate::store::StoreLink;

/// Domains of one answer: each takes a few hundred bytes of a frame at most.
const MOST_DOMAINS: usize = 128;

impl<H: Hypervisor, C: Services, L: StoreLink> Host<'_, H, C, L> {
    pub(super) fn host_report(&mut self, asker: &str) -> Outcome<Done> {
        let info = self.hypervisor.host_info().map_err(|problem| failed("xen", &problem))?;
        let version = self.hypervisor.version();
        let manifest = Digest::of(Bank::Sha256, self.images.manifest_bytes());
        Ok(Done::HostInfo {
            host: HostReport {
                name: self.manifest.host.name.clone(),
                domb: env!("CARGO_PKG_VERSION").into(),
                xen: XenVersion {
                    major: version.major,
                    minor: version.minor,
                    extra: self.services.xen_extra_version(),
                },
                system_time_ns: (self.clock)(),
                memory_kib: info.total_pages.saturating_mul(4),
                free_kib: info.free_pages.saturating_mul(4),
                cpus: info.cpus,
                hvm: info.hvm,
                iommu: info.iommu,
                manifest: manifest.bytes().try_into().unwrap_or_default(),
                asker: self.domid(asker).map_or(0, |domid| domid.0),
            },
        })
    }

    /// The domains that `asker` may know of, in the order of their numbers.
    pub(super) fn domain_list(&mut self, asker: &str, from: u16) -> Done {
        let mut found: Vec<(u16, usize)> = self
            .domains
            .indices()
            .filter_map(|index| Some((self.domains.state(index)?.domid()?.0, index)))
            .filter(|(domid, index)| *domid >= from && self.may_list(asker, *index))
            .collect();
        found.sort_unstable();
        let next = found.get(MOST_DOMAINS).map(|(domid, _)| *domid);
        found.truncate(MOST_DOMAINS);
        let domains = found.into_iter().filter_map(|(_, index)| self.entry(index)).collect();
        Done::List { domains, next }
    }

    pub(super) fn domain_report(&mut self, index: usize) -> Outcome<Done> {
        let domain = self.entry(index).ok_or_else(|| failed("find", &"it does not run"))?;
        let configuration = self.domains.get(index).map(|entry| entry.domain.canonical());
        let domid = xen::DomId(domain.domid);
        let cpus = self.hypervisor.host_info().map_or(0, |info| info.cpus as usize);
        let mut vcpus = Vec::new();
        for vcpu in 0..domain.max_vcpus {
            let mut affinity = vec![0; cpus.div_ceil(8)];
            let number = u32::from(vcpu);
            let info = self.hypervisor.vcpu_info(domid, number).and_then(|info| {
                self.hypervisor.vcpu_affinity(domid, number, &mut affinity)?;
                Ok(info)
            });
            let info = info.map_err(|problem| failed("xen", &problem))?;
            vcpus.push(VcpuEntry {
                vcpu,
                online: info.online,
                blocked: info.blocked,
                running: info.running,
                cpu: info.cpu,
                cpu_time_ns: info.cpu_time_ns,
                affinity,
            });
        }
        Ok(Done::Info {
            domain,
            configuration: configuration.unwrap_or_default(),
            vcpus,
        })
    }

    /// A domain that there is in Xen.
    fn entry(&mut self, index: usize) -> Option<DomainEntry> {
        let entry = self.domains.get(index)?;
        let domid = entry.state.domid()?;
        let info = self.hypervisor.domain_info(domid).ok()??;
        let entry: &Entry<'_> = self.domains.get(index)?;
        let flags = [
            (info.running, StateFlags::RUNNING),
            (info.blocked, StateFlags::BLOCKED),
            (info.paused, StateFlags::PAUSED),
            (info.shutdown.is_some(), StateFlags::SHUT_DOWN),
            (info.shutdown == Some(ShutdownReason::Crash), StateFlags::CRASHED),
            (info.dying, StateFlags::DYING),
        ];
        let set = flags.into_iter().filter(|(is, _)| *is);
        Some(DomainEntry {
            domid: domid.0,
            name: entry.domain.name.clone(),
            uuid: entry.domain.uuid,
            kind: match entry.domain.kind {
                Kind::Pv => GuestKind::Pv,
                Kind::Pvh => GuestKind::Pvh,
            },
            state: set.fold(StateFlags::default(), |all, (_, flag)| all.with(flag)),
            memory_kib: info.pages.saturating_mul(4),
            max_memory_kib: entry.domain.maxmem_kib,
            vcpus: u16::try_from(info.online_vcpus).unwrap_or(u16::MAX),
            max_vcpus: entry.domain.max_vcpus,
            cpu_time_ns: info.cpu_time_ns,
            started_ns: entry.started_ns,
            class: entry.class.clone(),
            restarts: entry.starts.saturating_sub(1),
            crashes: entry.crashes,
        })
    }

    /// A log of the records of one domain alone.
    fn log_of(&self, name: &str) -> Result<EventLog, AppendError> {
        let mut log = EventLog::new(self.log.banks())?;
        let begins = format!("{name}: ");
        for event in self.log.events().flatten() {
            if event.data.starts_with(begins.as_bytes()) {
                log.append(event.pcr, event.event_type, &event.digests, event.data)?;
            }
        }
        Ok(log)
    }

    /// The event log, or what of it is about one domain, from a byte on.
    pub(super) fn measurements(&self, name: Option<&str>, offset: u64) -> Outcome<Done> {
        let whole = self.log.bytes();
        let of_domain;
        let log = match name {
            None => whole,
            Some(name) => {
                of_domain = self.log_of(name).map_err(|problem| failed("log", &problem))?;
                of_domain.bytes()
            }
        };
        let rest = usize::try_from(offset).ok().and_then(|offset| log.get(offset..));
        let rest = rest.ok_or_else(|| failed("log", &format!("offset {offset}: the log has {} bytes", log.len())))?;
        Ok(Done::MeasurementLog {
            total: log.len() as u64,
            bytes: rest.get(..LOG_BYTES).unwrap_or(rest).to_vec(),
        })
    }
}
