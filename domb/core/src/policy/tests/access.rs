//! Who may ask, default deny, boxes, and which class a guest is in.

use manifest::Request;

use super::*;

#[test]
fn what_no_entry_allows_is_denied() {
    let guest = running("a", "web");
    let subject = Subject::Guest(&guest);
    let plain = |domain, request, subject| answer(domain, &Asked::Plain(request, subject), &[]).unwrap_err();
    assert_eq!(
        plain("mgmt", Request::Reboot, subject),
        "no access entry lets mgmt do reboot to class web"
    );
    assert_eq!(
        plain("other", Request::Destroy, subject),
        "no access entry lets other do destroy to class web"
    );
    assert_eq!(
        plain("nobody", Request::Destroy, subject),
        "no access entry lets nobody do destroy to class web"
    );
    assert_eq!(
        plain("mgmt", Request::HostLog, Subject::Host),
        "no access entry lets mgmt do host-log to the host"
    );
    assert_eq!(
        plain("mgmt", Request::Destroy, Subject::Domain("mgmt")),
        "no access entry lets mgmt do destroy to domain mgmt"
    );
    assert_eq!(
        plain("mgmt", Request::Reboot, Subject::Domain("x\ny")),
        "no access entry lets mgmt do reboot to domain \"x\\ny\""
    );
    let stray = running("a", "gone");
    assert_eq!(
        plain("mgmt", Request::Destroy, Subject::Guest(&stray)),
        "no access entry lets mgmt do destroy to class gone"
    );
    assert_eq!(
        answer(
            "other",
            &Asked::Create(&NewGuest {
                class: Some("web"),
                ..web()
            }),
            &[]
        )
        .unwrap_err(),
        "no access entry lets other do create to class web"
    );
    assert_eq!(
        answer(
            "mgmt",
            &Asked::Create(&NewGuest {
                class: Some("gone"),
                ..web()
            }),
            &[]
        )
        .unwrap_err(),
        "no access entry lets mgmt do create to class gone"
    );
    assert_eq!(
        answer("nobody", &Asked::Create(&web()), &[]).unwrap_err(),
        "no access entry lets nobody do create to any class"
    );
}

#[test]
fn without_a_policy_everything_is_denied() {
    let mut manifest = manifest();
    manifest.policy = manifest::Policy::default();
    let guest = running("a", "web");
    for request in Request::ALL {
        for subject in [Subject::Host, Subject::Domain("mgmt"), Subject::Guest(&guest)] {
            let denial = decide(&manifest, "mgmt", &Asked::Plain(request, subject), &[]).unwrap_err();
            assert_eq!(denial.rule, Rule::Access, "{request} of {subject:?}");
        }
    }
    let denial = decide(&manifest, "mgmt", &Asked::Create(&web()), &[]).unwrap_err();
    assert_eq!(denial.rule, Rule::Access);
}

#[test]
fn each_request_is_allowed_exactly_where_an_entry_says_so() {
    let manifest = manifest();
    let guest = running("a", "web");
    let sealed = running("s", "sealed");
    let subjects = [
        (Subject::Host, &[Request::HostInfo][..]),
        (
            Subject::Domain("mgmt"),
            &[Request::Create, Request::Reboot, Request::Console],
        ),
        (Subject::Domain("net1"), &[]),
        (
            Subject::Guest(&guest),
            &[Request::Destroy, Request::List, Request::Console],
        ),
        (Subject::Guest(&sealed), &[Request::Destroy]),
    ];
    for (subject, allowed) in subjects {
        for request in Request::ALL {
            let decision = decide(&manifest, "mgmt", &Asked::Plain(request, subject), &[guest, sealed]);
            assert_eq!(decision.is_ok(), allowed.contains(&request), "{request} of {subject:?}");
        }
    }
}

#[test]
fn a_closed_box_says_so() {
    let guest = running("s", "sealed");
    let subject = Subject::Guest(&guest);
    for request in Request::ALL.into_iter().filter(|request| !request.leaves_closed()) {
        assert_eq!(
            asked(&Asked::Plain(request, subject), &[guest]).unwrap_err(),
            alloc::format!("class sealed: box: closed: {request} looks into a guest or changes it")
        );
    }
    let device = Device {
        class: manifest::BackendClass::Vif,
        backend: "net1",
    };
    for request in [
        Asked::MemorySet(subject, 4096),
        Asked::VcpuSet(subject, 1),
        Asked::DeviceAttach(subject, device),
    ] {
        assert!(
            asked(&request, &[guest])
                .unwrap_err()
                .starts_with("class sealed: box: closed: ")
        );
    }
    // Whoever has nothing to do with the class learns nothing about it.
    assert_eq!(
        answer("stranger", &Asked::Plain(Request::Console, subject), &[]).unwrap_err(),
        "no access entry lets stranger do console to class sealed"
    );
}

#[test]
fn a_closed_box_holds_even_where_access_is_given() {
    // Such a manifest is refused when it is read.
    let mut manifest = manifest();
    manifest.policy.access[1].may.push(Request::Console);
    let guest = running("s", "sealed");
    let asked = Asked::Plain(Request::Console, Subject::Guest(&guest));
    let denial = decide(&manifest, "mgmt", &asked, &[guest]).unwrap_err();
    assert_eq!(
        denial.to_string(),
        "class sealed: box: closed: console looks into a guest or changes it"
    );
}

#[test]
fn a_console_that_nobody_reads_holds_even_where_access_is_given() {
    let mut manifest = manifest();
    manifest.policy.access[2].scope = manifest::Scope::Domain("net1".into());
    let asked = Asked::Plain(Request::Console, Subject::Domain("net1"));
    let denial = decide(&manifest, "mgmt", &asked, &[]).unwrap_err();
    assert_eq!(denial.to_string(), "domain net1: console: none");
}

#[test]
fn a_domain_that_is_not_in_the_manifest_is_denied_even_where_access_is_given() {
    let mut manifest = manifest();
    manifest.policy.access[2].scope = manifest::Scope::Domain("gone".into());
    let asked = Asked::Plain(Request::Reboot, Subject::Domain("gone"));
    let denial = decide(&manifest, "mgmt", &asked, &[]).unwrap_err();
    assert_eq!(denial.to_string(), "domain gone: name: there is no such domain");
}

#[test]
fn a_guest_is_in_the_class_that_is_named_else_in_the_first_that_it_fits() {
    let signature = [sign(LAB, Purpose::Kernel, b"lab")];
    let guest = NewGuest {
        kernel: ImageFacts {
            sha256: sha256(b"lab"),
            signatures: &signature,
        },
        max_memory_kib: 64 << 10,
        max_vcpus: 1,
        devices: &[],
        ..web()
    };
    let class = |guest: &NewGuest<'_>, guests: &[Guest<'_>]| {
        let granted = decide(&manifest(), "mgmt", &Asked::Create(guest), guests).unwrap();
        granted.class().map(String::from)
    };
    assert_eq!(class(&web(), &[]).as_deref(), Some("web"));
    assert_eq!(class(&guest, &[]).as_deref(), Some("sealed"));
    let named = NewGuest {
        class: Some("web"),
        ..guest
    };
    assert!(
        asked(&Asked::Create(&named), &[])
            .unwrap_err()
            .starts_with("class web: kernels: ")
    );
    // "other" may create in the second class only, and is told of that one only.
    assert!(
        answer("other", &Asked::Create(&web()), &[])
            .unwrap_err()
            .starts_with("class sealed: kernels: ")
    );
    // A class that is full lets the next one have it.
    let mut manifest = manifest();
    manifest.policy.classes[0].guests_max = 0;
    let image = manifest.policy.classes[0].kernels.clone();
    manifest.policy.classes[1].kernels = image;
    let small = NewGuest {
        max_memory_kib: 64 << 10,
        max_vcpus: 1,
        devices: &[],
        ..web()
    };
    let granted = decide(&manifest, "mgmt", &Asked::Create(&small), &[]).unwrap();
    assert_eq!(granted.class(), Some("sealed"));
    assert_eq!(granted.access, 1);
}

#[test]
fn a_guest_that_fits_no_class_is_told_what_each_says() {
    let guest = NewGuest {
        max_memory_kib: 3 << 20,
        ..web()
    };
    let denial = decide(&manifest(), "mgmt", &Asked::Create(&guest), &[]).unwrap_err();
    assert_eq!(denial.rule, Rule::Classes);
    assert_eq!(
        denial.to_string(),
        alloc::format!(
            "classes: class web: memory-max: 3 GiB asked; allowed: 2 GiB; class sealed: kernels: sha256:{} asked, unsigned; \
             allowed: signed-by:lab",
            sha256(b"debian")
        )
    );
}
