//! The connection that streams share: one reader, one writer.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, watch};

use super::WINDOW;
use super::frame::{Frame, FrameReader, Kind};
use super::stream::{Cell, MuxStream};

/// How much is gathered before it is written.
const WRITE_BATCH: usize = 128 * 1024;

/// What the streams of a connection know of it.
#[derive(Debug)]
pub(super) struct Link {
    /// Unbounded, but what streams may put in is bounded by their credit.
    out: mpsc::UnboundedSender<Frame>,
    streams: Mutex<Streams>,
    /// Whether it is over, for those that wait for that.
    ended: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Streams {
    live: HashMap<u32, Arc<Cell>>,
    /// Why the connection is over.
    over: Option<String>,
}

impl Link {
    fn new() -> (Arc<Self>, mpsc::UnboundedReceiver<Frame>) {
        let (out, frames) = mpsc::unbounded_channel();
        (
            Arc::new(Self {
                out,
                streams: Mutex::default(),
                ended: watch::channel(false).0,
            }),
            frames,
        )
    }

    fn streams(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a frame. When the connection is over its streams are reset, so nothing is lost unseen.
    pub(super) fn send(&self, frame: Frame) {
        let _ = self.out.send(frame);
    }

    pub(super) fn forget(&self, id: u32) {
        self.streams().live.remove(&id);
    }

    fn add(&self, id: u32) -> io::Result<Arc<Cell>> {
        let mut streams = self.streams();
        if let Some(why) = &streams.over {
            return Err(io::Error::new(io::ErrorKind::NotConnected, why.clone()));
        }
        let cell = Arc::<Cell>::default();
        streams.live.insert(id, Arc::clone(&cell));
        Ok(cell)
    }

    fn dispatch(&self, frame: Frame) {
        let id = frame.stream;
        let Some(cell) = self.streams().live.get(&id).cloned() else {
            return; // A stream that this side has already left.
        };
        if !cell.receive(frame) {
            cell.reset("the other side broke the tunnel's protocol");
            self.send(Frame::text(id, Kind::Reset, "protocol error"));
        }
    }

    fn end(&self, why: &str) {
        let cells: Vec<_> = {
            let mut streams = self.streams();
            streams.over.get_or_insert_with(|| why.to_owned());
            streams.live.drain().map(|(_, cell)| cell).collect()
        };
        cells.iter().for_each(|cell| cell.reset(why));
        self.ended.send_replace(true);
    }
}

/// The side that opens streams.
#[derive(Debug, Clone)]
pub struct Opener {
    link: Arc<Link>,
    next: Arc<AtomicU32>,
}

impl Opener {
    /// Opens a stream to `target` (`host:port`) and waits until it stands.
    ///
    /// # Errors
    /// `ConnectionRefused` with the other side's reason, `NotConnected` when the tunnel is over.
    pub async fn open(&self, target: &str) -> io::Result<MuxStream> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let cell = self.link.add(id)?;
        let stream = MuxStream::new(id, Arc::clone(&self.link), cell);
        self.link.send(Frame::text(id, Kind::Open, target));
        stream.wait_opened().await?;
        Ok(stream)
    }

    /// Why the tunnel is over; `None` while it works.
    pub fn over(&self) -> Option<String> {
        self.link.streams().over.clone()
    }

    /// Waits until the tunnel is over.
    pub async fn ended(&self) {
        // The sender is in the link, so waiting cannot fail.
        let _ = self.link.ended.subscribe().wait_for(|ended| *ended).await;
    }
}

/// Begins the side that opens streams: waits for the other side's hello, then reads
/// and writes in tasks of the current runtime until one end closes.
///
/// # Errors
/// What reading gives; `InvalidData` when the other side is no agent or one with another window.
pub async fn start<R, W>(reader: R, writer: W) -> io::Result<Opener>
where
    R: AsyncRead + Unpin + Send + 'static,
    W: AsyncWrite + Unpin + Send + 'static,
{
    let mut frames = FrameReader::new(reader);
    let hello = frames.next().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
    check_hello(&hello)?;
    let (link, queue) = Link::new();
    tokio::spawn(write_all(Arc::downgrade(&link), queue, writer));
    tokio::spawn(read_all(Arc::downgrade(&link), frames));
    Ok(Opener {
        link,
        next: Arc::new(AtomicU32::new(1)),
    })
}

fn check_hello(hello: &Frame) -> io::Result<()> {
    let window = serde_json::from_slice::<serde_json::Value>(&hello.payload)
        .ok()
        .and_then(|value| value.get("window")?.as_u64());
    if hello.kind == Kind::Hello && window == Some(u64::from(WINDOW)) {
        return Ok(());
    }
    let why = "the other side is no agent of this version";
    Err(io::Error::new(io::ErrorKind::InvalidData, why))
}

/// A stream that the other side asked for.
#[derive(Debug)]
pub struct Incoming {
    /// What it should be connected to (`host:port`).
    pub target: String,
    /// Its bytes; call [`MuxStream::accept`] or [`MuxStream::refuse`] first.
    pub stream: MuxStream,
}

/// The side that is asked to open streams: says hello, then gives each asked-for
/// stream to `take`, until the other side closes.
///
/// # Errors
/// What reading and writing give.
pub async fn serve<R, W>(reader: R, writer: W, mut take: impl FnMut(Incoming)) -> io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin + Send + 'static,
{
    let (link, queue) = Link::new();
    let hello = serde_json::json!({ "version": env!("CARGO_PKG_VERSION"), "window": WINDOW });
    link.send(Frame::text(0, Kind::Hello, &hello.to_string()));
    tokio::spawn(write_all(Arc::downgrade(&link), queue, writer));
    let mut frames = FrameReader::new(reader);
    let end = loop {
        match frames.next().await {
            Ok(Some(frame)) if frame.kind == Kind::Open => {
                let target = frame.as_text();
                let id = frame.stream;
                let known = id == 0 || link.streams().live.contains_key(&id);
                match link.add(id) {
                    Ok(cell) if !known => {
                        let stream = MuxStream::new(id, Arc::clone(&link), cell);
                        take(Incoming { target, stream });
                    }
                    _ => {
                        break Err(io::Error::new(
                            io::ErrorKind::InvalidData,
                            "stream id used twice",
                        ));
                    }
                }
            }
            Ok(Some(frame)) => link.dispatch(frame),
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    link.end("the tunnel was closed");
    end
}

/// Ends with the connection, or once nobody holds it any more.
async fn read_all<R: AsyncRead + Unpin>(link: Weak<Link>, mut frames: FrameReader<R>) {
    let end = loop {
        match frames.next().await {
            Ok(Some(frame)) => match link.upgrade() {
                Some(link) => link.dispatch(frame),
                None => return,
            },
            Ok(None) => break "the tunnel's agent closed the connection".to_owned(),
            Err(error) => break format!("the tunnel broke: {error}"),
        }
    };
    if let Some(link) = link.upgrade() {
        link.end(&end);
    }
}

/// Writes what is queued. Holds the connection weakly: when its last user goes, the
/// queue ends and the writer is shut down, which tells the other side.
async fn write_all<W: AsyncWrite + Unpin>(
    link: Weak<Link>,
    mut queue: mpsc::UnboundedReceiver<Frame>,
    mut writer: W,
) {
    let mut batch = BytesMut::with_capacity(WRITE_BATCH);
    while let Some(frame) = queue.recv().await {
        frame.encode(&mut batch);
        while batch.len() < WRITE_BATCH
            && let Ok(frame) = queue.try_recv()
        {
            frame.encode(&mut batch);
        }
        let written = async {
            writer.write_all(&batch).await?;
            writer.flush().await
        };
        if let Err(error) = written.await {
            if let Some(link) = link.upgrade() {
                link.end(&format!("the tunnel broke: {error}"));
            }
            return;
        }
        batch.clear();
    }
    let _ = writer.shutdown().await;
}
