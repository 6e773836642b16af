//! The host manifest, and a guest alone, as people write them.
//!
//! [`read`] turns the text into a [`HostFile`]: the host, the domains, and which files the images are. The caller reads
//! those files (this crate does no I/O) and asks for the [`Manifest`] with [`HostFile::manifest`]. Whatever is wrong is
//! told with file, line, column, key and the accepted values, and all of it at once.
//!
//! [`read_guest`] reads a file of one guest: the keys of one domain, with files in the place of images. [`write_guest`]
//! writes one.

mod device;
mod domain;
mod guest;
mod host;
mod image;
mod keys;
mod policy;
mod size;
mod store;
mod write;

#[cfg(test)]
mod tests;

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use ::toml::de::DeTable;
use measure::Digest;

use crate::{Domain, Error, Host, Image, Manifest, Policy, PolicyError, PolicyPlace, Problem};

use crate::source::{Place, Report};
pub use crate::source::{SourceError, SourceErrors, Wrong};
pub use guest::{GuestFile, read_guest};
use keys::Keys;
use policy::PolicyPlaces;
pub use write::write_guest;

/// A host manifest that was read from TOML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFile {
    /// The host's settings.
    pub host: Host,
    /// Where the images come from, in the order of their names.
    pub images: Vec<ImageSource>,
    /// The domains in the file's order.
    pub domains: Vec<Domain>,
    /// What domains may ask for.
    pub policy: Policy,
    file: String,
    host_places: Places,
    store_places: Places,
    domain_places: Vec<Places>,
    policy_places: PolicyPlaces,
}

/// Where an image comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSource {
    /// The image's name.
    pub name: String,
    /// The file's path: absolute, or relative to the folder of the TOML file.
    pub file: String,
    /// The SHA-256 that the file, as it is on disk, must have.
    pub sha256: Option<Digest>,
    file_place: Place,
    sha256_place: Place,
}

/// Where a table is and where its keys' values are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Places {
    table: Place,
    values: BTreeMap<&'static str, Place>,
    /// The values of the lists.
    items: BTreeMap<&'static str, Vec<Place>>,
}

impl Places {
    /// Of a table that is not there: the start of the text.
    fn nowhere() -> Self {
        Self {
            table: Place { line: 1, column: 1 },
            values: BTreeMap::new(),
            items: BTreeMap::new(),
        }
    }

    /// Where a key's value is, or the item of it that the error is about.
    fn of(&self, key: &'static str, error: Option<&Error>) -> Place {
        let item = match error {
            Some(Error::Device { index, .. }) => self.items.get(key).and_then(|items| items.get(*index)),
            _ => None,
        };
        item.or_else(|| self.values.get(key)).copied().unwrap_or(self.table)
    }
}

/// Reads a host manifest. `file` is the name that errors show.
///
/// What needs more than one key to see (dependency cycles, images that do not exist, limits) is not looked at here: the
/// caller asks [`Manifest::check`] and then [`HostFile::place`].
///
/// # Errors
/// Every place where the text is no TOML; else every unknown key, missing key, value of a wrong type and value that is
/// not accepted.
pub fn read(text: &str, file: &str) -> Result<HostFile, SourceErrors> {
    let mut report = Report::new(text.as_bytes(), file);
    let read = parse(text, &mut report).map(|document| read_document(&document, &mut report));
    match (read, report.finish()) {
        (Some(host_file), None) => Ok(host_file),
        (_, errors) => Err(errors.unwrap_or_default()),
    }
}

/// The document, if the text is TOML; else the report has every place where it is not.
fn parse<'t>(text: &'t str, report: &mut Report<'_>) -> Option<::toml::Spanned<DeTable<'t>>> {
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let at = error.span().map_or(0, |span| span.start);
        report.add(at, "", Wrong::Syntax(error.message().to_string()));
    }
    errors.is_empty().then_some(document)
}

fn read_document(document: &::toml::Spanned<DeTable<'_>>, report: &mut Report<'_>) -> HostFile {
    let mut keys = Keys::new("", document.get_ref(), document.span().start, report);
    let host_value = keys.required("host", "a table [host]", report);
    let store_value = keys.get("store", report);
    let image_value = keys.get("image", report);
    let domain_value = keys.get("domain", report);
    let policy_tables = policy::Tables {
        keys: keys.get("key", report),
        classes: keys.get("class", report),
        access: keys.get("access", report),
    };
    keys.finish(report);

    let (mut host, host_places) = host::read(host_value.as_ref(), report);
    let (store, store_places) = store::read_settings(store_value.as_ref(), report);
    host.store = store;
    let images = image_value
        .map(|value| image::read_all(&value, report))
        .unwrap_or_default();
    let (domains, domain_places) = domain_value
        .map(|value| domain::read_all(&value, &host.name, report))
        .unwrap_or_default()
        .into_iter()
        .unzip();
    let (policy, policy_places) = policy::read(&policy_tables, report);
    HostFile {
        host,
        images,
        domains,
        policy,
        file: report.file().to_string(),
        host_places,
        store_places,
        domain_places,
        policy_places,
    }
}

impl HostFile {
    /// The manifest of this host, with these images.
    #[must_use]
    pub fn manifest(&self, images: Vec<Image>) -> Manifest {
        Manifest {
            host: self.host.clone(),
            images,
            domains: self.domains.clone(),
            policy: self.policy.clone(),
        }
    }

    /// A problem of this host's manifest with the place in the file that it comes from.
    #[must_use]
    pub fn place(&self, problem: &Problem) -> SourceError {
        if let Error::Policy(error) = &problem.error {
            return self.policy_error(problem, error);
        }
        let domain = problem.domain.and_then(|index| self.domain_places.get(index));
        if let Error::TooMany { what, .. } = problem.error
            && let Some(at) = self.policy_places.first_of(what)
        {
            return self.error(at, String::new(), Wrong::Manifest(problem.clone()));
        }
        let (places, section) = match (domain, &problem.error) {
            (Some(places), _) => (places, "domain"),
            (None, Error::Quota { .. } | Error::Recovery(_)) => (&self.store_places, "store"),
            (None, _) => (&self.host_places, "host"),
        };
        let key = key_of(&problem.error, problem.domain.is_some());
        let at = key.map_or(places.table, |key| places.of(key, Some(&problem.error)));
        let path = key.map_or_else(|| section.to_string(), |key| alloc::format!("{section}.{key}"));
        self.error(at, path, Wrong::Manifest(problem.clone()))
    }

    /// A problem of the policy with its place, and with that of the entry that it does not agree with.
    fn policy_error(&self, problem: &Problem, error: &PolicyError) -> SourceError {
        let (at, path) = self.policy_place(error.place, error.key);
        let wrong = match error.other {
            None => Wrong::Manifest(problem.clone()),
            Some((place, key)) => {
                let (other, _) = self.policy_place(place, key);
                Wrong::Contradiction {
                    problem: problem.clone(),
                    file: self.file.clone(),
                    line: other.line,
                    column: other.column,
                }
            }
        };
        self.error(at, path, wrong)
    }

    /// Where the value of a key is, or else its table; and what the key is called.
    fn policy_place(&self, place: PolicyPlace, key: &str) -> (Place, String) {
        let domain = || match place {
            PolicyPlace::Domain(index) => self.domain_places.get(index),
            PolicyPlace::Key(_) | PolicyPlace::Class(_) | PolicyPlace::Access(_) => None,
        };
        let (places, table) = self
            .policy_places
            .of(place)
            .or_else(|| Some((domain()?, "domain")))
            .unwrap_or((&self.host_places, "host"));
        let at = places.values.get(key).copied().unwrap_or(places.table);
        (at, alloc::format!("{table}.{key}"))
    }

    /// An error about an image's file, such as that it cannot be read, with the place that names the file.
    #[must_use]
    pub fn image_error(&self, image: &ImageSource, reason: String) -> SourceError {
        self.error(
            image.file_place,
            alloc::format!("image.{}.file", image.name),
            Wrong::File(reason),
        )
    }

    /// The error that the file of an image has another SHA-256 than the manifest asks for.
    #[must_use]
    pub fn pin_error(&self, image: &ImageSource, found: Digest) -> SourceError {
        let wanted = image.sha256.map(|digest| digest.to_string()).unwrap_or_default();
        let reason = alloc::format!("{} has {found}, not {wanted}", image.file);
        self.error(
            image.sha256_place,
            alloc::format!("image.{}.sha256", image.name),
            Wrong::File(reason),
        )
    }

    /// The error that a domain cannot use the file of the image that its `key` (`kernel` or `ramdisk`) names.
    #[must_use]
    pub fn domain_error(&self, domain: usize, key: &'static str, reason: String) -> SourceError {
        let places = self.domain_places.get(domain).unwrap_or(&self.host_places);
        let at = places.of(key, None);
        self.error(at, alloc::format!("domain.{key}"), Wrong::File(reason))
    }

    fn error(&self, at: Place, key: String, wrong: Wrong) -> SourceError {
        SourceError {
            file: self.file.clone(),
            line: at.line,
            column: at.column,
            key,
            wrong,
        }
    }
}

/// The key whose value an error is about, in `[[domain]]` or in `[host]`.
pub(crate) fn key_of(error: &Error, in_domain: bool) -> Option<&'static str> {
    Some(match error {
        Error::NoSha256 | Error::DuplicateBank(_) => "banks",
        Error::Name(_) | Error::DuplicateDomain(_) => "name",
        Error::DuplicateUuid(_) => "uuid",
        Error::MissingImage { key, .. } => key,
        Error::CommandLineLength { .. } | Error::CommandLineCharacter { .. } => "cmdline",
        Error::Memory(_) => "memory",
        Error::MaxMemory { .. } => "maxmem",
        Error::Vcpus(_) => "vcpus",
        Error::MaxVcpus { .. } => "maxvcpus",
        Error::DuplicateRole(_) | Error::DuplicateStore(_) | Error::StoreRole => "roles",
        Error::StoreKind(_) => "type",
        Error::StoreRamdisk(_) => "ramdisk",
        Error::ServesWithoutRole(_) | Error::DuplicateClass(_) => "serves",
        // The key that is missing has no place; the role that asks for it has.
        Error::ServesNothing => "roles",
        Error::Quota { .. } if in_domain => "store-quota",
        Error::Quota { .. } => "quota",
        Error::Recovery(_) => "recovery",
        Error::TooManyStoreAccess(_)
        | Error::StoreAccessPath(_)
        | Error::StoreAccessWrite(_)
        | Error::StoreAccessOf(_) => "store-access",
        Error::TooManyDevices { kind, .. } | Error::StoreDevices(kind) | Error::Device { kind, .. } => kind.key(),
        Error::Channels(_) => "channels",
        Error::ImageMemory(_) => "image-memory",
        Error::ManagementWithoutRole(key) => key,
        Error::TooManyNeeds(_)
        | Error::StoreNeeds(_)
        | Error::DuplicateNeed(_)
        | Error::UnknownNeed(_)
        | Error::NeedsRefused(_)
        | Error::Cycle(_)
            if in_domain =>
        {
            "needs"
        }
        _ => return None,
    })
}
