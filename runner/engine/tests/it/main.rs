//! Tests against a real engine. Without one they fail, unless `PRODMIRROR_NO_ENGINE` is
//! set: then each says that it was skipped.

#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]
#![expect(clippy::print_stdout, reason = "what was skipped or measured is said")]

mod agent;
mod fingerprint;
mod images;
mod live;
mod scenario;
