//! `domb policy explain`: what domb will decide, and by which rule.

mod arguments;
mod guest;

use domb_core::policy::{Asked, Denial, Device, Grant, Guest, NewGuest, Subject, decide};
use manifest::{BackendClass, Manifest, Request};
use serde_json::{Value, json};

use crate::host_manifest::HostManifest;
use crate::{Error, Progress};

pub use arguments::{ExplainArguments, PolicyCommand, RequestName};
use guest::GuestFacts;

/// One decision.
#[derive(Debug)]
pub struct Explained {
    /// What it is about: `guest web-1`, `class web`, `domain db`, `host`.
    pub subject: String,
    /// Yes or no, and why.
    pub decision: Result<Grant, Denial>,
}

/// What domb will decide, in the order of the guests: with several to be created, each while those before it that were
/// allowed exist.
///
/// # Errors
/// As [`HostManifest::load`] for the host; [`Error::Read`], [`Error::Manifest`], [`Error::Kernel`], [`Error::Signature`] for a
/// guest; [`Error::Question`] when the request needs something else beside it.
pub fn explain(arguments: &ExplainArguments, progress: Progress, warn: impl Fn(&str)) -> Result<Vec<Explained>, Error> {
    let host = HostManifest::load(&arguments.host, progress)?;
    host.faults.iter().for_each(|fault| warn(&fault.to_string()));
    let manifest = &host.manifest;
    check_names(manifest, arguments)?;
    if arguments.guests.is_empty() {
        return Ok(vec![without_guest(manifest, arguments)?]);
    }
    let mut guests = Vec::new();
    for path in &arguments.guests {
        guests.push(GuestFacts::read(path, manifest)?);
    }
    if arguments.request.0 == Request::Create {
        return Ok(create_all(manifest, arguments, &guests));
    }
    let about = |facts: &GuestFacts| {
        let devices = facts.devices();
        let new = NewGuest {
            devices: &devices,
            ..facts.new_guest(arguments.class.as_deref())
        };
        let class = class_of(manifest, &new).ok_or_else(|| {
            let name = facts.name();
            Error::Question(format!("guest {name} fits no class; accepted: --class NAME"))
        })?;
        let guest = existing(&new, &class);
        let subject = Subject::Guest(&guest);
        Ok(Explained {
            subject: format!("guest {}", facts.name()),
            decision: decide(manifest, &arguments.domain, &asked(arguments, subject)?, &[guest]),
        })
    };
    guests.iter().map(about).collect()
}

/// Creates each guest, beside those that were allowed before.
fn create_all(manifest: &Manifest, arguments: &ExplainArguments, guests: &[GuestFacts]) -> Vec<Explained> {
    let devices: Vec<Vec<Device<'_>>> = guests.iter().map(GuestFacts::devices).collect();
    let news: Vec<NewGuest<'_>> = guests
        .iter()
        .zip(&devices)
        .map(|(facts, devices)| NewGuest {
            devices,
            ..facts.new_guest(arguments.class.as_deref())
        })
        .collect();
    let mut classes: Vec<(usize, String)> = Vec::new();
    let mut explained = Vec::new();
    for (index, new) in news.iter().enumerate() {
        let before: Vec<Guest<'_>> = classes
            .iter()
            .filter_map(|(index, class)| Some(existing(news.get(*index)?, class)))
            .collect();
        let decision = decide(manifest, &arguments.domain, &Asked::Create(new), &before);
        if let Some(class) = decision.as_ref().ok().and_then(Grant::class) {
            classes.push((index, class.into()));
        }
        explained.push(Explained {
            subject: format!("guest {}", new.name),
            decision,
        });
    }
    explained
}

/// A decision about a class, a domain of the manifest, or the host.
fn without_guest(manifest: &Manifest, arguments: &ExplainArguments) -> Result<Explained, Error> {
    let some_guest;
    let (subject, text) = match (&arguments.class, &arguments.host_domain) {
        (Some(class), _) => {
            let limits = manifest.policy.class(class);
            some_guest = Guest {
                name: "any",
                class,
                max_memory_kib: limits.map_or(0, |class| class.memory_max_kib),
                max_vcpus: limits.map_or(0, |class| class.vcpus_max),
                devices: 0,
            };
            (Subject::Guest(&some_guest), format!("class {class}"))
        }
        (None, Some(domain)) => (Subject::Domain(domain), format!("domain {domain}")),
        (None, None) if arguments.request.0.is_host_wide() => (Subject::Host, "host".into()),
        (None, None) => {
            let text = format!(
                "{} of what? accepted: GUEST.toml, --class NAME, --host-domain NAME",
                arguments.request.0
            );
            return Err(Error::Question(text));
        }
    };
    if arguments.request.0 == Request::Create && arguments.host_domain.is_none() {
        let text = "create without a guest; accepted: GUEST.toml, or --host-domain NAME";
        return Err(Error::Question(text.into()));
    }
    Ok(Explained {
        subject: text,
        decision: decide(manifest, &arguments.domain, &asked(arguments, subject)?, &[]),
    })
}

/// The request, with the values that it is decided by.
fn asked<'a>(arguments: &'a ExplainArguments, subject: Subject<'a>) -> Result<Asked<'a>, Error> {
    let request = arguments.request.0;
    let needs = |option: &str| Error::Question(format!("{request} needs {option}"));
    Ok(match request {
        Request::MemorySet => Asked::MemorySet(subject, arguments.memory.ok_or_else(|| needs("--memory MIB"))?.0),
        Request::VcpuSet => Asked::VcpuSet(subject, arguments.vcpus.ok_or_else(|| needs("--vcpus NUMBER"))?),
        Request::DeviceAttach => {
            let device = arguments.device.as_ref();
            let device = device.ok_or_else(|| needs("--device KIND:DOMAIN"))?;
            let device = Device {
                class: device.0,
                backend: &device.1,
            };
            Asked::DeviceAttach(subject, device)
        }
        _ => Asked::Plain(request, subject),
    })
}

/// The class that a guest is in: the one that is named, else the first that it fits.
fn class_of(manifest: &Manifest, guest: &NewGuest<'_>) -> Option<String> {
    if let Some(class) = guest.class {
        return Some(class.into());
    }
    let creators = manifest
        .policy
        .access
        .iter()
        .filter(|access| access.may.contains(&Request::Create));
    creators
        .filter_map(|access| decide(manifest, &access.domain, &Asked::Create(guest), &[]).ok())
        .filter_map(|grant| Some(grant.class()?.to_owned()))
        .min_by_key(|name| manifest.policy.classes.iter().position(|class| class.name == *name))
}

/// A guest that was created so.
fn existing<'a>(guest: &NewGuest<'a>, class: &'a str) -> Guest<'a> {
    Guest {
        name: guest.name,
        class,
        max_memory_kib: guest.max_memory_kib,
        max_vcpus: guest.max_vcpus,
        devices: u16::try_from(guest.devices.len()).unwrap_or(u16::MAX),
    }
}

/// Whether the manifest has what the command line names. What a name is not, access denies, and a slip of the pen would
/// pass for an answer.
fn check_names(manifest: &Manifest, arguments: &ExplainArguments) -> Result<(), Error> {
    let domains = || manifest.domains.iter().map(|domain| domain.name.as_str());
    let device = arguments.device.as_ref().map(|device| &device.1);
    for name in [Some(&arguments.domain), arguments.host_domain.as_ref(), device] {
        if let Some(name) = name.filter(|name| !domains().any(|known| known == *name)) {
            return Err(Error::NoDomain {
                name: name.clone(),
                accepted: domains().collect::<Vec<_>>().join(", "),
            });
        }
    }
    if let Some(name) = &arguments.class
        && manifest.policy.class(name).is_none()
    {
        let classes: Vec<&str> = manifest
            .policy
            .classes
            .iter()
            .map(|class| class.name.as_str())
            .collect();
        let text = format!("no class {name:?} in the manifest; accepted: {}", classes.join(", "));
        return Err(Error::Question(text));
    }
    Ok(())
}

/// `allowed: …` or `denied: …`, one a line; with several guests behind the name of each.
#[must_use]
pub fn text(explained: &[Explained]) -> String {
    let several = explained.len() > 1;
    let lines = explained.iter().map(|Explained { subject, decision }| {
        let subject = if several { format!("{subject}: ") } else { String::new() };
        match decision {
            Ok(grant) => format!("{subject}allowed: {grant}\n"),
            Err(denial) => format!("{subject}denied: {denial}\n"),
        }
    });
    lines.collect()
}

/// `{"decisions": [{"subject", "allowed", "rule", "why", "class"}]}`; `class` only where one is known.
#[must_use]
pub fn json(explained: &[Explained]) -> Value {
    let one = |Explained { subject, decision }: &Explained| match decision {
        Ok(grant) => json!({
            "subject": subject, "allowed": true, "rule": format!("access of {} to {}", grant.domain, grant.scope),
            "why": grant.to_string(), "class": grant.class(),
        }),
        Err(denial) => json!({
            "subject": subject, "allowed": false, "rule": denial.rule.to_string(), "why": denial.to_string(),
        }),
    };
    json!({"decisions": explained.iter().map(one).collect::<Vec<_>>()})
}

/// A device on the command line: its kind and who serves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceName(pub BackendClass, pub String);
