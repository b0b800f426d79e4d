//! The Compose reader.

mod cases;
mod compare;
mod corpus;
mod oracle;

use libtest_mimic::Trial;

pub fn trials() -> Vec<Trial> {
    corpus::trials()
        .into_iter()
        .chain(cases::trials())
        .collect()
}
