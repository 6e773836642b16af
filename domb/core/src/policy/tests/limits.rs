//! Each limit: what is at it or below is let in, what is above is refused with the limit.

use manifest::{BackendClass, Kind, Request};

use super::*;

const NET: Device<'_> = Device {
    class: BackendClass::Vif,
    backend: "net1",
};

const DISK: Device<'_> = Device {
    class: BackendClass::Vbd,
    backend: "disk1",
};

#[test]
fn a_guest_at_every_limit_is_let_in_with_the_rules_named() {
    assert_eq!(
        asked(&Asked::Create(&web()), &[]).unwrap(),
        "access of mgmt to class web: create; class web: kernels: image:debian, ramdisks: none, command-lines: \"console=hvc0 *\""
    );
}

#[test]
fn memory_of_one_guest() {
    for kib in [0, 4, (2 << 20) - 4, 2 << 20] {
        accepted(|guest| guest.max_memory_kib = kib, &[]);
    }
    assert_eq!(
        refused(|guest| guest.max_memory_kib = (2 << 20) + 4, &[]),
        "class web: memory-max: 2097156 KiB asked; allowed: 2 GiB"
    );
    assert_eq!(
        refused(|guest| guest.max_memory_kib = 4 << 20, &[]),
        "class web: memory-max: 4 GiB asked; allowed: 2 GiB"
    );
    assert_eq!(
        refused(|guest| guest.max_memory_kib = u64::MAX, &[]),
        "class web: memory-max: 18446744073709551615 KiB asked; allowed: 2 GiB"
    );
}

#[test]
fn memory_of_all_guests_of_the_class() {
    let guest = |max_memory_kib| Guest {
        max_memory_kib,
        ..running("a", "web")
    };
    for kib in [(3 << 20) - 4, 3 << 20] {
        accepted(|_| (), &[guest(kib)]);
    }
    assert_eq!(
        refused(|_| (), &[guest((3 << 20) + 4)]),
        "class web: memory-total: 2 GiB asked beside 3145732 KiB of 1 guests; allowed: 5 GiB"
    );
    assert_eq!(
        refused(|_| (), &[guest(u64::MAX), guest(u64::MAX)]),
        "class web: memory-total: 2 GiB asked beside 18446744073709551615 KiB of 2 guests; allowed: 5 GiB"
    );
    // Those of other classes do not count.
    let other = Guest {
        class: "sealed",
        ..guest(1 << 30)
    };
    accepted(|_| (), &[other, guest(3 << 20)]);
}

#[test]
fn vcpus() {
    for vcpus in [0, 1, 3, 4] {
        accepted(|guest| guest.max_vcpus = vcpus, &[]);
    }
    assert_eq!(
        refused(|guest| guest.max_vcpus = 5, &[]),
        "class web: vcpus-max: 5 vCPUs asked; allowed: 4"
    );
    assert_eq!(
        refused(|guest| guest.max_vcpus = u16::MAX, &[]),
        "class web: vcpus-max: 65535 vCPUs asked; allowed: 4"
    );
}

#[test]
fn guests() {
    let small = |name| Guest {
        max_memory_kib: 4096,
        ..running(name, "web")
    };
    accepted(|_| (), &[small("a")]);
    accepted(|_| (), &[small("a"), small("b")]);
    accepted(|_| (), &[small("a"), small("b"), running("s", "sealed")]);
    assert_eq!(
        refused(|_| (), &[small("a"), small("b"), small("c")]),
        "class web: guests-max: 4 guests asked; allowed: 3"
    );
}

#[test]
fn devices_and_who_serves_them() {
    accepted(|guest| guest.devices = &[], &[]);
    accepted(|guest| guest.devices = &[NET], &[]);
    assert_eq!(
        refused(|guest| guest.devices = &[NET, NET, NET], &[]),
        "class web: devices-max: 3 devices asked; allowed: 2"
    );
    assert_eq!(
        refused(|guest| guest.devices = &[DISK], &[]),
        "class web: backends: vbd of \"disk1\" asked; allowed: net1"
    );
    let nobody = Device {
        backend: "x\ny",
        ..DISK
    };
    let guest = NewGuest {
        class: Some("web"),
        devices: &[NET, nobody],
        ..web()
    };
    assert_eq!(
        asked(&Asked::Create(&guest), &[]).unwrap_err(),
        "class web: backends: vbd of \"x\\ny\" asked; allowed: net1"
    );
    let wrong_class = Device {
        class: BackendClass::Vbd,
        ..NET
    };
    let guest = NewGuest {
        devices: &[wrong_class],
        ..guest
    };
    assert_eq!(
        asked(&Asked::Create(&guest), &[]).unwrap_err(),
        "domain net1: serves: vbd asked; allowed: vif"
    );
}

#[test]
fn types() {
    assert_eq!(
        refused(|guest| guest.kind = Kind::Pv, &[]),
        "class web: types: pv asked; allowed: pvh"
    );
}

#[test]
fn command_lines() {
    for line in ["quiet", "console=hvc0 ", "console=hvc0 init=/sbin/init"] {
        accepted(|guest| guest.command_line = line, &[]);
    }
    for (line, shown) in [
        ("", "\"\""),
        ("quiet ", "\"quiet \""),
        ("console=hvc0", "\"console=hvc0\""),
        ("init=/bin/sh console=hvc0 ", "\"init=/bin/sh console=hvc0 \""),
        ("a\nb", "\"a\\nb\""),
    ] {
        let expected = [
            "class web: command-lines: ",
            shown,
            " asked; allowed: \"quiet\", \"console=hvc0 *\"",
        ]
        .concat();
        assert_eq!(refused(|guest| guest.command_line = line, &[]), expected);
    }
}

#[test]
fn a_guest_may_not_have_the_name_of_a_domain_of_the_manifest() {
    assert_eq!(
        refused(|guest| guest.name = "net1", &[]),
        "domains: \"net1\" asked; a domain of the manifest has that name"
    );
}

#[test]
fn memory_of_a_running_guest() {
    let guest = running("a", "web");
    let set = |kib| asked(&Asked::MemorySet(Subject::Guest(&guest), kib), &[guest]);
    for kib in [0, (1 << 20) - 4, 1 << 20] {
        assert_eq!(set(kib).unwrap(), "access of mgmt to class web: memory-set");
    }
    assert_eq!(
        set((1 << 20) + 4).unwrap_err(),
        "domain a: maxmem: 1048580 KiB asked; allowed: 1 GiB"
    );
    assert_eq!(
        set((2 << 20) + 4).unwrap_err(),
        "class web: memory-max: 2097156 KiB asked; allowed: 2 GiB"
    );
}

#[test]
fn vcpus_of_a_running_guest() {
    let guest = running("a", "web");
    let set = |vcpus| asked(&Asked::VcpuSet(Subject::Guest(&guest), vcpus), &[guest]);
    for vcpus in [0, 1, 2] {
        assert_eq!(set(vcpus).unwrap(), "access of mgmt to class web: vcpu-set");
    }
    assert_eq!(set(3).unwrap_err(), "domain a: maxvcpus: 3 vCPUs asked; allowed: 2");
    assert_eq!(set(5).unwrap_err(), "class web: vcpus-max: 5 vCPUs asked; allowed: 4");
}

#[test]
fn devices_of_a_running_guest() {
    let attach = |devices, device| {
        let guest = Guest {
            devices,
            ..running("a", "web")
        };
        asked(&Asked::DeviceAttach(Subject::Guest(&guest), device), &[guest])
    };
    for devices in [0, 1] {
        assert_eq!(
            attach(devices, NET).unwrap(),
            "access of mgmt to class web: device-attach"
        );
    }
    assert_eq!(
        attach(2, NET).unwrap_err(),
        "class web: devices-max: 3 devices asked; allowed: 2"
    );
    assert_eq!(
        attach(u16::MAX, NET).unwrap_err(),
        "class web: devices-max: 65536 devices asked; allowed: 2"
    );
    assert_eq!(
        attach(0, DISK).unwrap_err(),
        "class web: backends: vbd of \"disk1\" asked; allowed: net1"
    );
}

#[test]
fn a_request_without_the_values_that_it_is_decided_by_is_refused() {
    let guest = running("a", "web");
    for request in [
        Request::Create,
        Request::MemorySet,
        Request::VcpuSet,
        Request::DeviceAttach,
    ] {
        assert_eq!(
            asked(&Asked::Plain(request, Subject::Guest(&guest)), &[guest]).unwrap_err(),
            alloc::format!("request: {request} without the values that it is decided by")
        );
    }
    for request in [Request::MemorySet, Request::VcpuSet] {
        assert_eq!(
            asked(&Asked::Plain(request, Subject::Domain("mgmt")), &[]).unwrap_err(),
            alloc::format!("request: {request} without the values that it is decided by")
        );
    }
}

#[test]
fn limits_of_the_manifests_own_domains_are_their_own() {
    let mgmt = Subject::Domain("mgmt");
    assert!(asked(&Asked::MemorySet(mgmt, 128 << 10), &[]).is_ok());
    assert_eq!(
        asked(&Asked::MemorySet(mgmt, (128 << 10) + 4), &[]).unwrap_err(),
        "domain mgmt: maxmem: 131076 KiB asked; allowed: 128 MiB"
    );
    assert!(asked(&Asked::VcpuSet(mgmt, 2), &[]).is_ok());
    assert_eq!(
        asked(&Asked::VcpuSet(mgmt, 3), &[]).unwrap_err(),
        "domain mgmt: maxvcpus: 3 vCPUs asked; allowed: 2"
    );
}
