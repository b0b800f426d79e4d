//! The kernel's calls for loop devices, mounts and btrfs subvolumes.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// How many loop devices are looked at.
pub const MOST_LOOPS: u32 = 4096;

const LOOP_SET_FD: u64 = 0x4c00;
const LOOP_CLR_FD: u64 = 0x4c01;
const LOOP_SET_STATUS64: u64 = 0x4c04;
const LOOP_GET_STATUS64: u64 = 0x4c05;
const LOOP_CTL_GET_FREE: u64 = 0x4c82;
/// The device is given back when nobody has it any more.
const LO_FLAGS_AUTOCLEAR: u32 = 4;
const LOOP_SET_DIRECT_IO: libc::c_ulong = 0x4c08;

/// `struct loop_info64` of `linux/loop.h`.
#[repr(C)]
#[derive(Clone, Copy)]
struct LoopInfo {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    sizelimit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

/// `struct btrfs_ioctl_vol_args` of `linux/btrfs.h`.
#[repr(C)]
struct VolArgs {
    fd: i64,
    name: [u8; 4088],
}

/// `struct btrfs_ioctl_vol_args_v2`.
#[repr(C)]
struct VolArgs2 {
    fd: i64,
    transid: u64,
    flags: u64,
    unused: [u64; 4],
    name: [u8; 4040],
}

/// `_IOC(direction, 0x94, number, size)`: 1 = the kernel reads, 2 = it writes.
const fn btrfs(direction: u64, number: u64, size: usize) -> u64 {
    (direction << 30) | ((size as u64) << 16) | (0x94 << 8) | number
}

const BTRFS_RESIZE: u64 = btrfs(1, 3, size_of::<VolArgs>());
const BTRFS_SUBVOL_CREATE: u64 = btrfs(1, 14, size_of::<VolArgs>());
const BTRFS_SNAP_DESTROY: u64 = btrfs(1, 15, size_of::<VolArgs>());
const BTRFS_SNAP_CREATE_V2: u64 = btrfs(1, 23, size_of::<VolArgs2>());
const BTRFS_SUBVOL_SETFLAGS: u64 = btrfs(1, 26, size_of::<u64>());
const BTRFS_READ_ONLY: u64 = 2;
fn checked(result: i32) -> io::Result<i32> {
    match result {
        -1 => Err(io::Error::last_os_error()),
        n => Ok(n),
    }
}

fn text(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(io::Error::from)
}

/// Waits until a file is nobody else's, until it is closed.
pub fn lock(file: &File) -> io::Result<()> {
    // SAFETY: the descriptor is open.
    checked(unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX) }).map(drop)
}

/// The size of the file system that a file lies on, in bytes.
pub fn size_of_file_system(file: &File) -> io::Result<u64> {
    let (total, _) = room(file)?;
    Ok(total)
}

/// All and the free bytes of the file system that a file lies on.
pub fn room(file: &File) -> io::Result<(u64, u64)> {
    let mut room = MaybeUninit::<libc::statvfs>::zeroed();
    // SAFETY: the descriptor is open, and the kernel fills what is zeroed and large enough.
    let room = unsafe {
        checked(libc::fstatvfs(file.as_raw_fd(), room.as_mut_ptr()))?;
        room.assume_init()
    };
    let size = room.f_frsize;
    Ok((room.f_blocks * size, room.f_bavail * size))
}

/// Opens a device, whose node is made if `/dev` does not have it.
pub fn special(path: &str, kind: libc::mode_t, (major, minor): (u32, u32)) -> io::Result<File> {
    let name = text(Path::new(path))?;
    // SAFETY: the name ends with a zero.
    unsafe {
        let made = libc::mknod(name.as_ptr(), kind | 0o600, libc::makedev(major, minor));
        if made == -1 {
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::AlreadyExists {
                return Err(error);
            }
        }
        let fd = checked(libc::open(name.as_ptr(), libc::O_RDWR | libc::O_CLOEXEC))?;
        Ok(File::from_raw_fd(fd))
    }
}

/// The number of a loop device that nobody has.
pub fn free_loop(control: &File) -> io::Result<u32> {
    // SAFETY: the descriptor is that of the control device, and the call has no argument.
    let number = checked(unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE as _) })?;
    u32::try_from(number).map_err(io::Error::other)
}

/// Puts a file on a loop device, until nobody has it any more.
pub fn set_loop(device: &File, file: &File) -> io::Result<()> {
    // SAFETY: both descriptors are open; the structure is what the kernel expects, and all
    // zeros is a value of it.
    unsafe {
        checked(libc::ioctl(
            device.as_raw_fd(),
            LOOP_SET_FD as _,
            file.as_raw_fd(),
        ))?;
        let mut info: LoopInfo = MaybeUninit::zeroed().assume_init();
        info.flags = LO_FLAGS_AUTOCLEAR;
        let set = libc::ioctl(device.as_raw_fd(), LOOP_SET_STATUS64 as _, &raw const info);
        if let Err(error) = checked(set) {
            libc::ioctl(device.as_raw_fd(), LOOP_CLR_FD as _, 0);
            return Err(error);
        }
        // Past the cache of the file below, where that can be: the file system on the device
        // has its own.
        libc::ioctl(device.as_raw_fd(), LOOP_SET_DIRECT_IO as _, 1);
    }
    Ok(())
}

/// Device and inode of the file that a loop device shows.
pub fn loop_backing(device: &File) -> io::Result<(u64, u64)> {
    // SAFETY: the descriptor is open; the kernel fills the structure.
    unsafe {
        let mut info: LoopInfo = MaybeUninit::zeroed().assume_init();
        let got = libc::ioctl(device.as_raw_fd(), LOOP_GET_STATUS64 as _, &raw mut info);
        checked(got)?;
        Ok((info.device, info.inode))
    }
}

/// Mounts a device; that something is read is not written down.
pub fn mount(device: &str, at: &Path, kind: &str, options: &str) -> io::Result<()> {
    let (device, at) = (CString::new(device)?, text(at)?);
    let (kind, options) = (CString::new(kind)?, CString::new(options)?);
    // SAFETY: all texts end with a zero and live until the call is over.
    checked(unsafe {
        libc::mount(
            device.as_ptr(),
            at.as_ptr(),
            kind.as_ptr(),
            libc::MS_NOATIME,
            options.as_ptr().cast(),
        )
    })
    .map(drop)
}

/// Takes a mount away.
pub fn unmount(at: &Path) -> io::Result<()> {
    let at = text(at)?;
    // SAFETY: the text ends with a zero.
    checked(unsafe { libc::umount2(at.as_ptr(), libc::MNT_DETACH) }).map(drop)
}

fn name_into(name: &str, into: &mut [u8]) -> io::Result<()> {
    if name.is_empty() || name.len() >= into.len() || name.contains(['/', '\0']) {
        let why = format!("`{name}` is no name of a subvolume");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    into[..name.len()].copy_from_slice(name.as_bytes());
    Ok(())
}

fn call(dir: &File, request: u64, name: &str) -> io::Result<()> {
    let mut args = VolArgs {
        fd: 0,
        name: [0; 4088],
    };
    name_into(name, &mut args.name)?;
    // SAFETY: the descriptor is open; the structure is what the kernel expects.
    checked(unsafe { libc::ioctl(dir.as_raw_fd(), request as _, &raw const args) }).map(drop)
}

/// Makes a file system as large as its device.
pub fn resize(top: &File) -> io::Result<()> {
    call(top, BTRFS_RESIZE, "max")
}

/// Makes an empty subvolume in a directory.
pub fn create_subvolume(dir: &Path, name: &str) -> io::Result<()> {
    call(&File::open(dir)?, BTRFS_SUBVOL_CREATE, name)
}

/// Removes a subvolume with all that is in it.
pub fn remove_subvolume(dir: &Path, name: &str) -> io::Result<()> {
    call(&File::open(dir)?, BTRFS_SNAP_DESTROY, name)
}

/// Makes a subvolume of what another one holds, in constant time.
pub fn snapshot(of: &Path, dir: &Path, name: &str, read_only: bool) -> io::Result<()> {
    let (of, dir) = (File::open(of)?, File::open(dir)?);
    let mut args = VolArgs2 {
        fd: i64::from(of.as_raw_fd()),
        transid: 0,
        flags: if read_only { BTRFS_READ_ONLY } else { 0 },
        unused: [0; 4],
        name: [0; 4040],
    };
    name_into(name, &mut args.name)?;
    // SAFETY: both descriptors are open; the structure is what the kernel expects.
    let made = unsafe { libc::ioctl(dir.as_raw_fd(), BTRFS_SNAP_CREATE_V2 as _, &raw const args) };
    checked(made).map(drop)
}

/// Lets nobody write to a subvolume any more, or lets them again.
pub fn set_read_only(subvolume: &Path, read_only: bool) -> io::Result<()> {
    let top = File::open(subvolume)?;
    let flags: u64 = if read_only { BTRFS_READ_ONLY } else { 0 };
    // SAFETY: the descriptor is open; the kernel reads one number.
    let set = unsafe {
        libc::ioctl(
            top.as_raw_fd(),
            BTRFS_SUBVOL_SETFLAGS as _,
            &raw const flags,
        )
    };
    checked(set).map(drop)
}

/// Lets a file have all its bytes from another one (`FICLONE`); only on file systems that can.
pub fn share(from: &File, to: &File) -> io::Result<()> {
    const FICLONE: libc::c_ulong = 0x4004_9409;
    // SAFETY: both descriptors are open; the call takes no pointer.
    match unsafe { libc::ioctl(to.as_raw_fd(), FICLONE as _, from.as_raw_fd()) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
