//! Both halves of the tunnel against each other.

#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use std::time::Duration;

use prodmirror_agent::mux::{self, Incoming, MuxStream, Opener, WINDOW};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(20);

/// A tunnel over a pipe; what is opened comes out of the receiver.
async fn tunnel() -> (Opener, mpsc::UnboundedReceiver<Incoming>) {
    let (opener, incoming, _) = tunnel_with_end().await;
    (opener, incoming)
}

type Served = tokio::task::JoinHandle<std::io::Result<()>>;

async fn tunnel_with_end() -> (Opener, mpsc::UnboundedReceiver<Incoming>, Served) {
    let (near, far) = tokio::io::duplex(16 * 1024);
    let (take, incoming) = mpsc::unbounded_channel();
    let (reader, writer) = tokio::io::split(far);
    let served = tokio::spawn(mux::serve(reader, writer, move |stream| {
        let _ = take.send(stream);
    }));
    let (reader, writer) = tokio::io::split(near);
    (mux::start(reader, writer).await.unwrap(), incoming, served)
}

async fn pair(
    opener: &Opener,
    incoming: &mut mpsc::UnboundedReceiver<Incoming>,
) -> (MuxStream, MuxStream) {
    let accept = async {
        let stream = incoming.recv().await.unwrap().stream;
        stream.accept();
        stream
    };
    let (near, far) = tokio::join!(opener.open("db:5432"), accept);
    (near.unwrap(), far)
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length)
        .map(|index| (index * 7 + index / 251) as u8)
        .collect()
}

#[tokio::test]
async fn bytes_arrive_whole_in_both_directions() {
    let (opener, mut incoming) = tunnel().await;
    let (mut near, mut far) = pair(&opener, &mut incoming).await;
    let data = pattern(5 * WINDOW as usize + 123);
    let echo = tokio::spawn(async move {
        let (mut reader, mut writer) = tokio::io::split(&mut far);
        tokio::io::copy(&mut reader, &mut writer).await.unwrap();
        writer.shutdown().await.unwrap();
    });
    let (mut reader, mut writer) = tokio::io::split(&mut near);
    let send = async {
        writer.write_all(&data).await.unwrap();
        writer.shutdown().await.unwrap();
    };
    let mut back = Vec::new();
    let both = async { tokio::join!(send, reader.read_to_end(&mut back)) };
    timeout(SOON, both).await.unwrap().1.unwrap();
    assert!(back == data);
    echo.await.unwrap();
}

#[tokio::test]
async fn a_stream_that_nobody_reads_holds_up_no_other() {
    let (opener, mut incoming) = tunnel().await;
    let (mut stuck, stuck_far) = pair(&opener, &mut incoming).await;
    let (mut near, mut far) = pair(&opener, &mut incoming).await;
    let more = vec![0; WINDOW as usize + 1];
    // Exactly the window is taken, then writing waits.
    assert!(
        timeout(Duration::from_millis(300), stuck.write_all(&more))
            .await
            .is_err()
    );
    near.write_all(b"ping").await.unwrap();
    let mut got = [0; 4];
    timeout(SOON, far.read_exact(&mut got))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&got, b"ping");
    drop(stuck_far);
    let error = timeout(SOON, stuck.read_u8()).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn half_close_leaves_the_other_direction_open() {
    let (opener, mut incoming) = tunnel().await;
    let (mut near, mut far) = pair(&opener, &mut incoming).await;
    near.write_all(b"question").await.unwrap();
    near.shutdown().await.unwrap();
    let mut question = Vec::new();
    far.read_to_end(&mut question).await.unwrap();
    assert_eq!(question, b"question");
    far.write_all(b"answer").await.unwrap();
    far.shutdown().await.unwrap();
    let mut answer = Vec::new();
    timeout(SOON, near.read_to_end(&mut answer))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(answer, b"answer");
}

#[tokio::test]
async fn a_refusal_says_why() {
    let (opener, mut incoming) = tunnel().await;
    let refuse = async {
        let asked = incoming.recv().await.unwrap();
        assert_eq!(asked.target, "gone:1");
        asked.stream.refuse("no such host");
    };
    let (opened, ()) = tokio::join!(opener.open("gone:1"), refuse);
    let error = opened.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    assert_eq!(error.to_string(), "no such host");
}

#[tokio::test]
async fn the_end_of_the_pipe_ends_every_stream() {
    let (opener, mut incoming, served) = tunnel_with_end().await;
    let (mut near, far) = pair(&opener, &mut incoming).await;
    served.abort();
    drop(far);
    assert!(timeout(SOON, near.read_u8()).await.unwrap().is_err());
    // The reader of the pipe has seen its end, or will: then nothing can be opened.
    let refused = timeout(SOON, opener.open("x:1")).await.unwrap();
    assert!(refused.is_err());
}

#[tokio::test]
async fn the_last_user_ends_the_tunnel() {
    let (opener, mut incoming, served) = tunnel_with_end().await;
    let (near, far) = pair(&opener, &mut incoming).await;
    drop(opener);
    drop(near);
    let ended = timeout(SOON, served).await.unwrap().unwrap();
    assert!(ended.is_ok());
    drop(far);
}

#[tokio::test]
async fn something_else_on_the_pipe_is_an_error() {
    let (near, mut far): (DuplexStream, DuplexStream) = tokio::io::duplex(1024);
    far.write_all(b"/bin/sh: not found, and more than a header")
        .await
        .unwrap();
    let (reader, writer) = tokio::io::split(near);
    let error = timeout(SOON, mux::start(reader, writer))
        .await
        .unwrap()
        .unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
}

#[tokio::test]
async fn many_streams_at_once() {
    let (opener, mut incoming) = tunnel().await;
    tokio::spawn(async move {
        while let Some(Incoming { mut stream, .. }) = incoming.recv().await {
            stream.accept();
            tokio::spawn(async move {
                let mut all = Vec::new();
                stream.read_to_end(&mut all).await.unwrap();
                stream.write_all(&all).await.unwrap();
                stream.shutdown().await.unwrap();
            });
        }
    });
    let mut tasks = Vec::new();
    for index in 0..100usize {
        let opener = opener.clone();
        tasks.push(tokio::spawn(async move {
            let mut stream = opener.open("x:1").await.unwrap();
            let data = pattern(1000 + index * 37);
            stream.write_all(&data).await.unwrap();
            stream.shutdown().await.unwrap();
            let mut back = Vec::new();
            stream.read_to_end(&mut back).await.unwrap();
            assert!(back == data);
        }));
    }
    for task in tasks {
        timeout(SOON, task).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn whoever_waits_for_the_end_is_told() {
    let (opener, _incoming, served) = tunnel_with_end().await;
    let waiting = tokio::spawn({
        let opener = opener.clone();
        async move { opener.ended().await }
    });
    assert!(!waiting.is_finished());
    served.abort();
    timeout(SOON, waiting).await.unwrap().unwrap();
    assert!(opener.over().is_some());
}
