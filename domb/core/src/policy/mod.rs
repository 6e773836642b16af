//! Whether what a domain asks for is allowed.
//!
//! [`decide`] is all there is: facts in, a [`Grant`] or a [`Denial`] out, each naming the manifest's rule that says so. What
//! no entry of access allows is denied. domb decides by it, and the host tool explains with it what domb will decide.
//!
//! The facts are about what domb holds itself: digests of copied images, command lines and sizes as they will be used. The
//! caller vouches for them; and for who asks, by the channel that the request came through.

mod class;
mod denial;
mod facts;
mod grant;
mod signers;

#[cfg(test)]
mod tests;

use alloc::string::ToString as _;
use alloc::vec::Vec;

use manifest::{Console, GuestBox, GuestClass, Manifest, Request, Scope};

use class::Fit;
pub use denial::{Denial, Kib, Reason, Rule};
pub use facts::{Asked, Device, Guest, ImageFacts, MAX_SIGNATURES, NewGuest, Subject};
pub use grant::{Grant, Matched};

/// Whether the manifest allows `domain` what it asks for, while `guests` are all those that exist.
///
/// The class of a new guest is the one that the request names; else the first in the manifest's order that `domain` may
/// create guests in and that this one fits.
///
/// # Errors
/// A [`Denial`], which names the rule.
pub fn decide(manifest: &Manifest, domain: &str, asked: &Asked<'_>, guests: &[Guest<'_>]) -> Result<Grant, Denial> {
    let request = asked.request();
    if let Asked::Create(guest) = asked {
        return create(manifest, domain, guest, guests);
    }
    let subject = asked.subject();
    let scope = subject.scope();
    let class = match subject {
        Subject::Guest(guest) => manifest.policy.class(guest.class),
        Subject::Host | Subject::Domain(_) => None,
    };
    if let Some(class) = class {
        check_box(manifest, domain, request, class)?;
    }
    let granted = access(manifest, domain, request, scope)?;
    match (asked, subject, class) {
        (Asked::MemorySet(_, kib), Subject::Guest(guest), Some(class)) => class::memory_set(class, guest, *kib)?,
        (Asked::VcpuSet(_, vcpus), Subject::Guest(guest), Some(class)) => class::vcpu_set(class, guest, *vcpus)?,
        (Asked::DeviceAttach(_, device), Subject::Guest(guest), Some(class)) => {
            class::device_attach(manifest, class, guest, device)?;
        }
        (_, Subject::Domain(name), _) => host_domain(manifest, name, asked)?,
        // A request that has limits came without the facts that they are compared with.
        (Asked::Plain(request, Subject::Guest(_)), ..) if has_limits(*request) => {
            return Err(Denial::new(Rule::Request, Reason::NoFacts(*request)));
        }
        (Asked::Plain(..), Subject::Host | Subject::Guest(_), _) => {}
        // The class of an existing guest is not in the manifest, or a request is about what has none such.
        _ => return Err(Denial::no_access(domain, request, &subject.scope().to_string())),
    }
    Ok(granted)
}

/// Whether `domain` may create guests of any class, and so bring images.
///
/// # Errors
/// A [`Denial`], which says that no entry of access lets it.
pub fn may_create(manifest: &Manifest, domain: &str) -> Result<(), Denial> {
    let mut entries = manifest.policy.access.iter();
    let lets = |access: &manifest::Access| {
        access.domain == domain && matches!(access.scope, Scope::Class(_)) && access.may.contains(&Request::Create)
    };
    if entries.any(lets) {
        return Ok(());
    }
    Err(Denial::no_access(domain, Request::Create, "any class"))
}

/// Whether a request on a guest is decided by more than access.
const fn has_limits(request: Request) -> bool {
    matches!(
        request,
        Request::Create | Request::MemorySet | Request::VcpuSet | Request::DeviceAttach
    )
}

/// The entry of access that allows it.
fn access(manifest: &Manifest, domain: &str, request: Request, scope: Scope) -> Result<Grant, Denial> {
    let Some((index, _)) = manifest
        .policy
        .allows(domain, request, &scope)
        .filter(|_| scope.has(request))
    else {
        return Err(Denial::no_access(domain, request, &scope.to_string()));
    };
    Ok(Grant {
        access: index,
        domain: domain.into(),
        request,
        scope,
        matched: None,
    })
}

/// Whether the class's box lets the request through. A domain that has no access to the class at all is told that instead.
fn check_box(manifest: &Manifest, domain: &str, request: Request, class: &GuestClass) -> Result<(), Denial> {
    let scope = Scope::Class(class.name.clone());
    let knows = || {
        let mut entries = manifest.policy.access.iter();
        entries.any(|access| access.domain == domain && access.scope == scope)
    };
    if class.guest_box == GuestBox::Closed && !request.leaves_closed() && knows() {
        return Err(Denial::of_class(&class.name, "box", Reason::Closed(request)));
    }
    Ok(())
}

/// What the entry of one of the manifest's own domains says against a request about it.
fn host_domain(manifest: &Manifest, name: &str, asked: &Asked<'_>) -> Result<(), Denial> {
    let Some(domain) = manifest.domains.iter().find(|domain| domain.name == name) else {
        return Err(Denial::of_domain(name, "name", Reason::NoDomain));
    };
    match asked {
        Asked::MemorySet(_, kib) if *kib > domain.maxmem_kib => {
            let reason = Reason::Memory {
                asked: Kib(*kib),
                allowed: Kib(domain.maxmem_kib),
            };
            Err(Denial::of_domain(name, "maxmem", reason))
        }
        Asked::VcpuSet(_, vcpus) if *vcpus > domain.max_vcpus => {
            let reason = Reason::Number {
                what: "vCPUs",
                asked: (*vcpus).into(),
                allowed: domain.max_vcpus.into(),
            };
            Err(Denial::of_domain(name, "maxvcpus", reason))
        }
        Asked::Plain(Request::Console, _) if domain.console == Console::None => {
            Err(Denial::of_domain(name, "console", Reason::NoConsole))
        }
        Asked::Plain(request @ (Request::MemorySet | Request::VcpuSet | Request::DeviceAttach), _) => {
            Err(Denial::new(Rule::Request, Reason::NoFacts(*request)))
        }
        _ => Ok(()),
    }
}

/// Whether a new guest may be built, and in which class it is then.
fn create(manifest: &Manifest, domain: &str, guest: &NewGuest<'_>, guests: &[Guest<'_>]) -> Result<Grant, Denial> {
    if manifest.domains.iter().any(|domain| domain.name == guest.name) {
        let reason = Reason::NameOfDomain(guest.name.into());
        return Err(Denial::new(Rule::Domains, reason));
    }
    let in_class = |class: &GuestClass| access(manifest, domain, Request::Create, Scope::Class(class.name.clone()));
    let fit = Fit::new(manifest, guest, guests);
    if let Some(name) = guest.class {
        let class = manifest.policy.class(name);
        let class = class.ok_or_else(|| {
            let scope = Scope::Class(name.into());
            Denial::no_access(domain, Request::Create, &scope.to_string())
        })?;
        let granted = in_class(class)?;
        return Ok(granted.with(fit.class(class)?));
    }
    let mut denials = Vec::new();
    for class in &manifest.policy.classes {
        let Ok(granted) = in_class(class) else {
            continue;
        };
        match fit.class(class) {
            Ok(matched) => return Ok(granted.with(matched)),
            Err(denial) => denials.push(denial),
        }
    }
    match denials.len() {
        0 => Err(Denial::no_access(domain, Request::Create, "any class")),
        // There is one class only: what it says is the answer.
        1 => denials
            .pop()
            .map_or_else(|| Err(Denial::no_access(domain, Request::Create, "any class")), Err),
        _ => Err(Denial::new(Rule::Classes, Reason::FitsNone(denials))),
    }
}
