//! What the runner and the mode `store` say to each other, as JSON Lines over stdin and stdout.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Configuration of mode `store`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreConfig {
    /// Directory of the store's volume.
    pub dir: String,
    /// Name of who uses it, of its own in the whole store: its clones are called after it, and go
    /// when it is gone.
    pub holder: String,
    /// The same directory on the engine's host.
    #[serde(default)]
    pub host_dir: String,
    /// How contents are kept and cloned; absent = as was decided for this store before, else the
    /// best way that there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<StoreKind>,
    /// Whether it goes on when stdin ends.
    #[serde(default)]
    pub stay: bool,
}

/// How contents are kept and cloned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StoreKind {
    /// Subvolumes of a btrfs file system in a file.
    Btrfs,
    /// A layer over a directory.
    Overlay,
    /// Copies.
    Copy,
}

/// Something that is asked of a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreRequest {
    /// Its number, which the answer has too.
    pub id: u64,
    /// What.
    #[serde(flatten)]
    pub ask: StoreAsk,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum StoreAsk {
    /// Copies a directory into the store and seals it. Answers with its content.
    Import {
        /// The directory.
        from: String,
    },
    /// Makes a clone of a sealed content.
    Clone {
        /// Hash of the content.
        content: String,
        /// Name of the clone.
        clone: String,
    },
    /// Makes a clone of a clone.
    Fork {
        /// The clone that is copied.
        of: String,
        /// Name of the new one.
        clone: String,
    },
    /// Removes a clone.
    Drop {
        /// The clone.
        clone: String,
    },
    /// Removes a sealed content.
    Remove {
        /// Its hash.
        content: String,
    },
    /// Reads a sealed content again.
    Verify {
        /// Its hash.
        content: String,
    },
    /// What the store holds.
    List,
    /// Makes an empty clone, by which it can be tried whether the engine mounts it.
    Try {
        /// Name of the clone.
        clone: String,
    },
    /// Decides for all who open this store later how contents are kept.
    Decide,
}

/// What a store answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ev", rename_all = "snake_case")]
pub enum StoreReply {
    /// Once, when it can be asked.
    Open {
        /// How it keeps and clones contents.
        kind: StoreKind,
        /// Whether that was decided before.
        decided: bool,
        /// Bytes of the disk that the store lies on, and those of them that are free.
        total: u64,
        /// See `total`.
        free: u64,
    },
    /// While something is read.
    Progress {
        /// Number of the request.
        id: u64,
        /// Bytes so far.
        bytes: u64,
    },
    /// It was done.
    Done {
        /// Number of the request.
        id: u64,
        /// What it holds, where a content was read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        content: Option<StoredContent>,
        /// Options of the engine's volume that is the clone.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        options: BTreeMap<String, String>,
        /// Sealed contents that are there, where they were asked for.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        contents: Vec<String>,
        /// Clones that are there, likewise.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        clones: Vec<String>,
    },
    /// It could not be done.
    Failed {
        /// Number of the request.
        id: u64,
        /// Why.
        why: String,
        /// Whether the disk is full.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        full: bool,
    },
}

/// What a directory tree holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredContent {
    /// SHA-256 of the list of its entries, in hexadecimal digits.
    pub hash: String,
    /// Files, directories and all else.
    pub entries: u64,
    /// Bytes of all files, holes included.
    pub bytes: u64,
}
