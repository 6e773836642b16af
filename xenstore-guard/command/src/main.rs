//! The daemon `xenstore-guard`: the command line around the library.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser as _;
use manifest::toml::SourceErrors;
use xenstore_guard::arguments::{Arguments, Command};
use xenstore_guard::{Error, logging, serve};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.command {
        None => run(&arguments.serve),
        Some(Command::Serve(serve)) => run(&serve),
        Some(Command::Explain(_)) => Ok(ExitCode::SUCCESS),
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

fn run(arguments: &xenstore_guard::arguments::ServeArguments) -> Result<ExitCode, Error> {
    logging::start(arguments.log);
    serve::run(arguments).map(|()| ExitCode::SUCCESS)
}
