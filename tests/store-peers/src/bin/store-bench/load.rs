//! What is done to a store while time is taken.

use std::fs::File;
use std::io::{BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use store_peers::{Store, StoreKind};
use xen::PAGE_SIZE;
use xen::store::Operation;

use crate::library_client::LibraryClient;
use crate::report::{Figure, Figures};

/// Reads, and writes, in a row.
const SEQUENTIAL: u32 = 20_000;
/// Domains that one builder builds one after the other: those of the first and of the last part are compared.
const DOMAINS: u32 = 3000;
const FIRST: u32 = 100;
const LAST: u32 = 1000;
/// Builders at once, and how many domains they build in all.
const BUILDERS: u32 = 16;
const AT_ONCE: u32 = 400;
/// Watches that are not about what is written.
const WATCHES: u32 = 1000;

/// What a toolstack writes for a new domain, below its home.
pub(crate) const KEYS: [&str; 20] = [
    "name",
    "domid",
    "vm",
    "cpu/0/availability",
    "memory/target",
    "memory/static-max",
    "memory/videoram",
    "control/shutdown",
    "control/feature-poweroff",
    "control/feature-reboot",
    "control/feature-suspend",
    "device/vif/0/backend",
    "device/vif/0/backend-id",
    "device/vif/0/state",
    "device/vif/0/mac",
    "device/vbd/51712/backend",
    "device/vbd/51712/state",
    "console/ring-ref",
    "console/port",
    "store/port",
];

/// Puts a store under load, and notes what comes of it.
pub(crate) fn measure(kind: StoreKind, figures: &mut Figures) -> Result<()> {
    let store = Store::start(kind)?;
    // A store gives nothing to a domain that does not exist.
    for domid in 1..=DOMAINS + AT_ONCE {
        File::create(store.rings().join(format!("ring.{domid}")))?.set_len(PAGE_SIZE as u64)?;
    }
    let mut client = LibraryClient::connect(&store.socket())?;
    client.write(0, "/bench/a", b"x")?;
    client.write(0, "/local/domain", b"")?;
    let mut note = |figure, value| figures.note(kind, figure, value);
    note(Figure::Read, rate(SEQUENTIAL, |_| client.read("/bench/a"))?);
    let write = rate(SEQUENTIAL, |_| client.write(0, "/bench/a", b"y"))?;
    note(Figure::Write, write);

    let mut retries = 0;
    let mut part = |from: u32, to: u32| {
        rate(to - from + 1, |index| {
            retries += build(&mut client, from + index)?;
            Ok(())
        })
    };
    let first = part(1, FIRST)?;
    note(Figure::FirstDomains, first);
    note(Figure::MoreDomains, part(FIRST + 1, DOMAINS - LAST)?);
    let last = part(DOMAINS - LAST + 1, DOMAINS)?;
    note(Figure::LastDomains, last);
    note(Figure::Flatness, last / first);
    ensure!(retries == 0, "a builder that was alone had to try again");

    let (at_once, retries) = at_once(&store)?;
    note(Figure::AtOnce, at_once);
    note(Figure::Retries, f64::from(retries));

    let before = rate(SEQUENTIAL, |_| client.write(0, "/bench/a", b"y"))?;
    let mut watcher = LibraryClient::connect(&store.socket())?;
    for index in 1..=WATCHES {
        watcher.watch(&format!("/local/domain/{index}/control"), &index.to_string())?;
    }
    let watched = rate(SEQUENTIAL, |_| client.write(0, "/bench/a", b"z"))?;
    note(Figure::WatchedWrite, watched);
    note(Figure::WatchedToUnwatched, watched / before);
    Ok(())
}

/// How often in a second something can be done.
fn rate(count: u32, mut step: impl FnMut(u32) -> Result<()>) -> Result<f64> {
    let start = Instant::now();
    for index in 0..count {
        step(index)?;
    }
    Ok(f64::from(count) / start.elapsed().as_secs_f64())
}

/// Writes a domain's nodes in one transaction, again until it is committed; how often again.
fn build(client: &mut LibraryClient, domid: u32) -> Result<u32> {
    let home = format!("/local/domain/{domid}");
    let terminated = format!("{home}\0");
    let mut again = 0;
    loop {
        let transaction = client.begin()?;
        client.request(Operation::Rm, transaction, &[terminated.as_bytes()])?;
        client.request(Operation::Mkdir, transaction, &[terminated.as_bytes()])?;
        client.set_permissions(transaction, &home, &[format!("n{domid}")])?;
        for key in KEYS {
            client.write(transaction, &format!("{home}/{key}"), b"value-123")?;
        }
        if client.commit(transaction)? {
            return Ok(again);
        }
        again += 1;
    }
}

/// Builders in processes of their own, all at once: domains in a second, and how often a commit had to be done again.
fn at_once(store: &Store) -> Result<(f64, u32)> {
    let each = AT_ONCE / BUILDERS;
    let program = std::env::current_exe()?;
    let mut builders = Vec::new();
    for index in 0..BUILDERS {
        let mut child = Command::new(&program)
            .arg("build")
            .arg(store.socket())
            .args([(DOMAINS + 1 + index * each).to_string(), each.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("no output")?);
        ensure!(line(&mut lines)? == "ready");
        builders.push((child, lines));
    }
    let start = Instant::now();
    for (child, _) in &mut builders {
        // Its input ends: it may begin.
        drop(child.stdin.take());
    }
    let mut retries = 0;
    let mut children: Vec<Child> = Vec::new();
    for (child, mut lines) in builders {
        retries += line(&mut lines)?.parse::<u32>()?;
        children.push(child);
    }
    let seconds = start.elapsed().as_secs_f64();
    for mut child in children {
        ensure!(child.wait()?.success());
    }
    Ok((f64::from(AT_ONCE) / seconds, retries))
}

fn line(lines: &mut impl std::io::BufRead) -> Result<String> {
    let mut line = String::new();
    lines.read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

/// A builder's process: connects, says so, waits for the end of its input, builds, tells its retries.
pub(crate) fn build_as_told(socket: &Path, first: u32, count: u32) -> Result<()> {
    let mut client = LibraryClient::connect(socket)?;
    let mut output = std::io::stdout();
    writeln!(output, "ready")?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    let mut retries = 0;
    for domid in first..first + count {
        retries += build(&mut client, domid)?;
    }
    writeln!(output, "{retries}")?;
    Ok(())
}
