//! How domains end, and what becomes of them: poweroff, reboot, crash and crash loop; and that nothing is left of those
//! that are gone.

use anyhow::{Context, Result, ensure};
use scenarios::{Guest, HostFile, Session};
use testbed::XenVersion;

/// Domains created and destroyed before memory is compared.
const CYCLES: u32 = 500;

fn lifecycle(xen: XenVersion) -> Result<()> {
    let mut host =
        HostFile::new(&format!("lifecycle-{xen}"), &["sha256"])?.guest_images(&["cloud", "guest", "bare"])?;
    for kind in ["pvh", "pv"] {
        for test in ["poweroff", "reboot", "crash"] {
            host = host
                .domain(&Guest::linux(&format!("{kind}-{test}"), kind, 128, 1, test).with("on_crash = \"preserve\""))?;
        }
    }
    let mut session = host
        .domain(&Guest::bare("tiny", "do=idle"))?
        .domain(&Guest::bare("loop", "do=crash").with("on_crash = \"restart\""))?
        .domain(&Guest::bare("again", "do=reboot after=100"))?
        .domain(&Guest::bare("overflow", "do=overflow"))?
        .boot(xen, |machine| machine)?;
    session.ready()?;
    session.order("create tiny")?;
    session.order("destroy tiny")?;
    ends(&mut session).context("ends of Linux guests")?;
    crash_loop(&mut session).context("crash loop")?;
    nothing_is_left(&mut session).context("create and destroy")?;
    session.reboot()
}

fn ends(session: &mut Session) -> Result<()> {
    for kind in ["pvh", "pv"] {
        session.order(&format!("create {kind}-poweroff"))?;
        session.wait(&format!("domain {kind}-poweroff ended .* reason=poweroff: destroyed"))?;

        session.order(&format!("create {kind}-reboot"))?;
        session.wait(&format!("domain {kind}-reboot ended .* reason=reboot: restarted"))?;
        // It comes up again, and asks again.
        session
            .machine()
            .expect(&format!("^{kind}-reboot.*GUEST-READY"), scenarios::LONG)?;
        session
            .machine()
            .expect(&format!("^{kind}-reboot.*GUEST-READY"), scenarios::LONG)?;
        let _ = session.ask(&format!("destroy {kind}-reboot"))?;

        session.order(&format!("create {kind}-crash"))?;
        session.wait(&format!("domain {kind}-crash ended .* reason=crash: preserved"))?;
        ensure!(state(session, &format!("{kind}-crash"))?.starts_with("preserved"));
        session.order(&format!("destroy {kind}-crash"))?;
        ensure!(state(session, &format!("{kind}-poweroff"))? == "off");
    }
    session.order("create overflow")?;
    session.wait("domain overflow ended .* reason=crash: destroyed")?;
    Ok(())
}

fn crash_loop(session: &mut Session) -> Result<()> {
    session.order("create loop")?;
    for pause in [1, 2, 4] {
        session.wait(&format!("domain loop ended .* reason=crash: restarted in {pause} s"))?;
    }
    ensure!(session.creations("loop")?.len() >= 3, "it was not started again");
    session.order("destroy loop")?;
    // A domain that reboots again and again is slowed down, too, but its last words are those of an orderly end.
    session.order("create again")?;
    session.wait("domain again ended .* reason=reboot: restarted$")?;
    session.wait("domain again ended .* reason=reboot: restarted in 1 s")?;
    session.order("destroy again")?;
    Ok(())
}

fn nothing_is_left(session: &mut Session) -> Result<()> {
    // Xen itself keeps some pages when it sees the first domains of a kind; they are not the domains'.
    session.order("create pvh-poweroff")?;
    session.order("destroy pvh-poweroff")?;
    for _ in 0..20 {
        session.order("create tiny")?;
        session.order("destroy tiny")?;
    }
    let before = session.free_pages()?;
    for cycle in 0..CYCLES {
        let name = if cycle % 25 == 0 { "pvh-poweroff" } else { "tiny" };
        session
            .order(&format!("create {name}"))
            .with_context(|| format!("cycle {cycle}"))?;
        session
            .order(&format!("destroy {name}"))
            .with_context(|| format!("cycle {cycle}"))?;
    }
    let after = session.free_pages()?;
    ensure!(
        before == after,
        "{before} pages were free before {CYCLES} domains, {after} after them"
    );
    Ok(())
}

fn state(session: &mut Session, name: &str) -> Result<String> {
    Ok(session
        .list()?
        .remove(name)
        .and_then(|mut facts| facts.remove("state"))
        .unwrap_or_default())
}

#[test]
fn domains_end_as_their_policy_says_on_xen_4_17() -> Result<()> {
    lifecycle(XenVersion::V4_17)
}

#[test]
fn domains_end_as_their_policy_says_on_xen_4_20() -> Result<()> {
    lifecycle(XenVersion::V4_20)
}
