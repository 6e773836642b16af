//! What is wrong with a policy is named, with the entry, the key and what is accepted.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::{Console, Error, Manifest, samples};

/// The texts of the problems of the sample manifest after a change.
fn problems(change: impl FnOnce(&mut Manifest)) -> Vec<String> {
    let mut manifest = samples::manifest();
    change(&mut manifest);
    manifest.check().iter().map(ToString::to_string).collect()
}

/// The one problem after a change to the first class.
fn class_problem(change: fn(&mut GuestClass)) -> String {
    problems(|manifest| change(&mut manifest.policy.classes[0])).join("\n")
}

#[test]
fn a_limit_of_a_class_is_accepted_and_the_next_value_is_refused() {
    type Change = fn(&mut GuestClass);
    let accepted: [Change; 10] = [
        |class| class.memory_max_kib = 4096,
        |class| (class.memory_max_kib, class.memory_total_kib) = (1 << 34, 1 << 34),
        |class| class.memory_total_kib = 2 << 20,
        |class| class.vcpus_max = 1,
        |class| class.vcpus_max = 64,
        |class| class.guests_max = 0,
        |class| class.guests_max = 32751,
        |class| class.devices_max = 256,
        |class| class.command_lines = vec![CommandLineRule::Exact("x".repeat(2047))],
        |class| class.kernels = (0..128).map(|byte| ImageRule::Sha256([byte; 32])).collect(),
    ];
    for (index, change) in accepted.into_iter().enumerate() {
        assert_eq!(class_problem(change), "", "{index}");
    }
    let refused: [(Change, &str); 11] = [
        (
            |class| class.memory_max_kib = 4092,
            "memory-max: 4092 KiB; accepted: 4096 KiB to 17179869184 KiB (16 TiB), a multiple of 4 KiB",
        ),
        (
            |class| class.memory_max_kib = (1 << 34) + 4,
            "memory-max: 17179869188 KiB; accepted: 4096 KiB to 17179869184 KiB (16 TiB), a multiple of 4 KiB",
        ),
        (
            |class| class.memory_max_kib = 4098,
            "memory-max: 4098 KiB; accepted: 4096 KiB to 17179869184 KiB (16 TiB), a multiple of 4 KiB",
        ),
        (
            |class| class.memory_total_kib = (2 << 20) - 4,
            "memory-total: 2097148 KiB; accepted: 2097152 KiB to 17179869184 KiB (16 TiB), a multiple of 4 KiB",
        ),
        (|class| class.vcpus_max = 0, "vcpus-max: 0; accepted: 1 to 64"),
        (|class| class.vcpus_max = 65, "vcpus-max: 65; accepted: 1 to 64"),
        (
            |class| class.guests_max = 32752,
            "guests-max: 32752; accepted: at most 32751",
        ),
        (
            |class| class.devices_max = 257,
            "devices-max: 257; accepted: at most 256",
        ),
        (
            |class| class.kernels = vec![ImageRule::None; 129],
            "kernels: 129 items; accepted: at most 128\n\
             host demo: class small: kernels: none; accepted: sha256:DIGITS, signed-by:KEY, image:NAME, for there is no guest \
             without a kernel",
        ),
        (
            |class| class.command_lines = vec![CommandLineRule::Beginning("a\nb".into())],
            "command-lines: \"a\\nb*\"; accepted: text without control characters, at most 2047 bytes",
        ),
        (
            |class| class.backends = (0..129).map(|number| format!("d{number}")).collect(),
            "backends: 129 items; accepted: at most 128",
        ),
    ];
    for (change, text) in refused {
        assert_eq!(class_problem(change), format!("host demo: class small: {text}"));
    }
}

#[test]
fn names_that_are_none_are_refused_and_shown_in_quotes() {
    assert_eq!(
        class_problem(|class| class.name = "a b".into()).lines().next(),
        Some(
            "host demo: class \"a b\": name: \"a b\"; accepted: 1 to 64 characters of A-Z a-z 0-9 _ . -, the first a letter, a \
             digit or _"
        )
    );
}

#[test]
fn what_stands_there_twice_is_refused() {
    type Change = fn(&mut Policy);
    let cases: [(Change, &str); 7] = [
        (
            |policy| policy.keys.push(policy.keys[0].clone()),
            "key release: name: an entry before it has the name \"release\", too",
        ),
        (
            |policy| policy.classes[1].name = "small".into(),
            "class small: name: an entry before it has the name \"small\", too",
        ),
        (
            |policy| policy.classes[1].kinds.push(crate::Kind::Pv),
            "class sealed: types: pv stands there twice",
        ),
        (
            |policy| policy.classes[0].kernels.push(ImageRule::SignedBy("release".into())),
            "class small: kernels: signed-by:release stands there twice",
        ),
        (
            |policy| policy.classes[0].backends.push("web".into()),
            "class small: backends: web stands there twice",
        ),
        (
            |policy| policy.access[0].may.push(Request::Create),
            "access of web to class small: may: create stands there twice",
        ),
        (
            |policy| policy.access[1].scope = Scope::Class("small".into()),
            "access of web to class small: domain: an entry before it is about class small, too; accepted: one, with all requests",
        ),
    ];
    for (change, text) in cases {
        let texts = problems(|manifest| change(&mut manifest.policy));
        assert_eq!(texts, [format!("host demo: {text}")]);
    }
}

#[test]
fn what_is_named_must_be_there() {
    type Change = fn(&mut Policy);
    let cases: [(Change, &str); 10] = [
        (
            |policy| policy.keys[0].name = "other".into(),
            "class small: kernels: signed-by:release: there is no key of that name",
        ),
        (
            |policy| policy.classes[0].ramdisks = vec![ImageRule::Image("rd".into())],
            "class small: ramdisks: image:rd: there is no image of that name",
        ),
        (
            |policy| policy.classes[0].kernels = vec![ImageRule::None],
            "class small: kernels: none; accepted: sha256:DIGITS, signed-by:KEY, image:NAME, for there is no guest without a kernel",
        ),
        (
            |policy| policy.classes[0].backends = vec!["net".into()],
            "class small: backends: there is no domain \"net\"",
        ),
        (
            |policy| policy.classes[0].backends = vec!["idle".into()],
            "class small: backends: domain \"idle\" has not the role driver",
        ),
        (
            |policy| policy.access[2].domain = "mgmt".into(),
            "access of mgmt to the host: domain: there is no domain \"mgmt\"",
        ),
        (
            |policy| policy.access[2].domain = "idle".into(),
            "access of idle to the host: domain: domain \"idle\" has not the role management, and so nothing to ask through",
        ),
        (
            |policy| policy.access[1].scope = Scope::Domain("db".into()),
            "access of web to domain db: host-domain: there is no domain \"db\"",
        ),
        (
            |policy| policy.access[0].scope = Scope::Class("large".into()),
            "access of web to class large: class: there is no class \"large\"",
        ),
        (
            |policy| policy.access[0].scope = Scope::Class("bad name".into()),
            "access of web to class \"bad name\": class: there is no class \"bad name\"",
        ),
    ];
    for (change, text) in cases {
        let texts = problems(|manifest| change(&mut manifest.policy));
        assert_eq!(texts, [format!("host demo: {text}")]);
    }
}

#[test]
fn each_scope_has_its_own_requests() {
    for request in Request::ALL {
        let host = matches!(
            request,
            Request::HostInfo | Request::HostLog | Request::XenLog | Request::PolicyExplain
        );
        let device = matches!(request, Request::DeviceAttach | Request::DeviceDetach);
        assert_eq!(Scope::Host.has(request), host, "{request}");
        assert_eq!(Scope::Class("c".into()).has(request), !host, "{request}");
        assert_eq!(Scope::Domain("d".into()).has(request), !host && !device, "{request}");
    }
    let texts = problems(|manifest| manifest.policy.access[2].may = vec![Request::Console]);
    assert_eq!(
        texts,
        [
            "host demo: access of web to the host: may: console of the host; accepted there: host-info, host-log, xen-log, \
         policy-explain"
        ]
    );
}

#[test]
fn a_closed_box_contradicts_access_to_what_is_in_it() {
    let closed = [
        Request::Pause,
        Request::Unpause,
        Request::MemorySet,
        Request::VcpuSet,
        Request::DeviceAttach,
        Request::DeviceDetach,
        Request::Console,
    ];
    for request in Request::ALL.into_iter().filter(|request| !request.is_host_wide()) {
        let mut manifest = samples::manifest();
        manifest.policy.access.push(Access {
            domain: "web".into(),
            scope: Scope::Class("sealed".into()),
            may: vec![Request::Create, request],
        });
        manifest.policy.access[3].may.dedup();
        let problems = manifest.check();
        if !closed.contains(&request) {
            assert_eq!(problems, [], "{request}");
            continue;
        }
        let Error::Policy(error) = &problems[0].error else {
            panic!("{}", problems[0]);
        };
        assert_eq!(error.place, PolicyPlace::Access(3));
        assert_eq!(error.other, Some((PolicyPlace::Class(1), "box")));
        assert_eq!(
            problems[0].to_string(),
            format!(
                "host demo: access of web to class sealed: may: {request}, but class \"sealed\" has box = \"closed\""
            )
        );
    }
}

#[test]
fn a_console_that_nobody_reads_contradicts_access_to_it() {
    let texts = problems(|manifest| {
        manifest.domains[2].console = Console::None;
        manifest.policy.access[1].may.push(Request::Console);
    });
    assert_eq!(
        texts,
        ["host demo: access of web to domain idle: may: console, but domain \"idle\" has console = \"none\""]
    );
}

#[test]
fn too_many_entries_are_refused() {
    let texts = problems(|manifest| {
        manifest.policy.keys = vec![manifest.policy.keys[0].clone(); 65];
        manifest.policy.classes = vec![manifest.policy.classes[0].clone(); 129];
        manifest.policy.access = vec![manifest.policy.access[0].clone(); 1025];
    });
    assert_eq!(
        texts,
        [
            "host demo: 65 keys: accepted: at most 64",
            "host demo: 129 classes: accepted: at most 128",
            "host demo: 1025 entries of access: accepted: at most 1024",
        ]
    );
}

#[test]
fn a_wrong_policy_is_refused_as_a_whole() {
    let mut manifest = samples::manifest();
    manifest.policy.keys.clear();
    let error = Manifest::decode(&manifest.encode()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "class small: kernels: signed-by:release: there is no key of that name"
    );
}

#[test]
fn every_request_has_its_own_name_and_number() {
    for (index, request) in Request::ALL.into_iter().enumerate() {
        let same = Request::ALL.into_iter().filter(|other| other.name() == request.name());
        assert_eq!(same.count(), 1);
        assert_eq!(request as usize, index);
    }
}

#[test]
fn a_command_line_is_exact_or_begins() {
    let exact = CommandLineRule::Exact("quiet".into());
    assert!(exact.accepts("quiet"));
    for other in ["", "quie", "quiet ", "quiet x", "Quiet"] {
        assert!(!exact.accepts(other), "{other}");
    }
    let beginning = CommandLineRule::Beginning("console=hvc0 ".into());
    assert!(beginning.accepts("console=hvc0 "));
    assert!(beginning.accepts("console=hvc0 init=/x"));
    for other in ["", "console=hvc0", "x console=hvc0 "] {
        assert!(!beginning.accepts(other), "{other}");
    }
    assert!(CommandLineRule::Beginning("".into()).accepts("anything"));
    assert!(CommandLineRule::Exact("".into()).accepts(""));
}
