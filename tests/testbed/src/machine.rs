//! A machine to be powered on: what it has and what its boot loader hands over.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use regex::Regex;

use crate::qemu::{self, Boot, Hardware};
use crate::running::{Running, Start};
use crate::{Assets, Error, Result, XenVersion, command, places};

/// Lines that mean that no scenario can go on.
const FATAL: &str = r"Panic on CPU \d|Xen BUG at |FATAL TRAP|FATAL PAGE FAULT|Hardware Dom0 crashed";

/// Names of the linked files in the scenario's directory: a boot loader splits at blanks and commas.
const XEN: &str = "xen";
const KERNEL: &str = "kernel";
const RAMDISK: &str = "ramdisk";

/// A machine to be powered on. It belongs to a scenario, which has a directory of its own for its logs.
#[derive(Clone, Debug)]
pub struct Machine {
    scenario: String,
    xen: XenVersion,
    xen_options: Vec<String>,
    dom0_memory: String,
    kernel: PathBuf,
    command_line: String,
    ramdisk: Option<PathBuf>,
    hardware: Hardware,
    limit: Duration,
    fatal: Vec<String>,
    alone: bool,
}

impl Machine {
    /// A machine with 4 GiB, 2 processors, an IOMMU and Xen 4.17 that starts `kernel` (an ELF or a bzImage) as its initial
    /// domain with 128 MiB; it is ended after 10 minutes. `scenario` names the log directory: letters, digits, `-`, `_`, `.`.
    pub fn new(scenario: &str, kernel: &Path) -> Self {
        let hardware = Hardware {
            memory_mib: 4096,
            cpus: 2,
            iommu: true,
            arguments: Vec::new(),
        };
        Self {
            scenario: scenario.to_owned(),
            xen: XenVersion::default(),
            xen_options: Vec::new(),
            dom0_memory: "128M".to_owned(),
            kernel: kernel.to_path_buf(),
            command_line: String::new(),
            ramdisk: None,
            hardware,
            limit: Duration::from_secs(600),
            fatal: vec![FATAL.to_owned()],
            alone: true,
        }
    }

    /// Which Xen.
    #[must_use]
    pub fn xen(mut self, version: XenVersion) -> Self {
        self.xen = version;
        self
    }

    /// Adds an option to Xen's command line.
    #[must_use]
    pub fn xen_option(mut self, option: &str) -> Self {
        self.xen_options.push(option.to_owned());
        self
    }

    /// The initial domain's memory as Xen's `dom0_mem=` takes it.
    #[must_use]
    pub fn dom0_memory(mut self, memory: &str) -> Self {
        memory.clone_into(&mut self.dom0_memory);
        self
    }

    /// The initial domain's command line.
    #[must_use]
    pub fn command_line(mut self, command_line: &str) -> Self {
        command_line.clone_into(&mut self.command_line);
        self
    }

    /// The initial domain's ramdisk: domb's bundle.
    #[must_use]
    pub fn ramdisk(mut self, file: &Path) -> Self {
        self.ramdisk = Some(file.to_path_buf());
        self
    }

    /// The machine's memory.
    #[must_use]
    pub fn memory_mib(mut self, mib: u64) -> Self {
        self.hardware.memory_mib = mib;
        self
    }

    /// The machine's processors.
    #[must_use]
    pub fn cpus(mut self, count: u32) -> Self {
        self.hardware.cpus = count;
        self
    }

    /// Leaves the IOMMU out.
    #[must_use]
    pub fn without_iommu(mut self) -> Self {
        self.hardware.iommu = false;
        self
    }

    /// Adds arguments to QEMU's command line: devices, drives, networks, a TPM.
    #[must_use]
    pub fn arguments<I: IntoIterator<Item = S>, S: Into<String>>(mut self, arguments: I) -> Self {
        self.hardware.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// The longest that the machine may run, as a guard against hanging.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// A line that matches this pattern ends every wait with an error. Panics of Xen and a crash of the initial domain
    /// do so from the start.
    #[must_use]
    pub fn fatal(mut self, pattern: &str) -> Self {
        self.fatal.push(pattern.to_owned());
        self
    }

    /// Lets no line end a wait with an error: for scenarios in which the initial domain is meant to crash.
    #[must_use]
    pub fn nothing_fatal(mut self) -> Self {
        self.fatal.clear();
        self
    }

    /// Does not wait until other machines of the testbed have ended: for scenarios with more than one machine.
    #[must_use]
    pub fn beside_others(mut self) -> Self {
        self.alone = false;
        self
    }

    /// Powers the machine on. Waits until no other machine runs (see [`Machine::beside_others`]).
    ///
    /// The scenario's directory then holds `console.log` (the serial console; seconds since power-on before each line),
    /// `qemu.log` (what QEMU says of itself) and `command` (QEMU's command line, to be run in that directory).
    pub fn power_on(self, assets: &Assets) -> Result<Running> {
        let directory = places::scenarios().join(&self.scenario);
        std::fs::create_dir_all(&directory).map_err(Error::file("create", &directory))?;
        link(assets.xen(self.xen)?, &directory.join(XEN))?;
        link(&self.kernel, &directory.join(KERNEL))?;
        if let Some(ramdisk) = &self.ramdisk {
            link(ramdisk, &directory.join(RAMDISK))?;
        }
        let fatal = self
            .fatal
            .iter()
            .map(|pattern| Regex::new(pattern))
            .collect::<Result<Vec<_>, _>>()?;
        let command = self.command(assets, &directory);
        let shown = directory.join("command");
        std::fs::write(&shown, command::shown(&command) + "\n").map_err(Error::file("write", &shown))?;
        Running::start(Start {
            scenario: self.scenario,
            directory,
            command,
            fatal,
            limit: self.limit,
            alone: self.alone,
        })
    }

    /// QEMU under a parent-death signal: it ends with the thread that reads its console, however that ends.
    fn command(&self, assets: &Assets, directory: &Path) -> Command {
        let mut xen_command_line = format!(
            "console=com1 com1=115200,8n1 loglvl=all guest_loglvl=all dom0_mem={memory},max:{memory}",
            memory = self.dom0_memory
        );
        for option in &self.xen_options {
            xen_command_line.push(' ');
            xen_command_line.push_str(option);
        }
        let boot = Boot {
            xen: Path::new(XEN),
            xen_command_line: &xen_command_line,
            kernel: KERNEL,
            kernel_command_line: &self.command_line,
            ramdisk: self.ramdisk.as_ref().map(|_| RAMDISK),
        };
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL"])
            .arg(&assets.qemu.program)
            .current_dir(directory);
        qemu::arguments(&mut command, &assets.qemu, &self.hardware, &boot);
        command
    }
}

/// Makes `link` point to `file`, whatever it pointed to before.
fn link(file: &Path, link: &Path) -> Result<()> {
    let file = std::path::absolute(file).map_err(Error::file("find", file))?;
    std::fs::metadata(&file).map_err(Error::file("read", &file))?;
    match std::fs::remove_file(link) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(Error::file("remove", link)(error)),
        _ => {}
    }
    std::os::unix::fs::symlink(&file, link).map_err(Error::file("link", link))
}
