//! JSON Schemas of our own files, for editors: made from tables of keys.
//!
//! A table says of each key what it takes and what it is for. The same tables are tested
//! against the readers, so that a schema has exactly the keys that are read.

mod expect;
mod flow;
mod mirror;
mod scenario;
mod shape;
mod words;

#[cfg(test)]
mod tests;

pub use mirror::{KEYS as MIRROR, mirror};
pub use scenario::{KindDoc, scenario};
pub use shape::{
    Arg, Shape, any, arg, calc, choice, duration, either, flag, integer, list, map, object, pairs,
    text, word,
};

/// The dialect of the schemas.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";
