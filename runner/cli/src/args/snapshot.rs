//! `snapshot` and its commands.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `snapshot`
#[derive(Debug, Args)]
pub struct SnapshotArgs {
    /// What to do
    #[command(subcommand)]
    pub verb: SnapshotVerb,
}

/// What to do with snapshots.
#[derive(Debug, Subcommand)]
pub enum SnapshotVerb {
    /// Make a snapshot: by its recipe in mirror.yaml, or from what is named here
    Create(CreateArgs),
    /// List the snapshots of this engine
    Ls,
    /// Print the manifest of a snapshot
    Inspect {
        /// The snapshot
        name: String,
    },
    /// Read a snapshot again and compare it with its manifest
    Verify {
        /// The snapshot
        name: String,
    },
    /// Compare the manifests of two snapshots
    Diff {
        /// The one
        before: String,
        /// The other
        after: String,
    },
    /// Remove snapshots
    Rm {
        /// Also when stacks have clones of it (which keep their data)
        #[arg(long)]
        force: bool,
        /// The snapshots
        #[arg(required = true)]
        names: Vec<String>,
    },
}

/// `snapshot create`
#[derive(Debug, Args)]
#[command(after_help = "\
The data is copied into the store, sealed, and described by a manifest. What is interrupted leaves \
nothing.")]
pub struct CreateArgs {
    /// Name of the snapshot
    pub name: String,
    /// From this volume of the engine
    #[arg(long, value_name = "VOLUME", group = "source")]
    pub volume: Option<String>,
    /// From this directory
    #[arg(long, value_name = "DIR", group = "source")]
    pub directory: Option<PathBuf>,
    /// From this tar archive (plain, gzip, bzip2 or xz)
    #[arg(long, value_name = "FILE", group = "source")]
    pub tar: Option<PathBuf>,
    /// From this volume of the mirror that is up
    #[arg(long, value_name = "VOLUME", group = "source")]
    pub mirror: Option<String>,
    /// Stop the containers that use the volume cleanly, and start them again
    #[arg(long)]
    pub stop: bool,
}
