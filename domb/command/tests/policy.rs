//! Signing images, and what `domb policy explain` says and exits with.

mod kernels;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use kernels::{bz_image, pvh_kernel};
use measure::{Bank, Digest};
use serde_json::Value;
use tempfile::TempDir;

/// Made by `openssl genpkey -algorithm ed25519`.
const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIP4RDJ2yyTRTk3Mj6nBxnRygHFHKfBE3G9HsghkS1Kso
-----END PRIVATE KEY-----
";
/// Its `openssl pkey -pubout`.
const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEA9JK5+IZdd5Sf6TMWNRclAbYVIziTbkkSiLHQ19MkjMU=
-----END PUBLIC KEY-----
";
/// The last 32 bytes of its `openssl pkey -pubout -outform DER`.
const PUBLIC_HEX: &str = "f492b9f8865d77949fe9331635172501b6152338936e491288b1d0d7d3248cc5";
/// What `openssl pkeyutl -sign -rawin` gives for `domb image signature 1: ramdisk sha256:…` of the bytes "the ramdisk".
const SIGNATURE: &str = "6a0779bdacc4d8619a27e45ca6db7b826323122f27d86d3678f620537fb027ff44230d927dd4c0e25d8b6b830798136f8876c76b18\
                         ad53c9c70f823b7dcff005";
/// Made with a passphrase.
const ENCRYPTED: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----
MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAiG1pZF+lZMgwICCAAw
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEANNhMii9fkNmIHYX8AsAGEEQG8F
YaB/cb31VVxT5eLzTurfmqU5NlKMgK5EbsHkKe7tNjXAOog4rjBJgF8eKi6U7jmu
r/hp+RW2ov801YxI6qY=
-----END ENCRYPTED PRIVATE KEY-----
";
/// Made by `openssl genpkey -algorithm x25519`.
const X25519: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VuBCIEIDhqmp4TxOj0l4Avntn3Jwh0+3Vmy+yb5nQsiKpENc9r
-----END PRIVATE KEY-----
";

const HOST: &str = r#"[host]
name = "demo"

[image.linux]
file = "vmlinuz"

[[domain]]
name = "mgmt"
kernel = "linux"
memory = 64
roles = ["management"]

[[domain]]
name = "net1"
kernel = "linux"
memory = 64
roles = ["driver"]
serves = ["vif"]

[[key]]
name = "release"
ed25519 = "f492b9f8865d77949fe9331635172501b6152338936e491288b1d0d7d3248cc5"

[[class]]
name = "web"
kernels = ["image:linux", "signed-by:release"]
ramdisks = ["signed-by:release"]
command-lines = ["console=hvc0 *"]
memory-max = "256 MiB"
guests-max = 2
backends = ["net1"]

[[class]]
name = "sealed"
kernels = ["signed-by:release"]
command-lines = ["*"]
memory-max = "64 MiB"
box = "closed"

[[access]]
domain = "mgmt"
class = "web"
may = ["create", "console", "memory-set", "vcpu-set", "device-attach"]

[[access]]
domain = "mgmt"
class = "sealed"
may = ["destroy"]

[[access]]
domain = "mgmt"
may = ["host-info"]
"#;

const GUEST: &str = r#"name = "web-1"
kernel = "vmlinuz"
ramdisk = "initrd.img"
cmdline = "console=hvc0 quiet"
memory = 128
maxmem = 256

[[interface]]
"#;

struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self {
            folder: TempDir::new().unwrap(),
        };
        place.write("release.pem", PRIVATE);
        place.write("release.pub", PUBLIC);
        place.write("initrd.img", "the ramdisk");
        place.write("host.toml", HOST);
        place.write("guest.toml", GUEST);
        fs::write(place.path("vmlinuz"), bz_image(&pvh_kernel())).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_domb"))
            .args(arguments)
            .current_dir(self.folder.path())
            .output()
            .unwrap()
    }

    /// What it printed on standard output, with this exit status.
    #[track_caller]
    fn prints(&self, status: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(status), "{}", text(&output.stderr));
        text(&output.stdout)
    }

    /// What it said on standard error when it failed.
    #[track_caller]
    fn fails(&self, status: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(status));
        assert_eq!(text(&output.stdout), "");
        text(&output.stderr)
    }

    /// `domb policy explain host.toml mgmt …`
    #[track_caller]
    fn explain(&self, status: i32, arguments: &[&str]) -> String {
        self.prints(
            status,
            &[&["policy", "explain", "host.toml", "mgmt"], arguments].concat(),
        )
    }

    fn sign_ramdisk(&self) {
        self.prints(0, &["sign", "--key", "release.pem", "initrd.img"]);
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn sha256(bytes: &[u8]) -> Digest {
    Digest::of(Bank::Sha256, bytes)
}

#[test]
fn keys_of_openssl_are_read() {
    let place = Place::new();
    for file in ["release.pem", "release.pub"] {
        assert_eq!(
            place.prints(0, &["keys", "public", file]),
            format!("{PUBLIC_HEX}\n"),
            "{file}"
        );
    }
}

#[test]
fn a_signature_is_the_one_that_openssl_makes() {
    let place = Place::new();
    let digest = sha256(b"the ramdisk");
    assert_eq!(
        place.prints(0, &["sign", "--key", "release.pem", "initrd.img"]),
        format!("initrd.img.sig: ramdisk sha256:{digest} signed by ed25519:{PUBLIC_HEX}\n")
    );
    assert_eq!(
        fs::read_to_string(place.path("initrd.img.sig")).unwrap(),
        format!("domb-signature-1 ramdisk sha256:{digest} ed25519:{PUBLIC_HEX} {SIGNATURE}\n")
    );
}

#[test]
fn what_is_signed_of_a_kernel_is_what_domb_loads() {
    let place = Place::new();
    let digest = sha256(&pvh_kernel());
    let said = place.prints(0, &["sign", "--key", "release.pem", "vmlinuz", "-o", "k.sig"]);
    assert_eq!(
        said,
        format!("k.sig: kernel sha256:{digest} signed by ed25519:{PUBLIC_HEX}\n")
    );
    let said = place.prints(0, &["sign", "--key", "release.pem", "vmlinuz", "--purpose", "ramdisk"]);
    assert!(said.starts_with("vmlinuz.sig: ramdisk sha256:"), "{said}");
}

#[test]
fn files_that_cannot_sign_are_refused_with_the_reason() {
    let place = Place::new();
    place.write("encrypted.pem", ENCRYPTED);
    place.write("x25519.pem", X25519);
    place.write("empty.pem", "");
    for (file, reason) in [
        (
            "encrypted.pem",
            "domb: encrypted.pem: the key is encrypted; accepted: a key without passphrase\n",
        ),
        (
            "release.pub",
            "domb: release.pub: a public key; accepted: the private one\n",
        ),
        ("x25519.pem", "domb: x25519.pem: no private Ed25519 key ("),
        ("empty.pem", "domb: empty.pem: no private Ed25519 key ("),
        ("missing.pem", "domb: missing.pem: cannot be read: "),
    ] {
        let said = place.fails(1, &["sign", "--key", file, "initrd.img"]);
        assert!(said.starts_with(reason), "{said}");
    }
    assert_eq!(
        place.fails(
            1,
            &["sign", "--key", "release.pem", "--purpose", "kernel", "initrd.img"]
        ),
        "domb: initrd.img: no kernel: neither an ELF file nor a bzImage\n"
    );
    assert!(!place.path("initrd.img.sig").exists());
}

#[test]
fn a_guest_that_fits_is_allowed() {
    let place = Place::new();
    place.sign_ramdisk();
    assert_eq!(
        place.explain(0, &["create", "guest.toml"]),
        "allowed: access of mgmt to class web: create; class web: kernels: image:linux, ramdisks: signed-by:release, \
         command-lines: \"console=hvc0 *\"\n"
    );
}

#[test]
fn a_guest_that_does_not_fit_is_denied_by_name_of_the_rule() {
    let place = Place::new();
    let digest = sha256(b"the ramdisk");
    assert_eq!(
        place.explain(3, &["create", "guest.toml"]),
        format!("denied: class web: ramdisks: sha256:{digest} asked, unsigned; allowed: signed-by:release\n")
    );
    place.sign_ramdisk();
    let cases = [
        (
            "maxmem = 256",
            "maxmem = 257",
            "class web: memory-max: 257 MiB asked; allowed: 256 MiB",
        ),
        (
            "console=hvc0 ",
            "init=/bin/sh ",
            "class web: command-lines: \"init=/bin/sh quiet\" asked; allowed: \"console=hvc0 *\"",
        ),
        (
            "[[interface]]",
            "[[interface]]\nbackend = \"mgmt\"",
            "class web: backends: vif of \"mgmt\" asked; allowed: net1",
        ),
        (
            "[[interface]]",
            "vcpus = 2",
            "class web: vcpus-max: 2 vCPUs asked; allowed: 1",
        ),
        (
            "web-1",
            "net1",
            "domains: \"net1\" asked; a domain of the manifest has that name",
        ),
    ];
    for (from, to, denial) in cases {
        place.write("other.toml", &GUEST.replace(from, to));
        assert_eq!(
            place.explain(3, &["create", "other.toml"]),
            format!("denied: {denial}\n")
        );
    }
}

#[test]
fn a_tampered_image_is_told_before_domb_is_asked() {
    let place = Place::new();
    place.sign_ramdisk();
    place.write("initrd.img", "the Ramdisk");
    let said = place.fails(1, &["policy", "explain", "host.toml", "mgmt", "create", "guest.toml"]);
    assert!(
        said.starts_with("domb: initrd.img.sig:1: a signature of sha256:") && said.ends_with("; sign it again\n"),
        "{said}"
    );
    fs::remove_file(place.path("initrd.img.sig")).unwrap();
    let mut changed = pvh_kernel();
    changed.push(0);
    fs::write(place.path("other-kernel"), changed).unwrap();
    place.write("other.toml", &GUEST.replace("\"vmlinuz\"", "\"other-kernel\""));
    let said = place.explain(3, &["create", "other.toml"]);
    assert!(said.starts_with("denied: class web: kernels: sha256:"), "{said}");
    assert!(said.ends_with(" asked, unsigned; allowed: image:linux, signed-by:release\n"));
}

#[test]
fn guests_are_created_one_after_the_other() {
    let place = Place::new();
    place.sign_ramdisk();
    for name in ["b", "c"] {
        place.write(&format!("{name}.toml"), &GUEST.replace("web-1", name));
    }
    let said = place.explain(3, &["create", "guest.toml", "b.toml", "c.toml"]);
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].starts_with("guest web-1: allowed: "), "{said}");
    assert!(lines[1].starts_with("guest b: allowed: "), "{said}");
    assert_eq!(
        lines[2],
        "guest c: denied: class web: guests-max: 3 guests asked; allowed: 2"
    );
}

#[test]
fn a_guest_of_xl_is_asked_about_as_well() {
    let place = Place::new();
    place.sign_ramdisk();
    let folder = place.folder.path().display();
    let text = format!(
        "name = \"old\"\ntype = \"pvh\"\nkernel = \"{folder}/vmlinuz\"\nramdisk = \"{folder}/initrd.img\"\n\
         cmdline = \"console=hvc0 x\"\nmemory = 128\nvif = [ '' ]\n"
    );
    place.write("guest.cfg", &text);
    let said = place.explain(0, &["create", "guest.cfg"]);
    assert!(
        said.starts_with("allowed: access of mgmt to class web: create"),
        "{said}"
    );
}

#[test]
fn other_requests_are_about_a_guest_a_class_a_domain_or_the_host() {
    let place = Place::new();
    place.sign_ramdisk();
    for (status, arguments, said) in [
        (0, &["host-info"][..], "allowed: access of mgmt to the host: host-info"),
        (
            3,
            &["xen-log"],
            "denied: no access entry lets mgmt do xen-log to the host",
        ),
        (
            0,
            &["console", "guest.toml"],
            "allowed: access of mgmt to class web: console",
        ),
        (
            0,
            &["console", "--class", "web"],
            "allowed: access of mgmt to class web: console",
        ),
        (
            3,
            &["destroy", "--class", "web"],
            "denied: no access entry lets mgmt do destroy to class web",
        ),
        (
            3,
            &["console", "--class", "sealed"],
            "denied: class sealed: box: closed: console looks into a guest or changes it",
        ),
        (
            3,
            &["reboot", "--host-domain", "net1"],
            "denied: no access entry lets mgmt do reboot to domain net1",
        ),
        (
            0,
            &["memory-set", "--memory", "256", "guest.toml"],
            "allowed: access of mgmt to class web: memory-set",
        ),
        (
            3,
            &["memory-set", "--memory", "257", "guest.toml"],
            "denied: class web: memory-max: 257 MiB asked; allowed: 256 MiB",
        ),
        (
            3,
            &["vcpu-set", "--vcpus", "2", "--class", "web"],
            "denied: class web: vcpus-max: 2 vCPUs asked; allowed: 1",
        ),
        (
            0,
            &["device-attach", "--device", "vif:net1", "guest.toml"],
            "allowed: access of mgmt to class web: device-attach",
        ),
        (
            3,
            &["device-attach", "--device", "vbd:net1", "guest.toml"],
            "denied: domain net1: serves: vbd asked; allowed: vif",
        ),
    ] {
        assert_eq!(place.explain(status, arguments), format!("{said}\n"), "{arguments:?}");
    }
}

#[test]
fn questions_that_cannot_be_answered_fail() {
    let place = Place::new();
    let explain =
        |status, arguments: &[&str]| place.fails(status, &[&["policy", "explain", "host.toml"], arguments].concat());
    for (arguments, error) in [
        (
            &["root", "create", "guest.toml"][..],
            "domb: no domain \"root\" in the manifest; accepted: mgmt, net1\n",
        ),
        (
            &["mgmt", "destroy", "--class", "db"],
            "domb: no class \"db\" in the manifest; accepted: web, sealed\n",
        ),
        (
            &["mgmt", "destroy"],
            "domb: destroy of what? accepted: GUEST.toml, --class NAME, --host-domain NAME\n",
        ),
        (
            &["mgmt", "create", "--class", "web"],
            "domb: create without a guest; accepted: GUEST.toml, or --host-domain NAME\n",
        ),
        (
            &["mgmt", "memory-set", "--class", "web"],
            "domb: memory-set needs --memory MIB\n",
        ),
    ] {
        assert_eq!(explain(1, arguments), error);
    }
    assert!(explain(2, &["mgmt", "explode"]).contains("accepted: create, destroy, shutdown"));
    assert!(
        explain(2, &["mgmt", "destroy", "--class", "web", "--host-domain", "net1"]).contains("cannot be used with")
    );
}

#[test]
fn json_has_the_same_answer() {
    let place = Place::new();
    let said = place.explain(3, &["console", "--class", "sealed", "--json"]);
    let document: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        document,
        serde_json::json!({"decisions": [{
            "subject": "class sealed", "allowed": false, "rule": "class sealed: box",
            "why": "class sealed: box: closed: console looks into a guest or changes it",
        }]})
    );
    let said = place.explain(0, &["host-info", "--json"]);
    let document: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(document["decisions"][0]["allowed"], true);
    assert_eq!(document["decisions"][0]["rule"], "access of mgmt to the host");
}

#[test]
fn a_policy_that_contradicts_itself_is_told_with_both_places() {
    let place = Place::new();
    place.write("host.toml", &HOST.replace("may = [\"destroy\"]", "may = [\"console\"]"));
    assert_eq!(
        place.fails(1, &["bundle", "host.toml", "-o", "x", "--force"]),
        "host.toml:48:7: access.may: host demo: access of mgmt to class sealed: may: console, but class \"sealed\" has box = \
         \"closed\" (host.toml:38:7)\n"
    );
}
