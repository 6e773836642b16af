//! Runs the tasks of a domain, one at a time, and blocks when none can go on.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::task::Wake;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

use xen::event_channel::Port;
use xen::sched;

use crate::boot::Exit;
use crate::cell::Global;
use crate::{events, time};

type Task = Pin<Box<dyn Future<Output = ()>>>;
/// What [`crate::image!`] makes of an image's main function.
pub type MainFuture = Pin<Box<dyn Future<Output = Exit>>>;

const MAIN: u64 = 0;

struct Tasks {
    /// Those that wait; the one that runs is taken out.
    waiting: BTreeMap<u64, Task>,
    ready: VecDeque<u64>,
    next: u64,
}

static TASKS: Global<Tasks> = Global::new(Tasks {
    waiting: BTreeMap::new(),
    ready: VecDeque::new(),
    next: MAIN + 1,
});

struct TaskWaker(u64);

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        let mut tasks = TASKS.borrow();
        if !tasks.ready.contains(&self.0) {
            tasks.ready.push_back(self.0);
        }
    }
}

/// Starts a task beside the others.
pub fn spawn(task: impl Future<Output = ()> + 'static) {
    let mut tasks = TASKS.borrow();
    let id = tasks.next;
    tasks.next += 1;
    tasks.waiting.insert(id, Box::pin(task));
    tasks.ready.push_back(id);
}

/// Lets the other tasks that can go on do so first.
pub async fn yield_now() {
    let mut yielded = false;
    core::future::poll_fn(|context| {
        if core::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[doc(hidden)]
pub fn boxed(main: impl Future<Output = Exit> + 'static) -> MainFuture {
    Box::pin(main)
}

/// Runs `main` and what it spawns until it ends.
pub(crate) fn run(mut main: MainFuture) -> Exit {
    let timer = Port::bind_virq(xen_sys::VIRQ_TIMER).map(events::Events::listen);
    if let Err(error) = &timer {
        log::error!("no timer: {error}");
    }
    TASKS.borrow().ready.push_back(MAIN);
    loop {
        // A task that is always ready must not keep events and timers from the others.
        if events::pending() {
            events::dispatch();
        }
        time::run_due();
        let next = TASKS.borrow().ready.pop_front();
        let Some(id) = next else {
            wait();
            continue;
        };
        let waker = Waker::from(Arc::new(TaskWaker(id)));
        let mut context = Context::from_waker(&waker);
        if id == MAIN {
            if let Poll::Ready(exit) = main.as_mut().poll(&mut context) {
                return exit;
            }
            continue;
        }
        let task = TASKS.borrow().waiting.remove(&id);
        if let Some(mut task) = task
            && task.as_mut().poll(&mut context).is_pending()
        {
            TASKS.borrow().waiting.insert(id, task);
        }
    }
}

/// Waits for an event or the next timer, and wakes those concerned.
fn wait() {
    let deadline = time::run_due();
    if TASKS.borrow().ready.is_empty() && !events::pending() {
        // Xen takes zero for "no timer". A refusal cannot be mended here: the next event still wakes us.
        let _ = sched::set_timer(deadline.unwrap_or(0));
        let _ = sched::block();
        events::hold_back();
    }
    events::dispatch();
    time::run_due();
}
