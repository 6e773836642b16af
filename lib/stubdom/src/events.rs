//! Event channels of this domain, delivered by the two-level bitmaps of `shared_info` (public/xen.h).

use alloc::collections::BTreeMap;
use core::future::poll_fn;
use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use core::task::{Poll, Waker};

use xen::event_channel::Port;
use xen_sys as sys;

use crate::cell::Global;
use crate::layout;

#[derive(Default)]
struct Waiting {
    fired: bool,
    waker: Option<Waker>,
}

impl Waiting {
    fn fire(&mut self) {
        self.fired = true;
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

static PORTS: Global<BTreeMap<u32, Waiting>> = Global::new(BTreeMap::new());

/// A port whose events can be waited for. Events that come before anyone waits are kept, as one.
#[derive(Debug)]
pub struct Events {
    port: Port,
}

impl Events {
    /// Listens to a port. What is pending on it already counts.
    #[must_use]
    pub fn listen(port: Port) -> Self {
        PORTS.borrow().insert(port.number(), Waiting::default());
        Self { port }
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> &Port {
        &self.port
    }

    /// Holds events of this port back until its `unmask`, which delivers one that came meanwhile.
    pub fn mask(&self) {
        let port = self.port.number();
        let bitmap = layout::shared_info() + core::mem::offset_of!(sys::shared_info, evtchn_mask);
        // SAFETY: as in `dispatch`; Xen's two-level ports are below 4096, so the word is one of 64.
        let word = unsafe { AtomicU64::from_ptr((bitmap as *mut u64).add((port / 64 % 64) as usize)) };
        word.fetch_or(1 << (port % 64), Ordering::SeqCst);
    }

    /// Wakes who waits here, as an event would.
    pub fn wake(&self) {
        if let Some(waiting) = PORTS.borrow().get_mut(&self.port.number()) {
            waiting.fire();
        }
    }

    /// Waits for the next event with the whole domain: no other task runs meanwhile. False when none came before system
    /// time `until` (nanoseconds).
    #[must_use]
    pub fn wait_alone(&self, until: u64) -> bool {
        let port = self.port.number();
        loop {
            dispatch();
            if let Some(waiting) = PORTS.borrow().get_mut(&port)
                && core::mem::take(&mut waiting.fired)
            {
                return true;
            }
            if crate::time::now() >= until {
                return false;
            }
            // A refusal would turn this into a busy wait until `until`, no more.
            let _ = xen::sched::poll(&[port], until);
        }
    }

    /// Waits for the next event, or for the end of this value.
    pub fn next(&self) -> impl Future<Output = ()> + use<> {
        let port = self.port.number();
        poll_fn(move |context| {
            let mut ports = PORTS.borrow();
            let Some(waiting) = ports.get_mut(&port) else {
                return Poll::Ready(());
            };
            if core::mem::take(&mut waiting.fired) {
                return Poll::Ready(());
            }
            waiting.waker = Some(context.waker().clone());
            Poll::Pending
        })
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        if let Some(mut waiting) = PORTS.borrow().remove(&self.port.number()) {
            waiting.fire();
        }
    }
}

fn vcpu_word(offset: usize) -> *mut u8 {
    (layout::shared_info() + offset) as *mut u8
}

/// Whether an event waits to be looked at.
pub(crate) fn pending() -> bool {
    // SAFETY: shared_info is mapped for good; atomic, since Xen writes it too.
    unsafe { AtomicU8::from_ptr(vcpu_word(core::mem::offset_of!(sys::vcpu_info, evtchn_upcall_pending))) }
        .load(Ordering::Acquire)
        != 0
}

/// Masks events again after the domain blocked. Xen did so if it delivered one; it need not have.
pub(crate) fn hold_back() {
    // SAFETY: as in `pending`.
    unsafe { AtomicU8::from_ptr(vcpu_word(core::mem::offset_of!(sys::vcpu_info, evtchn_upcall_mask))) }
        .store(1, Ordering::Release);
}

/// Takes all pending events and wakes who waits for them.
pub(crate) fn dispatch() {
    // SAFETY: as in `pending`; the bitmaps are arrays of 64 words.
    let (upcall, selector, bitmap) = unsafe {
        (
            AtomicU8::from_ptr(vcpu_word(core::mem::offset_of!(sys::vcpu_info, evtchn_upcall_pending))),
            AtomicU64::from_ptr(vcpu_word(core::mem::offset_of!(sys::vcpu_info, evtchn_pending_sel)).cast()),
            layout::shared_info() + core::mem::offset_of!(sys::shared_info, evtchn_pending),
        )
    };
    upcall.store(0, Ordering::SeqCst);
    let mut words = selector.swap(0, Ordering::SeqCst);
    let mut ports = PORTS.borrow();
    while words != 0 {
        let word = words.trailing_zeros();
        words &= words - 1;
        // SAFETY: word is at most 63.
        let pending = unsafe { AtomicU64::from_ptr((bitmap as *mut u64).add(word as usize)) };
        let mut bits = pending.swap(0, Ordering::SeqCst);
        while bits != 0 {
            let port = word * 64 + bits.trailing_zeros();
            bits &= bits - 1;
            if let Some(waiting) = ports.get_mut(&port) {
                waiting.fire();
            }
        }
    }
}
