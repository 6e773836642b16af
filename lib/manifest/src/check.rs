//! Whether a manifest, and each domain in it, is as it must be.

mod devices;

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use measure::Bank;

use crate::domain::{Domain, MAX_MEMORY_KIB, MAX_NEEDS, MAX_VCPUS, MEMORY_STEP_KIB, MIN_MEMORY_KIB};
use crate::quota::StoreQuota;
use crate::store::{self, MAX_RECOVERY_MIB, MAX_STORE_ACCESS, StoreRight};
use crate::{Error, Kind, MAX_DOMAINS, MAX_IMAGES, Manifest, Role, name, policy};

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The domain, as an index into [`Manifest::domains`], or `None` for the manifest as a whole.
    pub domain: Option<usize>,
    /// The name of that domain, or of the host.
    pub name: String,
    /// What is wrong.
    pub error: Error,
}

/// Names the domain, or the host, and then the reason.
impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.domain.is_some() { "domain" } else { "host" };
        write!(formatter, "{what} {}: {}", name::Shown(&self.name), self.error)
    }
}

impl Manifest {
    /// Everything that is wrong: first the manifest as a whole, then domain by domain in the manifest's order.
    ///
    /// A decoded manifest is right as a whole. A domain with a problem is refused, and so is each that needs it: the
    /// latter have [`Error::NeedsRefused`] unless there is something wrong with them, too.
    #[must_use]
    pub fn check(&self) -> Vec<Problem> {
        let structure = self.check_structure().err();
        let whole = structure.into_iter().chain(policy::errors(self)).map(|error| Problem {
            domain: None,
            name: self.host.name.clone(),
            error,
        });
        let own = self.own_errors();
        let (_, refused) = self.resolve(&own);
        let mut errors = own;
        for (index, error) in refused {
            if let Some(errors) = errors.get_mut(index)
                && errors.is_empty()
            {
                errors.push(error);
            }
        }
        let domains = self
            .domains
            .iter()
            .zip(errors)
            .enumerate()
            .flat_map(|(index, (domain, errors))| {
                errors.into_iter().map(move |error| Problem {
                    domain: Some(index),
                    name: domain.name.clone(),
                    error,
                })
            });
        whole.chain(domains).collect()
    }

    /// What must be true of the manifest as a whole, the policy left aside: [`Manifest::decode`] names the errors.
    pub(crate) fn check_structure(&self) -> Result<(), Error> {
        let limits = [
            ("images", self.images.len(), MAX_IMAGES),
            ("domains", self.domains.len(), MAX_DOMAINS),
        ];
        for (what, count, limit) in limits {
            if count > limit {
                return Err(Error::TooMany { what, count, limit });
            }
        }
        if !name::is_valid(&self.host.name) {
            return Err(Error::Name(self.host.name.clone()));
        }
        let banks = &self.host.banks;
        if !banks.contains(&Bank::Sha256) {
            return Err(Error::NoSha256);
        }
        if let Some(bank) = twice(banks) {
            return Err(Error::DuplicateBank(*bank));
        }
        if self.host.store.recovery_mib > MAX_RECOVERY_MIB {
            return Err(Error::Recovery(self.host.store.recovery_mib));
        }
        if let Some(error) = quota_errors(&self.host.store.quota).next() {
            return Err(error);
        }
        let mut names = BTreeMap::new();
        for image in &self.images {
            if !name::is_valid(&image.name) {
                return Err(Error::Name(image.name.clone()));
            }
            if names.insert(&image.name, ()).is_some() {
                return Err(Error::DuplicateImage(image.name.clone()));
            }
            if !image.digests.banks().eq(banks.iter().copied()) {
                return Err(Error::ImageDigests(image.name.clone()));
            }
        }
        Ok(())
    }

    /// For each domain what is wrong with it, the domains that it needs left aside.
    pub(crate) fn own_errors(&self) -> Vec<Vec<Error>> {
        let mut names: BTreeMap<&str, usize> = BTreeMap::new();
        let mut uuids: BTreeMap<[u8; 16], Vec<&str>> = BTreeMap::new();
        for domain in &self.domains {
            let count = names.entry(&domain.name).or_default();
            *count = count.saturating_add(1);
            uuids.entry(domain.uuid).or_default().push(&domain.name);
        }
        let images: BTreeMap<&str, ()> = self.images.iter().map(|image| (image.name.as_str(), ())).collect();
        let store = |domain: &&Domain| domain.has(Role::Store);
        self.domains
            .iter()
            .map(|domain| {
                let mut errors = Vec::new();
                if names.get(domain.name.as_str()).is_some_and(|count| *count > 1) {
                    errors.push(Error::DuplicateDomain(domain.name.clone()));
                } else if let Some(other) = uuids
                    .get(&domain.uuid)
                    .and_then(|names| names.iter().find(|name| **name != domain.name))
                {
                    errors.push(Error::DuplicateUuid((*other).into()));
                }
                let given = [("kernel", Some(&domain.kernel)), ("ramdisk", domain.ramdisk.as_ref())];
                for (key, image) in given {
                    if let Some(image) = image.filter(|image| !images.contains_key(image.as_str())) {
                        errors.push(Error::MissingImage {
                            key,
                            image: image.clone(),
                        });
                    }
                }
                let unknown = domain.needs.iter().find(|need| !names.contains_key(need.as_str()));
                errors.extend(unknown.cloned().map(Error::UnknownNeed));
                let mut stores = self.domains.iter().filter(store);
                if let Some(other) = stores.find(|other| domain.has(Role::Store) && !core::ptr::eq(*other, domain)) {
                    errors.push(Error::DuplicateStore(other.name.clone()));
                }
                let mut of = domain.store_access.iter().filter_map(|access| access.of.as_ref());
                let unknown = of.find(|name| !names.contains_key(name.as_str()));
                errors.extend(unknown.cloned().map(Error::StoreAccessOf));
                self.check_backends(domain, &mut errors);
                domain.check_values(&mut errors);
                errors
            })
            .collect()
    }
}

impl Domain {
    /// What is wrong with this domain, whatever manifest it may be in: limits and values, not the images, backends and other
    /// domains that it names.
    #[must_use]
    pub fn check(&self) -> Vec<Error> {
        let mut errors = Vec::new();
        self.check_values(&mut errors);
        errors
    }

    fn check_values(&self, errors: &mut Vec<Error>) {
        if !name::is_valid(&self.name) {
            errors.push(Error::Name(self.name.clone()));
        }
        if self.command_line.len() > self.kind.max_command_line() {
            errors.push(Error::CommandLineLength {
                length: self.command_line.len(),
                kind: self.kind,
            });
        }
        if let Some((at, character)) = self
            .command_line
            .char_indices()
            .find(|(_, character)| character.is_control())
        {
            errors.push(Error::CommandLineCharacter { at, character });
        }
        let outside =
            |kib: u64, least: u64| !(least..=MAX_MEMORY_KIB).contains(&kib) || !kib.is_multiple_of(MEMORY_STEP_KIB);
        if outside(self.memory_kib, MIN_MEMORY_KIB) {
            errors.push(Error::Memory(self.memory_kib));
        } else if outside(self.maxmem_kib, self.memory_kib) {
            errors.push(Error::MaxMemory {
                maxmem: self.maxmem_kib,
                memory: self.memory_kib,
            });
        }
        if !(1..=MAX_VCPUS).contains(&self.vcpus) {
            errors.push(Error::Vcpus(self.vcpus));
        } else if !(self.vcpus..=MAX_VCPUS).contains(&self.max_vcpus) {
            errors.push(Error::MaxVcpus {
                maximum: self.max_vcpus,
                vcpus: self.vcpus,
            });
        }
        if self.needs.len() > MAX_NEEDS {
            errors.push(Error::TooManyNeeds(self.needs.len()));
        } else {
            errors.extend(twice(&self.needs).cloned().map(Error::DuplicateNeed));
        }
        self.check_store(errors);
        self.check_devices(errors);
        errors.extend(self.management.errors(self.has(Role::Management)));
    }

    /// What is wrong with what the domain is to the store.
    fn check_store(&self, errors: &mut Vec<Error>) {
        errors.extend(twice(&self.roles).copied().map(Error::DuplicateRole));
        if self.has(Role::Store) {
            if self.roles.iter().any(|role| *role != Role::Store) {
                errors.push(Error::StoreRole);
            }
            if self.kind != Kind::Pv {
                errors.push(Error::StoreKind(self.kind));
            }
            errors.extend(self.needs.first().cloned().map(Error::StoreNeeds));
        }
        match (self.has(Role::Driver), self.serves.first()) {
            (true, None) => errors.push(Error::ServesNothing),
            (false, Some(class)) => errors.push(Error::ServesWithoutRole(*class)),
            _ => errors.extend(twice(&self.serves).copied().map(Error::DuplicateClass)),
        }
        errors.extend(quota_errors(&self.store_quota));
        if self.store_access.len() > MAX_STORE_ACCESS {
            errors.push(Error::TooManyStoreAccess(self.store_access.len()));
        }
        let wrong = self
            .store_access
            .iter()
            .find(|access| !store::is_path(&access.path, access.of.is_some()));
        errors.extend(wrong.map(|access| Error::StoreAccessPath(access.path.clone())));
        let wrong = self.store_access.iter().find(|access| {
            access.of.is_none() && access.access == StoreRight::Write && store::is_builders(&access.path)
        });
        errors.extend(wrong.map(|access| Error::StoreAccessWrite(access.path.clone())));
    }
}

/// The first item that stands there before, too.
pub(crate) fn twice<T: PartialEq>(items: &[T]) -> Option<&T> {
    let before = |(index, item): &(usize, &T)| items.iter().take(*index).any(|other| other == *item);
    items.iter().enumerate().find(before).map(|(_, item)| item)
}

/// Each quota that is outside its limits.
fn quota_errors(quota: &StoreQuota) -> impl Iterator<Item = Error> {
    quota.values().into_iter().filter_map(|quota| {
        let value = quota.value?;
        (!(quota.least..=quota.most).contains(&value)).then_some(Error::Quota {
            name: quota.name,
            value,
            least: quota.least,
            most: quota.most,
        })
    })
}

#[cfg(test)]
mod tests;
