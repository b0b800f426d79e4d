//! Ports that do not speak HTTP.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prodmirror_agent::wire::{RawConfig, RawKind};
use tokio::io::{AsyncWriteExt, copy, sink};
use tokio::net::TcpStream;

/// A raw port's behaviour.
#[derive(Debug)]
pub struct Raw {
    /// What it does.
    pub kind: RawKind,
    bytes: Vec<u8>,
}

impl Raw {
    /// Reads the configuration.
    pub fn compile(config: &RawConfig) -> Result<Self, String> {
        let bytes = match (&config.text, &config.base64) {
            (Some(_), Some(_)) => return Err("raw: `text` and `base64` exclude each other".into()),
            (Some(text), None) => text.clone().into_bytes(),
            (None, Some(text)) => STANDARD
                .decode(text)
                .map_err(|error| format!("raw: base64: {error}"))?,
            (None, None) => Vec::new(),
        };
        match (config.kind, bytes.is_empty()) {
            (RawKind::Bytes, true) => Err("raw: `bytes` needs `text` or `base64`".into()),
            (RawKind::Bytes, false) | (_, true) => Ok(Self {
                kind: config.kind,
                bytes,
            }),
            (_, false) => Err("raw: only `bytes` sends `text` or `base64`".into()),
        }
    }

    /// Serves a connection to its end.
    pub async fn serve(&self, mut stream: TcpStream) {
        let (mut reader, mut writer) = stream.split();
        // The client's errors are the client's business.
        let _ = match self.kind {
            RawKind::Close => Ok(0),
            RawKind::Echo => copy(&mut reader, &mut writer).await,
            RawKind::Sink => copy(&mut reader, &mut sink()).await,
            RawKind::Bytes => match writer.write_all(&self.bytes).await {
                Ok(()) => copy(&mut reader, &mut sink()).await,
                Err(error) => Err(error),
            },
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bytes_sends_bytes() {
        let config = |kind, text: Option<&str>| RawConfig {
            kind,
            text: text.map(str::to_owned),
            base64: None,
        };
        assert!(Raw::compile(&config(RawKind::Bytes, Some("hi"))).is_ok());
        assert!(Raw::compile(&config(RawKind::Bytes, None)).is_err());
        assert!(Raw::compile(&config(RawKind::Echo, Some("hi"))).is_err());
        let bad = RawConfig {
            kind: RawKind::Bytes,
            text: None,
            base64: Some("*".into()),
        };
        assert!(Raw::compile(&bad).unwrap_err().contains("base64"));
    }
}
