//! Answers what domains ask for: decides each request by the manifest's policy, and then does it.
//!
//! Who asks is known by the channel that the request came through, not by anything in it.

mod deciding;
mod images;
mod telling;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use log::info;
use xen::Hypervisor;

use super::asked::Wish;
use super::{Host, RequestError, Services, Shutdown, State};
use crate::management::{Answer, Done, Guest, Request};
use crate::policy::{Denial, Grant};
use crate::store::StoreLink;
use deciding::sha256;

pub(super) use deciding::DenialLog;
pub use images::Conversation;

/// Bytes of a log that an answer has at most; frames have no more than 64 KiB.
const LOG_BYTES: usize = 48 << 10;

/// What domb cannot do yet for anybody.
const NO_DEVICES: &str = "domb cannot connect devices to a domain yet";
const NO_CONSOLE: &str =
    "consoles are not served to other domains yet: the lines are in Xen's log, under the domain's name";

/// Why a request comes to nothing.
enum Problem {
    /// The policy does not allow it.
    Denied(Denial),
    /// It could not be done.
    Failed { step: &'static str, text: String },
}

type Outcome<T> = Result<T, Problem>;

impl From<Denial> for Problem {
    fn from(denial: Denial) -> Self {
        Self::Denied(denial)
    }
}

fn failed(step: &'static str, problem: &impl ToString) -> Problem {
    let text = problem.to_string();
    Problem::Failed { step, text }
}

impl From<RequestError> for Problem {
    fn from(problem: RequestError) -> Self {
        failed("domb", &problem)
    }
}

impl<H: Hypervisor, C: Services, L: StoreLink> Host<'_, H, C, L> {
    /// Answers a request of the domain `asker`, one of the manifest's.
    pub fn answer(&mut self, asker: &str, conversation: &mut Conversation, request: &Request) -> Answer {
        match self.serve(asker, conversation, request) {
            Ok(result) => Answer::Done { result },
            Err(Problem::Denied(denial)) => {
                self.denials.log((self.clock)(), asker, &denial);
                Answer::Refused {
                    rule: denial.rule.to_string(),
                    text: denial.reason.to_string(),
                }
            }
            Err(Problem::Failed { step, text }) => Answer::Failed {
                step: step.into(),
                text,
            },
        }
    }

    fn serve(&mut self, asker: &str, conversation: &mut Conversation, request: &Request) -> Outcome<Done> {
        let decided = self.decide(asker, request)?;
        let about = decided.index.map(|index| (index, self.name(index).to_string()));
        match (request, about) {
            (Request::HostInfo, _) => self.host_report(asker),
            (Request::List { from }, _) => Ok(self.domain_list(asker, *from)),
            (Request::PolicyExplain { subject }, _) => self.explain(asker, subject.request()),
            (Request::HostLog { sequence }, _) => {
                let (lines, next) = self.services.log_lines(*sequence, LOG_BYTES);
                Ok(Done::HostLog { lines, next })
            }
            (Request::XenLog { index, clear }, _) => {
                let mut text = alloc::vec![0; LOG_BYTES];
                let read = self.hypervisor.read_log(*index, *clear, &mut text);
                let (count, next) = read.map_err(|problem| failed("xen", &problem))?;
                text.truncate(count);
                Ok(Done::XenLog { text, next })
            }
            (Request::MeasurementLog { offset, .. }, about) => {
                self.measurements(about.as_ref().map(|(_, name)| name.as_str()), *offset)
            }
            (Request::ImageOffer { image }, _) => self.offer_image(conversation, image),
            (Request::ImageWindow { digest, offset, pieces }, _) => {
                self.take_window(asker, conversation, digest, *offset, pieces)
            }
            (
                Request::Create {
                    kernel,
                    ramdisk,
                    devices,
                    paused,
                    ..
                },
                _,
            ) => {
                let domain = decided
                    .domain
                    .ok_or_else(|| failed("configuration", &"there is none"))?;
                if !devices.is_empty() {
                    return Err(failed("devices", &NO_DEVICES));
                }
                let class = decided.grant.as_ref().and_then(Grant::class).map(ToString::to_string);
                info!("domain {}: create on request of {asker}", domain.name);
                let wish = Wish {
                    domain,
                    kernel: sha256(&kernel.digest),
                    ramdisk: ramdisk.as_ref().map(|ramdisk| sha256(&ramdisk.digest)),
                    class,
                    paused: *paused,
                };
                let domid = self.create_asked(wish)?.0;
                Ok(Done::Create { domid })
            }
            (Request::Info { .. }, Some((index, _))) => self.domain_report(index),
            (Request::DeviceList { .. }, Some(_)) => Ok(Done::DeviceList { devices: Vec::new() }),
            (Request::Console { .. }, Some(_)) => Err(failed("console", &NO_CONSOLE)),
            (Request::DeviceAttach { .. } | Request::DeviceDetach { .. }, Some(_)) => {
                Err(failed("devices", &NO_DEVICES))
            }
            (request, Some((_, name))) => {
                info!("domain {name}: asked for by {asker}: {}", verb(request));
                self.act(&name, request)
            }
            // The connection itself sees to cancelling; all others are about a domain.
            (_, None) => Ok(Done::Nothing),
        }
    }

    /// Does what needs nothing but the domain's name, and what there is in the request.
    fn act(&mut self, name: &str, request: &Request) -> Outcome<Done> {
        match request {
            Request::Start { .. } => {
                let domid = self.create(name)?.0;
                return Ok(Done::Create { domid });
            }
            Request::Destroy { .. } => self.destroy(name)?,
            Request::Pause { .. } => self.pause(name)?,
            Request::Unpause { .. } => self.unpause(name)?,
            Request::Shutdown { .. } => self.shutdown(name, Shutdown::Poweroff).map(|_| ())?,
            Request::Reboot { .. } => self.shutdown(name, Shutdown::Reboot).map(|_| ())?,
            Request::MemorySet { kib, .. } => self.set_memory(name, *kib)?,
            Request::VcpuSet { count, .. } => self.set_vcpus(name, *count)?,
            _ => {}
        }
        Ok(Done::Nothing)
    }

    /// Which domain is meant.
    fn find(&self, guest: &Guest) -> Outcome<usize> {
        let mut indices = self.domains.indices();
        let (index, what) = match guest {
            Guest::Name { name } => (self.domains.index(name), format!("{name:?}")),
            Guest::Id { domid } => {
                let has = |index: &usize| {
                    let number = self.domains.state(*index).and_then(State::domid);
                    number.is_some_and(|number| number.0 == *domid)
                };
                (indices.find(has), format!("number {domid}"))
            }
            Guest::Uuid { uuid } => {
                let has = |index: &usize| self.domains.get(*index).is_some_and(|entry| entry.domain.uuid == *uuid);
                (indices.find(has), format!("UUID {}", manifest::uuid::text(uuid)))
            }
        };
        index.ok_or_else(|| failed("find", &format!("no domain {what}")))
    }
}

/// What a request does, for the log.
fn verb(request: &Request) -> &'static str {
    match request {
        Request::Start { .. } => "start",
        Request::Destroy { .. } => "destroy",
        Request::Pause { .. } => "pause",
        Request::Unpause { .. } => "unpause",
        Request::Shutdown { .. } => "shutdown",
        Request::Reboot { .. } => "reboot",
        Request::MemorySet { .. } => "memory-set",
        Request::VcpuSet { .. } => "vcpu-set",
        _ => "nothing",
    }
}
