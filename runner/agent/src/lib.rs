//! What the tool and its agent say to each other.
//!
//! The agent is a static program that the tool puts into a stack. This library
//! holds the parts that both sides need: the configuration and the events
//! ([`wire`]), and the multiplexed connections over one pipe ([`mux`]).

pub mod mux;
pub mod wire;
