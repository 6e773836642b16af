//! Relays what domains print to Xen's console, a line at a time under the domain's name.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use core::cell::RefCell;

use domb_core::console::Lines;
use stubdom::events::Events;
use stubdom::{console, executor, time};
use xen::DomId;
use xen::event_channel::Port;
use xen::grant_table::GrantedPage;
use xen::ring::CONSOLE_OUT;

/// Bytes that a domain may print at once before it has to wait for its turn.
const BURST: i64 = 256 << 10;
/// Bytes that a domain may print in a second on average. More waits in its ring, and then in the domain.
const BYTES_PER_SECOND: u64 = 8 << 10;
/// What an event counts for that brings no output, in bytes.
const EVENT_COST: u64 = 16;
const SECOND_NS: u64 = 1_000_000_000;

/// The consoles that are served.
#[derive(Default)]
pub(crate) struct Relays {
    active: BTreeMap<DomId, Rc<Relay>>,
}

struct Relay {
    name: String,
    events: Events,
    output: RefCell<Output>,
}

struct Output {
    /// The ring; none when the domain is going.
    page: Option<GrantedPage>,
    lines: Lines,
    /// Bytes that may be printed now; less than zero when more came out than was allowed.
    allowance: i64,
    /// System time of the last look.
    looked: u64,
    /// It was said that the ring's indices cannot be. Once is enough: the domain can bring it about as often as it likes.
    complained: bool,
}

impl Relays {
    pub(crate) fn attach(&mut self, name: &str, domid: DomId, port: u32) -> xen::Result<()> {
        // By the grant that the domain was built with, as any other server would.
        let page = GrantedPage::map(domid, xen::GRANT_RESERVED_CONSOLE)?;
        let events = Events::listen(Port::bind_interdomain(domid, port)?);
        let output = Output {
            page: Some(page),
            lines: Lines::default(),
            allowance: BURST,
            looked: time::now(),
            complained: false,
        };
        let relay = Rc::new(Relay {
            name: name.into(),
            events,
            output: RefCell::new(output),
        });
        self.active.insert(domid, Rc::clone(&relay));
        executor::spawn(relay.run());
        Ok(())
    }

    pub(crate) fn detach(&mut self, domid: DomId) {
        if let Some(relay) = self.active.remove(&domid) {
            // Its last words, one ring of them at most: it may still run and write on. Then nothing of it stays mapped.
            relay.pass_on();
            let mut output = relay.output.borrow_mut();
            output.lines.finish(|line| {
                print(&relay.name, line);
            });
            output.page = None;
            relay.events.wake();
        }
    }
}

impl Relay {
    async fn run(self: Rc<Self>) {
        loop {
            if self.output.borrow().page.is_none() {
                return;
            }
            if self.refill() <= 0 {
                // Its events are held back, too: they would keep the builder busy.
                self.events.mask();
                time::sleep(SECOND_NS / 4).await;
                // It cannot fail for a port of our own.
                let _ = self.events.port().unmask();
                continue;
            }
            let (passed, cost) = self.pass_on();
            {
                let mut output = self.output.borrow_mut();
                output.allowance = output.allowance.saturating_sub_unsigned(cost.max(EVENT_COST));
            }
            if passed == 0 {
                self.events.next().await;
            } else {
                executor::yield_now().await;
            }
        }
    }

    /// What may be printed now; zero or less: nothing.
    fn refill(&self) -> i64 {
        let mut output = self.output.borrow_mut();
        let now = time::now();
        let earned =
            u128::from(now.saturating_sub(output.looked)) * u128::from(BYTES_PER_SECOND) / u128::from(SECOND_NS);
        let earned = i64::try_from(earned).unwrap_or(BURST);
        if earned > 0 {
            output.looked = now;
            output.allowance = output.allowance.saturating_add(earned).min(BURST);
        }
        output.allowance
    }

    /// Passes on what is in the ring, a ring full at most: how many bytes came, and how many were printed for them.
    fn pass_on(&self) -> (usize, u64) {
        let mut output = self.output.borrow_mut();
        let mut buffer = [0; 2048];
        let Output {
            page,
            lines,
            complained,
            ..
        } = &mut *output;
        let Some(page) = page.as_ref().and_then(GrantedPage::shared_page) else {
            return (0, 0);
        };
        let count = match CONSOLE_OUT.read(page, &mut buffer) {
            Ok(count) => count,
            Err(problem) => {
                if !core::mem::replace(complained, true) {
                    log::warn!("console of {}: {problem}", self.name);
                }
                CONSOLE_OUT.resynchronise(page);
                0
            }
        };
        let mut printed = 0;
        lines.push(buffer.get(..count).unwrap_or_default(), |line| {
            printed += print(&self.name, line);
        });
        if count > 0 {
            // The domain may wait for room. When it is gone, so is its need.
            let _ = self.events.port().notify();
        }
        (count, printed.max(count as u64))
    }
}

/// Prints a line; its bytes.
fn print(name: &str, line: &str) -> u64 {
    let text = format!("{name}| {line}\n");
    console::write(text.as_bytes());
    text.len() as u64
}
