//! The testbed itself on real Xen: a stock kernel as the initial domain. Needs `make setup`.
#![forbid(unsafe_code)]

use std::time::Duration;

use testbed::initramfs::Initramfs;
use testbed::{Assets, Error, KernelFlavour, Machine, Result, Running, XenVersion};

/// Only a guard against hanging.
const TIMEOUT: Duration = Duration::from_secs(300);

/// Boots Debian's standard kernel as the initial domain with a scenario guest's ramdisk.
fn stock_kernel(name: &str, version: XenVersion, command_line: &str, ramdisk: &Initramfs) -> Result<Running> {
    let assets = Assets::load()?;
    let file = testbed::scenarios().join(name).join("initramfs");
    ramdisk.write(&file)?;
    Machine::new(name, &assets.kernel(KernelFlavour::Standard)?.image)
        .xen(version)
        .dom0_memory("512M")
        .command_line(&format!("console=hvc0 domb.name=dom0 {command_line}"))
        .ramdisk(&file)
        .limit(TIMEOUT)
        .power_on(&assets)
}

#[test]
fn every_xen_starts_a_kernel_that_reaches_user_space_and_powers_off() -> Result<()> {
    for version in XenVersion::ALL {
        let ramdisk = Initramfs::guest(&Assets::load()?)?;
        let name = format!("testbed-poweroff-{version}");
        let mut running = stock_kernel(&name, version, "quiet domb.test=poweroff", &ramdisk)?;
        running.expect(&format!(r"Xen version {version}\."), TIMEOUT)?;
        let ready = running.expect(
            r"GUEST-READY dom0 nproc=(\d+) memtotal_kb=(\d+) guest_type=(\w+)",
            TIMEOUT,
        )?;
        assert_eq!((ready.group(1), ready.group(3)), (Some("2"), Some("PV")));
        running.wait_for_end(TIMEOUT)?;
    }
    Ok(())
}

#[test]
fn modules_load_and_what_is_typed_arrives() -> Result<()> {
    let assets = Assets::load()?;
    let ramdisk = Initramfs::guest(&assets)?.modules(
        assets.kernel(KernelFlavour::Standard)?,
        &["xen-blkback", "xen-gntdev", "tpm-vtpm-proxy"],
    )?;
    let mut running = stock_kernel("testbed-keyboard", XenVersion::V4_17, "quiet domb.test=shell", &ramdisk)?;
    running.expect("GUEST-READY dom0", TIMEOUT)?;
    assert!(running.matches("GUEST-ERROR")?.is_empty());
    running.expect_prompt("# $", TIMEOUT)?;
    running.send("echo typed-$((6 * 7)); lsmod | grep -c -e xen_blkback -e xen_gntdev -e tpm_vtpm_proxy\n")?;
    running.expect("^typed-42$", TIMEOUT)?;
    running.expect("^[3-9]$", TIMEOUT)?;
    // Three times Ctrl-A turns to Xen's own keys: `h` is help, `r` shows run queues.
    running.switch_input()?;
    running.expect("Serial input to Xen", TIMEOUT)?;
    running.send("h")?;
    running.expect("'h' pressed -> showing installed handlers", TIMEOUT)?;
    Ok(())
}

#[test]
fn a_crash_of_the_initial_domain_ends_a_wait_with_the_log() -> Result<()> {
    let ramdisk = Initramfs::guest(&Assets::load()?)?;
    let mut running = stock_kernel("testbed-crash", XenVersion::V4_17, "panic=1 domb.test=crash", &ramdisk)?;
    match running.expect("a line that never comes", TIMEOUT) {
        Err(error @ Error::Fatal { .. }) => {
            let shown = error.to_string();
            assert!(
                shown.contains("Hardware Dom0 crashed") && shown.contains("console.log"),
                "{shown}"
            );
        }
        other => panic!("{other:?}"),
    }
    Ok(())
}

#[test]
fn a_machine_that_ends_ends_the_wait() -> Result<()> {
    let ramdisk = Initramfs::new();
    let mut running = stock_kernel("testbed-no-init", XenVersion::V4_17, "panic=1", &ramdisk)?;
    // No init: the kernel panics at once.
    assert!(matches!(
        running.expect("GUEST-READY", TIMEOUT),
        Err(Error::Fatal { .. })
    ));
    assert!(matches!(
        running.expect("GUEST-READY", TIMEOUT),
        Err(Error::Fatal { .. } | Error::Ended { .. })
    ));
    Ok(())
}
