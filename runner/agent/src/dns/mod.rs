//! DNS messages, and the few questions that the program itself asks.

mod client;
mod lookup;
mod message;
mod records;

pub use client::{ENGINE_RESOLVER, exchange_tcp, exchange_udp, resolve};
pub use lookup::run;
pub use message::{Code, Question, Reply, answer_without_records, query, type_name, type_number};

/// The largest DNS message.
pub const MAX_MESSAGE: usize = 65_535;
