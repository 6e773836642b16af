//! Whether a manifest, and each domain in it, is as it must be.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use measure::Bank;

use crate::domain::{Domain, MAX_MEMORY_KIB, MAX_NEEDS, MAX_VCPUS, MEMORY_STEP_KIB, MIN_MEMORY_KIB};
use crate::store::{self, MAX_RECOVERY_MIB, MAX_STORE_ACCESS, StoreQuota, StoreRight};
use crate::{Error, Kind, MAX_DOMAINS, MAX_IMAGES, Manifest, Role, name};

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
        if name::is_valid(&self.name) {
            write!(formatter, "{what} {}: {}", self.name, self.error)
        } else {
            write!(formatter, "{what} {:?}: {}", self.name, self.error)
        }
    }
}

impl Manifest {
    /// Everything that is wrong: first the manifest as a whole, then domain by domain in the manifest's order.
    ///
    /// A decoded manifest is right as a whole. A domain with a problem is refused, and so is each that needs it: the
    /// latter have [`Error::NeedsRefused`] unless there is something wrong with them, too.
    #[must_use]
    pub fn check(&self) -> Vec<Problem> {
        let whole = self.check_structure().err().map(|error| Problem {
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
        whole.into_iter().chain(domains).collect()
    }

    /// What must be true of the manifest as a whole: [`Manifest::decode`] names the errors.
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
                domain.check_values(&mut errors);
                errors
            })
            .collect()
    }
}

impl Domain {
    /// What is wrong with the values of this domain, whatever else the manifest has.
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
            errors.extend(self.ramdisk.clone().map(Error::StoreRamdisk));
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
fn twice<T: PartialEq>(items: &[T]) -> Option<&T> {
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
mod tests {
    use alloc::string::ToString;
    use alloc::vec;

    use super::*;
    use crate::{BackendClass, samples};

    /// The texts of the problems of the sample manifest after a change to its domain "web".
    fn problems(change: fn(&mut Domain)) -> Vec<String> {
        let mut manifest = samples::manifest();
        change(&mut manifest.domains[1]);
        manifest.check().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_sample_is_right() {
        assert_eq!(samples::manifest().check(), []);
        assert_eq!(problems(|_| ()), Vec::<String>::new());
    }

    #[test]
    fn each_limit_is_named_with_what_is_accepted() {
        type Change = fn(&mut Domain);
        let cases: [(Change, &str); 34] = [
            (|web| web.vcpus = 0, "domain web: 0 vcpus; accepted: 1 to 64"),
            (|web| web.vcpus = 65, "domain web: 65 vcpus; accepted: 1 to 64"),
            (
                |web| web.max_vcpus = 1,
                "domain web: maxvcpus of 1; accepted: vcpus (2) to 64",
            ),
            (
                |web| web.max_vcpus = 65,
                "domain web: maxvcpus of 65; accepted: vcpus (2) to 64",
            ),
            (
                |web| web.memory_kib = 4092,
                "domain web: memory of 4092 KiB; accepted: 4096 KiB (4 MiB) to 17179869184 KiB (16 TiB), a multiple of 4 KiB",
            ),
            (
                |web| web.memory_kib = 4097,
                "domain web: memory of 4097 KiB; accepted: 4096 KiB (4 MiB) to 17179869184 KiB (16 TiB), a multiple of 4 KiB",
            ),
            (
                |web| web.memory_kib = u64::MAX,
                "domain web: memory of 18446744073709551615 KiB; accepted: 4096 KiB (4 MiB) to 17179869184 KiB (16 TiB), a multiple of 4 KiB",
            ),
            (
                |web| web.maxmem_kib = 4096,
                "domain web: maxmem of 4096 KiB; accepted: the memory (131072 KiB) to 17179869184 KiB (16 TiB), a multiple of 4 KiB",
            ),
            (
                |web| web.maxmem_kib = 1 << 40,
                "domain web: maxmem of 1099511627776 KiB; accepted: the memory (131072 KiB) to 17179869184 KiB (16 TiB), a multiple of 4 KiB",
            ),
            (
                |web| web.command_line = "x".repeat(2048),
                "domain web: command line of 2048 bytes; accepted for pvh: at most 2047",
            ),
            (
                |web| {
                    web.kind = Kind::Pv;
                    web.command_line = "x".repeat(1024);
                },
                "domain web: command line of 1024 bytes; accepted for pv: at most 1023",
            ),
            (
                |web| web.command_line = "a\0b".into(),
                "domain web: command line: control character '\\0' at byte 1; accepted: none",
            ),
            (
                |web| web.command_line = "\n".into(),
                "domain web: command line: control character '\\n' at byte 0; accepted: none",
            ),
            (
                |web| web.name = "web\n".into(),
                "domain \"web\\n\": name \"web\\n\"; accepted: 1 to 64 characters of A-Z a-z 0-9 _ . -, the first a letter, a digit or _",
            ),
            (
                |web| web.kernel = "linux".into(),
                "domain web: kernel: there is no image \"linux\"",
            ),
            (
                |web| web.ramdisk = Some("rd".into()),
                "domain web: ramdisk: there is no image \"rd\"",
            ),
            (
                |web| web.uuid = [1; 16],
                "domain store: domain \"web\" has the same uuid",
            ),
            (
                |web| web.needs.push("net".into()),
                "domain web: needs \"net\": there is no such domain",
            ),
            (
                |web| web.needs.push("store".into()),
                "domain web: needs: \"store\" stands there twice",
            ),
            (
                |web| web.needs = vec!["store".into(); 65],
                "domain web: needs 65 domains; accepted: at most 64",
            ),
            (
                |web| web.roles.push(Role::Driver),
                "domain web: roles: driver stands there twice",
            ),
            (
                |web| web.roles = vec![Role::Store],
                "domain store: roles: domain \"web\" is the store, too; accepted: one",
            ),
            (
                |web| web.serves.clear(),
                "domain web: serves: nothing, but roles has driver; accepted: at least one class",
            ),
            (
                |web| web.roles.clear(),
                "domain web: serves vif, but roles has no driver",
            ),
            (
                |web| web.serves.push(BackendClass::Vif),
                "domain web: serves: vif stands there twice",
            ),
            (
                |web| web.store_quota.nodes = Some(1_048_577),
                "domain web: quota nodes of 1048577; accepted: 0 to 1048576",
            ),
            (
                |web| web.store_quota.outstanding = Some(0),
                "domain web: quota outstanding of 0; accepted: 1 to 65536",
            ),
            (
                |web| web.store_access = vec![web.store_access[0].clone(); 65],
                "domain web: store-access: 65 entries; accepted: at most 64",
            ),
            (
                |web| web.store_access[0].path = "data".into(),
                "domain web: store-access: path \"data\"; accepted: names of A-Z a-z 0-9 - _ @ or * between slashes, at the end **, at most 2048 bytes; beginning with a slash, and with * for a domain's number, or with of = the name of a domain and no slash at the start, or @introduceDomain or @releaseDomain",
            ),
            (
                |web| web.store_access[1].path = "/data".into(),
                "domain web: store-access: path \"/data\"; accepted: names of A-Z a-z 0-9 - _ @ or * between slashes, at the end **, at most 2048 bytes; beginning with a slash, and with * for a domain's number, or with of = the name of a domain and no slash at the start, or @introduceDomain or @releaseDomain",
            ),
            (
                |web| {
                    web.store_access[0].path = "/tool/**".into();
                    web.store_access[0].access = StoreRight::Write;
                },
                "domain web: store-access: write \"/tool/**\"; accepted: read, for nobody but the builder writes there",
            ),
            (
                |web| web.store_access[1].of = Some("net".into()),
                "domain web: store-access: of \"net\": there is no such domain",
            ),
            (
                |web| web.store_quota.events = Some(0),
                "domain web: quota events of 0; accepted: 1 to 1048576",
            ),
            (
                |web| web.roles = vec![Role::Driver, Role::Management, Role::Management],
                "domain web: roles: management stands there twice",
            ),
        ];
        for (change, text) in cases {
            assert_eq!(problems(change).first().map(String::as_str), Some(text));
        }
    }

    #[test]
    fn the_store_is_one_pv_domain_that_needs_nothing_and_has_no_ramdisk() {
        type Change = fn(&mut Manifest);
        let cases: [(Change, &[&str]); 5] = [
            (
                |manifest| manifest.domains[0].ramdisk = Some("initrd".into()),
                &["domain store: ramdisk \"initrd\"; accepted for the store: none, for its ramdisk is the manifest"],
            ),
            (
                |manifest| manifest.domains[0].kind = Kind::Pvh,
                &["domain store: type pvh of the store; accepted: pv"],
            ),
            (
                |manifest| manifest.domains[0].needs.push("idle".into()),
                &["domain store: needs \"idle\"; accepted for the store: none, for every other domain needs it"],
            ),
            (
                |manifest| manifest.domains[0].roles.push(Role::Management),
                &["domain store: roles: store beside others; accepted: store alone"],
            ),
            (
                |manifest| manifest.domains[2].roles.push(Role::Store),
                &[
                    "domain store: roles: domain \"idle\" is the store, too; accepted: one",
                    "domain web: needs \"store\", which is refused",
                    "domain idle: roles: domain \"store\" is the store, too; accepted: one",
                    "domain idle: needs \"web\"; accepted for the store: none, for every other domain needs it",
                ],
            ),
        ];
        for (change, expected) in cases {
            let mut manifest = samples::manifest();
            change(&mut manifest);
            let texts: Vec<String> = manifest.check().iter().map(ToString::to_string).collect();
            assert_eq!(texts[..expected.len().min(texts.len())], *expected);
        }
    }

    #[test]
    fn the_limits_themselves_are_accepted() {
        let cases: [fn(&mut Domain); 5] = [
            |web| (web.vcpus, web.max_vcpus) = (1, 64),
            |web| (web.vcpus, web.max_vcpus) = (64, 64),
            |web| (web.memory_kib, web.maxmem_kib) = (4096, 17_179_869_184),
            |web| web.command_line = "x".repeat(2047),
            |web| (web.kind, web.command_line) = (Kind::Pv, "x".repeat(1023)),
        ];
        for change in cases {
            assert_eq!(problems(change), Vec::<String>::new());
        }
    }

    #[test]
    fn every_problem_of_every_domain_is_told() {
        let mut manifest = samples::manifest();
        manifest.domains[0].vcpus = 0;
        manifest.domains[0].memory_kib = 0;
        manifest.host.banks.clear();
        let texts: Vec<String> = manifest.check().iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "host demo: banks: sha256 is missing; accepted: sha256, and sha384 beside it",
                "domain store: memory of 0 KiB; accepted: 4096 KiB (4 MiB) to 17179869184 KiB (16 TiB), a multiple of 4 KiB",
                "domain store: 0 vcpus; accepted: 1 to 64",
                "domain web: needs \"store\", which is refused",
                "domain idle: needs \"web\", which is refused",
            ]
        );
    }

    #[test]
    fn both_of_two_domains_of_one_name_are_refused() {
        let mut manifest = samples::manifest();
        manifest.domains[0].name = "web".into();
        let domains: Vec<Option<usize>> = manifest.check().iter().map(|problem| problem.domain).collect();
        assert_eq!(domains, [Some(0), Some(1), Some(1), Some(2)]);
        assert_eq!(manifest.check()[0].error, Error::DuplicateDomain("web".into()));
        assert_eq!(manifest.check()[1].error, Error::DuplicateDomain("web".into()));
        assert_eq!(manifest.check()[2].error, Error::UnknownNeed("store".into()));
    }
}
