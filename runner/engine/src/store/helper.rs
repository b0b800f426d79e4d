//! The container that keeps a store: what it is asked, and what it answers.

use std::collections::{BTreeMap, HashMap};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use prodmirror_agent::wire::{
    CONFIG_ENV, StoreAsk, StoreConfig, StoreKind, StoreReply, StoreRequest, StoredContent,
};
use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::snapshot::bytes;
use serde_json::{Value, json};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::docker::{Attached, Engine, EngineError, NewContainer, NewVolume, OutputFrom};
use crate::live::label::{self, Role};

/// Where the helper has the store, and what it reads.
const DIR: &str = "/store";
/// Where a volume is mounted that is read into the store.
pub const SOURCE: &str = "/source";
/// How long it may take to open a store.
const OPEN_WITHIN: Duration = Duration::from_secs(60);
/// How long a helper may take to be gone after it was told to.
const GONE_WITHIN: Duration = Duration::from_secs(20);
/// What it needs to mount a file system of its own, and to keep owners and attributes.
const CAPABILITIES: [&str; 7] = [
    "SYS_ADMIN",
    "MKNOD",
    "CHOWN",
    "FOWNER",
    "FSETID",
    "DAC_OVERRIDE",
    "SETFCAP",
];

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct Open<'a> {
    /// Name of the store's volume.
    pub store: &'a str,
    /// Labels of the helper, on top of its own.
    pub labels: BTreeMap<String, String>,
    /// What it reads into the store: mounts as the engine's API has them, below [`SOURCE`].
    pub mounts: Vec<Value>,
    /// Whether it goes on when this process ends. It is then removed by its labels.
    pub stay: bool,
    /// How contents are kept; absent = the best way that the engine has.
    pub kind: Option<StoreKind>,
}

impl<'a> Open<'a> {
    /// As long as this process wants it.
    pub fn of(store: &'a str) -> Self {
        Self {
            store,
            labels: BTreeMap::new(),
            mounts: Vec::new(),
            stay: false,
            kind: None,
        }
    }
}

/// Takes the number of bytes that were read so far.
pub type Progress<'a> = &'a (dyn Fn(u64) + Send + Sync);

/// What a directory holds.
pub type Content = StoredContent;

/// An open store.
pub struct Helper {
    engine: Engine,
    container: String,
    holder: String,
    kind: StoreKind,
    decided: bool,
    room: (u64, u64),
    stay: bool,
    input: tokio::sync::Mutex<Pin<Box<dyn AsyncWrite + Send>>>,
    waiting: Arc<Mutex<Waiting>>,
    next: AtomicU64,
    reading: JoinHandle<()>,
}

impl std::fmt::Debug for Helper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Helper")
            .field("container", &self.container)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Waiting {
    by: HashMap<u64, mpsc::UnboundedSender<StoreReply>>,
    /// Why nothing more comes.
    gone: Option<String>,
}

/// What a request came to.
#[derive(Debug, Default)]
struct Done {
    content: Option<StoredContent>,
    options: BTreeMap<String, String>,
    contents: Vec<String>,
    clones: Vec<String>,
}

impl Helper {
    /// Opens a store; makes it if there is none.
    ///
    /// # Errors
    /// The engine's, or that of the helper.
    pub async fn open(engine: &Engine, how: &Open<'_>) -> Result<Self, Problem> {
        let image = engine.load_agent().await?;
        let labels = BTreeMap::from([(label::ROLE.to_owned(), Role::Store.text().to_owned())]);
        let volume = NewVolume {
            name: how.store.to_owned(),
            labels,
            options: BTreeMap::new(),
        };
        let made = engine.create_volume(&volume).await;
        let host_dir = made.map_err(|e| e.problem("make the volume of the store"))?;
        let holder = uuid::Uuid::new_v4().simple().to_string();
        let owner = holder.as_str();
        let started = |kind: Option<StoreKind>, strong: bool| {
            let config = StoreConfig {
                dir: DIR.to_owned(),
                holder: owner.to_owned(),
                host_dir: host_dir.clone(),
                kind,
                stay: how.stay,
            };
            let config = serde_json::to_string(&config).unwrap_or_default();
            let body = body(&image, &config, how, strong);
            async move { Self::start(engine, how, body, owner).await }
        };
        let mut strong = true;
        let first = match started(how.kind, true).await {
            // An engine that grants no such rights still has directories.
            Err(Refused::Rights(_)) => {
                strong = false;
                let kind = how.kind.unwrap_or(StoreKind::Overlay);
                started(Some(kind), false).await
            }
            other => other,
        };
        let mut helper = first.map_err(Refused::problem)?;
        if helper.decided || how.kind.is_some() {
            return Ok(helper);
        }
        // Whether the engine itself mounts such clones is known when it has mounted one.
        for next in [StoreKind::Overlay, StoreKind::Copy] {
            if helper.kind == StoreKind::Copy || helper.is_mounted().await? {
                break;
            }
            if helper.kind == next {
                continue;
            }
            helper.close().await;
            helper = started(Some(next), strong)
                .await
                .map_err(Refused::problem)?;
        }
        helper
            .ask("note how it is kept", StoreAsk::Decide, &|_| {})
            .await?;
        Ok(helper)
    }

    /// Whether the engine mounts a clone: seen by a container that is never started.
    async fn is_mounted(&self) -> Result<bool, Problem> {
        let clone = self.name("try");
        let ask = StoreAsk::Try {
            clone: clone.clone(),
        };
        let done = self.ask("try a clone", ask, &|_| {}).await?;
        let name = format!("try-{}", self.holder);
        let labels = BTreeMap::from([(label::ROLE.to_owned(), Role::Store.text().to_owned())]);
        let volume = NewVolume {
            name: name.clone(),
            labels: labels.clone(),
            options: done.options,
        };
        let image = self.engine.load_agent().await?;
        let new = NewContainer {
            name: name.clone(),
            body: json!({
                "Image": image, "Cmd": ["hold"], "Labels": labels,
                "HostConfig": {"NetworkMode": "none", "Binds": [format!("{name}:/try:nocopy")]},
            }),
            platform: None,
        };
        let mounted = async {
            self.engine.create_volume(&volume).await?;
            let id = self.engine.create_container(&new).await?.id;
            let seen = std::pin::pin!(self.engine.get_archive(&id, "/try/."))
                .next()
                .await;
            self.engine.remove_container(&id).await?;
            Ok::<_, EngineError>(matches!(seen, Some(Ok(_))))
        };
        let mounted = mounted.await;
        let _ = self.engine.remove_container(&name).await;
        let _ = self.engine.remove_volume(&name).await;
        self.discard(&clone).await?;
        match mounted {
            Ok(mounted) => Ok(mounted),
            Err(e) if e.is_lost() => Err(e.problem("try a clone")),
            Err(_) => Ok(false),
        }
    }

    async fn start(
        engine: &Engine,
        how: &Open<'_>,
        body: Value,
        holder: &str,
    ) -> Result<Self, Refused> {
        let doing = "start the helper of the store";
        let new = NewContainer {
            // One that is closed may still be on its way out.
            name: format!("{}-{}", how.store, uuid::Uuid::new_v4().simple()),
            body,
            platform: None,
        };
        let created = engine.create_container(&new).await;
        let id = created.map_err(|e| Refused::of(&e, doing))?.id;
        let attached = match engine.attach(&id, true).await {
            Ok(attached) => attached,
            Err(e) => {
                let _ = engine.remove_container(&id).await;
                return Err(Refused::of(&e, doing));
            }
        };
        if let Err(e) = engine.start_container(&id).await {
            let _ = engine.remove_container(&id).await;
            return Err(Refused::of(&e, doing));
        }
        let waiting = Arc::new(Mutex::new(Waiting::default()));
        let (opened, mut first) = mpsc::unbounded_channel();
        if let Ok(mut waiting) = waiting.lock() {
            // The answer to no request: that it is open.
            waiting.by.insert(0, opened);
        }
        let Attached { output, input } = attached;
        let reading = tokio::spawn(read(output, waiting.clone()));
        let first = tokio::time::timeout(OPEN_WITHIN, first.recv()).await;
        let Ok(Some(StoreReply::Open {
            kind,
            decided,
            total,
            free,
        })) = first
        else {
            let _ = engine.remove_container(&id).await;
            let waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let why = waiting.gone.clone();
            let why = why.unwrap_or_else(|| "its helper said nothing in time".to_owned());
            let message = format!("the store cannot be opened: {why}");
            return Err(Refused::Other(Problem::new(ProblemKind::Start, message)));
        };
        Ok(Self {
            engine: engine.clone(),
            container: id,
            holder: holder.to_owned(),
            kind,
            decided,
            room: (total, free),
            stay: how.stay,
            input: tokio::sync::Mutex::new(input),
            waiting,
            next: AtomicU64::new(1),
            reading,
        })
    }

    /// How it makes clones.
    pub fn kind(&self) -> StoreKind {
        self.kind
    }

    /// Whether it can still be asked.
    pub fn is_alive(&self) -> bool {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.gone.is_none()
    }

    /// Copies a directory of the helper's into the store and seals it.
    ///
    /// # Errors
    /// Something cannot be read, or there is no room; nothing is left of it then.
    pub async fn import(&self, from: &str, progress: Progress<'_>) -> Result<Content, Problem> {
        let from = from.to_owned();
        let done = self.ask("seal the data", StoreAsk::Import { from }, progress);
        content(done.await?)
    }

    /// Reads a sealed content again.
    ///
    /// # Errors
    /// It is not there, or cannot be read.
    pub async fn verify(&self, content_: &str, progress: Progress<'_>) -> Result<Content, Problem> {
        let ask = StoreAsk::Verify {
            content: content_.to_owned(),
        };
        content(self.ask("read the snapshot", ask, progress).await?)
    }

    /// Makes a clone of a content; gives the name of it, and the options of the engine's volume
    /// that is it.
    ///
    /// # Errors
    /// There is no such content, or no room.
    pub async fn clone_of(
        &self,
        content: &str,
    ) -> Result<(String, BTreeMap<String, String>), Problem> {
        let short = content.get(..16).unwrap_or(content);
        let clone = self.name(short);
        let options = self.clone_as(content, &clone).await?;
        Ok((clone, options))
    }

    /// The same, under a name that is free again.
    ///
    /// # Errors
    /// As [`Helper::clone_of`].
    pub async fn clone_as(
        &self,
        content: &str,
        clone: &str,
    ) -> Result<BTreeMap<String, String>, Problem> {
        let ask = StoreAsk::Clone {
            content: content.to_owned(),
            clone: clone.to_owned(),
        };
        let done = self.ask("clone the snapshot", ask, &|_| {}).await?;
        Ok(done.options)
    }

    /// Makes a clone of what a clone holds now; under a name of its own, or under one that is
    /// free again.
    ///
    /// # Errors
    /// There is no such clone, or no room.
    pub async fn fork(&self, of: &str, name: Option<&str>) -> Result<String, Problem> {
        let short = of.split('.').nth(1).unwrap_or_default();
        let clone = name.map_or_else(|| self.name(short), str::to_owned);
        let ask = StoreAsk::Fork {
            of: of.to_owned(),
            clone: clone.clone(),
        };
        self.ask("copy the data", ask, &|_| {}).await?;
        Ok(clone)
    }

    /// Removes a clone.
    ///
    /// # Errors
    /// There is none.
    pub async fn discard(&self, clone: &str) -> Result<(), Problem> {
        let clone = clone.to_owned();
        let ask = StoreAsk::Drop { clone };
        self.ask("remove the clone", ask, &|_| {}).await.map(drop)
    }

    /// Removes a sealed content.
    ///
    /// # Errors
    /// There is none.
    pub async fn remove(&self, content: &str) -> Result<(), Problem> {
        let content = content.to_owned();
        let ask = StoreAsk::Remove { content };
        self.ask("remove the snapshot", ask, &|_| {})
            .await
            .map(drop)
    }

    /// What is in it: the hashes of sealed contents, and the names of clones of live holders.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn list(&self) -> Result<(Vec<String>, Vec<String>), Problem> {
        let done = self.ask("list the store", StoreAsk::List, &|_| {}).await?;
        Ok((done.contents, done.clones))
    }

    /// Lets go of it: what this holder has made in it, other than sealed contents, goes.
    pub async fn close(self) {
        {
            let mut input = self.input.lock().await;
            let _ = input.shutdown().await;
        }
        if self.stay {
            let _ = self.engine.kill_container(&self.container, "SIGTERM").await;
        }
        let ended = tokio::time::timeout(GONE_WITHIN, self.reading).await;
        // It removes itself, which the engine does a moment after its end.
        if ended.is_err() || !gone(&self.engine, &self.container).await {
            let _ = self.engine.remove_container(&self.container).await;
        }
    }

    /// A name that nobody else gives, by which it is known of which content a clone is.
    fn name(&self, content: &str) -> String {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        format!("{}.{content}.{number}", self.holder)
    }

    async fn ask(
        &self,
        doing: &str,
        ask: StoreAsk,
        progress: Progress<'_>,
    ) -> Result<Done, Problem> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (tell, mut replies) = mpsc::unbounded_channel();
        let lost = |why: &str| {
            let message = format!("could not {doing}: the helper of the store is gone: {why}");
            Problem::new(ProblemKind::Start, message)
        };
        {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(why) = &waiting.gone {
                return Err(lost(why));
            }
            waiting.by.insert(id, tell);
        }
        let request = StoreRequest { id, ask };
        let mut line = serde_json::to_vec(&request).unwrap_or_default();
        line.push(b'\n');
        {
            let mut input = self.input.lock().await;
            let sent = async {
                input.write_all(&line).await?;
                input.flush().await
            };
            if let Err(e) = sent.await {
                return Err(lost(&e.to_string()));
            }
        }
        while let Some(reply) = replies.recv().await {
            match reply {
                StoreReply::Progress { bytes, .. } => progress(bytes),
                StoreReply::Done {
                    content,
                    options,
                    contents,
                    clones,
                    ..
                } => {
                    return Ok(Done {
                        content,
                        options,
                        contents,
                        clones,
                    });
                }
                StoreReply::Failed { why, full, .. } => return Err(self.failed(doing, &why, full)),
                StoreReply::Open { .. } => {}
            }
        }
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        Err(lost(waiting.gone.as_deref().unwrap_or("its output ended")))
    }

    fn failed(&self, doing: &str, why: &str, full: bool) -> Problem {
        let message = format!("could not {doing}: {why}");
        let problem = Problem::new(ProblemKind::Start, message);
        match full {
            true => problem.help(format!(
                "the disk of the store is full ({} of {} were free when it was opened): \
                 make room on the engine's host, or remove snapshots",
                bytes(self.room.1),
                bytes(self.room.0)
            )),
            false => problem,
        }
    }
}

fn content(done: Done) -> Result<Content, Problem> {
    done.content.ok_or_else(|| {
        let message = "the helper of the store did not say what it read";
        Problem::new(ProblemKind::Start, message)
    })
}

/// Whether a container that removes itself is gone, soon.
async fn gone(engine: &Engine, id: &str) -> bool {
    let mut pause = Duration::from_millis(5);
    for _ in 0..12 {
        match engine.inspect_container(id).await {
            Err(e) if e.is_missing() => return true,
            _ => tokio::time::sleep(pause).await,
        }
        pause *= 2;
    }
    false
}

/// Gives every answer to who asked.
async fn read(mut output: crate::docker::LogStream, waiting: Arc<Mutex<Waiting>>) {
    let mut open = Vec::new();
    let mut errors = Vec::new();
    let mut ended = None;
    while let Some(piece) = output.next().await {
        let piece = match piece {
            Ok(piece) => piece,
            Err(e) => {
                ended = Some(e.to_string());
                break;
            }
        };
        if piece.from == OutputFrom::Stderr {
            errors.extend_from_slice(&piece.bytes);
            continue;
        }
        open.extend_from_slice(&piece.bytes);
        while let Some(end) = open.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = open.drain(..=end).collect();
            let Ok(reply) = serde_json::from_slice::<StoreReply>(&line) else {
                errors.extend_from_slice(&line);
                continue;
            };
            let waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(to) = waiting.by.get(&number(&reply)) {
                let _ = to.send(reply);
            }
        }
    }
    let said = String::from_utf8_lossy(&errors).trim().to_owned();
    let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
    waiting.gone = Some(match (said.is_empty(), ended) {
        (false, _) => said,
        (true, Some(e)) => e,
        (true, None) => "it ended".to_owned(),
    });
    waiting.by.clear();
}

fn number(reply: &StoreReply) -> u64 {
    match reply {
        StoreReply::Open { .. } => 0,
        StoreReply::Progress { id, .. }
        | StoreReply::Done { id, .. }
        | StoreReply::Failed { id, .. } => *id,
    }
}

enum Refused {
    /// The engine does not grant what the helper needs.
    Rights(Problem),
    Other(Problem),
}

impl Refused {
    fn of(e: &EngineError, doing: &str) -> Self {
        let text = e.to_string().to_lowercase();
        let rights = [
            "permission",
            "not permitted",
            "capabilit",
            "privileg",
            "not allowed",
        ];
        let problem = e.problem(doing);
        match rights.iter().any(|word| text.contains(word)) {
            true => Self::Rights(problem),
            false => Self::Other(problem),
        }
    }

    fn problem(self) -> Problem {
        match self {
            Self::Rights(problem) | Self::Other(problem) => problem,
        }
    }
}

/// The helper's container. `strong` = it may mount file systems of its own.
fn body(image: &str, config: &str, how: &Open<'_>, strong: bool) -> Value {
    let mut labels = how.labels.clone();
    labels.insert(label::ROLE.to_owned(), Role::Store.text().to_owned());
    let mut mounts = vec![json!({"Type": "volume", "Source": how.store, "Target": DIR})];
    mounts.extend(how.mounts.iter().cloned());
    let keeping = &CAPABILITIES[2..];
    let mut host = json!({
        "NetworkMode": "none",
        "AutoRemove": true,
        "CapDrop": ["ALL"],
        "CapAdd": if strong { &CAPABILITIES[..] } else { keeping },
        "Mounts": mounts,
    });
    if strong {
        host["SecurityOpt"] = json!(["apparmor=unconfined", "label=disable"]);
        // Loop devices, and what gives them out.
        host["DeviceCgroupRules"] = json!(["b 7:* rwm", "c 10:237 rwm"]);
    }
    json!({
        "Image": image,
        "Cmd": ["store"],
        "Env": [format!("{CONFIG_ENV}={config}")],
        "Labels": labels,
        "OpenStdin": true,
        "StdinOnce": !how.stay,
        "AttachStdin": true,
        "AttachStdout": true,
        "AttachStderr": true,
        "HostConfig": host,
    })
}
