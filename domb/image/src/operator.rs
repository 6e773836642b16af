//! Obeys what is typed on the machine's own console.

use alloc::format;
use alloc::string::String;

use domb_core::host::{Asked, RequestError, Shutdown};
use domb_core::operator::{HELP, LineReader, Pattern, Request, parse};
use log::{error, info};
use stubdom::events::Events;
use stubdom::{Exit, console, executor};
use xen::event_channel::Port;

use crate::{Armed, TheHost, arm};

/// Bytes of the event log on a line.
const BYTES_PER_LINE: usize = 64;

/// Serves the operator until one asks for the end.
pub(crate) async fn serve(host: &TheHost, armed: &Armed) -> Exit {
    let typed = match Port::bind_virq(xen::VIRQ_CONSOLE) {
        Ok(port) => Events::listen(port),
        Err(problem) => {
            error!("no operator console: {problem}");
            return core::future::pending().await;
        }
    };
    info!("operator console ready: {HELP}");
    let mut reader = LineReader::default();
    loop {
        let mut buffer = [0; 128];
        let count = console::read(&mut buffer);
        if count == 0 {
            typed.next().await;
            continue;
        }
        for &byte in buffer.get(..count).unwrap_or_default() {
            let Some(line) = reader.push(byte) else { continue };
            match parse(&line) {
                Ok(Request::Reboot) => return Exit::Reboot,
                Ok(Request::Halt) => return Exit::Poweroff,
                Ok(request) => {
                    obey(host, &request).await;
                    // What did not go well may have to be tried again.
                    arm(host, armed);
                }
                Err(problem) => answer(&format!("error: {problem}")),
            }
            // Each request's answer ends so, whatever came of it.
            answer("done");
        }
    }
}

async fn obey(host: &TheHost, request: &Request) {
    match request {
        Request::Create(pattern) => {
            each(host, pattern, "created", |name| {
                host.borrow_mut().create(name).map(|_| ())
            })
            .await;
        }
        Request::Destroy(pattern) => each(host, pattern, "destroyed", |name| host.borrow_mut().destroy(name)).await,
        Request::Pause(pattern) => each(host, pattern, "paused", |name| host.borrow_mut().pause(name)).await,
        Request::Unpause(pattern) => each(host, pattern, "unpaused", |name| host.borrow_mut().unpause(name)).await,
        Request::Crash(pattern) => each(host, pattern, "crashed", |name| host.borrow_mut().crash(name)).await,
        Request::Shutdown(pattern) => ask(host, pattern, Shutdown::Poweroff).await,
        Request::Restart(pattern) => ask(host, pattern, Shutdown::Reboot).await,
        Request::Store => {
            for line in host.borrow_mut().store_report() {
                answer(&line);
            }
        }
        Request::List => {
            for line in host.borrow_mut().list() {
                answer(&line);
            }
        }
        Request::Memory => match host.borrow_mut().memory() {
            Ok(line) => answer(&format!("{line} heap_bytes={}", stubdom::heap_used())),
            Err(problem) => answer(&format!("error: {problem}")),
        },
        Request::EventLog => event_log(host.borrow().event_log()),
        Request::Help => answer(HELP),
        Request::Reboot | Request::Halt => {}
    }
}

/// Asks every guest that is meant to end itself.
async fn ask(host: &TheHost, pattern: &Pattern, how: Shutdown) {
    each(host, pattern, "asked", |name| {
        let asked = host.borrow_mut().shutdown(name, how)?;
        if asked == Asked::Unannounced {
            answer(&format!(
                "warning: {name}: has not said that it obeys; it may be starting still"
            ));
        }
        Ok(())
    })
    .await;
}

/// Does something with every domain that is meant; the other tasks have their turn in between.
async fn each(host: &TheHost, pattern: &Pattern, done: &str, mut action: impl FnMut(&str) -> Result<(), RequestError>) {
    let names = host.borrow().names(|name| pattern.matches(name));
    if names.is_empty() {
        answer(&format!("error: {}: {}", pattern.text(), RequestError::Unknown));
        return;
    }
    let mut count = 0;
    for name in &names {
        match action(name) {
            Ok(()) => count += 1,
            Err(problem) => answer(&format!("error: {name}: {problem}")),
        }
        executor::yield_now().await;
    }
    answer(&format!("{done} {count} of {}", names.len()));
}

fn event_log(bytes: &[u8]) {
    use core::fmt::Write;
    for part in bytes.chunks(BYTES_PER_LINE) {
        let mut line = String::from("eventlog ");
        for byte in part {
            // Writing to a String cannot fail.
            let _ = write!(line, "{byte:02x}");
        }
        answer(&line);
    }
}

fn answer(line: &str) {
    console::write(format!("operator: {line}\n").as_bytes());
}
