//! Running other programs, with their command line and output in the error.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::process::{Command, Output, Stdio};

use crate::{Error, Result};

/// The command line as a person would type it (for messages and logs; not for a shell that must get it exactly right
/// with odd characters in file names).
pub(crate) fn shown(command: &Command) -> String {
    let mut text = quoted(command.get_program());
    for argument in command.get_args() {
        let _ = write!(text, " {}", quoted(argument));
    }
    text
}

fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into_owned()
    } else {
        format!("'{word}'")
    }
}

/// Runs to the end without input; anything but success is an error with the end of the output.
pub(crate) fn run(command: &mut Command) -> Result<Output> {
    let output = command.stdin(Stdio::null()).output().map_err(|source| Error::Start {
        command: shown(command),
        source,
    })?;
    if output.status.success() {
        return Ok(output);
    }
    let mut printed = String::from_utf8_lossy(&output.stdout).into_owned();
    printed.push_str(&String::from_utf8_lossy(&output.stderr));
    Err(Error::Command {
        command: shown(command),
        status: output.status.to_string(),
        output: last_lines(&printed, 20),
    })
}

/// Runs to the end and gives its standard output as text.
pub(crate) fn text_of(command: &mut Command) -> Result<String> {
    Ok(String::from_utf8_lossy(&run(command)?.stdout).into_owned())
}

/// The program itself where this process is root, `sudo program` elsewhere.
pub(crate) fn as_root(program: &str) -> Result<Command> {
    let id = text_of(Command::new("id").arg("-u"))?;
    if id.trim() == "0" {
        return Ok(system_program(program));
    }
    let mut command = Command::new("sudo");
    command.arg(program);
    Ok(command)
}

/// A program that may live in a directory that is not on an ordinary user's path.
pub(crate) fn system_program(program: &str) -> Command {
    let mut command = Command::new(program);
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/local/sbin:/usr/sbin:/sbin"));
    command
}

/// The last `count` lines.
pub(crate) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines
        .get(lines.len().saturating_sub(count)..)
        .unwrap_or_default()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_command_shows_its_line_status_and_output() {
        let error = run(Command::new("sh").args(["-c", "echo seen; exit 3"]))
            .unwrap_err()
            .to_string();
        assert_eq!(error, "`sh -c 'echo seen; exit 3'` failed (exit status: 3):\nseen");
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = run(&mut Command::new("no-such-program-here")).unwrap_err().to_string();
        assert!(error.starts_with("cannot start `no-such-program-here`"), "{error}");
    }
}
