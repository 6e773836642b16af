//! `make bench`: the same work by a stock Debian Dom0 with `xl` and by domb, on the same emulated machine, in one run.
//!
//! Emulation slows hashing and copying much more than control flow, so each part of a creation is shown by itself.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use scenarios::{Created, Guest, HostFile, Session, image_path};
use serde_json::json;
use testbed::dom0::{self, Baseline, Guests};
use testbed::{Assets, XenVersion};

/// Tiny domains created in a row by both.
const TINY: u32 = 40;
/// Tiny domains that domb creates in the end, to see whether the last takes longer than the first.
const TINY_MANY: u32 = 200;
/// Creations of the Debian guest.
const GUESTS: u32 = 5;
/// The parts of a creation, as domb logs them.
const PARTS: [&str; 7] = ["total", "hash", "create", "populate", "copy", "tables", "rest"];

/// What domb took, in microseconds unless named otherwise.
#[derive(Default)]
struct Ours {
    tiny: Vec<f64>,
    first: BTreeMap<&'static str, f64>,
    held: BTreeMap<&'static str, f64>,
    destroy: f64,
    power_on_to_guest_s: f64,
    memory_kib: f64,
    bundle_kib: f64,
    image_kib: f64,
}

fn main() -> Result<()> {
    let assets = Assets::load()?;
    let xen = XenVersion::from_environment()?;
    println!("== domb on Xen {xen}");
    let mut ours = Ours::default();
    tiny(xen, &mut ours)?;
    guest(xen, &mut ours)?;
    println!("== a stock Dom0 with xl on Xen {xen} (its disk image is made once; then some minutes)");
    let stock = dom0::run_baseline(
        &assets,
        xen,
        &Guests {
            tiny: Some(image_path("bare-guest.elf")),
            tiny_count: TINY,
            guest_count: GUESTS.min(3),
        },
    )?;
    report(&ours, &stock, xen)
}

/// Tiny domains: each is created and stays.
fn tiny(xen: XenVersion, ours: &mut Ours) -> Result<()> {
    let mut host = HostFile::new("bench-tiny", &["sha256"])?.guest_images(&["bare"])?;
    for number in 0..TINY_MANY {
        host = host.domain(&Guest::bare(&format!("tiny-{number:03}"), "do=idle"))?;
    }
    let mut session = host.boot(xen, |machine| machine)?;
    session.ready()?;
    for number in 0..TINY_MANY {
        let name = format!("tiny-{number:03}");
        session.order(&format!("create {name}"))?;
        ours.tiny.push(last(&session, &name)?.us("total")?);
    }
    println!("{TINY_MANY} tiny domains created");
    ours.memory_kib = greeting(&session, "memory_kib")?;
    ours.bundle_kib = greeting(&session, "bundle_bytes")? / 1024.0;
    ours.image_kib = size_kib("domb.elf")?;
    session.reboot()
}

/// The Debian PVH guest: at power-on, with its first hashing, and then from the image that domb holds.
fn guest(xen: XenVersion, ours: &mut Ours) -> Result<()> {
    let mut session = HostFile::new("bench-guest", &["sha256"])?
        .guest_images(&["cloud", "guest"])?
        .domain(
            &Guest {
                command_line: "console=hvc0 quiet domb.name=web".into(),
                ..Guest::linux("web", "pvh", 128, 1, "idle")
            }
            .at_boot(),
        )?
        .boot(xen, |machine| machine)?;
    let ready = session.wait(r"^web\| GUEST-READY")?;
    ours.power_on_to_guest_s = ready.line.at.as_secs_f64();
    session.ready()?;
    ours.first = parts(&[last(&session, "web")?])?;
    let mut held = Vec::new();
    let mut destroys = Vec::new();
    for _ in 0..GUESTS {
        session.order("destroy web")?;
        let line = session
            .machine()
            .matches(r"domain web destroyed .*total_us=(\d+)")?
            .pop()
            .context("no destroy logged")?;
        destroys.push(line.group(1).unwrap_or_default().parse::<f64>()?);
        session.free_pages()?;
        session.order("create web")?;
        held.push(last(&session, "web")?);
        session.machine().expect(r"^web\| GUEST-READY", scenarios::LONG)?;
    }
    ours.held = parts(&held)?;
    ours.destroy = median(&destroys);
    println!("{} Debian guests created", GUESTS + 1);
    session.reboot()
}

fn last(session: &Session, name: &str) -> Result<Created> {
    session
        .creations(name)?
        .pop()
        .with_context(|| format!("no creation of {name} logged"))
}

/// The median of each part.
fn parts(created: &[Created]) -> Result<BTreeMap<&'static str, f64>> {
    PARTS
        .iter()
        .map(|&part| {
            let values = created
                .iter()
                .map(|created| created.us(part))
                .collect::<Result<Vec<_>>>()?;
            Ok((part, median(&values)))
        })
        .collect()
}

fn greeting(session: &Session, word: &str) -> Result<f64> {
    let line = session.wait(&format!(r"domb \S+ on Xen .* {word}=(\d+)"))?;
    Ok(line.group(1).unwrap_or_default().parse()?)
}

fn size_kib(image: &str) -> Result<f64> {
    let bytes = u32::try_from(std::fs::metadata(image_path(image))?.len())?;
    Ok(f64::from(bytes) / 1024.0)
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

fn report(ours: &Ours, stock: &Baseline, xen: XenVersion) -> Result<()> {
    let stock_ms = |name: &str| stock.median(name).map(|seconds| seconds * 1000.0);
    let first = median(ours.tiny.get(..20).unwrap_or_default());
    let last = median(ours.tiny.get(ours.tiny.len().saturating_sub(20)..).unwrap_or_default());
    let in_a_row = median(ours.tiny.get(..TINY as usize).unwrap_or_default());
    let held = ours.held.get("total").copied().unwrap_or_default();
    let with_hash = ours.first.get("total").copied().unwrap_or_default();
    let stock_power_on = stock
        .median("power-on-to-login")
        .zip(stock.median("pvh-cloud-ready"))
        .map(|(login, guest)| (login + guest) * 1000.0);

    println!("\nmedians on the same emulated machine, Xen {xen}, 2 processors of the host\n");
    println!("{:<58} {:>12} {:>12} {:>8}  target", "", "Dom0 + xl", "domb", "ratio");
    let row = |what: &str, theirs: Option<f64>, ours: f64, unit: &str, target: &str| {
        let (shown, ratio) = match theirs {
            Some(theirs) => (format!("{theirs:.1}"), format!("{:.1}", theirs / ours)),
            None => ("-".into(), "-".into()),
        };
        println!("{what:<58} {shown:>12} {ours:>12.1} {ratio:>8}  {target} ({unit})");
    };
    row(
        "(a) create a tiny PV domain of 8 MiB, 40 in a row",
        stock_ms("tiny-create"),
        in_a_row / 1000.0,
        "ms",
        ">= 50",
    );
    row(
        "    the 1st to 20th, the 181st to 200th by domb",
        Some(first / 1000.0),
        last / 1000.0,
        "ms",
        "flat: about 1",
    );
    row(
        "(b) create Debian PVH, 128 MiB, image held",
        stock_ms("pvh-cloud-create"),
        held / 1000.0,
        "ms",
        ">= 20",
    );
    row(
        "    the same with its first hashing",
        stock_ms("pvh-cloud-create"),
        with_hash / 1000.0,
        "ms",
        "reported",
    );
    row(
        "    destroy it",
        stock_ms("pvh-cloud-destroy"),
        ours.destroy / 1000.0,
        "ms",
        "reported",
    );
    row(
        "(c) power-on to the guest's first line of user space",
        stock_power_on,
        ours.power_on_to_guest_s * 1000.0,
        "ms",
        ">= 3",
    );
    row(
        "(d) memory of the builder, without bundle",
        stock.median("dom0-mib").map(|mib| mib * 1024.0),
        ours.memory_kib - ours.bundle_kib,
        "KiB",
        "at most 32 MiB + image",
    );
    row(
        "    its image, its root file system",
        stock.median("root-file-system-mib").map(|mib| mib * 1024.0),
        ours.image_kib,
        "KiB",
        "at most 1 MiB",
    );

    println!("\nwhere domb's time goes, ms          image held   first hashing");
    for part in PARTS {
        let of = |times: &BTreeMap<&str, f64>| times.get(part).copied().unwrap_or_default() / 1000.0;
        println!("  {part:<30} {:>12.1} {:>15.1}", of(&ours.held), of(&ours.first));
    }
    let value = json!({
        "xen": xen.to_string(),
        "tiny_us": ours.tiny,
        "guest_held_us": ours.held,
        "guest_first_us": ours.first,
        "guest_destroy_us": ours.destroy,
        "power_on_to_guest_s": ours.power_on_to_guest_s,
        "domb_memory_kib": ours.memory_kib,
        "bundle_kib": ours.bundle_kib,
        "domb_image_kib": ours.image_kib,
        "stock": stock.values,
    });
    let path = testbed::workspace().join("target/bench/report.json");
    std::fs::create_dir_all(path.parent().context("a directory")?)?;
    std::fs::write(&path, serde_json::to_string_pretty(&value)? + "\n")?;
    println!("\nreport: target/bench/report.json");
    Ok(())
}
