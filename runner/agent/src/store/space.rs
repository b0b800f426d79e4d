//! How contents are kept and cloned: what the engine's host can do decides.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use prodmirror_agent::wire::StoreKind;

use super::disk::{self, Disk};
use super::{sys, tree};

/// Where contents and clones are.
#[derive(Debug)]
pub enum Space {
    /// Subvolumes of a btrfs file system: clones in constant time, whatever is written to them.
    Btrfs(Disk),
    /// Directories with a layer over each clone: in constant time, but a file is copied as a
    /// whole when it is first written, or opened to be.
    Overlay,
    /// Directories that are copied.
    Copy,
}

/// The layer of a clone, what the kernel needs beside it, and a whole copy.
const UPPER: &str = "upper";
const WORK: &str = "work";
const DATA: &str = "data";

impl Space {
    /// The best that there is, or the one that is asked for. `top` is where a disk is mounted.
    pub fn open(dir: &Path, top: &Path, wanted: Option<StoreKind>) -> io::Result<Self> {
        let btrfs = || {
            let disk = disk::open(&dir.join("disk"))?;
            disk::mount(&disk, top)?;
            Ok(Self::Btrfs(disk))
        };
        match wanted {
            Some(StoreKind::Btrfs) => btrfs(),
            Some(StoreKind::Overlay) => Ok(Self::Overlay),
            Some(StoreKind::Copy) => Ok(Self::Copy),
            None => Ok(btrfs().unwrap_or_else(|_| match overlays(dir) {
                true => Self::Overlay,
                false => Self::Copy,
            })),
        }
    }

    /// Its kind.
    pub fn kind(&self) -> StoreKind {
        match self {
            Self::Btrfs(_) => StoreKind::Btrfs,
            Self::Overlay => StoreKind::Overlay,
            Self::Copy => StoreKind::Copy,
        }
    }

    /// Makes an empty place.
    pub fn create(&self, dir: &Path, name: &str) -> io::Result<()> {
        match self {
            Self::Btrfs(_) => sys::create_subvolume(dir, name),
            _ => fs::create_dir(dir.join(name)),
        }
    }

    /// Removes a place with all that is in it.
    pub fn remove(&self, dir: &Path, name: &str) -> io::Result<()> {
        match self {
            Self::Btrfs(_) => sys::remove_subvolume(dir, name),
            _ => fs::remove_dir_all(dir.join(name)),
        }
    }

    /// Lets nobody write to a place any more. (Without subvolumes nobody is given it.)
    pub fn seal(&self, place: &Path) -> io::Result<()> {
        match self {
            Self::Btrfs(_) => sys::set_read_only(place, true),
            _ => Ok(()),
        }
    }

    /// Makes a clone of a content.
    pub fn clone_of(&self, content: &Path, clones: &Path, name: &str) -> io::Result<()> {
        let clone = clones.join(name);
        match self {
            Self::Btrfs(_) => sys::snapshot(content, clones, name, false),
            Self::Overlay => {
                fs::create_dir(&clone)?;
                fs::create_dir(clone.join(WORK))?;
                let upper = clone.join(UPPER);
                fs::create_dir(&upper)?;
                // The top of the layer is what is seen of the top.
                tree::like(content, &upper)
            }
            Self::Copy => {
                fs::create_dir_all(clone.join(DATA))?;
                tree::copy(content, &clone.join(DATA), &mut |_| Ok(())).map(drop)
            }
        }
    }

    /// Makes a clone of nothing.
    pub fn empty(&self, clones: &Path, name: &str) -> io::Result<()> {
        self.create(clones, name)?;
        if matches!(self, Self::Btrfs(_)) {
            return Ok(());
        }
        for part in [UPPER, WORK, DATA] {
            fs::create_dir(clones.join(name).join(part))?;
        }
        self.note(clones, name, &format!("../clones/{name}/{DATA}"))
    }

    /// Makes a clone of what a clone holds now.
    pub fn fork(&self, clones: &Path, of: &str, name: &str) -> io::Result<()> {
        let (from, to) = (clones.join(of), clones.join(name));
        match self {
            Self::Btrfs(_) => sys::snapshot(&from, clones, name, false),
            Self::Overlay => {
                fs::create_dir(&to)?;
                fs::create_dir(to.join(WORK))?;
                fs::create_dir(to.join(UPPER))?;
                let content = fs::read(from.join(OF))?;
                fs::write(to.join(OF), content)?;
                tree::copy(&from.join(UPPER), &to.join(UPPER), &mut |_| Ok(())).map(drop)
            }
            Self::Copy => {
                fs::create_dir_all(to.join(DATA))?;
                tree::copy(&from.join(DATA), &to.join(DATA), &mut |_| Ok(())).map(drop)
            }
        }
    }

    /// Notes which content a clone is of, where its volume has to be told.
    pub fn note(&self, clones: &Path, name: &str, content: &str) -> io::Result<()> {
        match self {
            Self::Overlay => fs::write(clones.join(name).join(OF), content),
            _ => Ok(()),
        }
    }

    /// The options of the volume that is a clone; `host` is the store on the engine's host.
    pub fn options(
        &self,
        clones: &Path,
        host: &str,
        name: &str,
    ) -> io::Result<BTreeMap<String, String>> {
        let (kind, device, options) = match self {
            Self::Btrfs(disk) => (
                "btrfs",
                disk.device.clone(),
                format!("subvol=clones/{name}"),
            ),
            Self::Overlay => {
                let content = fs::read_to_string(clones.join(name).join(OF))?;
                let clone = format!("{host}/clones/{name}");
                let layers = format!(
                    "lowerdir={host}/contents/{content},upperdir={clone}/{UPPER},workdir={clone}/{WORK}"
                );
                ("overlay", "overlay".to_owned(), layers)
            }
            Self::Copy => {
                let device = format!("{host}/clones/{name}/{DATA}");
                ("none", device, "bind".to_owned())
            }
        };
        let pairs = [
            ("type", kind.to_owned()),
            ("device", device),
            ("o", options),
        ];
        Ok(pairs.map(|(k, v)| (k.to_owned(), v)).into())
    }
}

/// The file that names the content which a clone is a layer over.
const OF: &str = "of";

/// Whether the kernel lays layers over directories of the store's file system.
fn overlays(dir: &Path) -> bool {
    let probe = dir.join(format!("probe-{}", std::process::id()));
    let tried = || {
        for name in ["lower", UPPER, WORK, "top"] {
            fs::create_dir_all(probe.join(name))?;
        }
        let at = |name: &str| probe.join(name).display().to_string();
        let (lower, upper, work) = (at("lower"), at(UPPER), at(WORK));
        let layers = format!("lowerdir={lower},upperdir={upper},workdir={work}");
        let top = probe.join("top");
        sys::mount("overlay", &top, "overlay", &layers)?;
        sys::unmount(&top)
    };
    let works = tried().is_ok();
    let _ = fs::remove_dir_all(&probe);
    works
}
