//! The command line of `domb`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{ArgGroup, Args, Parser, Subcommand};
use measure::Bank;

use crate::policy_command::PolicyCommand;
use crate::sign_command::{KeysCommand, SignArguments};

/// Makes what domb, the domain builder, starts from, and asks it for what is to be done.
#[derive(Debug, Parser)]
#[command(
    name = "domb",
    version,
    after_help = "Exit status: 0 done, 1 failed (standard error says why), 2 wrong usage; of `policy explain` also 3 denied."
)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write the bundle of a host: its manifest and all images, for the boot loader to hand to domb
    #[command(after_help = "\
bzImages (gzip, XZ, LZMA, LZ4, zstd) are unpacked to the ELF file that domb will load; ELF files and all others are
kept as they are. The same files give the same bundle, byte for byte.

What is wrong with the manifest is told as FILE:LINE:COLUMN: KEY: what, and which values are accepted.")]
    Bundle(BundleArguments),
    /// Print the records that domb will write into its event log
    #[command(after_help = "\
With HOST.toml: the records of the host's start, in the log's order. With HOST.toml and DOMAIN: those of that domain.
With --kernel, --ramdisk, --cmdline: those of the files.

A line of text has: the PCR, the bank, the digest, and what was hashed. What is hashed:
  0  domb                    domb's memory image, from its first loaded byte to the last one that is in its file
  0  domb command line       its bytes
  0  manifest                the canonical encoding of the manifest
  1  NAME: configuration     the canonical encoding of the domain's entry in the manifest
  8  NAME: command line      its bytes
  9  NAME: kernel            the ELF file, of a bzImage the unpacked one
  9  NAME: ramdisk           the file")]
    Measure(MeasureArguments),
    /// Print the guest of an xl configuration as TOML
    #[command(after_help = "\
Reads what `xl create` of Xen 4.17 to 4.20 reads. A key that cannot be honoured is an error, and so is one that xl would pass
over: all of them are told as FILE:LINE:COLUMN: KEY: why. Keys that say nothing beside others are noted as warnings.

A UUID and Ethernet addresses that the file does not give are left out: they follow from the names of host and guest.")]
    Convert(ConvertArguments),
    /// Sign an image, so that a class of guests with `signed-by` accepts it
    #[command(after_help = "\
What is signed is what domb loads: of a bzImage the unpacked ELF file. The signature is for one purpose, kernel or ramdisk.")]
    Sign(SignArguments),
    /// Keys that sign images
    #[command(subcommand)]
    Keys(KeysCommand),
    /// What domains may ask domb for
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// What is done in the management domain.
    #[command(flatten)]
    Manage(Manage),
}

/// Commands of the management domain. DOMAIN is a name, a number or a UUID.
#[derive(Debug, Subcommand)]
pub enum Manage {
    /// List the domains that this one may know of
    #[command(visible_alias = "ls")]
    List {
        /// Only these
        #[arg(value_name = "DOMAIN")]
        domains: Vec<String>,
    },
    /// Tell about the host: processors, memory, versions
    Info,
    /// Create a guest and start it
    #[command(after_help = "\
FILE is read as TOML where its name ends in .toml: the keys of a [[domain]] of a host manifest. Else it is read as xl reads it, and
KEY=VALUE are added to it. Kernel and ramdisk are paths of files here, relative to the folder of FILE. Images that domb holds are
not sent again.")]
    Create(CreateArguments),
    /// Start a domain of the host manifest
    Start {
        /// Which one
        #[arg(value_name = "DOMAIN")]
        domain: String,
    },
    /// End a domain at once
    Destroy {
        /// Which one
        #[arg(value_name = "DOMAIN")]
        domain: String,
    },
    /// Ask domains to power off
    Shutdown {
        /// Which ones
        #[arg(value_name = "DOMAIN", required = true)]
        domains: Vec<String>,
    },
    /// Ask domains to reboot
    Reboot {
        /// Which ones
        #[arg(value_name = "DOMAIN", required = true)]
        domains: Vec<String>,
    },
    /// Stop a domain's vCPUs
    Pause {
        /// Which one
        #[arg(value_name = "DOMAIN")]
        domain: String,
    },
    /// Let them go on
    Unpause {
        /// Which one
        #[arg(value_name = "DOMAIN")]
        domain: String,
    },
    /// Set the memory that a domain is to have
    MemSet {
        /// Which one
        #[arg(value_name = "DOMAIN")]
        domain: String,
        /// How much, in MiB, or with a unit: k, m, g, t
        #[arg(value_name = "MEM")]
        memory: Memory,
    },
    /// Set how many vCPUs a domain is to use
    VcpuSet {
        /// Which one
        #[arg(value_name = "DOMAIN")]
        domain: String,
        /// How many
        #[arg(value_name = "VCPUS")]
        vcpus: u16,
    },
    /// List the vCPUs of domains
    VcpuList {
        /// Only these
        #[arg(value_name = "DOMAIN")]
        domains: Vec<String>,
    },
    /// Print a domain's number
    Domid {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Print a domain's name
    Domname {
        /// Its number
        #[arg(value_name = "DOMID")]
        domid: u16,
    },
    /// Tell since when domains run
    Uptime {
        /// Only these
        #[arg(value_name = "DOMAIN")]
        domains: Vec<String>,
    },
    /// Print Xen's log
    Dmesg {
        /// Forget it afterwards
        #[arg(short, long)]
        clear: bool,
    },
    /// Print domb's own log, as far as domb keeps it
    Log,
}

/// The arguments of `domb create`.
#[derive(Debug, Args)]
pub struct CreateArguments {
    /// The guest's configuration
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// What is added to a configuration of xl
    #[arg(value_name = "KEY=VALUE")]
    pub settings: Vec<String>,
    /// The class of the policy that it is to be in; without it the first one that it fits
    #[arg(long, value_name = "CLASS")]
    pub class: Option<String>,
    /// Its name, in place of the one in the file
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Leave it paused
    #[arg(short, long)]
    pub paused: bool,
}

/// An amount of memory as xl takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory(u64);

impl Memory {
    /// In KiB.
    #[must_use]
    pub fn kib(self) -> u64 {
        self.0
    }
}

impl FromStr for Memory {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no amount; accepted: a number of MiB, or with a unit: k, m, g, t");
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = text.get(digits.len()..).unwrap_or_default().to_ascii_lowercase();
        let kib = match unit.trim_end_matches('b') {
            "k" => 1,
            "" | "m" => 1 << 10,
            "g" => 1 << 20,
            "t" => 1 << 30,
            _ => return Err(wrong()),
        };
        let number: u64 = digits.parse().map_err(|_| wrong())?;
        number.checked_mul(kib).map(Self).ok_or_else(wrong)
    }
}

/// The arguments of `domb convert`.
#[derive(Debug, Args)]
pub struct ConvertArguments {
    /// The configuration that xl reads; - for standard input
    #[arg(value_name = "FILE.cfg")]
    pub file: PathBuf,
    /// The file to write, instead of standard output
    #[arg(short, long, value_name = "GUEST.toml")]
    pub output: Option<PathBuf>,
}

/// The arguments of `domb bundle`.
#[derive(Debug, Args)]
pub struct BundleArguments {
    /// The host manifest
    #[arg(value_name = "HOST.toml")]
    pub host: PathBuf,
    /// The bundle to write
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Write the bundle although there are domains that domb will refuse: it starts the others
    #[arg(long)]
    pub force: bool,
}

/// The arguments of `domb measure`.
#[derive(Debug, Args)]
#[group(skip)]
#[command(group = ArgGroup::new("what").required(true).multiple(true).args(["host", "kernel", "ramdisk", "cmdline"]))]
pub struct MeasureArguments {
    /// The host manifest
    #[arg(value_name = "HOST.toml", conflicts_with_all = ["kernel", "ramdisk", "cmdline", "name", "bank"])]
    pub host: Option<PathBuf>,
    /// One domain of the manifest
    #[arg(value_name = "DOMAIN", requires = "host", conflicts_with_all = ["domb", "domb_cmdline"])]
    pub domain: Option<String>,
    /// A guest's kernel: a bzImage or an ELF file
    #[arg(long, value_name = "FILE")]
    pub kernel: Option<PathBuf>,
    /// A guest's initial ramdisk
    #[arg(long, value_name = "FILE")]
    pub ramdisk: Option<PathBuf>,
    /// A guest's command line
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub cmdline: Option<String>,
    /// The guest's name, in its records
    #[arg(long, value_name = "NAME", default_value = "guest")]
    pub name: String,
    /// A digest to compute: sha256 or sha384; may be given again
    #[arg(long, value_name = "BANK", default_value = "sha256")]
    pub bank: Vec<Bank>,
    /// domb's ELF file: print its record too
    #[arg(long, value_name = "FILE", conflicts_with_all = ["kernel", "ramdisk", "cmdline"])]
    pub domb: Option<PathBuf>,
    /// domb's command line: print its record too
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["kernel", "ramdisk", "cmdline"], allow_hyphen_values = true)]
    pub domb_cmdline: Option<String>,
    /// Print the values that PCRs have after these records and no others, too
    #[arg(long)]
    pub pcrs: bool,
    /// Write these records as a TCG2 event log, too
    #[arg(long, value_name = "FILE")]
    pub event_log: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
