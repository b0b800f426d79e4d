//! Reading the logs of a stack that another process started.

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use prodmirror_model::diag::Problem;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::follow::{self, Line, Lines};
use super::standing::{Member, Standing};
use crate::docker::{Engine, LogQuery};

/// Lines that wait for a slow reader before the services' streams are held up.
const WAITING_LINES: usize = 1024;

/// Which lines are wanted.
#[derive(Debug, Clone, Default)]
pub struct LogRequest {
    /// Only these services; empty = all.
    pub services: Vec<String>,
    /// Go on with what comes, until the stack is removed.
    pub follow: bool,
    /// Only since then.
    pub since: Option<Timestamp>,
    /// Only the last lines of each container.
    pub tail: Option<u32>,
}

/// A line with who spoke it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spoken {
    /// Service.
    pub service: String,
    /// Replica, from 1.
    pub replica: u32,
    /// The line.
    pub line: Line,
}

impl Standing {
    /// The lines of services: what there is, in the order of the engine's times, or (with
    /// `follow`) as it comes. Dropping the receiver ends it.
    ///
    /// # Errors
    /// There is no such service.
    pub async fn logs(&self, request: &LogRequest) -> Result<mpsc::Receiver<Spoken>, Problem> {
        let members = self.members_of(&request.services)?;
        let query = LogQuery {
            since: request.since.map(Timestamp::as_second),
            tail: request.tail,
            timestamps: true,
            follow: request.follow,
        };
        let (lines, received) = mpsc::channel(WAITING_LINES);
        let (engine, since) = (self.engine().clone(), request.since);
        if request.follow {
            tokio::spawn(follow_all(engine, members, query, since, lines));
        } else {
            tokio::spawn(read_all(engine, members, query, since, lines));
        }
        Ok(received)
    }
}

async fn read_all(
    engine: Engine,
    members: Vec<Member>,
    query: LogQuery,
    since: Option<Timestamp>,
    lines: mpsc::Sender<Spoken>,
) {
    let reads = members.iter().map(|m| read(&engine, m, &query));
    let mut all: Vec<Spoken> = futures_util::future::join_all(reads)
        .await
        .into_iter()
        .flatten()
        .collect();
    all.retain(|s| since.is_none_or(|since| s.line.at >= since));
    all.sort_by_key(|s| s.line.at);
    for spoken in all {
        if lines.send(spoken).await.is_err() {
            return;
        }
    }
}

async fn read(engine: &Engine, member: &Member, query: &LogQuery) -> Vec<Spoken> {
    let mut stream = engine.logs(&member.id, query);
    let mut assembled = Lines::default();
    let mut all = Vec::new();
    while let Some(Ok(piece)) = stream.next().await {
        all.extend(assembled.push(&piece));
    }
    all.extend(assembled.finish());
    all.into_iter().map(|line| spoken(member, line)).collect()
}

fn spoken(member: &Member, line: Line) -> Spoken {
    Spoken {
        service: member.service.clone(),
        replica: member.replica,
        line,
    }
}

async fn follow_all(
    engine: Engine,
    members: Vec<Member>,
    query: LogQuery,
    since: Option<Timestamp>,
    lines: mpsc::Sender<Spoken>,
) {
    let mut readers = JoinSet::new();
    for member in members {
        let (engine, query, lines) = (engine.clone(), query.clone(), lines.clone());
        readers.spawn(async move {
            // Lines arrive one by one and must not be lost: a slow reader is waited for by a
            // channel without a limit, fed from here and emptied below.
            let (fed, mut waiting) = mpsc::unbounded_channel();
            let at_once = || -> BoxFuture<'static, ()> { Box::pin(std::future::ready(())) };
            let take = |line: Line| {
                if since.is_none_or(|since| line.at >= since) {
                    let _ = fed.send(spoken(&member, line));
                }
            };
            let following = follow::follow_from(&engine, &member.id, query, at_once, take);
            tokio::pin!(following);
            loop {
                tokio::select! {
                    () = &mut following => return,
                    Some(line) = waiting.recv() => {
                        if lines.send(line).await.is_err() {
                            return;
                        }
                    }
                    () = lines.closed() => return,
                }
            }
        });
    }
    drop(lines);
    while readers.join_next().await.is_some() {}
}
