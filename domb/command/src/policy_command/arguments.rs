//! The command line of `domb policy`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand};
use manifest::{BackendClass, Request};

use super::DeviceName;

/// What to do with a policy.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Print what domb will decide, and the rule that says so
    #[command(after_help = "\
Exit status: 0 allowed, 3 denied, 1 failed (standard error says why), 2 wrong usage. With several guests 3 if one is denied.

What a request is about: guests, each in a file of its own (GUEST.toml, or GUEST.cfg of xl); any guest of a class (--class); a
domain of the manifest (--host-domain); or the host (host-info, host-log, xen-log, policy-explain). Guests to be created are
taken one after the other, each while those before it exist. Signatures of an image are read from IMAGE.sig beside it.")]
    Explain(ExplainArguments),
}

/// The arguments of `domb policy explain`.
#[derive(Debug, Args)]
pub struct ExplainArguments {
    /// The host manifest
    #[arg(value_name = "HOST.toml")]
    pub host: PathBuf,
    /// The domain that asks
    #[arg(value_name = "DOMAIN")]
    pub domain: String,
    /// What it asks for: create, destroy, list … (as in `may` of the manifest)
    #[arg(value_name = "REQUEST")]
    pub request: RequestName,
    /// The guests that it is about
    #[arg(value_name = "GUEST.toml", conflicts_with = "host_domain")]
    pub guests: Vec<PathBuf>,
    /// The class that is named with the request; default: the first that a guest fits
    #[arg(long, value_name = "NAME", conflicts_with = "host_domain")]
    pub class: Option<String>,
    /// A domain of the manifest that it is about
    #[arg(long, value_name = "NAME")]
    pub host_domain: Option<String>,
    /// Of memory-set: the new memory in MiB
    #[arg(long, value_name = "MIB")]
    pub memory: Option<Mib>,
    /// Of vcpu-set: the new number of vCPUs
    #[arg(long, value_name = "NUMBER")]
    pub vcpus: Option<u16>,
    /// Of device-attach: what it is (vif, vbd …) and the domain that serves it
    #[arg(long, value_name = "KIND:DOMAIN")]
    pub device: Option<DeviceName>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// A request by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestName(pub Request);

impl FromStr for RequestName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Request::ALL.into_iter().find(|request| request.name() == text);
        found.map(Self).ok_or_else(|| {
            let names = Request::ALL.map(Request::name).join(", ");
            format!("accepted: {names}")
        })
    }
}

/// A number of MiB, in KiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mib(pub u64);

impl FromStr for Mib {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mib: Option<u64> = text.parse().ok();
        mib.and_then(|mib| mib.checked_mul(1 << 10))
            .map(Self)
            .ok_or_else(|| "accepted: a whole number of MiB".into())
    }
}

impl FromStr for DeviceName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, domain) = text.split_once(':').ok_or("accepted: KIND:DOMAIN, such as vif:net1")?;
        let class = BackendClass::ALL.into_iter().find(|class| class.name() == kind);
        let class = class.ok_or_else(|| {
            let names = BackendClass::ALL.map(BackendClass::name).join(", ");
            format!("kind {kind:?}; accepted: {names}")
        })?;
        Ok(Self(class, domain.into()))
    }
}
