//! The program as a user runs it: exit status, output, files.

mod kernels;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use domb_core::bundle::Bundle;
use measure::{Bank, Digest, replay};
use tempfile::TempDir;

use kernels::{bz_image, pvh_kernel};

const HOST: &str = r#"[host]
name = "demo"
banks = ["sha256", "sha384"]

[image.linux]
file = "boot/vmlinuz"

[image.initrd]
file = "boot/initrd.img"

[[domain]]
name = "web"
kernel = "linux"
ramdisk = "initrd"
cmdline = "console=hvc0 quiet"
memory = 128
autostart = true
needs = ["store"]

[[domain]]
name = "store"
kernel = "linux"
memory = 64

[[domain]]
name = "idle"
kernel = "linux"
memory = 64
"#;

/// A folder with a host manifest, a kernel as a bzImage and a ramdisk.
struct Host {
    folder: TempDir,
}

impl Host {
    fn new(manifest: &str) -> Self {
        let folder = TempDir::new().unwrap();
        fs::create_dir(folder.path().join("boot")).unwrap();
        let host = Self { folder };
        fs::write(host.path("host.toml"), manifest).unwrap();
        fs::write(host.path("boot/vmlinuz"), bz_image(&pvh_kernel())).unwrap();
        fs::write(host.path("boot/initrd.img"), "the ramdisk").unwrap();
        host
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs `domb` in the folder.
    fn domb(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_domb"))
            .args(arguments)
            .current_dir(self.folder.path())
            .output()
            .unwrap()
    }

    /// Runs it and gives what it printed, if it succeeded.
    fn domb_prints(&self, arguments: &[&str]) -> String {
        let output = self.domb(arguments);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        text(&output.stdout)
    }

    /// Runs it and gives what it said on standard error, if it failed.
    fn domb_fails(&self, arguments: &[&str]) -> String {
        let output = self.domb(arguments);
        assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
        assert_eq!(text(&output.stdout), "");
        text(&output.stderr)
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn sha256sum(path: &Path) -> String {
    let output = Command::new("sha256sum").arg(path).output().unwrap();
    text(&output.stdout).split(' ').next().unwrap().to_string()
}

#[test]
fn a_bundle_holds_the_manifest_and_the_unpacked_images() {
    let host = Host::new(HOST);
    let said = host.domb_prints(&["bundle", "host.toml", "-o", "demo.bundle"]);
    let bytes = fs::read(host.path("demo.bundle")).unwrap();
    let bundle = Bundle::parse(&bytes).unwrap();
    let manifest_digest = Digest::of(Bank::Sha256, bundle.manifest_bytes());
    assert_eq!(
        said,
        format!(
            "demo.bundle: {} bytes, 3 domains, 2 images, manifest sha256 {manifest_digest}\n",
            bytes.len()
        )
    );
    assert_eq!(bundle.manifest().check(), []);
    assert_eq!(bundle.manifest().host.name, "demo");
    assert_eq!(bundle.image("linux").unwrap().bytes, pvh_kernel());
    assert_eq!(bundle.image("initrd").unwrap().bytes, b"the ramdisk");
    for image in bundle.images() {
        image.verify().unwrap();
    }
}

#[test]
fn the_same_files_give_the_same_bundle() {
    let (one, other) = (Host::new(HOST), Host::new(HOST));
    one.domb_prints(&["bundle", "host.toml", "-o", "a"]);
    // From another folder, by another name, over an existing file.
    fs::write(other.path("b"), "what was there before").unwrap();
    let (host, to) = (other.path("host.toml"), other.path("b"));
    one.domb_prints(&["bundle", host.to_str().unwrap(), "--output", to.to_str().unwrap()]);
    assert!(fs::read(one.path("a")).unwrap() == fs::read(to).unwrap());
}

#[test]
fn a_bundle_goes_to_a_pipe_as_well() {
    let host = Host::new(HOST);
    host.domb_prints(&["bundle", "host.toml", "-o", "a"]);
    let output = host.domb(&["bundle", "host.toml", "-o", "/dev/stdout"]);
    assert!(output.stdout.starts_with(&fs::read(host.path("a")).unwrap()));
}

#[test]
fn a_wrong_manifest_is_told_with_its_places() {
    let host = Host::new(&HOST.replace("memory = 128", "memory = 1\nvcpu = 2"));
    let error = host.domb_fails(&["bundle", "host.toml", "-o", "out"]);
    assert!(
        error.starts_with("host.toml:17:1: domain.vcpu: unknown key; accepted here: name, type,"),
        "{error}"
    );
    assert_eq!(host.names(), ["boot", "host.toml"]);
}

#[test]
fn domains_that_domb_will_refuse_stop_a_bundle_unless_forced() {
    let manifest = HOST.replace(
        "name = \"idle\"",
        "name = \"idle\"\nneeds = [\"idle\"]\nramdisk = \"rd\"",
    );
    let host = Host::new(&manifest);
    // The cycle is told once the domain's own values are right.
    let error = host.domb_fails(&["bundle", "host.toml", "-o", "out"]);
    assert_eq!(
        error,
        "host.toml:28:11: domain.ramdisk: domain idle: ramdisk: there is no image \"rd\"\n"
    );
    assert_eq!(host.names(), ["boot", "host.toml"]);

    let output = host.domb(&["bundle", "host.toml", "-o", "out", "--force"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stderr), format!("warning: {error}"));
    let bytes = fs::read(host.path("out")).unwrap();
    assert_eq!(Bundle::parse(&bytes).unwrap().manifest().start_order().0, [1, 0]);
}

#[test]
fn kernels_that_cannot_be_loaded_are_told() {
    let host = Host::new(HOST);
    fs::write(host.path("boot/vmlinuz"), "no kernel").unwrap();
    let error = host.domb_fails(&["bundle", "host.toml", "-o", "out"]);
    assert_eq!(error.lines().count(), 3);
    assert!(
        error.starts_with("host.toml:13:10: domain.kernel: domain web: kernel linux: cannot be loaded as pvh: "),
        "{error}"
    );

    let host = Host::new(&HOST.replace("name = \"idle\"", "name = \"idle\"\ntype = \"pv\""));
    let error = host.domb_fails(&["bundle", "host.toml", "-o", "out"]);
    assert_eq!(error.lines().count(), 1);
    assert!(
        error.starts_with("host.toml:28:10: domain.kernel: domain idle: kernel linux: cannot be loaded as pv: "),
        "{error}"
    );
}

#[test]
fn files_that_cannot_be_used_are_told_where_they_are_named() {
    let host = Host::new(HOST);
    fs::remove_file(host.path("boot/initrd.img")).unwrap();
    let kernel = fs::read(host.path("boot/vmlinuz")).unwrap();
    fs::write(host.path("boot/vmlinuz"), &kernel[..kernel.len() - 1]).unwrap();
    let error = host.domb_fails(&["bundle", "host.toml", "-o", "out", "--force"]);
    let lines: Vec<&str> = error.lines().collect();
    assert!(
        lines[0].starts_with("host.toml:9:8: image.initrd.file: boot/initrd.img: cannot be read: No such file"),
        "{error}"
    );
    assert!(
        lines[1].starts_with("host.toml:6:8: image.linux.file: boot/vmlinuz: bzImage cut short: "),
        "{error}"
    );

    fs::write(host.path("boot/initrd.img"), "the ramdisk").unwrap();
    fs::write(host.path("boot/vmlinuz"), kernel).unwrap();
    let pin = |digest: &str| HOST.replace("initrd.img\"", &format!("initrd.img\"\nsha256 = \"{digest}\""));
    fs::write(host.path("host.toml"), pin(&"00".repeat(32))).unwrap();
    let right = sha256sum(&host.path("boot/initrd.img"));
    assert_eq!(
        host.domb_fails(&["bundle", "host.toml", "-o", "out"]),
        format!(
            "host.toml:10:10: image.initrd.sha256: boot/initrd.img has {right}, not {}\n",
            "00".repeat(32)
        )
    );
    fs::write(host.path("host.toml"), pin(&right)).unwrap();
    host.domb_prints(&["bundle", "host.toml", "-o", "out"]);
}

#[test]
fn files_of_the_command_line_that_cannot_be_used_are_told() {
    let host = Host::new(HOST);
    let error = host.domb_fails(&["bundle", "none.toml", "-o", "out"]);
    assert!(
        error.starts_with("domb: none.toml: cannot be read: No such file"),
        "{error}"
    );
    let error = host.domb_fails(&["bundle", "host.toml", "-o", "none/out"]);
    assert!(error.starts_with("domb: none/out: cannot be written: "), "{error}");
    let error = host.domb_fails(&["measure", "--kernel", "boot/initrd.img"]);
    assert_eq!(
        error,
        "domb: boot/initrd.img: no kernel: neither an ELF file nor a bzImage\n"
    );
    let error = host.domb_fails(&["measure", "host.toml", "webb"]);
    assert_eq!(
        error,
        "domb: no domain \"webb\" in the manifest; accepted: web, store, idle\n"
    );
    let error = host.domb_fails(&["measure", "host.toml", "--domb", "boot/initrd.img"]);
    assert!(error.starts_with("domb: boot/initrd.img: "), "{error}");
}

#[test]
fn an_image_that_nobody_uses_is_told() {
    let host = Host::new(&HOST.replace("ramdisk = \"initrd\"\n", ""));
    let output = host.domb(&["bundle", "host.toml", "-o", "out"]);
    assert_eq!(text(&output.stderr), "warning: image initrd: no domain uses it\n");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn wrong_usage_is_told_apart() {
    let host = Host::new(HOST);
    for arguments in [
        [].as_slice(),
        &["bundle"],
        &["bundle", "host.toml"],
        &["measure"],
        &["measure", "host.toml", "--kernel", "boot/vmlinuz"],
        &["measure", "--cmdline", "x", "--bank", "sha1"],
        &["measure", "--cmdline", "x", "--domb", "boot/vmlinuz"],
        &["measure", "--domb", "boot/vmlinuz"],
        &["measure", "host.toml", "web", "--domb", "boot/vmlinuz"],
        &["convert"],
        &["convert", "a.cfg", "b.cfg"],
        &["fly"],
    ] {
        assert_eq!(host.domb(arguments).status.code(), Some(2), "{arguments:?}");
    }
    for arguments in [
        ["--help"].as_slice(),
        &["bundle", "--help"],
        &["measure", "--help"],
        &["convert", "--help"],
        &["--version"],
    ] {
        assert!(!host.domb_prints(arguments).is_empty());
    }
}

#[test]
fn a_host_is_measured_in_the_order_of_its_start() {
    let host = Host::new(HOST);
    fs::write(host.path("domb.elf"), pvh_kernel()).unwrap();
    let printed = host.domb_prints(&[
        "measure",
        "host.toml",
        "--domb",
        "domb.elf",
        "--domb-cmdline",
        "log=debug",
    ]);
    let events: Vec<String> = printed
        .lines()
        .filter(|line| line.contains(" sha256 "))
        .map(|line| format!("{} {}", &line[..3].trim(), &line[4 + 7 + 65..]))
        .collect();
    assert_eq!(
        events,
        [
            "0 domb",
            "0 domb command line",
            "0 manifest",
            "1 store: configuration",
            "8 store: command line",
            "9 store: kernel",
            "1 web: configuration",
            "8 web: command line",
            "9 web: kernel",
            "9 web: ramdisk",
        ]
    );
    assert_eq!(
        printed.lines().filter(|line| line.contains(" sha384 ")).count(),
        events.len()
    );
    // The one segment of that file is the file.
    fs::write(host.path("cmdline"), "log=debug").unwrap();
    assert!(printed.contains(&format!("  0 sha256 {} domb\n", sha256sum(&host.path("domb.elf")))));
    assert!(printed.contains(&format!(
        "  0 sha256 {} domb command line\n",
        sha256sum(&host.path("cmdline"))
    )));
}

#[test]
fn a_domain_and_its_files_measure_alike() {
    let host = Host::new(HOST);
    let of_domain = host.domb_prints(&["measure", "host.toml", "web"]);
    let of_files = host.domb_prints(&[
        "measure",
        "--name",
        "web",
        "--kernel",
        "boot/vmlinuz",
        "--ramdisk",
        "boot/initrd.img",
        "--cmdline",
        "console=hvc0 quiet",
        "--bank",
        "sha256",
        "--bank",
        "sha384",
    ]);
    assert_eq!(
        of_domain.lines().skip(2).collect::<Vec<_>>(),
        of_files.lines().collect::<Vec<_>>()
    );
    fs::write(host.path("vmlinux"), pvh_kernel()).unwrap();
    let kernel = format!("  9 sha256 {} web: kernel\n", sha256sum(&host.path("vmlinux")));
    let ramdisk = format!("  9 sha256 {} web: ramdisk\n", sha256sum(&host.path("boot/initrd.img")));
    assert!(of_files.contains(&kernel) && of_files.contains(&ramdisk), "{of_files}");
}

#[test]
fn json_the_event_log_and_the_pcrs_say_the_same() {
    let host = Host::new(HOST);
    let printed = host.domb_prints(&["measure", "host.toml", "--json", "--pcrs", "--event-log", "log"]);
    let document: serde_json::Value = serde_json::from_str(&printed).unwrap();
    let records = document["records"].as_array().unwrap();
    assert_eq!(records[0]["event"], "manifest");
    assert_eq!(records[0]["type"], "EV_POST_CODE");
    assert_eq!(records[0]["pcr"], 0);
    host.domb_prints(&["bundle", "host.toml", "-o", "out"]);
    let bytes = fs::read(host.path("out")).unwrap();
    let manifest = Digest::of(Bank::Sha384, Bundle::parse(&bytes).unwrap().manifest_bytes());
    assert_eq!(records[0]["digests"]["sha384"], manifest.to_string());

    let log = fs::read(host.path("log")).unwrap();
    assert_eq!(measure::parse(&log).unwrap().count(), records.len());
    let values = replay(&log).unwrap();
    for (pcr, name) in [(0, "0"), (1, "1"), (8, "8"), (9, "9")] {
        for bank in Bank::ALL {
            assert_eq!(
                document["pcrs"][bank.name()][name],
                values.get(bank, pcr).unwrap().to_string()
            );
        }
    }
    let text = host.domb_prints(&["measure", "host.toml", "--pcrs"]);
    let value = values.get(Bank::Sha256, 9).unwrap();
    assert!(
        text.contains(&format!("  9 sha256 {value} = value of the PCR\n")),
        "{text}"
    );
}

#[test]
fn an_xl_configuration_is_printed_as_toml() {
    let host = Host::new(HOST);
    let cfg = "name = 'web'\nkernel = '/boot/vmlinuz'\nextra = 'root=/dev/xvda1'\nmemory = 128\nvcpus = 2\n\
               vif = [ '' ]\ndisk = [ '/dev/vg/guest-volume,raw,xvda,rw' ]\n";
    fs::write(host.path("web.cfg"), cfg).unwrap();
    let toml = host.domb_prints(&["convert", "web.cfg"]);
    assert_eq!(
        toml,
        "name = \"web\"\ntype = \"pv\"\nkernel = \"/boot/vmlinuz\"\ncmdline = \"root=/dev/xvda1\"\nmemory = 128\nvcpus = 2\n\n\
         [[disk]]\ntarget = \"/dev/vg/guest-volume\"\nvdev = \"xvda\"\n\n[[interface]]\n"
    );
    // On any host it says what the configuration says there.
    let guest = manifest::toml::read_guest(&toml, "web.toml", "here").unwrap().domain;
    let file = manifest::xl_cfg::read(cfg.as_bytes(), "web.cfg", "here").unwrap();
    assert_eq!(guest, file.domain);

    assert_eq!(host.domb_prints(&["convert", "web.cfg", "-o", "web.toml"]), "");
    assert_eq!(fs::read_to_string(host.path("web.toml")).unwrap(), toml);
}

#[test]
fn what_an_xl_configuration_cannot_have_is_told_with_its_places() {
    let host = Host::new(HOST);
    fs::write(
        host.path("web.cfg"),
        "name = 'web'\nmemory = '1G'\nmemroy = 1\nkernel = '/k'\npci = [ '01:00.0' ]\n",
    )
    .unwrap();
    let errors = host.domb_fails(&["convert", "web.cfg", "-o", "web.toml"]);
    let starts: Vec<String> = errors
        .lines()
        .map(|line| line.split(": ").take(3).collect::<Vec<_>>().join(": "))
        .collect();
    assert_eq!(
        starts,
        [
            "web.cfg:2:10: memory: \"1G\"; accepted",
            "web.cfg:3:1: memroy: unknown key; accepted here",
            "web.cfg:5:7: pci: cannot be honoured",
        ]
    );
    assert!(!host.path("web.toml").exists());
    assert!(
        host.domb_fails(&["convert", "none.cfg"])
            .starts_with("domb: none.cfg: cannot be read: ")
    );

    // What says nothing is noted.
    fs::write(
        host.path("web.cfg"),
        "name = 'web'\nmemory = 8\nkernel = '/k'\ncmdline = 'a'\nextra = 'b'\n",
    )
    .unwrap();
    let output = host.domb(&["convert", "web.cfg"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        text(&output.stderr),
        "web.cfg:5:9: extra: note: says nothing beside cmdline, as with xl\n"
    );
}
