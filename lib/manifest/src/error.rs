//! What can be wrong with a manifest.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use measure::Bank;

use crate::device::{DeviceError, DeviceKind};
use crate::domain::{Kind, MAX_MEMORY_KIB, MAX_NEEDS, MAX_VCPUS, MEMORY_STEP_KIB, MIN_MEMORY_KIB};
use crate::management::{MAX_CHANNELS, MAX_IMAGE_MEMORY_KIB};
use crate::name::MAX_NAME;
use crate::policy::PolicyError;
use crate::store::{BackendClass, MAX_RECOVERY_MIB, MAX_STORE_ACCESS, MAX_STORE_PATH, Role};

/// What is wrong with a manifest, or with one domain of it.
///
/// Names are shown in quotes with every unusual character escaped: they may be anything here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes do not begin with the magic number of a canonical encoding.
    #[error("no manifest: the bytes begin with {0:02x?}")]
    Magic(Vec<u8>),
    /// The bytes end too early or hold something that is no value of its field.
    #[error("the manifest's encoding is damaged: {0}")]
    Encoding(String),
    /// The bytes decode, but are not what encoding the result gives.
    #[error("the manifest's encoding is not the canonical one, from byte {0} on")]
    NotCanonical(usize),
    /// More images or domains than are allowed.
    #[error("{count} {what}: accepted: at most {limit}")]
    TooMany {
        /// "images", "domains", "keys", "classes" or "entries of access".
        what: &'static str,
        /// How many there are.
        count: usize,
        /// How many there may be.
        limit: usize,
    },
    /// SHA-256 is not among the host's banks.
    #[error("banks: sha256 is missing; accepted: sha256, and sha384 beside it")]
    NoSha256,
    /// A bank stands twice among the host's banks.
    #[error("banks: {0} stands there twice")]
    DuplicateBank(Bank),
    /// A name with other characters or of another length than allowed.
    #[error("name {0:?}; accepted: 1 to {MAX_NAME} characters of A-Z a-z 0-9 _ . -, the first a letter, a digit or _")]
    Name(String),
    /// Two images have this name.
    #[error("two images have the name {0:?}")]
    DuplicateImage(String),
    /// An image lacks a digest for one of the host's banks, has one more, or has them in another order.
    #[error("image {0:?}: its digests are not those of the host's banks, in their order")]
    ImageDigests(String),
    /// Two domains have this name.
    #[error("two domains have the name {0:?}")]
    DuplicateDomain(String),
    /// Two domains have this UUID.
    #[error("domain {0:?} has the same uuid")]
    DuplicateUuid(String),
    /// No image has the name that the domain gives.
    #[error("{key}: there is no image {image:?}")]
    MissingImage {
        /// "kernel" or "ramdisk".
        key: &'static str,
        /// The name that was given.
        image: String,
    },
    /// The command line is too long for the domain's kind.
    #[error("command line of {length} bytes; accepted for {kind}: at most {}", kind.max_command_line())]
    CommandLineLength {
        /// Its length in bytes.
        length: usize,
        /// The domain's kind.
        kind: Kind,
    },
    /// The command line has a control character.
    #[error("command line: control character {character:?} at byte {at}; accepted: none")]
    CommandLineCharacter {
        /// Where, in bytes from its start.
        at: usize,
        /// The character.
        character: char,
    },
    /// The memory is outside the limits.
    #[error(
        "memory of {0} KiB; accepted: {MIN_MEMORY_KIB} KiB (4 MiB) to {MAX_MEMORY_KIB} KiB (16 TiB), a multiple of {MEMORY_STEP_KIB} KiB"
    )]
    Memory(u64),
    /// The maximum memory is outside the limits.
    #[error(
        "maxmem of {maxmem} KiB; accepted: the memory ({memory} KiB) to {MAX_MEMORY_KIB} KiB (16 TiB), a multiple of {MEMORY_STEP_KIB} KiB"
    )]
    MaxMemory {
        /// The maximum in KiB.
        maxmem: u64,
        /// The memory at start in KiB.
        memory: u64,
    },
    /// The number of vCPUs is outside the limits.
    #[error("{0} vcpus; accepted: 1 to {MAX_VCPUS}")]
    Vcpus(u16),
    /// The maximum number of vCPUs is outside the limits.
    #[error("maxvcpus of {maximum}; accepted: vcpus ({vcpus}) to {MAX_VCPUS}")]
    MaxVcpus {
        /// The maximum.
        maximum: u16,
        /// The vCPUs at start.
        vcpus: u16,
    },
    /// The domain needs more domains than allowed.
    #[error("needs {0} domains; accepted: at most {MAX_NEEDS}")]
    TooManyNeeds(usize),
    /// The domain names another twice among those that it needs.
    #[error("needs: {0:?} stands there twice")]
    DuplicateNeed(String),
    /// The domain needs one that does not exist.
    #[error("needs {0:?}: there is no such domain")]
    UnknownNeed(String),
    /// The domain needs one that is refused.
    #[error("needs {0:?}, which is refused")]
    NeedsRefused(String),
    /// The domain needs itself, by way of others: the names from it and back to it.
    #[error("dependency cycle: {}", arrows(.0))]
    Cycle(Vec<String>),
    /// A role stands twice among the domain's.
    #[error("roles: {0} stands there twice")]
    DuplicateRole(Role),
    /// Another domain has the role store, too.
    #[error("roles: domain {0:?} is the store, too; accepted: one")]
    DuplicateStore(String),
    /// The store has other roles.
    #[error("roles: store beside others; accepted: store alone")]
    StoreRole,
    /// The store is not a PV domain.
    #[error("type {0} of the store; accepted: pv")]
    StoreKind(Kind),
    /// The store needs other domains.
    #[error("needs {0:?}; accepted for the store: none, for every other domain needs it")]
    StoreNeeds(String),
    /// The store has a ramdisk.
    #[error("ramdisk {0:?}; accepted for the store: none, for its ramdisk is the manifest")]
    StoreRamdisk(String),
    /// A domain that is no driver serves devices.
    #[error("serves {0}, but roles has no driver")]
    ServesWithoutRole(BackendClass),
    /// A driver serves no devices.
    #[error("serves: nothing, but roles has driver; accepted: at least one class")]
    ServesNothing,
    /// A class stands twice among those that the domain serves.
    #[error("serves: {0} stands there twice")]
    DuplicateClass(BackendClass),
    /// A quota is outside its limits.
    #[error("quota {name} of {value}; accepted: {least} to {most}")]
    Quota {
        /// Its name.
        name: &'static str,
        /// Its value.
        value: u32,
        /// The smallest that is accepted.
        least: u32,
        /// The largest that is accepted.
        most: u32,
    },
    /// The store's recovery box is too large.
    #[error("recovery of {0} MiB; accepted: 0 (none) to {MAX_RECOVERY_MIB}")]
    Recovery(u16),
    /// The manifest gives the domain more access to the store than can be listed.
    #[error("store-access: {0} entries; accepted: at most {MAX_STORE_ACCESS}")]
    TooManyStoreAccess(usize),
    /// A path that names no nodes of the store.
    #[error(
        "store-access: path {0:?}; accepted: names of A-Z a-z 0-9 - _ @ or * between slashes, at the end **, at most {MAX_STORE_PATH} \
         bytes; beginning with a slash, and with * for a domain's number, or with of = the name of a domain and no slash at the start, or \
         @introduceDomain or @releaseDomain"
    )]
    StoreAccessPath(String),
    /// A path where only the builder writes.
    #[error("store-access: write {0:?}; accepted: read, for nobody but the builder writes there")]
    StoreAccessWrite(String),
    /// The home of a domain that does not exist.
    #[error("store-access: of {0:?}: there is no such domain")]
    StoreAccessOf(String),
    /// The domain has more devices of a kind than allowed.
    #[error("{kind}: {count} of them; accepted: at most {}", kind.limit())]
    TooManyDevices {
        /// Disks or interfaces.
        kind: DeviceKind,
        /// How many there are.
        count: usize,
    },
    /// The store has devices.
    #[error("{0}: of the store; accepted: none, for what serves devices needs the store")]
    StoreDevices(DeviceKind),
    /// A device is wrong.
    #[error("{kind} {index}: {error}")]
    Device {
        /// Disk or interface.
        kind: DeviceKind,
        /// Its place in the list, counted from 0.
        index: usize,
        /// What is wrong.
        error: DeviceError,
    },
    /// The number of channels is outside its limits.
    #[error("channels: {0}; accepted: 1 to {MAX_CHANNELS}")]
    Channels(u16),
    /// The memory for images is outside its limits.
    #[error(
        "image-memory of {0} KiB; accepted: 0 to {MAX_IMAGE_MEMORY_KIB} KiB (64 GiB), a multiple of {MEMORY_STEP_KIB} KiB"
    )]
    ImageMemory(u64),
    /// A domain that does not manage has channels, or memory for images.
    #[error("{0}, but roles has no management")]
    ManagementWithoutRole(&'static str),
    /// Something is wrong with the policy.
    #[error("{0}")]
    Policy(Box<PolicyError>),
}

/// `"a" -> "b" -> "a"`
fn arrows(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| alloc::format!("{name:?}")).collect();
    quoted.join(" -> ")
}
