//! The store's daemon on a stock Dom0, in the place of xenstored: Xen's own toolstack builds guests, which attach to it.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testbed::dom0::StockDom0;
use testbed::initramfs::Initramfs;
use testbed::{Assets, KernelFlavour, Running, XenVersion};

/// Guards against hanging only.
const LONG: Duration = Duration::from_secs(300);

/// What Debian's `/etc/init.d/xen` does, with another store.
const START: &str = r"#!/bin/bash
cd /
tools=/usr/lib/xen-4.17/bin
for module in xen-evtchn xen-gntdev xen-gntalloc xen-privcmd xenfs; do modprobe $module; done
mountpoint -q /proc/xen || mount -t xenfs xenfs /proc/xen
mkdir -p /var/run/xenstored /var/run/xen /var/log/xen/console
/bench/xenstore-guard --log info --state /run/store-state >/run/store.log 2>&1 &
until xenstore-exists /local; do sleep 0.2; done
$tools/xen-init-dom0
$tools/xenconsoled --log=guest --pid-file=/run/xenconsoled.pid
echo STARTED
";

/// Waits until a guest's console log has a text.
const SEEN: &str = r#"#!/bin/bash
[ -p /run/nothing ] || mkfifo /run/nothing
for _ in $(seq 300); do
	grep -qs "$1" "/var/log/xen/console/guest-$2.log" && echo "SEEN $1" && exit
	read -r -t 0.2 <>/run/nothing
done
echo "NOT-SEEN $1"
tail -n 5 "/var/log/xen/console/guest-$2.log"
"#;

const GUEST: &str = r#"name = "guest"
type = "pv"
kernel = "/bench/vmlinuz"
ramdisk = "/bench/initrd"
memory = 128
vcpus = 1
extra = "console=hvc0 quiet domb.name=guest domb.test=run"
on_poweroff = "destroy"
"#;

/// What the guest does in the store.
const TEST: &str = r#"#!/bin/sh
echo "GUEST-STORE $(xenstore-read name) $(xenstore-read domid)"
xenstore-write data/x hello && echo "GUEST-DATA $(xenstore-read data/x)"
xenstore-write /tool/evil 1 || echo "GUEST-DENIED"
while :; do sleep 60; done
"#;

/// Runs a command in Dom0's shell; the lines that it prints.
fn run(dom0: &mut Running, command: &str) -> Result<String> {
    dom0.send(&format!("{command}; echo STATUS=$?\n"))?;
    let end = dom0
        .expect(r"^STATUS=(\d+)", LONG)
        .with_context(|| command.to_owned())?;
    let status = end.group(1).unwrap_or_default().to_owned();
    println!("dom0# {command}: {status}");
    Ok(status)
}

/// Has xl create the guest, which then does what it has to.
fn create(dom0: &mut Running) -> Result<()> {
    ensure!(
        run(
            dom0,
            "rm -f /var/log/xen/console/guest-guest.log; xl create /bench/guest.cfg"
        )? == "0"
    );
    for text in ["GUEST-STORE guest", "GUEST-DATA hello", "GUEST-DENIED"] {
        ensure!(
            run(dom0, &format!("/bench/seen '{text}' guest | grep -x 'SEEN {text}'"))? == "0",
            "{text}"
        );
    }
    Ok(())
}

fn put(directory: &Path, name: &str, content: &[u8]) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let path = directory.join(name);
    std::fs::write(&path, content)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    Ok(())
}

fn prepare(assets: &Assets, directory: &Path) -> Result<()> {
    put(
        directory,
        "xenstore-guard",
        &std::fs::read(scenarios::program("xenstore-guard")?)?,
    )?;
    put(directory, "start", START.as_bytes())?;
    put(directory, "seen", SEEN.as_bytes())?;
    put(directory, "guest.cfg", GUEST.as_bytes())?;
    put(
        directory,
        "vmlinuz",
        &std::fs::read(&assets.kernel(KernelFlavour::Cloud)?.image)?,
    )?;
    let mut ramdisk = Initramfs::guest(assets)?
        .script("test", TEST)
        // Linux runs this program when it is asked to switch itself off.
        .script("sbin/poweroff", "#!/bin/sh\nexec /bin/poweroff -f\n");
    for client in ["read", "write"] {
        let program = assets.stock_store.clients.join(format!("xenstore-{client}"));
        ramdisk = ramdisk.program_as(&program, &format!("bin/xenstore-{client}"))?;
    }
    put(directory, "initrd", &ramdisk.bytes())
}

#[test]
fn xl_builds_guests_on_the_daemon() -> Result<()> {
    let assets = Assets::load()?;
    let stock = StockDom0::new("stock-host")?.command_line("systemd.mask=xen.service systemd.mask=xendomains.service");
    prepare(&assets, &stock.files())?;
    let (mut dom0, _) = stock.power_on(&assets, XenVersion::V4_17)?;
    ensure!(run(&mut dom0, "/bench/start")? == "0");
    dom0.wait_for("^STARTED$", LONG)?;
    ensure!(run(&mut dom0, "xl list")? == "0");
    dom0.wait_for(r"^Domain-0 +0 ", LONG)?;
    create(&mut dom0)?;
    ensure!(run(&mut dom0, "xenstore-ls /local/domain/1 | head -40")? == "0");
    // Through the store the guest is asked to end, and xl is told that it did.
    ensure!(run(&mut dom0, "xl shutdown guest")? == "0");
    ensure!(run(&mut dom0, "while xl list guest >/dev/null 2>&1; do :; done")? == "0");
    create(&mut dom0)?;
    // A planned update: the guest and Dom0's own kernel notice nothing.
    let update =
        "pkill -x -TERM xenstore-guard; while pgrep -x xenstore-guard >/dev/null; do :; done; ls -l /run/store-state";
    ensure!(run(&mut dom0, update)? == "0");
    let again = "(/bench/xenstore-guard --log info --state /run/store-state >>/run/store.log 2>&1 &); \
                 until xenstore-exists /local; do :; done";
    ensure!(run(&mut dom0, again)? == "0");
    ensure!(run(&mut dom0, "[ $(xenstore-read /local/domain/2/data/x) = hello ]")? == "0");
    // xl's own process for the guest lost its connection: xl sees the end and does not clean up.
    ensure!(run(&mut dom0, "xl shutdown guest")? == "0");
    ensure!(
        run(
            &mut dom0,
            "until xl list guest | grep -q -e '--s---' -e '---s--'; do :; done; xl destroy guest"
        )? == "0"
    );
    ensure!(run(&mut dom0, "tail -n 30 /run/store.log")? == "0");
    Ok(())
}
