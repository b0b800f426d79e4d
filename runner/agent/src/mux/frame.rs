//! The form on the wire: `u32 stream, u8 kind, u32 length, payload`, big-endian.

use std::io;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

/// The largest payload of a frame, in bytes.
pub const MAX_PAYLOAD: usize = 64 * 1024;

const HEADER: usize = 9;

/// What a frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// The agent is there: JSON with its version and its window (stream 0).
    Hello = 0,
    /// Connect to the payload's `host:port`.
    Open = 1,
    /// The connection stands.
    Opened = 2,
    /// Bytes.
    Data = 3,
    /// No more bytes will follow in this direction.
    Eof = 4,
    /// The stream is over; the payload is the reason.
    Reset = 5,
    /// The payload's `u32` bytes more may be sent.
    Credit = 6,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            0 => Self::Hello,
            1 => Self::Open,
            2 => Self::Opened,
            3 => Self::Data,
            4 => Self::Eof,
            5 => Self::Reset,
            6 => Self::Credit,
            _ => return None,
        })
    }
}

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The stream it belongs to; 0 is the connection itself.
    pub stream: u32,
    /// What it says.
    pub kind: Kind,
    /// Its bytes.
    pub payload: Bytes,
}

impl Frame {
    /// A frame without a payload.
    pub fn bare(stream: u32, kind: Kind) -> Self {
        Self {
            stream,
            kind,
            payload: Bytes::new(),
        }
    }

    /// A frame with text as its payload, cut to what a frame can hold.
    pub fn text(stream: u32, kind: Kind, text: &str) -> Self {
        let bytes = text.as_bytes();
        let end = bytes.len().min(MAX_PAYLOAD);
        Self {
            stream,
            kind,
            payload: Bytes::copy_from_slice(&bytes[..end]),
        }
    }

    /// A grant of `bytes` more.
    pub fn credit(stream: u32, bytes: u32) -> Self {
        Self {
            stream,
            kind: Kind::Credit,
            payload: Bytes::copy_from_slice(&bytes.to_be_bytes()),
        }
    }

    /// The bytes that a credit frame grants; `None` when its payload has another size.
    pub fn granted(&self) -> Option<u32> {
        self.payload
            .as_ref()
            .try_into()
            .ok()
            .map(u32::from_be_bytes)
    }

    /// The payload as text, for reasons and addresses.
    pub fn as_text(&self) -> String {
        String::from_utf8_lossy(&self.payload).into_owned()
    }

    /// Writes the frame to the end of `out`.
    pub fn encode(&self, out: &mut BytesMut) {
        out.reserve(HEADER + self.payload.len());
        out.put_u32(self.stream);
        out.put_u8(self.kind as u8);
        // Payloads are made by this module's callers and never above MAX_PAYLOAD.
        out.put_u32(self.payload.len() as u32);
        out.put_slice(&self.payload);
    }

    /// Takes one frame from the front of `buffer`; `None` when it is not whole yet.
    ///
    /// # Errors
    /// `InvalidData` for a kind or a length that no frame has: the other side does not speak this protocol.
    pub fn decode(buffer: &mut BytesMut) -> io::Result<Option<Self>> {
        if buffer.len() < HEADER {
            return Ok(None);
        }
        let mut head = &buffer[..HEADER];
        let stream = head.get_u32();
        let kind = head.get_u8();
        let length = head.get_u32() as usize;
        let Some(kind) = Kind::from_byte(kind).filter(|_| length <= MAX_PAYLOAD) else {
            let why = format!("no tunnel frame: kind {kind}, length {length}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        };
        if buffer.len() < HEADER + length {
            buffer.reserve(HEADER + length - buffer.len());
            return Ok(None);
        }
        buffer.advance(HEADER);
        Ok(Some(Self {
            stream,
            kind,
            payload: buffer.split_to(length).freeze(),
        }))
    }
}

/// Reads frames from a byte stream.
#[derive(Debug)]
pub struct FrameReader<R> {
    inner: R,
    buffer: BytesMut,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// Reads frames from `inner`.
    pub fn new(inner: R) -> Self {
        Self {
            inner,
            buffer: BytesMut::with_capacity(2 * MAX_PAYLOAD),
        }
    }

    /// The next frame; `None` at the end of the stream.
    ///
    /// # Errors
    /// What reading gives, `InvalidData` for bytes that are no frame, `UnexpectedEof` within one.
    pub async fn next(&mut self) -> io::Result<Option<Frame>> {
        loop {
            if let Some(frame) = Frame::decode(&mut self.buffer)? {
                return Ok(Some(frame));
            }
            if self.inner.read_buf(&mut self.buffer).await? == 0 {
                return match self.buffer.is_empty() {
                    true => Ok(None),
                    false => Err(io::ErrorKind::UnexpectedEof.into()),
                };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_read_back_from_any_cut() {
        let frame = Frame {
            stream: 7,
            kind: Kind::Data,
            payload: Bytes::from_static(b"abc"),
        };
        let mut wire = BytesMut::new();
        frame.encode(&mut wire);
        Frame::credit(7, 65536).encode(&mut wire);
        for cut in 0..wire.len() {
            let mut buffer = BytesMut::from(&wire[..cut]);
            let mut frames = Vec::new();
            while let Some(frame) = Frame::decode(&mut buffer).unwrap() {
                frames.push(frame);
            }
            buffer.extend_from_slice(&wire[cut..]);
            while let Some(frame) = Frame::decode(&mut buffer).unwrap() {
                frames.push(frame);
            }
            assert_eq!(frames.len(), 2, "cut at {cut}");
            assert_eq!(frames[0], frame);
            assert_eq!(frames[1].granted(), Some(65536));
        }
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        for bytes in [
            &b"\0\0\0\x01\x09\0\0\0\0"[..],
            b"\0\0\0\x01\x03\xff\0\0\0",
            b"HTTP/1.1 400 Bad",
        ] {
            assert!(Frame::decode(&mut BytesMut::from(bytes)).is_err());
        }
    }
}
