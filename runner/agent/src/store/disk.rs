//! The disk of the store: one sparse file with a btrfs file system, on a loop device.
//!
//! The file system is made from what `mkfs.btrfs` writes (`empty.btrfs`), so that the agent needs
//! no other program; each store gets an id of its own (`metadata_uuid`, from Linux 5.0 on).
//! All who use a store share one loop device: two for one file would be two disks of the same id.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use super::sys;

/// Unit of `empty.btrfs`: runs of lines, each with the number of its first line and their count.
const LINE: usize = 64;
static EMPTY: &[u8] = include_bytes!("empty.btrfs");

/// Where the copies of the superblock are that a small disk has.
const SUPERBLOCKS: [u64; 2] = [0x1_0000, 0x400_0000];
const SUPERBLOCK: usize = 4096;
const FSID: std::ops::Range<usize> = 0x20..0x30;
const INCOMPAT_FLAGS: std::ops::Range<usize> = 0xbc..0xc4;
/// After the system chunks, backup roots and the fields before them.
const METADATA_UUID: std::ops::Range<usize> = 0x23b..0x24b;
const HAS_METADATA_UUID: u64 = 1 << 10;

/// The disk that `empty.btrfs` was made on, in bytes.
const MADE: u64 = 128 << 20;
/// The smallest disk that is kept, in bytes.
const SMALLEST: u64 = 1 << 30;

/// A disk in use: as long as it lives, or something of it is mounted, the device is there.
#[derive(Debug)]
pub struct Disk {
    /// The loop device: `/dev/loop3`.
    pub device: String,
    _loop: File,
}

/// Makes the file if there is none, and puts it on a loop device.
pub fn open(path: &Path) -> io::Result<Disk> {
    // Not the file itself: its loop device would keep the lock.
    let lock = File::create(path.with_extension("lock"))?;
    sys::lock(&lock)?;
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    if file.metadata()?.len() == 0 {
        format(&file)?;
    }
    grow(&file)?;
    let disk = match attached(&file)? {
        Some(disk) => disk,
        None => attach(&file)?,
    };
    Ok(disk)
}

/// Writes an empty file system with an id of its own.
fn format(file: &File) -> io::Result<()> {
    file.set_len(MADE)?;
    let mut rest = EMPTY;
    while let Some((head, lines)) = rest.split_at_checked(8) {
        let number = |at: usize| {
            let bytes = [head[at], head[at + 1], head[at + 2], head[at + 3]];
            u32::from_le_bytes(bytes)
        };
        let (first, count) = (number(0), number(4));
        let Some((lines, after)) = lines.split_at_checked(count as usize * LINE) else {
            break;
        };
        file.write_all_at(lines, u64::from(first) * LINE as u64)?;
        rest = after;
    }
    let mut id = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut id)?;
    for at in SUPERBLOCKS {
        let mut block = [0; SUPERBLOCK];
        file.read_exact_at(&mut block, at)?;
        identify(&mut block, id);
        file.write_all_at(&block, at)?;
    }
    file.sync_all()
}

/// Gives a superblock an id; what was its id stays that of its metadata.
fn identify(block: &mut [u8; SUPERBLOCK], id: [u8; 16]) {
    let mut old = [0; 16];
    old.copy_from_slice(&block[FSID]);
    block[METADATA_UUID].copy_from_slice(&old);
    block[FSID].copy_from_slice(&id);
    let mut flags = [0; 8];
    flags.copy_from_slice(&block[INCOMPAT_FLAGS]);
    let flags = u64::from_le_bytes(flags) | HAS_METADATA_UUID;
    block[INCOMPAT_FLAGS].copy_from_slice(&flags.to_le_bytes());
    let sum = crc32c(&block[0x20..]);
    block[..4].copy_from_slice(&sum.to_le_bytes());
}

/// CRC-32C (RFC 3720, appendix B.4), as btrfs has it.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = !0_u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            let low = crc & 1;
            crc = (crc >> 1) ^ (0x82f6_3b78 * low);
        }
    }
    !crc
}

/// Makes the file as large as the disk that it lies on; what nobody wrote takes no room.
fn grow(file: &File) -> io::Result<()> {
    let whole = sys::size_of_file_system(file)?;
    let wanted = whole.max(SMALLEST) / (1 << 20) * (1 << 20);
    if file.metadata()?.len() < wanted {
        file.set_len(wanted)?;
    }
    Ok(())
}

/// The loop device that a file is on already.
fn attached(file: &File) -> io::Result<Option<Disk>> {
    let ours = file.metadata()?;
    for number in 0..sys::MOST_LOOPS {
        let status = format!("/sys/block/loop{number}/loop/backing_file");
        if std::fs::metadata(status).is_err() {
            continue;
        }
        let Ok(device) = node(number) else { continue };
        let Ok((dev, ino)) = sys::loop_backing(&device) else {
            continue;
        };
        if (dev, ino) == (ours.dev(), ours.ino()) {
            return Ok(Some(Disk {
                device: format!("/dev/loop{number}"),
                _loop: device,
            }));
        }
    }
    Ok(None)
}

fn attach(file: &File) -> io::Result<Disk> {
    let control = sys::special("/dev/loop-control", libc::S_IFCHR, (10, 237))?;
    // Somebody else may take the free one first.
    for _ in 0..64 {
        let number = sys::free_loop(&control)?;
        let device = node(number)?;
        match sys::set_loop(&device, file) {
            Ok(()) => {
                return Ok(Disk {
                    device: format!("/dev/loop{number}"),
                    _loop: device,
                });
            }
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::new(
        io::ErrorKind::ResourceBusy,
        "no loop device is free",
    ))
}

fn node(number: u32) -> io::Result<File> {
    sys::special(&format!("/dev/loop{number}"), libc::S_IFBLK, (7, number))
}

/// Mounts a disk, and makes its file system as large as it.
pub fn mount(disk: &Disk, at: &Path) -> io::Result<()> {
    std::fs::create_dir_all(at)?;
    // Data that is written again and again stays where it is after its first copy, as on other
    // file systems; what is freed is given back to the file.
    sys::mount(&disk.device, at, "btrfs", "nodatacow,discard=async")?;
    let top = File::open(at)?;
    sys::resize(&top)?;
    top.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABEL: usize = 0x12b;

    #[test]
    fn the_checksum_is_the_castagnoli_one() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn each_store_has_an_id_of_its_own_and_a_right_checksum() {
        let dir = std::env::temp_dir().join(format!("prodmirror-disk-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let made = |name: &str| {
            let path = dir.join(name);
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create_new(true)
                .open(path)
                .unwrap();
            format(&file).unwrap();
            let mut block = [0; SUPERBLOCK];
            file.read_exact_at(&mut block, SUPERBLOCKS[0]).unwrap();
            block
        };
        let (a, b) = (made("a"), made("b"));
        std::fs::remove_dir_all(&dir).unwrap();
        assert_ne!(a[FSID], b[FSID]);
        assert_eq!(a[METADATA_UUID], b[METADATA_UUID]);
        assert_eq!(&a[0x40..0x48], b"_BHRfS_M");
        assert_eq!(&a[LABEL..LABEL + 10], b"prodmirror");
        assert_eq!(a[..4], crc32c(&a[0x20..]).to_le_bytes());
    }
}
