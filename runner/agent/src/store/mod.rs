//! Mode `store`: keeps the contents of data volumes, sealed, and gives writable clones of them
//! in constant time.
//!
//! There are `contents/HASH` (sealed), `clones/HOLDER.N` and `stage/HOLDER.N` (what is being
//! written): in a btrfs file system in the file `DIR/disk`, or in `DIR` itself. Each
//! holder has a lock in `DIR/holders` as long as it lives: what belongs to one that is gone is
//! removed by whoever comes next.

mod disk;
mod pack;
mod space;
mod sys;
mod tree;

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use prodmirror_agent::wire::{StoreAsk, StoreConfig, StoreReply, StoreRequest, StoredContent};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::task::{LocalSet, spawn_blocking, spawn_local};

pub use self::pack::{pack, unpack};
use self::space::Space;
use self::tree::Known;
use crate::hold;
use crate::output::{Failure, line};

/// Less than so many bytes are no room.
const FULL: u64 = 4 << 20;
/// How often progress is told at most.
const TELL: Duration = Duration::from_millis(100);

/// A store that is open.
#[derive(Debug)]
struct Store {
    top: PathBuf,
    holders: PathBuf,
    holder: String,
    /// The store on the engine's host.
    host: String,
    space: Space,
    /// Where it is written how contents are kept, and whether it was.
    decision: PathBuf,
    decided: bool,
    _lock: File,
}

fn tell(reply: &StoreReply) {
    line(&serde_json::to_string(reply).unwrap_or_default());
}

/// Opens the store, says so, and does what is asked over stdin until that ends.
pub async fn run(config: StoreConfig) -> Result<u8, Failure> {
    let stay = config.stay;
    let store =
        Store::open(&config).map_err(|error| Failure::new("the store cannot be opened", error))?;
    store.collect();
    let file = File::open(&store.holders);
    let (total, free) = file.and_then(|f| sys::room(&f)).unwrap_or_default();
    tell(&StoreReply::Open {
        kind: store.space.kind(),
        decided: store.decided,
        total,
        free,
    });
    let store = Rc::new(store);
    let local = LocalSet::new();
    let asked = local.run_until(async {
        let mut lines = BufReader::new(tokio::io::stdin()).lines();
        while let Ok(Some(text)) = lines.next_line().await {
            let request: StoreRequest = match serde_json::from_str(&text) {
                Ok(request) => request,
                Err(error) => {
                    let why = error.to_string();
                    tell(&StoreReply::Failed {
                        id: 0,
                        why,
                        full: false,
                    });
                    continue;
                }
            };
            let store = Rc::clone(&store);
            spawn_local(async move {
                let id = request.id;
                let reply = store.answer(request).await;
                tell(&reply.unwrap_or_else(|error| StoreReply::Failed {
                    id,
                    full: error.kind() == io::ErrorKind::StorageFull || store.is_full(),
                    why: error.to_string(),
                }));
            });
        }
    });
    asked.await;
    if stay {
        return hold::reap().await;
    }
    Ok(0)
}

impl Store {
    fn open(config: &StoreConfig) -> io::Result<Self> {
        let dir = Path::new(&config.dir);
        let holders = dir.join("holders");
        fs::create_dir_all(&holders)?;
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(holders.join(&config.holder))?;
        sys::lock(&lock)?;
        let mounted = dir.join("top");
        let decision = dir.join("kind");
        let before = fs::read_to_string(&decision).ok();
        let before = before.and_then(|text| serde_json::from_str(&text).ok());
        let decided = before.is_some() && config.kind.is_none();
        let space = Space::open(dir, &mounted, config.kind.or(before))?;
        let top = match space {
            Space::Btrfs(_) => mounted,
            _ => dir.to_owned(),
        };
        for name in ["contents", "clones", "stage"] {
            fs::create_dir_all(top.join(name))?;
        }
        Ok(Self {
            top,
            holders,
            holder: config.holder.clone(),
            host: config.host_dir.clone(),
            space,
            decision,
            decided,
            _lock: lock,
        })
    }

    async fn answer(&self, request: StoreRequest) -> io::Result<StoreReply> {
        let id = request.id;
        let (contents, clones) = (self.top.join("contents"), self.top.join("clones"));
        let mut done = Answer::default();
        match request.ask {
            StoreAsk::Import { from } => {
                let room = sys::room(&File::open(&self.holders)?)?.1;
                let source = PathBuf::from(&from);
                let needed = blocking(move || tree::size(&source)).await?;
                if needed > room {
                    return Err(io::Error::new(
                        io::ErrorKind::StorageFull,
                        format!("it needs {needed} bytes, and {room} are free"),
                    ));
                }
                let stage = self.stage(id)?;
                let to = stage.clone();
                let known = self.known();
                let copied = blocking(move || copied(id, Path::new(&from), &to, known)).await;
                done.content = Some(self.sealed(&stage, copied)?);
            }
            StoreAsk::Clone { content, clone } => {
                let of = contents.join(checked(&content)?);
                self.space.clone_of(&of, &clones, checked(&clone)?)?;
                self.space.note(&clones, &clone, &content)?;
                done.options = self.space.options(&clones, &self.host, &clone)?;
            }
            StoreAsk::Fork { of, clone } => {
                self.space.fork(&clones, checked(&of)?, checked(&clone)?)?;
                done.options = self.space.options(&clones, &self.host, &clone)?;
            }
            StoreAsk::Drop { clone } => self.space.remove(&clones, checked(&clone)?)?,
            StoreAsk::Remove { content } => self.space.remove(&contents, checked(&content)?)?,
            StoreAsk::Verify { content } => {
                let of = contents.join(checked(&content)?);
                done.content = Some(blocking(move || read(id, &of)).await?);
            }
            StoreAsk::Try { clone } => {
                self.space.empty(&clones, checked(&clone)?)?;
                done.options = self.space.options(&clones, &self.host, &clone)?;
            }
            StoreAsk::Decide => {
                let kind = serde_json::to_string(&self.space.kind())?;
                fs::write(&self.decision, kind)?;
            }
            StoreAsk::List => {
                done.contents = names(&contents)?;
                done.clones = names(&clones)?;
            }
        }
        Ok(StoreReply::Done {
            id,
            content: done.content,
            options: done.options,
            contents: done.contents,
            clones: done.clones,
        })
    }

    /// Whether the disk below has no room: a file system on it then fails in its own way.
    fn is_full(&self) -> bool {
        let room = File::open(&self.holders).and_then(|dir| sys::room(&dir));
        room.is_ok_and(|(_, free)| free < FULL)
    }

    /// What is sealed already: large files that are equal share their bytes.
    fn known(&self) -> Option<Known> {
        match self.space {
            Space::Btrfs(_) => Some(Known::of(&self.top.join("contents"))),
            _ => None,
        }
    }

    /// A new empty subvolume to write into.
    fn stage(&self, id: u64) -> io::Result<PathBuf> {
        let dir = self.top.join("stage");
        let name = format!("{}.{id}", self.holder);
        self.space.create(&dir, &name)?;
        Ok(dir.join(name))
    }

    /// Seals what is in a stage, under the hash of its content. What is there already is kept.
    fn sealed(
        &self,
        stage: &Path,
        content: io::Result<StoredContent>,
    ) -> io::Result<StoredContent> {
        let give_up = || self.space.remove(&self.top.join("stage"), &name_of(stage));
        let content = match content {
            Ok(content) => content,
            Err(error) => {
                let _ = give_up();
                return Err(error);
            }
        };
        let to = self.top.join("contents").join(&content.hash);
        if to.exists() {
            give_up()?;
            return Ok(content);
        }
        // On the disk before it has its name: what is called by a hash is whole.
        tree::sync(&self.top)?;
        fs::rename(stage, &to)?;
        self.space.seal(&to)?;
        tree::sync(&self.top)?;
        Ok(content)
    }

    /// Removes what belongs to holders that are gone.
    fn collect(&self) {
        let Ok(holders) = names(&self.holders) else {
            return;
        };
        let is_gone = |holder: &str| {
            let Ok(lock) = OpenOptions::new()
                .write(true)
                .open(self.holders.join(holder))
            else {
                return true;
            };
            // SAFETY: the descriptor is open.
            unsafe { libc::flock(lock.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) == 0 }
        };
        for dir in ["clones", "stage"] {
            let dir = self.top.join(dir);
            for name in names(&dir).unwrap_or_default() {
                let holder = name.split('.').next().unwrap_or_default();
                if holder != self.holder && is_gone(holder) {
                    // One that is still mounted goes the next time.
                    let _ = self.space.remove(&dir, &name);
                }
            }
        }
        for holder in holders {
            if holder != self.holder && is_gone(&holder) {
                let _ = fs::remove_file(self.holders.join(holder));
            }
        }
    }

    /// Removes what belongs to this holder.
    fn leave(&self) {
        for dir in ["clones", "stage"] {
            let dir = self.top.join(dir);
            for name in names(&dir).unwrap_or_default() {
                if name.split('.').next() == Some(&self.holder) {
                    let _ = self.space.remove(&dir, &name);
                }
            }
        }
        let _ = fs::remove_file(self.holders.join(&self.holder));
    }
}

impl Drop for Store {
    /// Also when the program is told to stop.
    fn drop(&mut self) {
        self.leave();
    }
}

#[derive(Default)]
struct Answer {
    content: Option<StoredContent>,
    options: BTreeMap<String, String>,
    contents: Vec<String>,
    clones: Vec<String>,
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    spawn_blocking(work).await.map_err(io::Error::other)?
}

/// A name that leads to nothing but an entry of its directory.
fn checked(name: &str) -> io::Result<&str> {
    match name.is_empty() || name.contains('/') || name.starts_with('.') {
        true => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("`{name}` is no name"),
        )),
        false => Ok(name),
    }
}

fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

fn names(dir: &Path) -> io::Result<Vec<String>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir)? {
        all.push(entry?.file_name().to_string_lossy().into_owned());
    }
    all.sort();
    Ok(all)
}

/// Tells progress now and then.
fn progress(id: u64) -> impl FnMut(u64) -> io::Result<()> {
    let (mut bytes, mut last) = (0, Instant::now());
    move |more| {
        bytes += more;
        if last.elapsed() >= TELL {
            last = Instant::now();
            tell(&StoreReply::Progress { id, bytes });
        }
        Ok(())
    }
}

fn copied(id: u64, from: &Path, to: &Path, known: Option<Known>) -> io::Result<StoredContent> {
    match known {
        Some(mut known) => tree::copy_sharing(from, to, &mut known, &mut progress(id)),
        None => tree::copy(from, to, &mut progress(id)),
    }
    .map(stored)
}

fn read(id: u64, of: &Path) -> io::Result<StoredContent> {
    tree::content(of, &mut progress(id)).map(stored)
}

fn stored(content: tree::Content) -> StoredContent {
    StoredContent {
        hash: content.hash,
        entries: content.entries,
        bytes: content.bytes,
    }
}
