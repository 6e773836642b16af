//! What the scenarios, the demo and the benchmark share: a host described in a few lines, booted on real Xen, and
//! spoken to over its operator's console.
#![forbid(unsafe_code)]

mod host;
mod session;

pub use host::{Guest, HostFile, image_path, program};
pub use session::{Created, Session};

/// Guards against hanging only; nothing is measured by it.
pub const LONG: std::time::Duration = std::time::Duration::from_secs(300);
