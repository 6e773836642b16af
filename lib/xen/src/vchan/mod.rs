//! A stream of bytes in each direction between two domains, in the layout of libxenvchan (public/io/libxenvchan.h), so
//! that either end can be Xen's own library.
//!
//! The server's domain grants the pages and offers the event channel; the client maps and binds. The *left* ring
//! carries what the client writes, the *right* one what the server writes.
//!
//! - [`Orders`]: the sizes of the rings, and where their bytes and the grant list lie.
//! - [`SharedPages`]: the pages, whoever has them: [`LocalPages`] of this process stand in for shared ones.
//! - [`End`]: one end of a connection: reads, writes, and says when the other end wants an event.
//! - [`Pipe`]: an end with its pages and events, for whoever moves bytes.
//! - [`Server`]: offers one client after the other the same pages.
//!
//! An end believes nothing that the other can write. Its own indices it keeps for itself and only publishes; the
//! other's are read once and checked; an impossible one is an error that concerns this channel alone. What an end costs
//! in time is bounded by the buffer that its caller gives.

mod end;
mod layout;
mod pages;
mod server;
#[cfg(test)]
mod tests;

pub use end::{End, Transfer};
pub use layout::{BadOrders, MAX_ORDER, Orders};
#[cfg(feature = "linux")]
pub(crate) use layout::{CLIENT_LIVE, SERVER_LIVE};
pub use pages::{LocalPages, Pipe, SharedPages};
pub use server::{Change, Server};
