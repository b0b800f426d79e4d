//! Production's data: sealed snapshots in a store on the engine, and writable clones of them.
//!
//! The store is one volume; a helper container (the agent's mode `store`) is who reads and writes
//! it. The catalogue of snapshots is one empty volume for each, whose labels hold the manifest:
//! what there is can be listed without a helper.

mod archive;
pub mod artifact;
mod catalogue;
mod clones;
pub mod dump;
mod hashing;
mod helper;
mod making;
mod moving;
mod others;
pub mod postgres;
mod remote;
mod source;

pub use archive::{check_tar, fill, pack, pieces, scratch};
pub use catalogue::{Catalogue, Entry};
pub use clones::{Clones, Given};
pub use helper::{Content, Helper, Open, Progress};
pub use making::{Made, Making, Origin, Treatment};
pub use moving::{Part, Unpacking, parts, unpacked};
pub use prodmirror_agent::wire::StoreKind;
pub use remote::Remote;
pub use source::{Pause, Sealed, SourceVolume, seal};

/// Name of the volume that is the store, where nobody says otherwise.
pub const STORE: &str = "prodmirror-store";

/// How clones of a store come about, in words for people.
pub fn kind_text(kind: StoreKind) -> &'static str {
    match kind {
        StoreKind::Btrfs => "btrfs",
        StoreKind::Overlay => "overlay",
        StoreKind::Copy => "copies",
    }
}
