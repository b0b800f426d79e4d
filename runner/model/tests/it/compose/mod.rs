//! The Compose reader.

mod compare;
mod corpus;
mod oracle;

use libtest_mimic::Trial;

pub fn trials() -> Vec<Trial> {
    corpus::trials()
}
