//! Debian guests of both kinds, with few and many vCPUs, little and much memory, reach their user space and see what
//! their configuration says; and each way in which they can end is followed by what their policy says.

use anyhow::{Context, Result, ensure};
use scenarios::{Guest, HostFile, Session};
use testbed::XenVersion;

/// What a Debian kernel, whose image alone takes 46 MiB at first, has to do without to start with 64 MiB.
const FRUGAL: &str = " initcall_blacklist=tracer_init_tracefs,event_trace_init apparmor=0 audit=0 ipv6.disable=1 \
                      cgroup_disable=memory dhash_entries=1024 ihash_entries=1024 thash_entries=256 uhash_entries=256 \
                      log_buf_len=64k";
/// vCPUs, memory in MiB, and more for the command line.
const MATRIX: [(u16, u64, &str); 4] = [(1, 64, FRUGAL), (1, 1024, ""), (4, 1024, ""), (4, 5120, "")];
/// As many vCPUs as there can be. Emulation on two processors is too slow to let all of them run; the kernel is told to
/// start only the first ones and says how many it found.
const MOST_VCPUS: u16 = 64;
const STARTED_OF_MOST: u16 = 2;
/// A kernel keeps some memory for itself from the start: its image, page structures. `MemTotal` is without that.
const KERNELS_SHARE_KIB: u64 = 52 << 10;
const KERNELS_SHARE_PERCENT: u64 = 4;

fn matrix(xen: XenVersion) -> Result<()> {
    let mut host =
        HostFile::new(&format!("linux-guests-{xen}"), &["sha256"])?.guest_images(&["cloud", "standard", "guest"])?;
    let mut guests = Vec::new();
    for kind in ["pvh", "pv"] {
        for (vcpus, memory, options) in MATRIX {
            let mut guest = Guest::linux(&format!("{kind}-{vcpus}-{memory}"), kind, memory, vcpus, "idle");
            guest.command_line.push_str(options);
            guest.command_line.push_str(" quiet");
            guests.push(guest);
        }
        let mut most = Guest::linux(&format!("{kind}-most"), kind, 1024, MOST_VCPUS, "idle");
        most.command_line.push_str(&format!(" maxcpus={STARTED_OF_MOST}"));
        guests.push(most);
        // The other Debian kernel.
        let mut standard = Guest::linux(&format!("{kind}-standard"), kind, 256, 2, "idle");
        standard.kernel = "standard";
        guests.push(standard);
    }
    for guest in &guests {
        host = host.domain(guest)?;
    }
    let mut session = host.boot(xen, |machine| machine.memory_mib(8192))?;
    session.ready()?;
    for guest in &guests {
        check(&mut session, guest).with_context(|| format!("guest {}", guest.name))?;
    }
    session.reboot()
}

fn check(session: &mut Session, guest: &Guest) -> Result<()> {
    session.order(&format!("create {}", guest.name))?;
    let ready = session.wait(&format!(
        r"^{0}\| GUEST-READY {0} nproc=(\d+) memtotal_kb=(\d+) guest_type=(\S+)|domain {0} ended",
        guest.name
    ))?;
    ensure!(ready.group(1).is_some(), "it ended: {}", ready.line.text);
    let online = if guest.vcpus == MOST_VCPUS {
        session.wait(&format!(r"^{}\| .*Allowing {MOST_VCPUS} CPUs", guest.name))?;
        STARTED_OF_MOST
    } else {
        guest.vcpus
    };
    ensure!(
        ready.group(1) == Some(online.to_string().as_str()),
        "nproc is {:?}",
        ready.group(1)
    );
    ensure!(
        ready.group(3).map(str::to_lowercase).as_deref() == Some(guest.kind),
        "it is a {:?} guest",
        ready.group(3)
    );
    let total: u64 = ready.group(2).unwrap_or_default().parse()?;
    let given = guest.memory_mib << 10;
    let least = given - given * KERNELS_SHARE_PERCENT / 100 - KERNELS_SHARE_KIB;
    ensure!(
        (least..=given).contains(&total),
        "MemTotal is {total} KiB of {given} KiB"
    );
    session.order(&format!("destroy {}", guest.name))?;
    Ok(())
}

#[test]
fn guests_see_their_vcpus_and_memory_on_xen_4_17() -> Result<()> {
    matrix(XenVersion::V4_17)
}

#[test]
fn guests_see_their_vcpus_and_memory_on_xen_4_20() -> Result<()> {
    matrix(XenVersion::V4_20)
}
