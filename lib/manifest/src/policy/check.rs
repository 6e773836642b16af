//! Whether the policy is as it must be.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Display;

use super::{
    Access, GuestBox, GuestClass, ImageRule, MAX_ACCESS, MAX_CLASS_DEVICES, MAX_CLASS_GUESTS, MAX_CLASSES, MAX_KEYS,
    MAX_RULES, PolicyError, PolicyPlace, PolicyWrong, Request, Scope,
};
use crate::check::twice;
use crate::domain::{MAX_MEMORY_KIB, MAX_VCPUS, MEMORY_STEP_KIB, MIN_MEMORY_KIB};
use crate::{Console, Domain, Error, Kind, Manifest, Role, name};

/// The manifest, and what is wrong with its policy so far.
///
/// Names are looked up one after the other: the lists are short, and this is part of an image with a budget.
struct Check<'m> {
    manifest: &'m Manifest,
    errors: Vec<PolicyError>,
}

/// Everything that is wrong with the policy of `manifest`. Lists that are too long are looked at no further.
pub(crate) fn errors(manifest: &Manifest) -> Vec<Error> {
    let policy = &manifest.policy;
    let limits = [
        ("keys", policy.keys.len(), MAX_KEYS),
        ("classes", policy.classes.len(), MAX_CLASSES),
        ("entries of access", policy.access.len(), MAX_ACCESS),
    ];
    let too_many: Vec<Error> = limits
        .into_iter()
        .filter(|(_, count, limit)| count > limit)
        .map(|(what, count, limit)| Error::TooMany { what, count, limit })
        .collect();
    if !too_many.is_empty() {
        return too_many;
    }
    let mut check = Check {
        manifest,
        errors: Vec::new(),
    };
    check.keys();
    check.classes();
    check.access();
    let boxed = |error| Error::Policy(alloc::boxed::Box::new(error));
    check.errors.into_iter().map(boxed).collect()
}

/// One entry, while it is looked at.
#[derive(Clone)]
struct Entry {
    place: PolicyPlace,
    name: String,
}

impl<'m> Check<'m> {
    fn add(&mut self, entry: &Entry, key: &'static str, wrong: PolicyWrong) {
        self.add_with(entry, key, wrong, None);
    }

    fn add_with(
        &mut self,
        entry: &Entry,
        key: &'static str,
        wrong: PolicyWrong,
        other: Option<(PolicyPlace, &'static str)>,
    ) {
        self.errors.push(PolicyError {
            place: entry.place,
            entry: entry.name.clone(),
            key,
            wrong,
            other,
        });
    }

    /// Whether `name` is one, and no entry before this one has it; `first` is where the first one of that name is.
    fn name(&mut self, entry: &Entry, name: &str, first: PolicyPlace) {
        if !name::is_valid(name) {
            self.add(entry, "name", PolicyWrong::Name(name.into()));
        } else if first != entry.place {
            let wrong = PolicyWrong::DuplicateName(name.into());
            self.add_with(entry, "name", wrong, Some((first, "name")));
        }
    }

    /// Whether a list is short enough, and has no item twice.
    fn list<T: PartialEq + Display>(&mut self, entry: &Entry, key: &'static str, items: &[T]) -> bool {
        if items.len() > MAX_RULES {
            let wrong = PolicyWrong::TooMany {
                count: items.len(),
                limit: MAX_RULES,
            };
            self.add(entry, key, wrong);
            return false;
        }
        if let Some(item) = twice(items) {
            self.add(entry, key, PolicyWrong::DuplicateItem(item.to_string()));
        }
        true
    }

    fn keys(&mut self) {
        for (index, key) in self.manifest.policy.keys.iter().enumerate() {
            let entry = Entry {
                place: PolicyPlace::Key(index),
                name: format!("key {}", name::Shown(&key.name)),
            };
            let first = self
                .manifest
                .policy
                .keys
                .iter()
                .position(|other| other.name == key.name);
            let first = first.unwrap_or(index);
            self.name(&entry, &key.name, PolicyPlace::Key(first));
        }
    }

    fn classes(&mut self) {
        for (index, class) in self.manifest.policy.classes.iter().enumerate() {
            let entry = Entry {
                place: PolicyPlace::Class(index),
                name: format!("class {}", name::Shown(&class.name)),
            };
            let first = self.class(&class.name).map_or(index, |(first, _)| first);
            self.name(&entry, &class.name, PolicyPlace::Class(first));
            self.list(&entry, "types", &class.kinds);
            self.images(&entry, "kernels", &class.kernels);
            if class.kernels.contains(&ImageRule::None) {
                self.add(&entry, "kernels", PolicyWrong::NoKernel);
            }
            self.images(&entry, "ramdisks", &class.ramdisks);
            self.command_lines(&entry, class);
            self.limits(&entry, class);
            self.backends(&entry, class);
        }
    }

    fn images(&mut self, entry: &Entry, key: &'static str, rules: &[ImageRule]) {
        if !self.list(entry, key, rules) {
            return;
        }
        for rule in rules {
            match rule {
                ImageRule::SignedBy(name) if self.manifest.policy.key(name).is_none() => {
                    self.add(entry, key, PolicyWrong::UnknownKey(name.clone()));
                }
                ImageRule::Image(name) if self.manifest.image(name).is_none() => {
                    self.add(entry, key, PolicyWrong::UnknownImage(name.clone()));
                }
                ImageRule::Sha256(_) | ImageRule::SignedBy(_) | ImageRule::Image(_) | ImageRule::None => {}
            }
        }
    }

    fn command_lines(&mut self, entry: &Entry, class: &GuestClass) {
        const KEY: &str = "command-lines";
        if !self.list(entry, KEY, &class.command_lines) {
            return;
        }
        for rule in &class.command_lines {
            let text = rule.text();
            if text.len() > Kind::Pvh.max_command_line() || text.contains(char::is_control) {
                self.add(entry, KEY, PolicyWrong::CommandLine(rule.clone()));
            }
        }
    }

    fn limits(&mut self, entry: &Entry, class: &GuestClass) {
        let outside =
            |kib: u64, least: u64| !(least..=MAX_MEMORY_KIB).contains(&kib) || !kib.is_multiple_of(MEMORY_STEP_KIB);
        if outside(class.memory_max_kib, MIN_MEMORY_KIB) {
            self.add(entry, "memory-max", PolicyWrong::memory(class.memory_max_kib));
        } else if outside(class.memory_total_kib, class.memory_max_kib) {
            let wrong = PolicyWrong::Memory {
                kib: class.memory_total_kib,
                least: class.memory_max_kib,
            };
            self.add(entry, "memory-total", wrong);
        }
        if !(1..=MAX_VCPUS).contains(&class.vcpus_max) {
            self.add(entry, "vcpus-max", PolicyWrong::Vcpus(class.vcpus_max));
        }
        if class.guests_max > MAX_CLASS_GUESTS {
            self.add(entry, "guests-max", PolicyWrong::Guests(class.guests_max));
        }
        if class.devices_max > MAX_CLASS_DEVICES {
            self.add(entry, "devices-max", PolicyWrong::Devices(class.devices_max));
        }
    }

    fn backends(&mut self, entry: &Entry, class: &GuestClass) {
        const KEY: &str = "backends";
        if !self.list(entry, KEY, &class.backends) {
            return;
        }
        for name in &class.backends {
            match self.domain(name) {
                None => self.add(entry, KEY, PolicyWrong::UnknownDomain(name.clone())),
                Some((index, domain)) if !domain.has(Role::Driver) => {
                    let other = Some((PolicyPlace::Domain(index), "roles"));
                    self.add_with(entry, KEY, PolicyWrong::NoDriver(name.clone()), other);
                }
                Some(_) => {}
            }
        }
    }

    fn domain(&self, name: &str) -> Option<(usize, &'m Domain)> {
        let mut domains = self.manifest.domains.iter().enumerate();
        domains.find(|(_, domain)| domain.name == name)
    }

    fn class(&self, name: &str) -> Option<(usize, &'m GuestClass)> {
        let mut classes = self.manifest.policy.classes.iter().enumerate();
        classes.find(|(_, class)| class.name == name)
    }

    fn access(&mut self) {
        for (index, access) in self.manifest.policy.access.iter().enumerate() {
            let entry = Entry {
                place: PolicyPlace::Access(index),
                name: access.to_string(),
            };
            match self.domain(&access.domain) {
                None => self.add(&entry, "domain", PolicyWrong::UnknownDomain(access.domain.clone())),
                Some((index, domain)) if !domain.has(Role::Management) => {
                    let other = Some((PolicyPlace::Domain(index), "roles"));
                    self.add_with(
                        &entry,
                        "domain",
                        PolicyWrong::NoManagement(access.domain.clone()),
                        other,
                    );
                }
                Some(_) => {}
            }
            let mut before = self.manifest.policy.access.iter().take(index);
            let first = before.position(|other| other.domain == access.domain && other.scope == access.scope);
            if let Some(first) = first {
                let wrong = PolicyWrong::DuplicateAccess(access.scope.clone());
                self.add_with(&entry, "domain", wrong, Some((PolicyPlace::Access(first), "domain")));
            }
            self.scope(&entry, access);
        }
    }

    /// Whether what an entry is about is there, and has the requests.
    fn scope(&mut self, entry: &Entry, access: &Access) {
        if !self.list(entry, "may", &access.may) {
            return;
        }
        if let Some(request) = access.may.iter().find(|request| !access.scope.has(**request)) {
            let has = Request::ALL.into_iter().filter(|request| access.scope.has(*request));
            let accepted: Vec<&str> = has.map(Request::name).collect();
            let wrong = PolicyWrong::NoSuchRequest {
                request: *request,
                scope: access.scope.clone(),
                accepted: accepted.join(", "),
            };
            self.add(entry, "may", wrong);
        }
        match &access.scope {
            Scope::Host => {}
            Scope::Domain(name) => match self.domain(name) {
                None => self.add(entry, "host-domain", PolicyWrong::UnknownDomain(name.clone())),
                Some((index, domain)) => {
                    if domain.console == Console::None && access.may.contains(&Request::Console) {
                        let other = Some((PolicyPlace::Domain(index), "console"));
                        self.add_with(entry, "may", PolicyWrong::NoConsole(name.clone()), other);
                    }
                }
            },
            Scope::Class(name) => {
                let Some((index, class)) = self.class(name) else {
                    self.add(entry, "class", PolicyWrong::UnknownClass(name.clone()));
                    return;
                };
                let beyond = access.may.iter().filter(|request| !request.leaves_closed());
                let beyond: Vec<&str> = beyond.map(|request| request.name()).collect();
                if class.guest_box == GuestBox::Closed && !beyond.is_empty() {
                    let wrong = PolicyWrong::ClosedBox {
                        requests: beyond.join(", "),
                        class: name.clone(),
                    };
                    self.add_with(entry, "may", wrong, Some((PolicyPlace::Class(index), "box")));
                }
            }
        }
    }
}
