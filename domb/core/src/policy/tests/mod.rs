//! What is decided, and which rule is named.

mod access;
mod images;
mod limits;

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use ed25519_dalek::{Signer as _, SigningKey};
use manifest::{Image, Kind, Manifest};
use measure::signature::{self, Purpose};
use measure::{Bank, Digest, Digests};

use super::*;

/// The secret of the key "release".
const RELEASE: [u8; 32] = [1; 32];
/// The secret of the key "lab".
const LAB: [u8; 32] = [2; 32];

const HOST: &str = r#"
[host]
name = "demo"

[image.debian]
file = "debian"

[image.mgmt]
file = "mgmt"

[[domain]]
name = "mgmt"
kernel = "mgmt"
memory = 64
maxmem = 128
maxvcpus = 2
roles = ["management"]

[[domain]]
name = "other"
kernel = "mgmt"
memory = 64
roles = ["management"]

[[domain]]
name = "net1"
kernel = "mgmt"
memory = 64
roles = ["driver"]
serves = ["vif"]
console = "none"

[[domain]]
name = "disk1"
kernel = "mgmt"
memory = 64
roles = ["driver"]
serves = ["vbd"]

[[key]]
name = "release"
ed25519 = "RELEASE"

[[key]]
name = "lab"
ed25519 = "LAB"

[[class]]
name = "web"
types = ["pvh"]
kernels = ["sha256:PINNED", "signed-by:release", "image:debian"]
ramdisks = ["signed-by:release", "none"]
command-lines = ["quiet", "console=hvc0 *"]
memory-max = "2 GiB"
memory-total = "5 GiB"
vcpus-max = 4
guests-max = 3
backends = ["net1"]
devices-max = 2

[[class]]
name = "sealed"
kernels = ["signed-by:lab"]
command-lines = ["*"]
memory-max = "64 MiB"
box = "closed"

[[access]]
domain = "mgmt"
class = "web"
may = ["create", "destroy", "list", "memory-set", "vcpu-set", "device-attach", "console"]

[[access]]
domain = "mgmt"
class = "sealed"
may = ["create", "destroy"]

[[access]]
domain = "mgmt"
host-domain = "mgmt"
may = ["create", "reboot", "memory-set", "vcpu-set", "console"]

[[access]]
domain = "mgmt"
may = ["host-info"]

[[access]]
domain = "other"
class = "sealed"
may = ["create"]
"#;

pub(super) fn public(secret: [u8; 32]) -> String {
    let key = SigningKey::from_bytes(&secret).verifying_key().to_bytes();
    Digest::new(Bank::Sha256, &key).unwrap().to_string()
}

pub(super) fn sha256(data: &[u8]) -> Digest {
    Digest::of(Bank::Sha256, data)
}

pub(super) fn sign(secret: [u8; 32], purpose: Purpose, data: &[u8]) -> [u8; 64] {
    let message = signature::message(purpose, &sha256(data));
    SigningKey::from_bytes(&secret).sign(message.as_bytes()).to_bytes()
}

/// The manifest of [`HOST`]. The image "debian" is the word "debian".
pub(super) fn manifest() -> Manifest {
    let text = HOST
        .replace("RELEASE", &public(RELEASE))
        .replace("LAB", &public(LAB))
        .replace("PINNED", &sha256(b"pinned").to_string());
    let host_file = manifest::toml::read(&text, "host.toml").unwrap();
    let image = |source: &manifest::toml::ImageSource| Image {
        name: source.name.clone(),
        size: 6,
        digests: Digests::of(&host_file.host.banks, source.name.as_bytes()),
    };
    let manifest = host_file.manifest(host_file.images.iter().map(image).collect());
    assert_eq!(manifest.check(), []);
    Manifest::decode(&manifest.encode()).unwrap()
}

/// An image without a signature.
pub(super) fn image(data: &[u8]) -> ImageFacts<'static> {
    ImageFacts {
        sha256: sha256(data),
        signatures: &[],
    }
}

/// A guest at the limits of the class "web".
pub(super) fn web() -> NewGuest<'static> {
    NewGuest {
        name: "web-1",
        class: None,
        kind: Kind::Pvh,
        kernel: image(b"debian"),
        ramdisk: None,
        command_line: "console=hvc0 x",
        max_memory_kib: 2 << 20,
        max_vcpus: 4,
        devices: &[
            Device {
                class: manifest::BackendClass::Vif,
                backend: "net1",
            },
            Device {
                class: manifest::BackendClass::Vif,
                backend: "net1",
            },
        ],
    }
}

/// A guest of the class that exists.
pub(super) fn running(name: &'static str, class: &'static str) -> Guest<'static> {
    Guest {
        name,
        class,
        max_memory_kib: 1 << 20,
        max_vcpus: 2,
        devices: 1,
    }
}

/// What is decided when "mgmt" asks, as text.
pub(super) fn asked(asked: &Asked<'_>, guests: &[Guest<'_>]) -> Result<String, String> {
    answer("mgmt", asked, guests)
}

pub(super) fn answer(domain: &str, asked: &Asked<'_>, guests: &[Guest<'_>]) -> Result<String, String> {
    decide(&manifest(), domain, asked, guests)
        .map(|grant| grant.to_string())
        .map_err(|denial| denial.to_string())
}

/// What is said against the guest of [`web`] after a change, in the class "web".
#[track_caller]
pub(super) fn refused(change: impl FnOnce(&mut NewGuest<'_>), guests: &[Guest<'_>]) -> String {
    let mut guest = NewGuest {
        class: Some("web"),
        ..web()
    };
    change(&mut guest);
    asked(&Asked::Create(&guest), guests).unwrap_err()
}

/// Asserts that the guest of [`web`] is let in after a change.
#[track_caller]
pub(super) fn accepted(change: impl FnOnce(&mut NewGuest<'_>), guests: &[Guest<'_>]) {
    let mut guest = NewGuest {
        class: Some("web"),
        ..web()
    };
    change(&mut guest);
    let granted = decide(&manifest(), "mgmt", &Asked::Create(&guest), guests).unwrap();
    assert_eq!(granted.class(), Some("web"));
}

/// The names of the classes that a manifest's own text has, to keep the tests honest.
#[test]
fn the_host_is_the_one_that_the_tests_speak_of() {
    let manifest = manifest();
    let names: Vec<&str> = manifest
        .policy
        .classes
        .iter()
        .map(|class| class.name.as_str())
        .collect();
    assert_eq!(names, ["web", "sealed"]);
}
