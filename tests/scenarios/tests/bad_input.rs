//! Bad input on real Xen: every domain that cannot be built is refused with a line that names it, the step and the
//! reason, and the good ones beside it run. A bundle that is none stops domb before it builds anything.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use domb_core::bundle;
use manifest::{
    Action, Console, Domain, Host, Image, Kind, LogLevel, ManagementSettings, Manifest, Policy, StoreQuota,
    StoreSettings,
};
use measure::{Bank, Digests};
use scenarios::{HostFile, image_path};
use testbed::XenVersion;

/// Free memory of the machine stays below this; in KiB.
const MORE_THAN_THE_MACHINE_HAS: u64 = 64 << 20;

/// Offsets in an ELF64 header and in its program headers.
const E_MACHINE: usize = 18;
const E_PHOFF: usize = 32;
const E_PHENTSIZE: usize = 54;
const P_VADDR: usize = 16;
const P_PADDR: usize = 24;
const P_FILESZ: usize = 32;
const NOTE_ENTRY: [u8; 16] = *b"\x04\0\0\0\x08\0\0\0\x01\0\0\0Xen\0";

/// The bare-metal guest's ELF, to be damaged.
struct Elf(Vec<u8>);

impl Elf {
    fn of_the_guest() -> Result<Self> {
        let path = image_path("bare-guest.elf");
        Ok(Self(
            fs::read(&path).with_context(|| format!("read {}", path.display()))?,
        ))
    }

    fn put(mut self, offset: usize, bytes: &[u8]) -> Self {
        self.0[offset..offset + bytes.len()].copy_from_slice(bytes);
        self
    }

    fn word(&self, offset: usize) -> u64 {
        u64::from_le_bytes(self.0[offset..offset + 8].try_into().expect("eight bytes"))
    }

    /// Offset of a field of a program header.
    fn header(&self, number: usize, field: usize) -> usize {
        let table = usize::try_from(self.word(E_PHOFF)).expect("a small file");
        let size = usize::from(u16::from_le_bytes([self.0[E_PHENTSIZE], self.0[E_PHENTSIZE + 1]]));
        table + number * size + field
    }

    fn note(&self) -> usize {
        self.0
            .windows(16)
            .position(|window| window == NOTE_ENTRY)
            .expect("an entry note")
    }
}

/// Damaged kernels: name, file, and what domb has to say.
fn kernels() -> Result<Vec<(&'static str, Vec<u8>, &'static str)>> {
    let good = Elf::of_the_guest;
    let first = good()?.word(good()?.header(0, P_PADDR));
    let truncated = good()?.0[..4096].to_vec();
    let overlapping = good()?;
    let (paddr, vaddr) = (overlapping.header(1, P_PADDR), overlapping.header(1, P_VADDR));
    let overlapping = overlapping
        .put(paddr, &first.to_le_bytes())
        .put(vaddr, &first.to_le_bytes());
    let oversize = good()?;
    let file_size = oversize.header(0, P_FILESZ);
    let oversize = oversize.put(file_size, &(1u64 << 40).to_le_bytes());
    let noteless = good()?;
    let note = noteless.note();
    let owner = note + 12;
    let entry = note + 16;
    let mut without_owner = noteless;
    // Every note's owner becomes somebody else.
    while let Some(at) = without_owner.0.windows(4).position(|window| window == b"Xen\0") {
        without_owner = without_owner.put(at, b"xEn\0");
    }
    ensure!(owner < entry);
    Ok(vec![
        (
            "truncated",
            truncated,
            "kernel: .*(beyond|outside|ends|cut|truncated|past)",
        ),
        ("overlapping", overlapping.0, "kernel: .*overlap"),
        ("oversize", oversize.0, "kernel: .*segment"),
        ("noteless", without_owner.0, "kernel: .*note"),
        (
            "wrong-machine",
            good()?.put(E_MACHINE, &183u16.to_le_bytes()).0,
            "kernel: .*machine",
        ),
        (
            "entry-outside",
            good()?.put(entry, &0x7fff_0000u64.to_le_bytes()).0,
            "kernel: .*entry",
        ),
        ("empty", Vec::new(), "kernel: "),
        ("text", b"not a kernel at all, by no means\n".repeat(8), "kernel: "),
    ])
}

fn domain(name: &str, kernel: &str) -> Domain {
    Domain {
        name: name.into(),
        uuid: manifest::uuid::derive("bad-input", name),
        kind: Kind::Pv,
        kernel: kernel.into(),
        ramdisk: None,
        command_line: "do=idle".into(),
        memory_kib: 8 << 10,
        maxmem_kib: 8 << 10,
        vcpus: 1,
        max_vcpus: 1,
        autostart: true,
        needs: Vec::new(),
        on_poweroff: Action::Destroy,
        on_reboot: Action::Restart,
        on_crash: Action::Destroy,
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

/// Writes a bundle whose manifest no tool would write.
fn write_bundle(manifest: &Manifest, files: &[Vec<u8>], to: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    bundle::write(
        manifest,
        |image: &Image| {
            let index = manifest.images.iter().position(|other| other.name == image.name);
            index.and_then(|index| files.get(index)).ok_or(())
        },
        |part: &[u8]| {
            bytes.extend_from_slice(part);
            Ok(())
        },
    )
    .map_err(|error: bundle::WriteError<()>| anyhow::anyhow!("{error:?}"))?;
    fs::write(to, &bytes)?;
    Ok(bytes)
}

fn image(name: &str, bytes: &[u8]) -> Image {
    Image {
        name: name.into(),
        size: bytes.len() as u64,
        digests: Digests::of(&[Bank::Sha256], bytes),
    }
}

/// A domain's name and what domb says of it, as a pattern.
type Expected = Vec<(String, String)>;

/// A manifest with one good domain and everything that can be wrong with others; and for each of those what domb says.
fn everything_wrong() -> Result<(Manifest, Vec<Vec<u8>>, Expected)> {
    let good = Elf::of_the_guest()?.0;
    let mut images = vec![image("good", &good)];
    let mut files = vec![good.clone()];
    let mut domains = vec![
        domain("good", "good"),
        Domain {
            needs: vec!["good".into()],
            ..domain("last", "good")
        },
    ];
    let mut expected = Vec::new();
    for (name, bytes, says) in kernels()? {
        images.push(image(name, &bytes));
        files.push(bytes);
        domains.push(domain(name, name));
        expected.push((name.to_owned(), says.to_owned()));
    }
    let mut tampered = good.clone();
    let middle = tampered.len() / 2;
    images.push(image("tampered", &tampered));
    tampered[middle] ^= 1;
    files.push(tampered);
    let big = vec![0x5a; 12 << 20];
    images.push(image("big", &big));
    files.push(big);
    let mut add = |domain: Domain, says: &str| {
        expected.push((domain.name.clone(), says.to_owned()));
        domains.push(domain);
    };
    add(
        domain("tampered", "tampered"),
        "image tampered: sha256 digest [0-9a-f]{64}, the manifest says [0-9a-f]{64}",
    );
    add(
        Domain {
            ramdisk: Some("big".into()),
            ..domain("ramdisk", "good")
        },
        "layout: .*ramdisk.* takes 3072 pages",
    );
    add(
        Domain {
            ramdisk: Some("nowhere".into()),
            ..domain("missing", "good")
        },
        "manifest: .*nowhere",
    );
    add(
        Domain {
            memory_kib: MORE_THAN_THE_MACHINE_HAS,
            maxmem_kib: MORE_THAN_THE_MACHINE_HAS,
            ..domain("huge", "good")
        },
        "create: needs 67108864 KiB, the machine has [0-9]+ KiB free",
    );
    add(
        Domain {
            needs: vec!["chicken".into()],
            ..domain("egg", "good")
        },
        "manifest: .*(egg.*chicken|chicken.*egg)",
    );
    add(
        Domain {
            needs: vec!["egg".into()],
            ..domain("chicken", "good")
        },
        "manifest: .*(egg.*chicken|chicken.*egg)",
    );
    add(domain("twin", "good"), "manifest: .*twin");
    add(
        Domain {
            uuid: [7; 16],
            ..domain("twin", "good")
        },
        "manifest: .*twin",
    );
    add(
        Domain {
            needs: vec!["truncated".into()],
            ..domain("dependant", "good")
        },
        "needs truncated, which does not run",
    );
    add(
        Domain {
            kind: Kind::Pvh,
            ..domain("pvh", "good")
        },
        "kernel: .*(PHYS32_ENTRY|note)",
    );
    add(
        Domain {
            vcpus: 65,
            max_vcpus: 65,
            ..domain("many", "good")
        },
        "manifest: .*65",
    );
    let host = Host {
        name: "bad-input".into(),
        banks: vec![Bank::Sha256],
        operator_console: true,
        log_level: LogLevel::Info,
        store: StoreSettings::default(),
    };
    let manifest = Manifest {
        host,
        images,
        domains,
        policy: Policy::default(),
    };
    Ok((manifest, files, expected))
}

fn bad_domains(xen: XenVersion) -> Result<()> {
    let host = HostFile::new(&format!("bad-input-{xen}"), &["sha256"])?;
    let (manifest, files, expected) = everything_wrong()?;
    let path = host.directory().join("bundle");
    write_bundle(&manifest, &files, &path)?;
    let mut session = host.boot_bundle(xen, &path, |machine| machine)?;
    session.ready()?;
    for (name, says) in &expected {
        let line = session.wait(&format!("domain {name} (not started|refused): .*$"))?;
        let pattern = regex::Regex::new(says)?;
        ensure!(
            pattern.is_match(&line.line.text),
            "{name}: {says:?} is not in {:?}",
            line.line.text
        );
    }
    let listed = session.list()?;
    for name in ["good", "last"] {
        let state = listed
            .get(name)
            .and_then(|facts| facts.get("state"))
            .map(String::as_str);
        ensure!(state == Some("running"), "{name} is {state:?}");
    }
    let running = listed
        .values()
        .filter(|facts| facts.get("state").is_some_and(|state| state == "running"))
        .count();
    ensure!(running == 2, "{running} domains run");
    // Nothing of those that failed half-way is left in Xen: as many domains as run, and memory for no more.
    let before = session.free_pages()?;
    for _ in 0..3 {
        let _ = session.ask("create huge")?;
        let _ = session.ask("create tampered")?;
        let _ = session.ask("create ramdisk")?;
    }
    ensure!(session.free_pages()? == before, "a domain that was refused kept memory");
    session.reboot()
}

#[test]
fn bad_domains_are_refused_one_by_one_on_xen_4_17() -> Result<()> {
    bad_domains(XenVersion::V4_17)
}

#[test]
fn bad_domains_are_refused_one_by_one_on_xen_4_20() -> Result<()> {
    bad_domains(XenVersion::V4_20)
}

/// That a bundle cut at any offset is refused is a test of `domb-core`; here a few, on real Xen.
#[test]
fn a_bundle_that_is_none_stops_domb_with_a_reason() -> Result<()> {
    let host = HostFile::new("bad-bundle", &["sha256"])?;
    let (manifest, files, _) = everything_wrong()?;
    let path = host.directory().join("bundle");
    let whole = write_bundle(&manifest, &files, &path)?;
    let mut changed = whole.clone();
    changed[0] ^= 1;
    for (what, bytes) in [
        ("cut in an image", &whole[..whole.len() / 2]),
        ("cut in the manifest", &whole[..200]),
        ("changed", &changed),
    ] {
        fs::write(&path, bytes)?;
        let session = host.boot_bundle(XenVersion::V4_17, &path, testbed::Machine::nothing_fatal)?;
        session.wait("error: bundle: ").with_context(|| what)?;
    }
    Ok(())
}
