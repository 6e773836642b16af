//! The daemon `xenstore-guard`: the command line around the library.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser as _;
use manifest::toml::SourceErrors;
use mimalloc::MiMalloc;
use xenstore_guard::arguments::{Arguments, Command, ServeArguments};
use xenstore_guard::{Error, explain, logging, serve};

/// A store is a great many small pieces of memory: this allocator keeps nothing beside each of them, and takes a fifth less than
/// glibc's for the same tree.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Exit status of `explain` where the answer is no.
const DENIED: u8 = 3;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.command {
        None => run(&arguments.serve),
        Some(Command::Serve(serve)) => run(&serve),
        Some(Command::Explain(explain)) => explain::run(&explain).map(|answer| {
            print!("{}", answer.text);
            if answer.allowed {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(DENIED)
            }
        }),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            // Places in a file stand at the start of the line, where editors look for them.
            let placed = matches!(error, Error::Manifest(SourceErrors(_)));
            eprintln!("{}{error}", if placed { "" } else { "xenstore-guard: " });
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &ServeArguments) -> Result<ExitCode, Error> {
    logging::start(arguments.log);
    serve::run(arguments).map(|()| ExitCode::SUCCESS)
}
