//! Where an image's text goes: Xen's console for the initial domain, the console ring for every other.

use core::fmt;

use xen::event_channel::Port;
use xen::ring::{CONSOLE_IN, CONSOLE_OUT, SharedPage};
use xen::{console_io, sched};

use crate::cell::Global;

enum Console {
    /// Xen's own.
    Xen,
    /// A ring that another domain serves.
    Ring { page: SharedPage<'static>, port: Port },
}

static CONSOLE: Global<Console> = Global::new(Console::Xen);

/// Uses the ring at `page`, served over event channel `port`.
pub(crate) fn use_ring(page: SharedPage<'static>, port: Port) {
    *CONSOLE.borrow() = Console::Ring { page, port };
}

/// Writes bytes, waiting while the ring is full.
pub fn write(bytes: &[u8]) {
    if let Some(mut console) = CONSOLE.try_borrow() {
        console.write(bytes);
    }
}

/// Reads what was typed, without waiting; the number of bytes put into `buffer`.
pub fn read(buffer: &mut [u8]) -> usize {
    match &*CONSOLE.borrow() {
        Console::Xen => console_io::read(buffer).unwrap_or(0),
        Console::Ring { page, port } => {
            let count = CONSOLE_IN.read(*page, buffer).unwrap_or_else(|_| {
                CONSOLE_IN.resynchronise(*page);
                0
            });
            let _ = port.notify();
            count
        }
    }
}

impl Console {
    fn write(&mut self, bytes: &[u8]) {
        match self {
            // There is nowhere to report a console that fails.
            Self::Xen => {
                let _ = console_io::write(bytes);
            }
            Self::Ring { page, port } => {
                let mut rest = bytes;
                // A server that never reads must not hold this domain up for good.
                let mut patience = 1_000;
                while !rest.is_empty() && patience > 0 {
                    let count = CONSOLE_OUT.write(*page, rest).unwrap_or(rest.len());
                    rest = rest.get(count..).unwrap_or_default();
                    let _ = port.notify();
                    if count == 0 {
                        patience -= 1;
                        sched::yield_now();
                    }
                }
            }
        }
    }
}

/// Formatted writing to the console.
pub(crate) struct Writer;

impl fmt::Write for Writer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        write(text.as_bytes());
        Ok(())
    }
}
