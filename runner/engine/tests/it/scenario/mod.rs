//! The scenario language and its step kinds, against real servers.

mod mistakes;
