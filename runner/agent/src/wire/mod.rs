//! Configuration that the agent reads, and events that it prints.

mod ask;
mod config;
mod dns;
mod event;
mod gateway;
mod mail;
mod net;
mod relay;
mod store;
mod stub;

pub use ask::Ask;
pub use config::{DnsFront, KeeperConfig, LinkConfig, PortRange, SandboxConfig};
pub use dns::{DnsRecord, Resolved};
pub use event::{DeniedWhy, Event, LogKind, Ready};
pub use gateway::{GATEWAY_PORT, GatewayRoute, PathKind};
pub use mail::{Mail, MailConfig, MailLine};
pub use net::{Cidr, CidrError};
pub use relay::{RelayConfig, RelayPort};
pub use store::{StoreAsk, StoreConfig, StoreKind, StoreReply, StoreRequest, StoredContent};
pub use stub::{ListenConfig, RawConfig, RawKind, RespondConfig, RouteConfig, StubConfig};
pub use stub::{TlsConfig, WhenConfig};

use std::net::Ipv4Addr;

/// The environment variable that holds the configuration (JSON).
pub const CONFIG_ENV: &str = "PRODMIRROR_AGENT";

/// Where the sandbox's DNS sink listens: `HostConfig.Dns` of a sandbox names it.
pub const DNS_SINK: Ipv4Addr = Ipv4Addr::new(127, 83, 77, 53);

/// The path of the program in its image.
pub const PROGRAM_PATH: &str = "/prodmirror-agent";

/// Label of the run that an object belongs to.
pub const LABEL_RUN: &str = "dev.prodmirror.run";

/// Label of objects that outlive their run because somebody asked for it.
pub const LABEL_KEEP: &str = "dev.prodmirror.keep";

/// The path at which a stub shows, on loopback only, the requests it kept.
pub const STUB_REQUESTS_PATH: &str = "/__prodmirror/requests";
