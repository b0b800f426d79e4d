//! Beats on stdin: as long as they come, the runner lives.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::{Instant, timeout_at};

/// How long the first beat may take.
const FIRST: Duration = Duration::from_secs(15);

/// The line that gives the lease back.
const RELEASE: &[u8] = b"release";

/// Longer lines are no word.
const MAX_LINE: usize = 64;

/// How a lease ends.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// The runner gave it back.
    Released,
    /// The runner is gone, seen by this.
    Lapsed(String),
}

/// Waits until the lease ends; `grace_ms` is the longest time between beats.
pub async fn hold(grace_ms: u64) -> End {
    watch(tokio::io::stdin(), Duration::from_millis(grace_ms)).await
}

async fn watch(mut input: impl AsyncRead + Unpin, grace: Duration) -> End {
    let mut deadline = Instant::now() + FIRST;
    let mut late = format!("no first beat within {} s", FIRST.as_secs());
    let mut line = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match timeout_at(deadline, input.read(&mut buffer)).await {
            Err(_) => return End::Lapsed(late),
            Ok(Ok(0)) => return End::Lapsed("stdin ended".to_owned()),
            Ok(Err(error)) => return End::Lapsed(format!("stdin broke: {error}")),
            Ok(Ok(length)) => {
                for byte in &buffer[..length] {
                    if *byte != b'\n' {
                        line.push(*byte);
                        line.truncate(MAX_LINE);
                    } else if std::mem::take(&mut line).trim_ascii() == RELEASE {
                        return End::Released;
                    }
                }
                deadline = Instant::now() + grace;
                late = format!("no beat for {} ms", grace.as_millis());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    const GRACE: Duration = Duration::from_millis(200);

    #[tokio::test]
    async fn the_end_of_input_ends_the_lease() {
        assert_eq!(
            watch(&b"\n\nrel"[..], GRACE).await,
            End::Lapsed("stdin ended".into())
        );
    }

    #[tokio::test]
    async fn a_line_gives_the_lease_back() {
        assert_eq!(watch(&b"\n\nrelease\n"[..], GRACE).await, End::Released);
        assert_eq!(
            watch(&b"xrelease\nrelease\r\n"[..], GRACE).await,
            End::Released
        );
    }

    #[tokio::test]
    async fn silence_ends_the_lease() {
        let (input, mut output) = tokio::io::duplex(64);
        output.write_all(b"\n").await.unwrap();
        assert_eq!(
            watch(input, GRACE).await,
            End::Lapsed("no beat for 200 ms".into())
        );
        drop(output);
    }
}
