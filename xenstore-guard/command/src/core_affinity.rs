//! Keeps the daemon on the core of its only client.

pub(crate) struct CoreAffinity;

impl CoreAffinity {
    pub(crate) fn new() -> Self {
        Self
    }

    pub(crate) fn before_wait(&mut self) {}
}
