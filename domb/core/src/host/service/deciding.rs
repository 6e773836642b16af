//! Puts what is known of a request before the policy.

use alloc::string::ToString;
use alloc::vec::Vec;

use log::warn;
use manifest::{BackendClass, Console, Domain, GuestBox, Request as Right};
use measure::{Bank, Digest};
use xen::Hypervisor;

use super::{Outcome, Problem, failed};
use crate::host::domains::Entry;
use crate::host::{Host, Services};
use crate::management::{Device, DeviceClass, Done, Image, Request};
use crate::policy::{self, Asked, Denial, Grant, ImageFacts, NewGuest, Subject};
use crate::store::StoreLink;

/// Denials that are logged at once; then one for each second.
const BURST: u32 = 20;
const SECOND_NS: u64 = 1_000_000_000;

/// Logs denials, not more than somebody can read.
#[derive(Debug, Default)]
pub(in crate::host) struct DenialLog {
    /// How many were logged of those that may be.
    used: u32,
    /// Since when these are counted, in nanoseconds.
    since: u64,
    /// How many were not logged.
    left_out: u64,
}

impl DenialLog {
    pub(super) fn log(&mut self, now: u64, asker: &str, denial: &Denial) {
        let passed = now.saturating_sub(self.since) / SECOND_NS;
        if passed > 0 {
            self.since = now;
            self.used = self.used.saturating_sub(u32::try_from(passed).unwrap_or(u32::MAX));
        }
        if self.used >= BURST {
            self.left_out += 1;
            return;
        }
        self.used += 1;
        match core::mem::take(&mut self.left_out) {
            0 => warn!("denied {asker}: {denial}"),
            left_out => warn!("denied {asker}: {denial} ({left_out} denials before were not logged)"),
        }
    }
}

impl Entry<'_> {
    /// What the policy knows of a guest that was asked for.
    pub(super) fn as_guest(&self) -> Option<policy::Guest<'_>> {
        Some(policy::Guest {
            name: &self.domain.name,
            class: self.class.as_deref()?,
            max_memory_kib: self.domain.maxmem_kib,
            max_vcpus: self.domain.max_vcpus,
            devices: 0,
        })
    }
}

/// What is asked about a domain that exists.
#[derive(Clone, Copy)]
enum Ask<'a> {
    Plain(Right),
    Memory(u64),
    Vcpus(u16),
    Attach(&'a Device),
}

/// What was decided: the domain that it is about, where it is about one, and the rules that allow it.
#[derive(Default)]
pub(super) struct Decided {
    pub(super) index: Option<usize>,
    pub(super) grant: Option<Grant>,
    /// The configuration of a new guest.
    pub(super) domain: Option<Domain>,
}

impl<H: Hypervisor, C: Services, L: StoreLink> Host<'_, H, C, L> {
    /// Whether `asker` may have a request fulfilled. What a list shows is decided domain by domain.
    pub(super) fn decide(&mut self, asker: &str, request: &Request) -> Outcome<Decided> {
        let (guest, ask) = match request {
            Request::HostInfo => return self.decide_host(asker, Right::HostInfo),
            // The whole log tells of every domain.
            Request::HostLog { .. } | Request::MeasurementLog { guest: None, .. } => {
                return self.decide_host(asker, Right::HostLog);
            }
            Request::XenLog { .. } => return self.decide_host(asker, Right::XenLog),
            Request::PolicyExplain { .. } => return self.decide_host(asker, Right::PolicyExplain),
            Request::List { .. } | Request::Cancel { .. } => return Ok(Decided::default()),
            Request::ImageOffer { .. } | Request::ImageWindow { .. } => {
                policy::may_create(&self.manifest, asker)?;
                return Ok(Decided::default());
            }
            Request::Create {
                configuration,
                class,
                kernel,
                ramdisk,
                ..
            } => {
                let domain = Domain::decode(configuration).map_err(|problem| failed("configuration", &problem))?;
                // Names and texts have their limits before anything of them is logged.
                if let Some(problem) = domain.check().first() {
                    return Err(failed("configuration", problem));
                }
                let grant = self.decide_create(asker, &domain, class.as_deref(), kernel, ramdisk.as_ref())?;
                return Ok(Decided {
                    index: None,
                    grant: Some(grant),
                    domain: Some(domain),
                });
            }
            Request::Start { guest } => (guest, Ask::Plain(Right::Create)),
            Request::Info { guest } | Request::DeviceList { guest, .. } => (guest, Ask::Plain(Right::Info)),
            Request::Destroy { guest } => (guest, Ask::Plain(Right::Destroy)),
            Request::Shutdown { guest } => (guest, Ask::Plain(Right::Shutdown)),
            Request::Reboot { guest } => (guest, Ask::Plain(Right::Reboot)),
            Request::Pause { guest } => (guest, Ask::Plain(Right::Pause)),
            Request::Unpause { guest } => (guest, Ask::Plain(Right::Unpause)),
            Request::Console { guest, .. } => (guest, Ask::Plain(Right::Console)),
            Request::DeviceDetach { guest, .. } => (guest, Ask::Plain(Right::DeviceDetach)),
            Request::MeasurementLog { guest: Some(guest), .. } => (guest, Ask::Plain(Right::MeasurementLog)),
            Request::MemorySet { guest, kib } => (guest, Ask::Memory(*kib)),
            Request::VcpuSet { guest, count } => (guest, Ask::Vcpus(*count)),
            Request::DeviceAttach { guest, device } => (guest, Ask::Attach(device)),
        };
        let index = self.find(guest)?;
        let grant = self.decide_about(asker, index, ask)?;
        Ok(Decided {
            index: Some(index),
            grant: Some(grant),
            domain: None,
        })
    }

    fn decide_host(&self, asker: &str, right: Right) -> Outcome<Decided> {
        let asked = Asked::Plain(right, Subject::Host);
        let grant = policy::decide(&self.manifest, asker, &asked, &[])?;
        Ok(Decided {
            grant: Some(grant),
            ..Decided::default()
        })
    }

    /// Whether `asker` may know that a domain is there.
    pub(super) fn may_list(&self, asker: &str, index: usize) -> bool {
        self.decide_about(asker, index, Ask::Plain(Right::List)).is_ok()
    }

    fn decide_about(&self, asker: &str, index: usize, ask: Ask<'_>) -> Outcome<Grant> {
        let entry = self.domains.get(index).ok_or_else(|| failed("find", &"it is gone"))?;
        let guests = self.guests();
        let guest = entry.as_guest();
        let subject = match &guest {
            Some(guest) => Subject::Guest(guest),
            None => Subject::Domain(&entry.domain.name),
        };
        let asked = match ask {
            Ask::Plain(right) => Asked::Plain(right, subject),
            Ask::Memory(kib) => Asked::MemorySet(subject, kib),
            Ask::Vcpus(count) => Asked::VcpuSet(subject, count),
            Ask::Attach(device) => {
                let class = match device.class {
                    DeviceClass::Block => BackendClass::Vbd,
                    DeviceClass::Network => BackendClass::Vif,
                    DeviceClass::Pci => BackendClass::Pci,
                };
                let backend = &device.backend;
                Asked::DeviceAttach(subject, policy::Device { class, backend })
            }
        };
        Ok(policy::decide(&self.manifest, asker, &asked, &guests)?)
    }

    /// Whether `asker` may have such a guest. The images must have come: what is decided on is what domb has.
    fn decide_create(
        &mut self,
        asker: &str,
        domain: &Domain,
        class: Option<&str>,
        kernel: &Image,
        ramdisk: Option<&Image>,
    ) -> Outcome<Grant> {
        let mut facts = |image: &Image| -> Outcome<Digest> {
            let digest = sha256(&image.digest);
            // Those of the bundle are compared with the manifest now, if they were not before.
            self.images
                .with_digest(&digest)
                .map_err(|problem| failed("image", &problem))?;
            Ok(digest)
        };
        let kernel_digest = facts(kernel)?;
        let ramdisk_digest = ramdisk.map(&mut facts).transpose()?;
        let devices: Vec<policy::Device<'_>> = domain
            .disks
            .iter()
            .map(|disk| (BackendClass::Vbd, disk.backend.as_deref()))
            .chain(
                domain
                    .interfaces
                    .iter()
                    .map(|interface| (BackendClass::Vif, interface.backend.as_deref())),
            )
            .map(|(class, backend)| policy::Device {
                class,
                backend: backend.unwrap_or_default(),
            })
            .collect();
        let guest = NewGuest {
            name: &domain.name,
            class,
            kind: domain.kind,
            kernel: ImageFacts {
                sha256: kernel_digest,
                signatures: &kernel.signatures,
            },
            ramdisk: ramdisk.zip(ramdisk_digest).map(|(ramdisk, sha256)| ImageFacts {
                sha256,
                signatures: &ramdisk.signatures,
            }),
            command_line: &domain.command_line,
            max_memory_kib: domain.maxmem_kib,
            max_vcpus: domain.max_vcpus,
            devices: &devices,
        };
        let grant = policy::decide(&self.manifest, asker, &Asked::Create(&guest), &self.guests())?;
        let class = grant.class().and_then(|class| self.manifest.policy.class(class));
        if class.is_some_and(|class| class.guest_box == GuestBox::Closed) && domain.console != Console::None {
            // Its lines would be in Xen's log for whoever may read that.
            let problem = "console: the guest is in a closed box; accepted: \"none\"";
            return Err(failed("configuration", &problem));
        }
        Ok(grant)
    }

    /// Guests that were asked for.
    fn guests(&self) -> Vec<policy::Guest<'_>> {
        self.domains.iter().filter_map(Entry::as_guest).collect()
    }

    /// Says what the policy would say.
    pub(super) fn explain(&mut self, asker: &str, request: &Request) -> Outcome<Done> {
        match self.decide(asker, request) {
            Ok(decided) => {
                let text = decided
                    .grant
                    .map_or_else(|| "allowed".to_string(), |grant| grant.to_string());
                Ok(Done::PolicyExplain {
                    allowed: true,
                    rule: "access".into(),
                    text,
                })
            }
            Err(Problem::Denied(denial)) => Ok(Done::PolicyExplain {
                allowed: false,
                rule: denial.rule.to_string(),
                text: denial.to_string(),
            }),
            Err(problem) => Err(problem),
        }
    }
}

pub(super) fn sha256(bytes: &[u8; 32]) -> Digest {
    // A SHA-256 has so many bytes.
    Digest::new(Bank::Sha256, bytes).unwrap_or_else(|_| Digest::zero(Bank::Sha256))
}
