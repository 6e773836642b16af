//! The command line of `domb`.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand};
use measure::Bank;

use crate::policy_command::PolicyCommand;
use crate::sign_command::{KeysCommand, SignArguments};

/// Makes what domb, the domain builder, starts from.
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
