//! What is read, defaults, and each kind of error with its place.

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use crate::toml::read;
use crate::{
    Access, CommandLineRule, GuestBox, GuestClass, ImageRule, Kind, MAX_MEMORY_KIB, Request, Scope, SigningKey,
};

const HOST: &str = r#"[host]
name = "h"
[[domain]]
name = "mgmt"
kernel = "k"
memory = 8
roles = ["management", "driver"]
serves = ["vif"]
"#;

/// What is wrong with a right file to which this text is added from line 9 on; its domains' images are not there, and that
/// is left out.
fn errors(text: &str) -> Vec<String> {
    match read(&[HOST, text].concat(), "h.toml") {
        Err(errors) => errors.0.iter().map(ToString::to_string).collect(),
        Ok(host_file) => {
            let problems = host_file.manifest(vec![]).check();
            let own = problems.iter().filter(|problem| problem.domain.is_none());
            own.map(|problem| host_file.place(problem).to_string()).collect()
        }
    }
}

#[test]
fn every_key_is_read() {
    let text = r#"
[[key]]
name = "release"
ed25519 = "F492b9f8865d77949fe9331635172501b6152338936e491288b1d0d7d3248cc5"

[[class]]
name = "web"
types = ["pv"]
kernels = ["image:debian", "signed-by:release", "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"]
ramdisks = ["signed-by:release", "none"]
command-lines = ["quiet", "console=hvc0 *", "", "*"]
memory-max = "2 GiB"
memory-total = 8192
vcpus-max = 4
guests-max = 16
backends = ["mgmt"]
devices-max = 3
box = "closed"

[[access]]
domain = "mgmt"
class = "web"
may = ["create", "destroy"]

[[access]]
domain = "mgmt"
host-domain = "mgmt"
may = ["console"]

[[access]]
domain = "mgmt"
may = ["xen-log"]
"#;
    let policy = read(&[HOST, text].concat(), "h.toml").unwrap().policy;
    let [SigningKey { name, ed25519 }] = policy.keys.as_slice() else {
        panic!("one key")
    };
    assert_eq!((name.as_str(), ed25519[0], ed25519[31]), ("release", 0xf4, 0xc5));
    let ImageRule::Sha256(digest) = policy.classes[0].kernels[2] else {
        panic!("a digest")
    };
    assert_eq!((digest[0], digest[31]), (0xba, 0xad));
    assert_eq!(
        policy.classes,
        [GuestClass {
            name: "web".into(),
            kinds: vec![Kind::Pv],
            kernels: vec![
                ImageRule::Image("debian".into()),
                ImageRule::SignedBy("release".into()),
                ImageRule::Sha256(digest),
            ],
            ramdisks: vec![ImageRule::SignedBy("release".into()), ImageRule::None],
            command_lines: vec![
                CommandLineRule::Exact("quiet".into()),
                CommandLineRule::Beginning("console=hvc0 ".into()),
                CommandLineRule::Exact("".into()),
                CommandLineRule::Beginning("".into()),
            ],
            memory_max_kib: 2 << 20,
            memory_total_kib: 8 << 20,
            vcpus_max: 4,
            guests_max: 16,
            backends: vec!["mgmt".into()],
            devices_max: 3,
            guest_box: GuestBox::Closed,
        }]
    );
    let access = |scope, may| Access {
        domain: "mgmt".into(),
        scope,
        may,
    };
    assert_eq!(
        policy.access,
        [
            access(Scope::Class("web".into()), vec![Request::Create, Request::Destroy]),
            access(Scope::Domain("mgmt".into()), vec![Request::Console]),
            access(Scope::Host, vec![Request::XenLog]),
        ]
    );
}

#[test]
fn what_is_not_written_allows_little() {
    let text = "[[class]]\nname = \"web\"\nkernels = []\nmemory-max = 64\n";
    let class = |text: &str| {
        let policy = read(&[HOST, text].concat(), "h.toml").unwrap().policy;
        policy.classes[0].clone()
    };
    assert_eq!(
        class(text),
        GuestClass {
            name: "web".into(),
            kinds: vec![Kind::Pvh, Kind::Pv],
            kernels: vec![],
            ramdisks: vec![ImageRule::None],
            command_lines: vec![],
            memory_max_kib: 64 << 10,
            memory_total_kib: 64 << 10,
            vcpus_max: 1,
            guests_max: 1,
            backends: vec![],
            devices_max: 8,
            guest_box: GuestBox::Open,
        }
    );
    let total = |more: &str| class(&[text, more].concat()).memory_total_kib;
    assert_eq!(total("guests-max = 3\n"), 192 << 10);
    assert_eq!(total("guests-max = 0\n"), 64 << 10);
    let large = "[[class]]\nname = \"web\"\nkernels = []\nmemory-max = \"16384 GiB\"\nguests-max = 9\n";
    assert_eq!(class(large).memory_total_kib, MAX_MEMORY_KIB);
    assert_eq!(errors(large), Vec::<String>::new());
    assert_eq!(read(HOST, "h.toml").unwrap().policy, crate::Policy::default());
}

#[test]
fn what_is_wrong_is_told_with_place_key_and_what_is_accepted() {
    let class = "[[class]]\nname = \"c\"\nkernels = []\nmemory-max = 64\n";
    let image = "accepted: \"sha256:\" and 64 hexadecimal digits, \"signed-by:\" and a key's name, \"image:\" and an image's name, \
                 \"none\"";
    let digits = "accepted: 64 hexadecimal digits, as `domb keys public FILE` prints them";
    let zeros = "0".repeat(64);
    let cases: [(String, String); 12] = [
        (
            "keys = 1".into(),
            "h.toml:9:1: domain.keys: unknown key; accepted here: ".into(),
        ),
        (
            "[[key]]\nname = \"k\"\ned25519 = \"00\"".into(),
            ["h.toml:11:11: key.ed25519: \"00\"; ", digits].concat(),
        ),
        (
            ["[[key]]\nname = \"k\"\ned25519 = \"", &zeros, "\""].concat(),
            ["h.toml:11:11: key.ed25519: no key that proves anything; ", digits].concat(),
        ),
        (
            "[[class]]".into(),
            "h.toml:9:1: class.name: missing; write the class's name, such as name = \"web\"".into(),
        ),
        (
            [class, "ramdisks = [\"md5:00\"]"].concat(),
            ["h.toml:13:13: class.ramdisks: \"md5:00\"; ", image].concat(),
        ),
        (
            [class, "ramdisks = [\"sha256:00\"]"].concat(),
            ["h.toml:13:13: class.ramdisks: \"sha256:00\"; ", image].concat(),
        ),
        (
            [class, "box = \"ajar\""].concat(),
            "h.toml:13:7: class.box: \"ajar\"; accepted: \"open\", \"closed\"".into(),
        ),
        (
            [class, "vcpus-max = 70000"].concat(),
            "h.toml:13:13: class.vcpus-max: 70000; accepted: 1 to 64".into(),
        ),
        (
            [class, "vcpus-max = 65"].concat(),
            "h.toml:13:13: class.vcpus-max: host h: class c: vcpus-max: 65; accepted: 1 to 64".into(),
        ),
        (
            [class, "name2 = 1"].concat(),
            "h.toml:13:1: class.name2: unknown key; accepted here: name, types, kernels, ramdisks, command-lines, memory-max, \
             memory-total, vcpus-max, guests-max, backends, devices-max, box"
                .into(),
        ),
        (
            "[[access]]\ndomain = \"mgmt\"\nclass = \"c\"\nhost-domain = \"mgmt\"\nmay = []".into(),
            "h.toml:12:15: access.host-domain: beside class; accepted: class, or host-domain, or neither for what is about the host"
                .into(),
        ),
        (
            "[[access]]\ndomain = \"mgmt\"\nmay = [\"fly\"]".into(),
            "h.toml:11:8: access.may: \"fly\"; accepted: \"create\", \"destroy\", ".into(),
        ),
    ];
    for (text, error) in cases {
        let errors = errors(&text);
        assert!(
            errors.first().is_some_and(|first| first.starts_with(&error)),
            "{errors:?}\n{error}"
        );
    }
}

#[test]
fn a_contradiction_is_told_with_both_places() {
    let text = "[[class]]\nname = \"c\"\nkernels = []\nmemory-max = 64\nbox = \"closed\"\n[[access]]\ndomain = \"mgmt\"\n\
                class = \"c\"\nmay = [\"create\", \"console\", \"memory-set\"]\n";
    assert_eq!(
        errors(text),
        [
            "h.toml:17:7: access.may: host h: access of mgmt to class c: may: console, memory-set, but class \"c\" has box = \
          \"closed\" (h.toml:13:7)"
        ]
    );
    let text = "[[access]]\ndomain = \"mgmt\"\nmay = []\n[[access]]\ndomain = \"mgmt\"\nmay = []\n";
    assert_eq!(
        errors(text),
        [
            "h.toml:13:10: access.domain: host h: access of mgmt to the host: domain: an entry before it is about the host, too; \
          accepted: one, with all requests (h.toml:10:10)"
        ]
    );
    // The other place is a domain's, whose key is not written.
    let text = "[[domain]]\nname = \"d\"\nkernel = \"k\"\nmemory = 8\n[[access]]\ndomain = \"d\"\nmay = []\n";
    assert_eq!(
        errors(text),
        [
            "h.toml:14:10: access.domain: host h: access of d to the host: domain: domain \"d\" has not the role management, and so \
          nothing to ask through (h.toml:9:1)"
        ]
    );
}

#[test]
fn too_many_entries_are_told_at_the_first() {
    let text = "[[access]]\ndomain = \"mgmt\"\nmay = []\n".repeat(1025);
    assert_eq!(
        errors(&text),
        ["h.toml:9:1: host h: 1025 entries of access: accepted: at most 1024"]
    );
}
