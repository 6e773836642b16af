//! Xen's system time (nanoseconds since the hypervisor started) and waiting for it.

use alloc::collections::BTreeMap;
use core::arch::x86_64::{_mm_lfence, _rdtsc};
use core::future::poll_fn;
use core::pin::{Pin, pin};
use core::sync::atomic::{AtomicU64, Ordering, fence};
use core::task::{Context, Poll, Waker};

use xen_sys as sys;

use crate::cell::Global;
use crate::layout;

static TIMERS: Global<Timers> = Global::new(Timers {
    waiting: BTreeMap::new(),
    next: 0,
});

/// The latest time given out: it never goes back.
static LAST: AtomicU64 = AtomicU64::new(0);

struct Timers {
    /// By time and order of arrival.
    waiting: BTreeMap<(u64, u64), Waker>,
    next: u64,
}

/// Nanoseconds since the hypervisor started. Never goes back.
#[must_use]
pub fn now() -> u64 {
    let time = (layout::shared_info() + core::mem::offset_of!(sys::vcpu_info, time)) as *const sys::vcpu_time_info;
    loop {
        // SAFETY: shared_info is mapped there for good; Xen changes it at any time, hence volatile and the version.
        let (before, copy) = unsafe {
            let before = (&raw const (*time).version).read_volatile();
            fence(Ordering::Acquire);
            (before, time.read_volatile())
        };
        // SAFETY: LFENCE and RDTSC read a counter, after what was read before. Between the two looks at the version: it
        // changes when this vCPU moves to another processor, whose counter may lie behind.
        let counter = unsafe {
            _mm_lfence();
            _rdtsc()
        };
        fence(Ordering::Acquire);
        // SAFETY: as above.
        let after = unsafe { (&raw const (*time).version).read_volatile() };
        if before & 1 != 0 || before != after {
            continue;
        }
        let passed = counter.saturating_sub(copy.tsc_timestamp);
        let shifted = if copy.tsc_shift < 0 {
            passed >> copy.tsc_shift.unsigned_abs().min(63)
        } else {
            passed << copy.tsc_shift.unsigned_abs().min(63)
        };
        let ns = (u128::from(shifted) * u128::from(copy.tsc_to_system_mul)) >> 32;
        let now = copy.system_time.wrapping_add(u64::try_from(ns).unwrap_or(0));
        return LAST.fetch_max(now, Ordering::Relaxed).max(now);
    }
}

/// Waits until system time `deadline` (nanoseconds).
#[must_use]
pub fn sleep_until(deadline: u64) -> Sleep {
    Sleep { deadline, key: None }
}

/// Waits until a time. Nothing is left behind when it is dropped before.
#[derive(Debug)]
pub struct Sleep {
    deadline: u64,
    /// Under which it waits.
    key: Option<(u64, u64)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut timers = TIMERS.borrow();
        if let Some(key) = self.key.take() {
            timers.waiting.remove(&key);
        }
        if now() >= self.deadline {
            return Poll::Ready(());
        }
        let new = (self.deadline, timers.next);
        timers.next += 1;
        timers.waiting.insert(new, context.waker().clone());
        self.key = Some(new);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            TIMERS.borrow().waiting.remove(&key);
        }
    }
}

/// Waits for `future`, but not beyond system time `deadline`; none when that came first.
pub async fn before<T>(deadline: u64, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut sleep = sleep_until(deadline);
    poll_fn(|context| {
        if let Poll::Ready(value) = future.as_mut().poll(context) {
            return Poll::Ready(Some(value));
        }
        Pin::new(&mut sleep).poll(context).map(|()| None)
    })
    .await
}

/// Waits for `ns` nanoseconds.
pub async fn sleep(ns: u64) {
    sleep_until(now().saturating_add(ns)).await;
}

/// Wakes what is due; the time of the next one.
pub(crate) fn run_due() -> Option<u64> {
    let now = now();
    let mut timers = TIMERS.borrow();
    loop {
        let (&(deadline, order), _) = timers.waiting.first_key_value()?;
        if deadline > now {
            return Some(deadline);
        }
        if let Some(waker) = timers.waiting.remove(&(deadline, order)) {
            waker.wake();
        }
    }
}
