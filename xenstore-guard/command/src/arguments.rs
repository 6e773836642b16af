//! The command line of `xenstore-guard`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand};
use xen::DomId;

/// Where libxenstore looks for the store.
const DEFAULT_SOCKET: &str = "/var/run/xenstored/socket";

/// A store for Xen's domains that not even the management domain can tamper with.
#[derive(Debug, Parser)]
#[command(
    name = "xenstore-guard",
    version,
    args_conflicts_with_subcommands = true,
    after_help = "Exit status: 0 done, 1 failed (standard error says why), 2 wrong usage."
)]
pub struct Arguments {
    /// What to do; `serve` where nothing is said.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The arguments of `serve`.
    #[command(flatten)]
    pub serve: ServeArguments,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve clients until SIGTERM or SIGINT (this is done where no command is given)
    #[command(after_help = "\
Clients of the socket act as domain 0 and are privileged: whoever may open it may do everything.

Domains are served over their rings: those of this host, where it has /dev/xen and --rings is not given, else the files of
--rings. A domain is served from its INTRODUCE on.")]
    Serve(ServeArguments),
    /// Tell whether a domain may do something, and by which rule
    #[command(after_help = "\
With --policy: what that manifest says, without a store. A domain is named as the manifest names it, or by a number; which
number is which domain --assign tells, and one without a name is a guest like any other.
Without: what the running store at --socket says, permissions of the node included; DOMAIN is a number there.

Exit status: 0 allowed, 3 denied, 1 failed, 2 wrong usage.")]
    Explain(ExplainArguments),
}

/// The arguments of `xenstore-guard serve`.
#[derive(Debug, Args)]
pub struct ServeArguments {
    /// The socket to serve
    #[arg(long, value_name = "PATH", default_value = DEFAULT_SOCKET)]
    pub socket: PathBuf,
    /// Serve the ring files of this directory instead of this host's domains
    #[arg(long, value_name = "DIR")]
    pub rings: Option<PathBuf>,
    /// The host manifest whose rules hold; without it a node's permissions alone decide, as in stock xenstored
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// A domain's name in the manifest; may be given again
    #[arg(long, value_name = "DOMID=NAME", requires = "policy")]
    pub assign: Vec<Assignment>,
    /// What to log: error, warn, info, debug, trace
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub log: log::LevelFilter,
    /// Take the state over that this file has, and leave it there at the end
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
}

/// The arguments of `xenstore-guard explain`.
#[derive(Debug, Args)]
pub struct ExplainArguments {
    /// Ask this manifest, not a running store
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// A domain's name in the manifest; may be given again
    #[arg(long, value_name = "DOMID=NAME", requires = "policy")]
    pub assign: Vec<Assignment>,
    /// The running store
    #[arg(long, value_name = "PATH", default_value = DEFAULT_SOCKET, conflicts_with = "policy")]
    pub socket: PathBuf,
    /// Who would ask: a number or a name
    #[arg(value_name = "DOMID|NAME")]
    pub domain: String,
    /// What for: an operation of docs/misc/xenstore.txt, such as READ, WRITE, RM, SET_PERMS, WATCH
    #[arg(value_name = "OP")]
    pub operation: String,
    /// Of which node: an absolute path, or one from the domain's home on
    #[arg(value_name = "PATH")]
    pub path: String,
}

/// A domain's name in the manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The domain.
    pub domid: DomId,
    /// The name.
    pub name: String,
}

impl FromStr for Assignment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (number, name) = text.split_once('=').ok_or("accepted: DOMID=NAME")?;
        let domid = number
            .parse()
            .map_err(|_| format!("{number:?} is not a domain's number; accepted: 0 to 65535"))?;
        if name.is_empty() {
            return Err("the name is empty".to_owned());
        }
        Ok(Self {
            domid: DomId(domid),
            name: name.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serving_is_what_is_done_without_a_command() {
        let of = |arguments: &[&str]| Arguments::try_parse_from([&["xenstore-guard"], arguments].concat());
        let plain = of(&["--socket", "s", "--rings", "r"]).unwrap();
        assert!(plain.command.is_none());
        assert_eq!(plain.serve.socket, PathBuf::from("s"));
        let Some(Command::Serve(named)) = of(&["serve", "--socket", "s"]).unwrap().command else {
            panic!("not serve");
        };
        assert_eq!(named.socket, PathBuf::from("s"));
        assert!(of(&["--socket", "s", "explain", "7", "READ", "/"]).is_err());
        assert!(of(&["--log", "loud"]).is_err());
        assert!(of(&["--assign", "7=web"]).is_err());
    }

    #[test]
    fn an_assignment_is_a_number_and_a_name() {
        let assignment: Assignment = "7=web".parse().unwrap();
        assert_eq!((assignment.domid, assignment.name.as_str()), (DomId(7), "web"));
        for text in ["7", "=web", "7=", "x=web", "65536=web", "-1=web"] {
            assert!(text.parse::<Assignment>().is_err(), "{text:?}");
        }
    }
}
