//! Options of `record`.

use std::path::PathBuf;

use clap::Args;

/// `record`
#[derive(Debug, Args)]
#[command(after_help = "\
  prodmirror up -d
  prodmirror record --out scenarios/checkout.yaml     # then click at the address that it says
  prodmirror record --requests 3 --har shop.har

Ctrl-C ends it and writes the scenario; nothing that was recorded is lost.

Exit code: 0 the scenario is written, 2 nothing was recorded or it cannot be written, \
5 the engine could not be reached.")]
pub struct RecordArgs {
    /// Where to write [default: scenarios/NAME.yaml, or scenarios/recorded.yaml]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// The scenario's name: one sentence that says what users expect
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Listen here, on loopback: ADDRESS:PORT or PORT [default: a free port of 127.0.0.1]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// Send the requests to this base URL of the mirror [default: the one service that production publishes]
    #[arg(long, value_name = "URL")]
    pub to: Option<String>,
    /// Also write all that passed as HAR 1.2, with what was typed
    #[arg(long, value_name = "FILE")]
    pub har: Option<PathBuf>,
    /// Also make steps of static files (styles, scripts, images, fonts)
    #[arg(long)]
    pub all: bool,
    /// End after this time, such as 90s
    #[arg(long = "for", value_name = "DURATION")]
    pub span: Option<String>,
    /// End after so many requests that become steps
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub requests: Option<u32>,
    /// Write over files that are there
    #[arg(long)]
    pub force: bool,
}
