//! Many TCP connections over one pair of pipes.
//!
//! The tool opens streams by `host:port`; the agent, in mode `tunnel`, connects them.
//! Each direction of a stream has its own credit, so a stream that nobody reads
//! holds up no other. See [`frame`] for the form on the wire.

mod connection;
pub mod frame;
mod stream;

pub use connection::{Incoming, Opener, serve, start};
pub use stream::MuxStream;

/// Bytes that may be under way in each direction of a stream before credit is given.
pub const WINDOW: u32 = 512 * 1024;
