//! `make demo`: real Xen starts domb in Dom0's place; domb builds one guest of each kind; every digest that it logs is
//! compared with one computed here from the files.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use domb::host_manifest::HostManifest;
use domb::{Progress, bundle_command, measure_command};
use scenarios::{HostFile, Session, image_path};
use serde::Serialize;
use testbed::initramfs::Initramfs;
use testbed::{Assets, KernelFlavour, XenVersion};

/// What happened, for programs.
#[derive(Serialize)]
struct Report {
    xen: String,
    domb: String,
    seconds_to_user_space: BTreeMap<String, f64>,
    guests: Vec<GuestReport>,
    measurements: Vec<Measurement>,
    pcrs: BTreeMap<String, BTreeMap<u32, String>>,
    all_digests_equal: bool,
}

#[derive(Serialize)]
struct GuestReport {
    name: String,
    kind: String,
    domid: String,
    state: String,
    privileges: &'static str,
    memory_kib: String,
    said: String,
    build_us: BTreeMap<String, f64>,
    digests: BTreeMap<String, BTreeMap<String, String>>,
}

#[derive(Serialize)]
struct Measurement {
    pcr: u32,
    event: String,
    logged: BTreeMap<String, String>,
    computed: BTreeMap<String, String>,
    equal: bool,
}

fn main() -> Result<()> {
    let assets = Assets::load()?;
    let xen = XenVersion::from_environment()?;
    let directory = testbed::workspace().join("target/demo");
    let manifest = prepare(&assets, &directory)?;

    step("making the bundle from configs/demo.toml");
    let bundle = directory.join("bundle");
    let written = bundle_command::run(&manifest, &bundle, false, Progress::on_terminal(), |_| ())?;
    say(&format!(
        "{} images, {} domains, {} bytes",
        written.images, written.domains, written.size
    ));

    step("computing on this machine what domb will have to log");
    let host = HostManifest::load(&manifest, Progress::on_terminal())?;
    let builder = measure_command::Builder {
        file: Some(image_path("domb.elf")),
        command_line: Some(COMMAND_LINE.into()),
    };
    let expected = measure_command::host_records(&host, &builder)?;
    say(&format!(
        "{} measurements in {:?}",
        expected.len(),
        host.manifest.host.banks
    ));

    step(&format!(
        "booting Xen {xen} in software emulation, with domb where Dom0 used to be"
    ));
    let mut session =
        HostFile::new("demo", &["sha256"])?.boot_bundle(xen, &bundle, |machine| machine.command_line(COMMAND_LINE))?;
    let greeting = session.wait(r"(domb \S+ on Xen \S+ .*)$")?;
    say(greeting.group(1).unwrap_or_default());
    session.wait("boot complete")?;
    let said = wait_for_guests(&session, &host)?;

    step("comparing digests: logged by domb, computed here");
    let (measurements, pcrs) = compare(&mut session, &expected)?;
    let equal = measurements.iter().all(|measurement| measurement.equal);

    step("what runs");
    let report = Report {
        xen: xen.to_string(),
        domb: greeting.group(1).unwrap_or_default().into(),
        seconds_to_user_space: said.iter().map(|(name, (at, _))| (name.clone(), *at)).collect(),
        guests: guests(&mut session, &host, &said)?,
        measurements,
        pcrs,
        all_digests_equal: equal,
    };
    table(&report.guests);
    session.reboot()?;
    let path = directory.join("report.json");
    std::fs::write(&path, serde_json::to_string_pretty(&report)? + "\n")?;
    say(&format!("\nreport: {}", shown(&path)));
    say(&format!(
        "console: {}",
        shown(&session.machine().directory().join("console.log"))
    ));
    ensure!(
        equal,
        "a digest that domb logged is not the one computed from the files"
    );
    say("every digest is the one computed from the files");
    Ok(())
}

/// domb's own command line in the demo.
const COMMAND_LINE: &str = "loglvl=info";

/// Puts the files that configs/demo.toml names into target/demo; the manifest's path.
fn prepare(assets: &Assets, directory: &Path) -> Result<PathBuf> {
    std::fs::create_dir_all(directory)?;
    let copy = |from: &Path, name: &str| {
        std::fs::copy(from, directory.join(name))
            .map(drop)
            .with_context(|| format!("copy {}", from.display()))
    };
    copy(&assets.kernel(KernelFlavour::Cloud)?.image, "vmlinuz-cloud")?;
    copy(&assets.kernel(KernelFlavour::Standard)?.image, "vmlinuz")?;
    copy(&image_path("bare-guest.elf"), "bare-guest")?;
    Initramfs::guest(assets)?.write(&directory.join("initrd.img"))?;
    Ok(testbed::workspace().join("configs/demo.toml"))
}

/// Waits for each guest's first words; when they came (seconds since power-on) and what they were.
fn wait_for_guests(session: &Session, host: &HostManifest) -> Result<BTreeMap<String, (f64, String)>> {
    let mut said = BTreeMap::new();
    for domain in &host.manifest.domains {
        let words = if domain.ramdisk.is_some() {
            "GUEST-READY"
        } else {
            "bare guest:"
        };
        let line = session.wait(&format!(r"^{}\| .*({words}.*)$", domain.name))?;
        let text = line.group(1).unwrap_or_default().to_owned();
        say(&format!(
            "{:6.1} s  {}: {text}",
            line.line.at.as_secs_f64(),
            domain.name
        ));
        said.insert(domain.name.clone(), (line.line.at.as_secs_f64(), text));
    }
    Ok(said)
}

/// Compares domb's event log with the records expected, record by record; and the PCR values that it replays to.
#[expect(clippy::type_complexity, reason = "two results of one reading")]
fn compare(
    session: &mut Session,
    expected: &[measure::Record],
) -> Result<(Vec<Measurement>, BTreeMap<String, BTreeMap<u32, String>>)> {
    let log = session.event_log()?;
    let events = measure::parse(&log)?.collect::<Result<Vec<_>, _>>()?;
    let hex = |digests: &measure::Digests| {
        digests
            .iter()
            .map(|digest| (digest.bank().to_string(), digest.to_string()))
            .collect::<BTreeMap<_, _>>()
    };
    let mut measurements = Vec::new();
    for (index, record) in expected.iter().enumerate() {
        let Some(event) = events.get(index) else {
            bail!("the log ends before {:?}", record.data)
        };
        let computed = hex(&record.digests);
        let logged = hex(&event.digests);
        let equal = computed == logged && event.pcr == record.pcr && event.data == record.data.as_bytes();
        let shown = computed
            .get("sha256")
            .map_or("", |digest| digest.get(..16).unwrap_or(digest));
        say(&format!(
            "{} PCR {}  {shown}…  {}",
            if equal { "equal " } else { "DIFFERS" },
            record.pcr,
            record.data
        ));
        measurements.push(Measurement {
            pcr: record.pcr,
            event: record.data.clone(),
            logged,
            computed,
            equal,
        });
    }
    ensure!(
        events.len() == expected.len(),
        "{} events logged, {} expected",
        events.len(),
        expected.len()
    );
    let values = measure::replay(&log)?;
    let mut pcrs: BTreeMap<String, BTreeMap<u32, String>> = BTreeMap::new();
    for record in expected {
        for bank in record.digests.banks() {
            if let Some(value) = values.get(bank, record.pcr) {
                pcrs.entry(bank.to_string())
                    .or_default()
                    .insert(record.pcr, value.to_string());
            }
        }
    }
    let path = testbed::workspace().join("target/demo/eventlog.bin");
    std::fs::write(&path, &log)?;
    ensure!(
        read_by_tpm2_tools(&path)? == pcrs,
        "tpm2_eventlog replays the log to other PCR values"
    );
    say("tpm2_eventlog reads the log and replays it to the same PCR values");
    Ok((measurements, pcrs))
}

/// The PCR values that tpm2-tools replay a log to.
fn read_by_tpm2_tools(log: &Path) -> Result<BTreeMap<String, BTreeMap<u32, String>>> {
    let output = std::process::Command::new("tpm2_eventlog")
        .arg(log)
        .output()
        .context("tpm2_eventlog")?;
    ensure!(
        output.status.success(),
        "tpm2_eventlog: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout)?;
    let (_, pcrs) = text.split_once("\npcrs:\n").context("tpm2_eventlog prints no PCRs")?;
    let mut values: BTreeMap<String, BTreeMap<u32, String>> = BTreeMap::new();
    let mut bank = String::new();
    for line in pcrs.lines() {
        match line.split_once(':') {
            Some((name, "")) => bank = name.trim().into(),
            Some((number, value)) => {
                let value = value.trim().trim_start_matches("0x").to_lowercase();
                values
                    .entry(bank.clone())
                    .or_default()
                    .insert(number.trim().parse()?, value);
            }
            None => {}
        }
    }
    Ok(values)
}

fn guests(
    session: &mut Session,
    host: &HostManifest,
    said: &BTreeMap<String, (f64, String)>,
) -> Result<Vec<GuestReport>> {
    let listed = session.list()?;
    let mut guests = Vec::new();
    for domain in &host.manifest.domains {
        let facts = listed
            .get(&domain.name)
            .with_context(|| format!("{} is not listed", domain.name))?;
        let fact = |key: &str| facts.get(key).cloned().unwrap_or_default();
        ensure!(fact("state") == "running", "{} is {}", domain.name, fact("state"));
        let created = session.creations(&domain.name)?.pop().context("no creation logged")?;
        let parts = ["total", "hash", "create", "populate", "copy", "tables", "rest"];
        let digests = |image: &str| {
            let image = host.manifest.image(image);
            image
                .map(|image| {
                    image
                        .digests
                        .iter()
                        .map(|d| (d.bank().to_string(), d.to_string()))
                        .collect()
                })
                .unwrap_or_default()
        };
        let images = [
            Some(("kernel", &domain.kernel)),
            domain.ramdisk.as_ref().map(|name| ("ramdisk", name)),
        ];
        guests.push(GuestReport {
            name: domain.name.clone(),
            kind: fact("type"),
            domid: fact("domid"),
            state: fact("state"),
            privileges: "none",
            memory_kib: fact("memory_kib"),
            said: said.get(&domain.name).map(|(_, text)| text.clone()).unwrap_or_default(),
            build_us: parts
                .iter()
                .map(|part| Ok(((*part).to_owned(), created.us(part)?)))
                .collect::<Result<_>>()?,
            digests: images
                .into_iter()
                .flatten()
                .map(|(role, image)| (role.to_owned(), digests(image)))
                .collect(),
        });
    }
    Ok(guests)
}

fn table(guests: &[GuestReport]) {
    let part = |guest: &GuestReport, part: &str| guest.build_us.get(part).copied().unwrap_or_default() / 1000.0;
    say(&format!(
        "{:<8} {:<5} {:>5}  {:<10} {:>10}  {:>9} {:>9} {:>9} {:>9}",
        "domain", "type", "domid", "privileges", "memory KiB", "build ms", "hash", "populate", "copy"
    ));
    say(&format!("{:<8} {:<5} {:>5}  {:<10}", "domb", "pv", 0, "all"));
    for guest in guests {
        say(&format!(
            "{:<8} {:<5} {:>5}  {:<10} {:>10}  {:>9.1} {:>9.1} {:>9.1} {:>9.1}",
            guest.name,
            guest.kind,
            guest.domid,
            guest.privileges,
            guest.memory_kib,
            part(guest, "total"),
            part(guest, "hash"),
            part(guest, "populate"),
            part(guest, "copy")
        ));
    }
}

fn shown(path: &Path) -> String {
    path.strip_prefix(testbed::workspace())
        .unwrap_or(path)
        .display()
        .to_string()
}

fn step(text: &str) {
    println!("\n== {text}");
}

fn say(text: &str) {
    println!("{text}");
}
