//! One stream: bytes both ways, with credit.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::WINDOW;
use super::connection::Link;
use super::frame::{Frame, Kind};

/// The largest piece of a stream in one frame: small enough that streams take turns.
const CHUNK: usize = 32 * 1024;

/// A connection through the tunnel. Dropping it before both sides have
/// ended resets it.
#[derive(Debug)]
pub struct MuxStream {
    id: u32,
    link: Arc<Link>,
    cell: Arc<Cell>,
}

/// What the reader of the connection and the stream share.
#[derive(Debug, Default)]
pub(super) struct Cell(Mutex<State>);

#[derive(Debug)]
struct State {
    opened: bool,
    received: VecDeque<Bytes>,
    /// Bytes that arrived and were not yet granted again.
    ungranted: u32,
    /// Bytes that the other side may still send.
    window: u32,
    /// Bytes that this side may still send.
    credit: u32,
    eof_received: bool,
    eof_sent: bool,
    reset: Option<String>,
    open_waker: Option<Waker>,
    read_waker: Option<Waker>,
    write_waker: Option<Waker>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            opened: false,
            received: VecDeque::new(),
            ungranted: 0,
            window: WINDOW,
            credit: WINDOW,
            eof_received: false,
            eof_sent: false,
            reset: None,
            open_waker: None,
            read_waker: None,
            write_waker: None,
        }
    }
}

impl State {
    fn error(&self) -> Option<io::Error> {
        let reason = self.reset.as_ref()?;
        let kind = match self.opened {
            true => io::ErrorKind::ConnectionReset,
            false => io::ErrorKind::ConnectionRefused,
        };
        Some(io::Error::new(kind, reason.clone()))
    }
}

impl Cell {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in a frame of this stream; false when the other side broke the protocol.
    pub(super) fn receive(&self, frame: Frame) -> bool {
        let mut state = self.state();
        let waker = match frame.kind {
            Kind::Opened => {
                state.opened = true;
                state.open_waker.take()
            }
            Kind::Data => {
                let length = frame.payload.len() as u32;
                if length > state.window || state.eof_received {
                    return false;
                }
                state.window -= length;
                if length > 0 {
                    state.received.push_back(frame.payload);
                }
                state.read_waker.take()
            }
            Kind::Eof => {
                state.eof_received = true;
                state.read_waker.take()
            }
            Kind::Credit => {
                let Some(credit) = frame
                    .granted()
                    .and_then(|more| state.credit.checked_add(more))
                else {
                    return false;
                };
                state.credit = credit;
                state.write_waker.take()
            }
            Kind::Reset => {
                drop(state);
                self.reset(&frame.as_text());
                return true;
            }
            Kind::Hello | Kind::Open => return false,
        };
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }

    /// Ends the stream with a reason; whoever waits on it is woken.
    pub(super) fn reset(&self, reason: &str) {
        let mut state = self.state();
        if state.reset.is_none() {
            state.reset = Some(reason.to_owned());
        }
        let wakers = [
            state.open_waker.take(),
            state.read_waker.take(),
            state.write_waker.take(),
        ];
        drop(state);
        wakers.into_iter().flatten().for_each(Waker::wake);
    }
}

impl MuxStream {
    pub(super) fn new(id: u32, link: Arc<Link>, cell: Arc<Cell>) -> Self {
        Self { id, link, cell }
    }

    /// Waits until the other side has connected.
    ///
    /// # Errors
    /// `ConnectionRefused` with the other side's reason.
    pub(super) async fn wait_opened(&self) -> io::Result<()> {
        std::future::poll_fn(|cx| {
            let mut state = self.cell.state();
            if let Some(error) = state.error() {
                return Poll::Ready(Err(error));
            }
            if state.opened {
                return Poll::Ready(Ok(()));
            }
            state.open_waker = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Tells the other side that the connection stands.
    pub fn accept(&self) {
        self.cell.state().opened = true;
        self.link.send(Frame::bare(self.id, Kind::Opened));
    }

    /// Ends the stream, telling the other side why.
    pub fn refuse(self, reason: &str) {
        self.cell.reset(reason);
        self.link.send(Frame::text(self.id, Kind::Reset, reason));
    }
}

impl AsyncRead for MuxStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.cell.state();
        let Some(front) = state.received.front_mut() else {
            // Bytes that came before a reset are still given out.
            if let Some(error) = state.error() {
                return Poll::Ready(Err(error));
            }
            if state.eof_received {
                return Poll::Ready(Ok(()));
            }
            state.read_waker = Some(cx.waker().clone());
            return Poll::Pending;
        };
        let count = front.len().min(buf.remaining());
        buf.put_slice(&front[..count]);
        front.advance(count);
        if front.is_empty() {
            state.received.pop_front();
        }
        state.ungranted += count as u32;
        if state.ungranted >= WINDOW / 2 && !state.eof_received && state.reset.is_none() {
            let granted = std::mem::take(&mut state.ungranted);
            state.window += granted;
            self.link.send(Frame::credit(self.id, granted));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for MuxStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.cell.state();
        if let Some(error) = state.error() {
            return Poll::Ready(Err(error));
        }
        if state.eof_sent {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let count = buf.len().min(state.credit as usize).min(CHUNK);
        if count == 0 && !buf.is_empty() {
            state.write_waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        state.credit -= count as u32;
        let payload = Bytes::copy_from_slice(&buf[..count]);
        self.link.send(Frame {
            stream: self.id,
            kind: Kind::Data,
            payload,
        });
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(match self.cell.state().error() {
            Some(error) => Err(error),
            None => Ok(()),
        })
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.cell.state();
        if !state.eof_sent && state.reset.is_none() {
            state.eof_sent = true;
            self.link.send(Frame::bare(self.id, Kind::Eof));
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for MuxStream {
    fn drop(&mut self) {
        self.link.forget(self.id);
        let state = self.cell.state();
        let ended = state.eof_sent && state.eof_received;
        if !ended && state.reset.is_none() {
            self.link.send(Frame::text(self.id, Kind::Reset, "closed"));
        }
    }
}
