//! A value of every kind.

use alloc::vec;
use alloc::vec::Vec;

use xen::grant_table::GrantedBytes;

use crate::management::*;

pub(super) fn requests() -> Vec<Request> {
    let guest = || Guest::Name { name: "web".into() };
    let image = |signatures| Image {
        digest: [0x11; 32],
        size: 12_345_678,
        signatures,
    };
    let device = || Device {
        class: DeviceClass::Network,
        backend: "net1".into(),
        parameters: vec![1, 2, 3],
    };
    let create = Request::Create {
        configuration: b"DOMBDOM2 and so on".to_vec(),
        class: Some("front-end".into()),
        kernel: image(vec![[0x22; 64]; 2]),
        ramdisk: Some(image(Vec::new())),
        devices: vec![device()],
        paused: true,
    };
    vec![
        Request::HostInfo,
        Request::List { from: 7 },
        Request::Info {
            guest: Guest::Id { domid: 3 },
        },
        create.clone(),
        Request::ImageOffer {
            image: image(Vec::new()),
        },
        Request::ImageWindow {
            digest: [0x33; 32],
            offset: 1 << 33,
            pieces: vec![
                GrantedBytes {
                    reference: 9,
                    offset: 0,
                    length: 4096,
                },
                GrantedBytes {
                    reference: 10,
                    offset: 8,
                    length: 1,
                },
            ],
        },
        Request::Destroy {
            guest: Guest::Uuid { uuid: [0x44; 16] },
        },
        Request::Shutdown { guest: guest() },
        Request::Reboot { guest: guest() },
        Request::Pause { guest: guest() },
        Request::Unpause { guest: guest() },
        Request::MemorySet {
            guest: guest(),
            kib: 1 << 20,
        },
        Request::VcpuSet {
            guest: guest(),
            count: 4,
        },
        Request::DeviceAttach {
            guest: guest(),
            device: device(),
        },
        Request::DeviceDetach {
            guest: guest(),
            class: DeviceClass::Block,
            number: 51712,
            force: false,
        },
        Request::DeviceList {
            guest: guest(),
            class: Some(DeviceClass::Pci),
        },
        Request::Console {
            guest: guest(),
            claim: true,
        },
        Request::MeasurementLog {
            guest: None,
            offset: 4096,
        },
        Request::PolicyExplain {
            subject: Subject::new(create).unwrap(),
        },
        Request::HostLog { sequence: 42 },
        Request::XenLog {
            index: 16384,
            clear: false,
        },
        Request::Cancel { id: 5 },
        Request::Start { guest: guest() },
    ]
}

fn domain() -> DomainEntry {
    DomainEntry {
        domid: 3,
        name: "web".into(),
        uuid: [0x55; 16],
        kind: GuestKind::Pvh,
        state: StateFlags::BLOCKED.with(StateFlags::PAUSED),
        memory_kib: 262_144,
        max_memory_kib: 524_288,
        vcpus: 2,
        max_vcpus: 4,
        cpu_time_ns: 123_456_789,
        started_ns: 1,
        class: Some("front-end".into()),
        restarts: 1,
        crashes: 0,
    }
}

pub(super) fn results() -> Vec<Done> {
    let vcpu = VcpuEntry {
        vcpu: 1,
        online: true,
        blocked: false,
        running: true,
        cpu: 3,
        cpu_time_ns: 99,
        affinity: vec![0xff, 0x0f],
    };
    let device = DeviceEntry {
        class: DeviceClass::Block,
        number: 51712,
        backend: 2,
        state: 4,
        parameters: vec![7],
    };
    vec![
        Done::Nothing,
        Done::HostInfo {
            host: HostReport {
                name: "demo".into(),
                domb: "0.1.0".into(),
                xen: XenVersion {
                    major: 4,
                    minor: 17,
                    extra: ".5".into(),
                },
                system_time_ns: 1 << 40,
                memory_kib: 8 << 20,
                free_kib: 4 << 20,
                cpus: 8,
                hvm: true,
                iommu: false,
                manifest: [0x66; 32],
                asker: 2,
            },
        },
        Done::List {
            domains: vec![domain(), domain()],
            next: Some(4),
        },
        Done::Info {
            domain: domain(),
            configuration: b"DOMBDOM2".to_vec(),
            vcpus: vec![vcpu],
        },
        Done::Create { domid: 9 },
        Done::ImageOffer {
            state: ImageState::Held,
        },
        Done::ImageOffer {
            state: ImageState::Wanted {
                received: 0,
                max_pieces: 512,
            },
        },
        Done::ImageWindow {
            received: 4097,
            held: true,
        },
        Done::DeviceAttach { number: 51728 },
        Done::DeviceList { devices: vec![device] },
        Done::Console {
            domid: 3,
            reference: 0,
            port: 12,
        },
        Done::MeasurementLog {
            total: 5000,
            bytes: vec![0; 100],
        },
        Done::PolicyExplain {
            allowed: false,
            rule: "class web: memory".into(),
            text: "8 GiB; accepted: at most 4 GiB".into(),
        },
        Done::HostLog {
            lines: vec![LogLine {
                sequence: 42,
                system_time_ns: 7,
                level: 3,
                text: "domain web started".into(),
            }],
            next: 43,
        },
        Done::XenLog {
            text: b"(XEN) \xff".to_vec(),
            next: 6,
        },
        Done::Cancel { found: true },
    ]
}

pub(super) fn answers() -> Vec<Answer> {
    let mut answers: Vec<Answer> = results().into_iter().map(|result| Answer::Done { result }).collect();
    answers.extend([
        Answer::Progress {
            stage: "hash".into(),
            done: 1,
            total: 2,
        },
        Answer::Refused {
            rule: "default".into(),
            text: "nothing allows it".into(),
        },
        Answer::Failed {
            step: "create".into(),
            text: "XEN_DOMCTL_createdomain: ENOMEM".into(),
        },
        Answer::Malformed {
            field: "guest".into(),
            offset: 0,
            expected: "one of 0 1 2".into(),
        },
        Answer::Cancelled,
    ]);
    answers
}
