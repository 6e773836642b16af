//! A management domain asks domb for guests: over channels, within the manifest's policy, with stock Linux drivers.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use domb::kernel_image;
use measure::{Bank, Digest};
use scenarios::{Guest, HostFile, Session};
use testbed::initramfs::Initramfs;
use testbed::{KernelFlavour, XenVersion};

/// Memory for images in MiB, of the manifest and beside domb's own.
const IMAGE_MIB: u64 = 96;
/// What domb keeps for itself in MiB.
const BUILDER_MIB: u64 = 30;

/// Runs a command and shows each line of its output and its exit status.
const RUN: &str = r#"#!/bin/sh
run() {
	"$@" >/tmp/out 2>&1
	status=$?
	while IFS= read -r line; do echo "MGMT-OUT $line"; done </tmp/out
	echo "MGMT-STATUS $status $*"
}
"#;

const ADMINISTRATOR: &str = r#"
run domb info
run domb list
run domb create /guests/web.toml
run domb create /guests/legacy.cfg 'memory=96'
run domb list
run domb vcpu-list web
run domb mem-set web 80
run domb vcpu-set web 1
run domb domid web
run domb uptime web
run domb pause web
run domb list web
run domb unpause web
run domb create /guests/web.toml
run domb create --name large /guests/large.toml
run domb create --name other /guests/other-command-line.toml
run domb create --name evil /guests/other-ramdisk.toml
run domb destroy store
run domb shutdown legacy
sleep 5
run domb destroy web
run domb list
run domb log
echo "MGMT-END"
"#;

const WEB: &str = r#"
name = "web"
type = "pv"
kernel = "vmlinuz"
ramdisk = "guest.cpio.gz"
cmdline = "console=hvc0 domb.name=web domb.test=idle"
memory = 128
vcpus = 2
"#;

const LEGACY: &str = r#"
# As xl reads it.
name = "legacy"
type = "pv"
kernel = "/guests/vmlinuz"
ramdisk = "/guests/guest.cpio.gz"
extra = "console=hvc0 domb.name=legacy domb.test=idle"
memory = 512
vcpus = 1
on_poweroff = "destroy"
on_reboot = "restart"
on_crash = "destroy"
"#;

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", Digest::of(Bank::Sha256, bytes))
}

fn host(xen: XenVersion) -> Result<HostFile> {
    let host = HostFile::new(&format!("management-{xen}"), &["sha256"])?.store()?;
    let directory = host.directory().to_path_buf();
    let kernel = std::fs::read(&host.assets().kernel(KernelFlavour::Cloud)?.image)?;
    let guest = directory.join("guest.cpio.gz");
    // Linux runs this program when it is asked to switch itself off.
    Initramfs::guest(host.assets())?
        .script("sbin/poweroff", "#!/bin/sh\nexec /bin/poweroff -f\n")
        .write_gzip(&guest)?;
    let guest = std::fs::read(guest)?;
    let unpacked = kernel_image::unpack(&kernel)?;
    let policy = format!(
        r#"
[[classes]]
name = "web"
types = ["pv"]
kernels = ["{}"]
ramdisks = ["{}"]
command-lines = ["console=hvc0 domb.name=*"]
memory-max = "256 MiB"
memory-total = "512 MiB"
vcpus-max = 2
guests-max = 4

[[access]]
domain = "mgmt"
class = "web"
may = ["create", "destroy", "shutdown", "pause", "unpause", "list", "info", "memory-set", "vcpu-set"]

[[access]]
domain = "mgmt"
may = ["host-info", "host-log"]
"#,
        digest(&unpacked.bytes),
        digest(&guest)
    );
    let management = Initramfs::guest(host.assets())?
        .modules(
            host.assets().kernel(KernelFlavour::Standard)?,
            &["xen-evtchn", "xen-gntdev", "xen-gntalloc"],
        )?
        .program_as(&scenarios::program("domb")?, "bin/domb")?
        .script("test", &[RUN, ADMINISTRATOR].concat())
        .file("guests/vmlinuz", 0o644, kernel)
        .file("guests/guest.cpio.gz", 0o644, guest.clone())
        .file("guests/other.cpio.gz", 0o644, [guest.as_slice(), &[0; 512]].concat())
        .file("guests/web.toml", 0o644, WEB.into())
        .file("guests/legacy.cfg", 0o644, LEGACY.into())
        .file("guests/large.toml", 0o644, WEB.replace("128", "300").into())
        .file(
            "guests/other-command-line.toml",
            0o644,
            WEB.replace("console=hvc0", "init=/bin/sh").into(),
        )
        .file(
            "guests/other-ramdisk.toml",
            0o644,
            WEB.replace("guest.cpio", "other.cpio").into(),
        );
    let ramdisk = directory.join("management.cpio.gz");
    management.write_gzip(&ramdisk)?;
    let host = host
        .guest_images(&["standard"])?
        .image("management", Path::new(&ramdisk))?
        .domain(
            &Guest {
                kernel: "standard",
                ramdisk: Some("management"),
                command_line: "console=hvc0 quiet loglevel=1 domb.name=mgmt domb.test=run".into(),
                ..Guest::linux("mgmt", "pv", 384, 1, "run")
            }
            .with("roles = [\"management\"]")
            .with("channels = 4")
            .with(&format!("image-memory = \"{IMAGE_MIB} MiB\""))
            .at_boot(),
        )?;
    Ok(host.text(&policy))
}

fn boot(xen: XenVersion) -> Result<Session> {
    let host = host(xen)?;
    let (_, bundle) = host.bundle()?;
    let bytes = std::fs::metadata(&bundle)?.len();
    let memory = bytes.div_ceil(1 << 20) + BUILDER_MIB + IMAGE_MIB + 8;
    host.boot_bundle(xen, &bundle, |machine| {
        machine
            .memory_mib(3072)
            .dom0_memory(&format!("{memory}M"))
            .command_line(&format!("memory={}", BUILDER_MIB + IMAGE_MIB))
    })
}

/// What a command printed, and its status.
fn output(session: &mut Session, command: &str) -> Result<(String, Vec<String>)> {
    let end = session
        .machine()
        .expect(
            &format!(r"^mgmt\| MGMT-STATUS (\d+) {}$", regex::escape(command)),
            scenarios::LONG,
        )
        .with_context(|| command.to_owned())?;
    let status = end.group(1).unwrap_or_default().to_owned();
    let lines = session.machine().matches(r"^mgmt\| MGMT-(OUT|STATUS) (.*)$")?;
    let mut found = Vec::new();
    for line in lines {
        let text = line.group(2).unwrap_or_default().to_owned();
        if line.group(1) == Some("STATUS") {
            if text == format!("{status} {command}") {
                println!("$ {command}");
                found.iter().for_each(|line| println!("  {line}"));
                return Ok((status, found));
            }
            found.clear();
        } else {
            found.push(text);
        }
    }
    Ok((status, found))
}

fn management(xen: XenVersion) -> Result<()> {
    let mut session = boot(xen)?;
    session.ready()?;
    session.wait("GUEST-READY mgmt")?;
    let mut of = |command: &str| output(&mut session, command);
    let (status, lines) = of("domb info")?;
    ensure!(
        status == "0" && lines.iter().any(|line| line.starts_with("xen_version")),
        "{lines:?}"
    );
    let (status, _) = of("domb list")?;
    ensure!(status == "0");
    let (status, lines) = of("domb create /guests/web.toml")?;
    ensure!(status == "0", "{lines:?}");
    let (status, lines) = of("domb create /guests/legacy.cfg memory=96")?;
    ensure!(status == "0", "{lines:?}");
    session.wait("^web\\| GUEST-READY web nproc=2")?;
    session.wait("^legacy\\| GUEST-READY legacy nproc=1")?;
    session.wait("MGMT-END")?;
    session.reboot()
}

#[test]
fn a_management_domain_asks_on_xen_4_17() -> Result<()> {
    management(XenVersion::V4_17)
}
