//! The store in a domain of its own: stock guests attach to it, end when they are asked to through it, go on when it dies,
//! and cannot do through it what they must not.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use scenarios::{Guest, HostFile, LONG, Session};
use testbed::XenVersion;

/// Bare-metal guests that are attached at once.
const CROWD: usize = 200;
/// How often the store is killed under load.
const KILLS: u32 = 3;

/// What a stock guest does in the store with stock clients. It stays up.
const CLIENTS: &str = r#"#!/bin/sh
echo "STORE-IDENTITY domid=$(xenstore-read domid) name=$(xenstore-read name)"
xenstore-ls "/local/domain/$(xenstore-read domid)" | while IFS= read -r line; do echo "STORE-LS $line"; done
xenstore-write data/x hello data/y world
echo "STORE-DATA $(xenstore-read data/x) $(xenstore-read data/y) $(xenstore-list data | tr '\n' ' ')"
xenstore-rm data/x
xenstore-exists data/x || echo "STORE-GONE"
n=0
while :; do
	n=$((n + 1))
	xenstore-write data/counter "$n" || echo "STORE-ERROR write $n"
	[ "$(xenstore-read data/counter)" = "$n" ] || echo "STORE-ERROR lost $n"
	[ $((n % 5)) = 0 ] && echo "STORE-COUNT $n"
	sleep 0.1
done
"#;

/// What a hostile root does.
const HOSTILE: &str = r#"#!/bin/sh
own=$(xenstore-read domid)
for victim in $(seq 1 8); do
	[ "$victim" = "$own" ] && continue
	[ -z "$(xenstore-read /local/domain/$victim/name 2>/dev/null)" ] || echo "STORE-SEEN $victim"
done
for path in /tool/xenstored/domid /local/domain/0/name /local/domain/1/name; do
	xenstore-write "$path" evil && echo "STORE-BREACH write $path"
	xenstore-rm "$path" && echo "STORE-BREACH rm $path"
	xenstore-chmod "$path" "b$own" && echo "STORE-BREACH chmod $path"
done
store-prober "$own" "$VICTIM"
"#;

/// A guest whose kernel says nothing that could come in the middle of what its programs say.
fn silent(name: &str) -> String {
    format!("console=hvc0 quiet loglevel=1 domb.name={name} domb.test=run")
}

fn host(xen: XenVersion) -> Result<HostFile> {
    let mut host = HostFile::new(&format!("store-{xen}"), &["sha256"])?
        .store()?
        .guest_images(&["cloud", "bare"])?
        .store_ramdisk("clients", CLIENTS)?
        // The victim is the first guest that is created: the domain after the store.
        .store_ramdisk("hostile", &HOSTILE.replace("$VICTIM", "2"))?;
    for kind in ["pvh", "pv"] {
        host = host.domain(&Guest {
            ramdisk: Some("clients"),
            command_line: silent(kind),
            ..Guest::linux(kind, kind, 128, 1, "run")
        })?;
    }
    host = host.domain(&Guest {
        ramdisk: Some("hostile"),
        command_line: silent("hostile"),
        ..Guest::linux("hostile", "pvh", 128, 1, "run")
    })?;
    for number in 0..4 {
        host = host.domain(&Guest::bare(&format!("load-{number}"), "do=store-load"))?;
    }
    for number in 0..CROWD {
        host = host.domain(&Guest::bare(&format!("crowd-{number:03}"), "do=store"))?;
    }
    Ok(host)
}

fn store(xen: XenVersion) -> Result<()> {
    let mut session = host(xen)?.boot(xen, |machine| machine.memory_mib(6144))?;
    session.ready()?;
    stock_guests_attach(&mut session).context("stock guests")?;
    a_hostile_guest_fails(&mut session).context("a hostile guest")?;
    the_store_dies_under_load(&mut session).context("the store dies")?;
    guests_end_when_asked(&mut session).context("shutdown through the store")?;
    session.reboot()
}

/// Many at once, by themselves.
fn crowd(xen: XenVersion) -> Result<()> {
    let mut session = host(xen)?.boot(xen, |machine| machine.memory_mib(6144))?;
    session.ready()?;
    a_crowd_attaches(&mut session).context("a crowd")?;
    session.reboot()
}

fn stock_guests_attach(session: &mut Session) -> Result<()> {
    session.order("create pvh")?;
    session.order("create pv")?;
    let domains = session.list()?;
    for kind in ["pvh", "pv"] {
        let domid = number(&domains, kind)?;
        session.wait(&format!(r"^{kind}\| STORE-IDENTITY domid={domid} name={kind}$"))?;
        for node in ["control", "memory", "cpu", "store", "console", "device"] {
            session.wait(&format!(r#"^{kind}\| STORE-LS {node} = ""#))?;
        }
        session.wait(&format!(r"^{kind}\| STORE-DATA hello world x y ?$"))?;
        session.wait(&format!(r"^{kind}\| STORE-GONE$"))?;
        session.wait(&format!(r"^{kind}\| STORE-COUNT 5$"))?;
    }
    Ok(())
}

fn a_hostile_guest_fails(session: &mut Session) -> Result<()> {
    session.order("create hostile")?;
    let done = session.wait(r"^hostile\| ATTEMPTS (\d+) allowed=(\d+)")?;
    let attempts = session
        .machine()
        .matches(r"^hostile\| ATTEMPT (\d+) (\S+) (.*) (E[A-Z0-9]+|ALLOWED)")?;
    println!("what a hostile root tried, and the store's answer:");
    for attempt in &attempts {
        println!(
            "  {:<14} {:<60} {}",
            attempt.group(2).unwrap_or_default(),
            attempt.group(3).unwrap_or_default(),
            attempt.group(4).unwrap_or_default()
        );
    }
    ensure!(
        done.group(2) == Some("0"),
        "allowed: {:?} of {:?}",
        done.group(2),
        done.group(1)
    );
    ensure!(attempts.len() >= 100, "only {} attempts were seen", attempts.len());
    for attempt in &attempts {
        let answer = attempt.group(4).unwrap_or_default();
        // Names that begin so are no nodes: nothing can be done with them but to set their permissions.
        let special = answer == "EINVAL" && attempt.group(3).is_some_and(|path| path.starts_with('@'));
        ensure!(
            special || ["EACCES", "EPERM"].contains(&answer),
            "{}: neither EACCES nor EPERM",
            attempt.line.text
        );
    }
    ensure!(
        session.machine().matches(r"^hostile\| STORE-BREACH")?.is_empty(),
        "stock tools got through"
    );
    // The log tells of some: a hostile guest must not be able to fill it.
    session.wait(r"^store\| .*denied domain \d+ \(hostile\): \S+ \S+: rule \S+")?;
    Ok(())
}

fn the_store_dies_under_load(session: &mut Session) -> Result<()> {
    session.order("create load-*")?;
    for number in 0..4 {
        session.wait(&format!(r"^load-{number}\| .*store: 50 writes"))?;
    }
    let before = session.list()?;
    for kill in 1..=KILLS {
        session.order("crash store")?;
        session
            .machine()
            .expect(r"store store serves domid=1 known=\d+ introduced=0", LONG)
            .with_context(|| format!("kill {kill}"))?;
        for name in ["load-0", "load-1", "load-2", "load-3"] {
            session
                .machine()
                .expect(&format!(r"^{name}\| .*store: \d+ writes"), LONG)
                .with_context(|| format!("{name} after kill {kill}"))?;
        }
        for kind in ["pvh", "pv"] {
            session
                .machine()
                .expect(&format!(r"^{kind}\| STORE-COUNT"), LONG)
                .with_context(|| format!("{kind} after kill {kill}"))?;
        }
    }
    let after = session.list()?;
    for name in ["pvh", "pv", "load-0", "load-1", "load-2", "load-3"] {
        ensure!(
            number(&before, name)? == number(&after, name)?,
            "{name} was started again"
        );
    }
    let errors = session.machine().matches(r"STORE-ERROR|PANIC")?;
    ensure!(
        errors.is_empty(),
        "{}",
        errors.first().map_or("", |line| &line.line.text)
    );
    Ok(())
}

fn guests_end_when_asked(session: &mut Session) -> Result<()> {
    session.order("shutdown load-*")?;
    for number in 0..4 {
        session.wait(&format!("domain load-{number} ended .* reason=poweroff: destroyed"))?;
    }
    session.order("restart pv")?;
    session.wait("domain pv ended .* reason=reboot: restarted")?;
    session.machine().expect(r"^pv\| STORE-IDENTITY", LONG)?;
    for kind in ["pvh", "pv"] {
        session.order(&format!("shutdown {kind}"))?;
        session.wait(&format!("domain {kind} ended .* reason=poweroff: destroyed"))?;
    }
    Ok(())
}

fn a_crowd_attaches(session: &mut Session) -> Result<()> {
    session.order("create crowd-*")?;
    let domains = session.list()?;
    for number_of in 0..CROWD {
        let name = format!("crowd-{number_of:03}");
        let domid = number(&domains, &name)?;
        session.wait(&format!(r"^{name}\| .*store: domid={domid} name={name} data={name}"))?;
    }
    println!("{}", session.order("store")?.join("\n"));
    session.order("shutdown crowd-*")?;
    for number in 0..CROWD {
        session.wait(&format!("domain crowd-{number:03} ended .* reason=poweroff: destroyed"))?;
    }
    Ok(())
}

fn number(domains: &BTreeMap<String, BTreeMap<String, String>>, name: &str) -> Result<String> {
    domains
        .get(name)
        .and_then(|facts| facts.get("domid"))
        .cloned()
        .with_context(|| format!("{name} does not run"))
}

#[test]
fn guests_have_a_store_that_they_cannot_tamper_with_on_xen_4_17() -> Result<()> {
    store(XenVersion::V4_17)
}

#[test]
fn guests_have_a_store_that_they_cannot_tamper_with_on_xen_4_20() -> Result<()> {
    store(XenVersion::V4_20)
}

#[test]
#[ignore = "asked all at once to switch off, some of the 200 guests are not told: to be found out"]
fn many_guests_at_once_on_xen_4_17() -> Result<()> {
    crowd(XenVersion::V4_17)
}
