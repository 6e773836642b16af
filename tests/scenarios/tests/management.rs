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
# Until both are up.
sleep 10
run domb mem-set web 80
run domb mem-set web 999
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
run domb destroy mgmt
run domb reboot web
run domb dmesg
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
[[class]]
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
            .fatal("Hardware Dom0 halted")
            .dom0_memory(&format!("{memory}M"))
            .command_line(&format!("memory={}", BUILDER_MIB + IMAGE_MIB))
    })
}

/// What each command of the administrator printed, with its exit status.
fn outputs(session: &mut Session) -> Result<Vec<Output>> {
    let mut outputs = Vec::new();
    let mut lines = Vec::new();
    for line in session.machine().matches(r"^mgmt\| MGMT-(OUT|STATUS) (.*)$")? {
        let text = line.group(2).unwrap_or_default().to_owned();
        if line.group(1) == Some("OUT") {
            lines.push(text);
            continue;
        }
        let (status, command) = text.split_once(' ').unwrap_or_default();
        println!("$ {command}");
        lines.iter().for_each(|line| println!("  {line}"));
        outputs.push(Output {
            command: command.into(),
            status: status.parse().context("exit status")?,
            lines: std::mem::take(&mut lines),
        });
    }
    Ok(outputs)
}

struct Output {
    command: String,
    status: u8,
    lines: Vec<String>,
}

/// The next command is this one and ended so; each pattern is in a line of what it printed.
#[track_caller]
fn check(outputs: &mut impl Iterator<Item = Output>, command: &str, status: u8, patterns: &[&str]) -> Result<Output> {
    let output = outputs.next().with_context(|| format!("{command}: did not run"))?;
    ensure!(
        output.command == command,
        "{:?} ran, expected {command:?}",
        output.command
    );
    ensure!(
        output.status == status,
        "{command}: status {}, expected {status}: {:?}",
        output.status,
        output.lines
    );
    for pattern in patterns {
        let wanted = regex::Regex::new(pattern)?;
        ensure!(
            output.lines.iter().any(|line| wanted.is_match(line)),
            "{command}: no line like {pattern:?} in {:?}",
            output.lines
        );
    }
    Ok(output)
}

fn management(xen: XenVersion) -> Result<()> {
    let mut session = boot(xen)?;
    session.ready()?;
    session.wait(r"^mgmt\| GUEST-READY mgmt")?;
    session.wait(r"^web\| GUEST-READY web nproc=2")?;
    session.wait(r"^legacy\| GUEST-READY legacy nproc=1")?;
    session.wait(r"^mgmt\| MGMT-END")?;
    let mut ran = outputs(&mut session)?.into_iter();
    let mut check = |command: &str, status, patterns: &[&str]| check(&mut ran, command, status, patterns);
    check("domb info", 0, &[r"^host +: management", r"^xen_version +: 4\.\d+"])?;
    let none = check("domb list", 0, &["^Name +ID +Mem VCPUs"])?;
    ensure!(
        none.lines.len() == 1,
        "the store or this domain is listed: {:?}",
        none.lines
    );
    check("domb create /guests/web.toml", 0, &[r"^\d+$"])?;
    check("domb create /guests/legacy.cfg memory=96", 0, &[r"^\d+$"])?;
    check("domb list", 0, &["^web +3 +128 +2 +[rb-]-----", "^legacy +4 +96 +1 "])?;
    check("domb vcpu-list web", 0, &["^web +3 +0 .* all$", "^web +3 +1 "])?;
    check("domb mem-set web 80", 0, &[])?;
    check("domb mem-set web 999", 1, &["refused by class web: memory-max"])?;
    check("domb vcpu-set web 1", 0, &[])?;
    check("domb domid web", 0, &["^3$"])?;
    check("domb uptime web", 0, &[r"^web +3 +0:00:\d\d"])?;
    check("domb pause web", 0, &[])?;
    check("domb list web", 0, &["^web +3 .* -[b-]p---"])?;
    check("domb unpause web", 0, &[])?;
    check("domb create /guests/web.toml", 1, &["web"])?;
    // Nothing that the policy does not allow is built, whoever in the domain asks.
    for (command, rule) in [
        (
            "domb create --name large /guests/large.toml",
            "refused by class web: memory-max",
        ),
        (
            "domb create --name other /guests/other-command-line.toml",
            "refused by class web: command-lines",
        ),
        (
            "domb create --name evil /guests/other-ramdisk.toml",
            "refused by class web: ramdisks",
        ),
        (
            "domb destroy store",
            "no access entry lets mgmt do destroy to domain store",
        ),
        (
            "domb destroy mgmt",
            "no access entry lets mgmt do destroy to domain mgmt",
        ),
        ("domb reboot web", "no access entry lets mgmt do reboot to class web"),
        ("domb dmesg", "no access entry lets mgmt do xen-log to the host"),
    ] {
        check(command, 1, &[rule])?;
    }
    check("domb shutdown legacy", 0, &[])?;
    session.wait("domain legacy ended domid=4 reason=poweroff")?;
    let mut check = |command: &str, status, patterns: &[&str]| self::check(&mut ran, command, status, patterns);
    check("domb destroy web", 0, &[])?;
    let none = check("domb list", 0, &[])?;
    ensure!(none.lines.len() == 1, "left: {:?}", none.lines);
    check(
        "domb log",
        0,
        &[
            "domain web: create on request of mgmt",
            "warning: denied mgmt: class web: ramdisks",
        ],
    )?;
    // It powered off meanwhile. Started again it has its number and its channels, and can do all of it again.
    session
        .machine()
        .expect("domain mgmt ended domid=2 reason=poweroff", scenarios::LONG)?;
    if xen == XenVersion::V4_17 {
        session.order("create mgmt")?;
        session
            .machine()
            .expect(r"^mgmt\| MGMT-STATUS 0 domb create /guests/web.toml", scenarios::LONG)?;
        session.machine().expect(r"^mgmt\| MGMT-END", scenarios::LONG)?;
        session
            .machine()
            .expect("domain mgmt ended domid=2 reason=poweroff", scenarios::LONG)?;
    }
    session.reboot()
}

#[test]
fn a_management_domain_asks_on_xen_4_17() -> Result<()> {
    management(XenVersion::V4_17)
}

#[test]
fn a_management_domain_asks_on_xen_4_20() -> Result<()> {
    management(XenVersion::V4_20)
}
