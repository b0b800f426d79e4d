//! Connections through a gateway container, for engines whose networks this host has no
//! route to.

use std::fmt;
use std::io;
use std::pin::Pin;

use futures_util::{Stream, StreamExt};
use prodmirror_agent::mux::{self, MuxStream, Opener};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::io::StreamReader;

use crate::docker::{Attached, LogStream, Output, OutputFrom};

/// The near end of a tunnel whose far end is an agent in mode `tunnel`. Cloning shares it;
/// with its last clone and its last connection the agent ends, too.
#[derive(Clone)]
pub struct TunnelClient {
    opener: Opener,
}

impl fmt::Debug for TunnelClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TunnelClient")
            .field("over", &self.opener.over())
            .finish()
    }
}

/// What a program in a container writes to its stdout, as one stream of bytes.
pub(super) fn stdout_of(output: LogStream) -> impl AsyncRead + Unpin + Send + 'static {
    let stdout = Box::pin(output.filter_map(async |piece| match piece {
        Ok(Output {
            from: OutputFrom::Stderr,
            ..
        }) => None,
        Ok(Output { bytes, .. }) => Some(Ok(bytes)),
        Err(error) => Some(Err(io::Error::other(error.to_string()))),
    }));
    let stdout: Pin<Box<dyn Stream<Item = io::Result<bytes::Bytes>> + Send>> = stdout;
    StreamReader::new(stdout)
}

impl TunnelClient {
    /// Begins a tunnel over the agent's stdout and stdin, once the agent is there.
    ///
    /// # Errors
    /// What reading gives; `InvalidData` when the other side is no agent of this version.
    pub async fn start<R, W>(reader: R, writer: W) -> io::Result<Self>
    where
        R: AsyncRead + Unpin + Send + 'static,
        W: AsyncWrite + Unpin + Send + 'static,
    {
        Ok(Self {
            opener: mux::start(reader, writer).await?,
        })
    }

    /// Begins a tunnel over an attached container (without a terminal), or an exec.
    ///
    /// # Errors
    /// As [`TunnelClient::start`].
    pub async fn over(attached: Attached) -> io::Result<Self> {
        Self::start(stdout_of(attached.output), attached.input).await
    }

    /// Connects to a port as the agent sees it: names are those of its networks.
    ///
    /// # Errors
    /// `ConnectionRefused` with the agent's reason (no such host, refused, timed out),
    /// `NotConnected` when the tunnel is over.
    pub async fn connect(&self, host: &str, port: u16) -> io::Result<MuxStream> {
        self.opener.open(&format!("{host}:{port}")).await
    }

    /// Why the tunnel is over; `None` while it works.
    pub fn ended(&self) -> Option<String> {
        self.opener.over()
    }
}
