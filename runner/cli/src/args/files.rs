//! Options of the commands around scenario files: `new`, `fmt` and `schema`.

use std::path::PathBuf;

use clap::{ArgGroup, Args, ValueEnum};

/// `new`
#[derive(Debug, Args)]
#[group(skip)]
#[command(group = ArgGroup::new("correlated").args(["from_log", "from_trace"]), after_help = "\
  prodmirror new \"a customer pays\" --kind http
  prodmirror new --from-curl \"curl -X POST https://shop.example/orders --json '{\\\"sku\\\":\\\"A1\\\"}'\"
  prodmirror new checkout --from-har shop.har --out scenarios/checkout.yaml
  prodmirror new --openapi api.yaml --operation createOrder
  prodmirror new --from-log /var/log/nginx/access.log --match client=203.0.113.9
  prodmirror new --from-trace traces.json --trace-id 4bf92f3577b34da6a3ce929d0e0e4736 --sql

What it writes is accepted by `prodmirror check`; its comments say what to change next.")]
pub struct NewArgs {
    /// The scenario's name: one sentence that says what users expect
    pub name: Option<String>,
    /// Begin with a step of this kind (http, sql, redis, …) [default: http]
    #[arg(long, value_name = "KIND", group = "source")]
    pub kind: Option<String>,
    /// Make steps of a curl command, as it is copied from a browser or a runbook; `-` reads it
    #[arg(
        long,
        value_name = "COMMAND",
        group = "source",
        allow_hyphen_values = true
    )]
    pub from_curl: Option<String>,
    /// Make steps of the requests that a browser recorded (HAR)
    #[arg(long, value_name = "FILE", group = "source")]
    pub from_har: Option<PathBuf>,
    /// Make a step of an operation of this OpenAPI 3 description (JSON or YAML)
    #[arg(long, value_name = "FILE", group = "source", requires = "operation")]
    pub openapi: Option<PathBuf>,
    /// The operation: its operationId, or "METHOD /path"
    #[arg(long, value_name = "ID", requires = "openapi")]
    pub operation: Option<String>,
    /// Make steps of the requests of one client in access logs (nginx, Apache, or JSON): a file
    /// (several times: of several), or one line
    #[arg(long, value_name = "LINE|FILE", group = "source")]
    pub from_log: Vec<String>,
    /// Make steps of the requests of a trace (OTLP in JSON, as the OpenTelemetry collector writes)
    #[arg(long, value_name = "FILE", group = "source")]
    pub from_trace: Option<PathBuf>,
    /// Of a log or a trace, only requests with this: client, user, session, request, trace, or a
    /// field by its name [default of a log: whoever asked most]
    #[arg(long = "match", value_name = "KEY=VALUE", requires = "correlated")]
    pub matches: Vec<String>,
    /// Only the requests of this trace
    #[arg(long, value_name = "ID", requires = "from_trace")]
    pub trace_id: Option<String>,
    /// Also make `sql` steps of what the requests of a trace read
    #[arg(long, requires = "from_trace")]
    pub sql: bool,
    /// Send the requests to this base URL [default: the one service that production publishes]
    #[arg(long, value_name = "URL")]
    pub host: Option<String>,
    /// Where to write; `-` is standard output [default: scenarios/NAME.yaml]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Write over a file that is there
    #[arg(long)]
    pub force: bool,
}

/// `fmt`
#[derive(Debug, Args)]
#[command(after_help = "\
Comments, blank lines (at most one), quotes, anchors and the order of steps are kept. \
What a file means never changes: each result is read again before it is written.

Exit code: 0 all is formatted, 1 with --check: some file is not, 2 a file cannot be read or formatted.")]
pub struct FmtArgs {
    /// Scenario files or directories; `-` formats standard input [default: scenarios/]
    pub paths: Vec<PathBuf>,
    /// Write nothing; say which files are not formatted, and exit with 1 when any is
    #[arg(long)]
    pub check: bool,
}

/// `schema`
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// Of which files
    #[arg(value_enum)]
    pub of: SchemaOf,
    /// Where to write: a file, or a directory of `reference` [default: standard output]
    #[arg(long, value_name = "PATH")]
    pub out: Option<PathBuf>,
}

/// Files that there is a schema of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaOf {
    /// Scenario files.
    Scenario,
    /// mirror.yaml.
    Mirror,
    /// Pages on the kinds of steps: what each takes and gives, with examples.
    Reference,
}
