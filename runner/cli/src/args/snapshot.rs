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
    /// Write a snapshot to a file: compressed, in parts that are checked (an OCI image layout)
    Export {
        /// The snapshot
        name: String,
        /// The file
        file: PathBuf,
    },
    /// Bring a snapshot here from a file that `export` wrote
    Import {
        /// The file
        file: PathBuf,
        /// Another name for it
        #[arg(long)]
        name: Option<String>,
    },
    /// Send a snapshot to a registry, as an OCI artifact; parts that are there are not sent again
    Push {
        /// The snapshot
        name: String,
        /// HOST/REPOSITORY:TAG
        reference: String,
    },
    /// Bring a snapshot here from a registry
    Pull {
        /// HOST/REPOSITORY:TAG, or HOST/REPOSITORY@sha256:…
        reference: String,
        /// Another name for it
        #[arg(long)]
        name: Option<String>,
    },
    /// Remember the data of the mirror that is up: of all volumes that start from snapshots
    Save {
        /// A name for it; what had it is replaced
        name: String,
    },
    /// Put back the data of the mirror that is up, as it was when it was saved
    Restore {
        /// The name [default: the only one]
        name: Option<String>,
    },
    /// List what was saved of the mirror that is up
    Saved,
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
Without a source, mirror.yaml says under `snapshots` how it is made, masked, cut and grown. \
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
    /// From this dump: pg_dump (plain, -Fc, -Ft, -Fd), mysqldump, Redis RDB or AOF, RabbitMQ definitions
    #[arg(long, value_name = "FILE", group = "source", requires = "service")]
    pub dump: Option<PathBuf>,
    /// From what this script makes: SQL for psql (*.sql), or a program for the service's container
    #[arg(long, value_name = "FILE", group = "source", requires = "service")]
    pub script: Option<PathBuf>,
    /// From this snapshot
    #[arg(long, value_name = "SNAPSHOT", group = "source", requires = "service")]
    pub snapshot: Option<String>,
    /// From this volume of the mirror that is up
    #[arg(long, value_name = "VOLUME", group = "source")]
    pub mirror: Option<String>,
    /// The service of production whose image and configuration load, serve and measure the data
    #[arg(long, value_name = "SERVICE", requires = "source")]
    pub service: Option<String>,
    /// The database [default: the one that the service makes]
    #[arg(long, value_name = "NAME", requires = "source")]
    pub database: Option<String>,
    /// Refuse to seal while anything looks like a person's data or a secret
    #[arg(long, requires = "source")]
    pub public: bool,
    /// Stop the containers that use the volume cleanly, and start them again
    #[arg(long)]
    pub stop: bool,
}
