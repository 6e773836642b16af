//! Writes the seeds of the fuzz targets: small inputs of every kind that is accepted.
//! `cargo run --example write_seeds`

extern crate alloc;

use std::convert::Infallible;
use std::fs;
use std::path::Path;

use domb_core::bundle;
use domb_core::management::frame::HEADER_BYTES;
use manifest::{
    Action, Console, Domain, Host, Image, Kind, LogLevel, ManagementSettings, Manifest, Policy, StoreQuota, StoreSettings,
};
use measure::{Bank, Digests, EventLog, record};

#[path = "../../src/elf/writer.rs"]
mod writer;

mod management {
    pub(crate) use domb_core::management::*;
}

#[path = "../../src/management/samples.rs"]
mod samples;

use writer::{kernel, load, notes, xen};

fn main() -> std::io::Result<()> {
    elf()?;
    bundles()?;
    event_logs()?;
    management_protocol()
}

fn seed(target: &str, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(name), bytes)
}

fn elf() -> std::io::Result<()> {
    let mut small = kernel();
    small.parts[1].data.truncate(16);
    seed("elf", "pv-and-pvh", &small.bytes())?;
    let mut in_section = small.clone();
    in_section.section_notes = in_section.parts.remove(3).data;
    seed("elf", "notes-in-section", &in_section.bytes())?;
    let mut pvh = small.clone();
    pvh.parts = vec![
        load(0x10_0000, 0x10_0000, 4096, b"text"),
        notes(xen(18, &0x10_0000u64.to_le_bytes())),
    ];
    seed("elf", "pvh", &pvh.bytes())?;
    let mut pv = small;
    let pv_notes = [
        xen(5, b"xen-3.0"),
        xen(8, b"generic"),
        xen(3, &[0; 8]),
        xen(4, &0x1000u64.to_le_bytes()),
    ];
    pv.parts = vec![load(0x10_0000, 0xF_F000, 4096, b"text"), notes(pv_notes.concat())];
    pv.entry = 0xF_F000;
    seed("elf", "pv", &pv.bytes())
}

fn bundles() -> std::io::Result<()> {
    let files: [(&str, &[u8]); 2] = [("kernel", b"ELF!"), ("initrd", b"12345")];
    let data = |image: &Image| Ok::<_, Infallible>(files.iter().find(|(name, _)| *name == image.name).unwrap().1);
    for (name, banks, images, domains) in [
        ("empty", vec![Bank::Sha256], 0, Vec::new()),
        (
            "two-domains",
            Bank::ALL.to_vec(),
            2,
            vec![domain("store", &[]), domain("web", &["store"])],
        ),
    ] {
        let image = |(name, data): &(&str, &[u8])| Image {
            name: (*name).into(),
            size: data.len() as u64,
            digests: Digests::of(&banks, data),
        };
        let manifest = Manifest {
            images: files[..images].iter().map(image).collect(),
            host: Host {
                name: "h".into(),
                banks: banks.clone(),
                operator_console: false,
                log_level: LogLevel::Info,
                store: StoreSettings::default(),
            },
            domains,
            policy: Policy::default(),
        };
        let mut bytes = Vec::new();
        let sink = |piece: &[u8]| {
            bytes.extend_from_slice(piece);
            Ok(())
        };
        bundle::write(&manifest, data, sink).unwrap();
        seed("bundle", name, &bytes)?;
    }
    Ok(())
}

fn domain(name: &str, needs: &[&str]) -> Domain {
    Domain {
        name: name.into(),
        uuid: [u8::try_from(needs.len()).unwrap(); 16],
        kind: Kind::Pvh,
        kernel: "kernel".into(),
        ramdisk: Some("initrd".into()),
        command_line: "console=hvc0".into(),
        memory_kib: 128 << 10,
        maxmem_kib: 256 << 10,
        vcpus: 2,
        max_vcpus: 4,
        autostart: true,
        needs: needs.iter().map(ToString::to_string).collect(),
        on_poweroff: Action::Destroy,
        on_reboot: Action::Restart,
        on_crash: Action::Preserve,
        console: Console::Log,
        roles: Vec::new(),
        serves: Vec::new(),
        store_quota: StoreQuota::default(),
        store_access: Vec::new(),
        disks: Vec::new(),
        interfaces: Vec::new(),
        management: ManagementSettings::default(),
    }
}

fn event_logs() -> std::io::Result<()> {
    for (name, banks) in [("sha256", vec![Bank::Sha256]), ("both-banks", Bank::ALL.to_vec())] {
        let digests = Digests::of(&banks, b"");
        let mut log = EventLog::new(&banks).unwrap();
        for record in [
            record::domb(&digests),
            record::configuration("web", &digests),
            record::kernel("web", &digests),
        ] {
            log.record(&record).unwrap();
        }
        seed("event_log", name, log.bytes())?;
    }
    Ok(())
}

/// Each payload behind its kind; and conversations of whole frames.
fn management_protocol() -> std::io::Result<()> {
    let payload = |target: &str, kind: u8, at: usize, frame: &[u8]| {
        let bytes = [&[kind], &frame[HEADER_BYTES..]].concat();
        seed(target, &format!("{kind}-{at}"), &bytes)
    };
    let mut stream = Vec::new();
    for (at, request) in samples::requests().iter().enumerate() {
        let frame = request.frame(u32::try_from(at).unwrap()).unwrap();
        payload("management_request", request.number(), at, &frame)?;
        // Bytes of the client, then hand out, tell of progress, answer, read.
        stream.push(0);
        stream.extend(u16::try_from(frame.len()).unwrap().to_le_bytes());
        stream.extend(frame);
        stream.extend([3, 5, 4, 6]);
    }
    for (at, answer) in samples::answers().iter().enumerate() {
        payload("management_answer", answer.number(), at, &answer.frame(1).unwrap())?;
    }
    seed("management_channel", "every-request", &stream)?;
    seed("management_channel", "no-frame", b"\0\x10\0GET / HTTP/1.1\r\n\x06\x07")
}
