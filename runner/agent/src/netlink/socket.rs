//! Netlink sockets.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use super::{Message, Received};

/// How long the kernel may take to acknowledge.
const ANSWER: Duration = Duration::from_secs(5);

/// Large enough for any datagram that is asked for here.
const DATAGRAM: usize = 64 * 1024;

/// Which part of the kernel a socket talks to.
#[derive(Debug, Clone, Copy)]
#[repr(i32)]
pub enum Protocol {
    /// Interfaces, addresses, routes.
    Route = libc::NETLINK_ROUTE,
    /// Netfilter.
    Netfilter = libc::NETLINK_NETFILTER,
}

/// A netlink socket.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

impl Socket {
    /// Opens a socket.
    pub fn open(protocol: Protocol) -> io::Result<Self> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
        // SAFETY: plain system call; the descriptor is owned from here on.
        let fd = unsafe {
            let raw = check(libc::socket(
                libc::AF_NETLINK,
                kind,
                protocol as libc::c_int,
            ))?;
            OwnedFd::from_raw_fd(raw)
        };
        // SAFETY: sockaddr_nl is plain data, for which all zeroes are valid.
        let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
        address.nl_family = libc::AF_NETLINK as libc::sa_family_t;
        // SAFETY: the pointer and the length are those of `address`.
        check(unsafe {
            libc::bind(
                fd.as_raw_fd(),
                (&raw const address).cast(),
                size_of::<libc::sockaddr_nl>() as libc::socklen_t,
            )
        })?;
        let socket = Self { fd };
        let wait = libc::timeval {
            tv_sec: ANSWER.as_secs() as libc::time_t,
            tv_usec: 0,
        };
        socket.option(libc::SOL_SOCKET, libc::SO_RCVTIMEO, wait)?;
        Ok(socket)
    }

    /// Reports of a socket that is too slow are lost without an error.
    pub fn ignore_overruns(&self) -> io::Result<()> {
        self.option(
            libc::SOL_NETLINK,
            libc::NETLINK_NO_ENOBUFS,
            1 as libc::c_int,
        )
    }

    /// Makes reading return at once.
    pub fn set_nonblocking(&self) -> io::Result<()> {
        // SAFETY: plain system calls on an owned descriptor.
        unsafe {
            let flags = check(libc::fcntl(self.as_raw_fd(), libc::F_GETFL))?;
            check(libc::fcntl(
                self.as_raw_fd(),
                libc::F_SETFL,
                flags | libc::O_NONBLOCK,
            ))?;
        }
        Ok(())
    }

    fn option<T>(&self, level: libc::c_int, name: libc::c_int, value: T) -> io::Result<()> {
        // SAFETY: the pointer and the length are those of `value`.
        check(unsafe {
            libc::setsockopt(
                self.as_raw_fd(),
                level,
                name,
                (&raw const value).cast(),
                size_of::<T>() as libc::socklen_t,
            )
        })?;
        Ok(())
    }

    /// Sends bytes as one datagram.
    fn send(&self, bytes: &[u8]) -> io::Result<()> {
        // SAFETY: the pointer and the length are those of `bytes`.
        let sent = unsafe { libc::send(self.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), 0) };
        if sent < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    }

    /// Receives one datagram into `buffer`; gives its length.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        // SAFETY: the pointer and the length are those of `buffer`.
        let got = unsafe {
            libc::recv(
                self.as_raw_fd(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                0,
            )
        };
        usize::try_from(got).map_err(|_| io::Error::last_os_error())
    }

    /// Sends messages as one datagram and waits until each that asks for it is acknowledged.
    /// Gives the index of the first message that was refused.
    pub fn request(&self, messages: &[Message]) -> Result<(), (usize, io::Error)> {
        let mut wire = Vec::new();
        for (index, message) in messages.iter().enumerate() {
            message.encode(index as u32, &mut wire);
        }
        self.send(&wire).map_err(|error| (0, error))?;
        let mut waiting = messages
            .iter()
            .filter(|message| message.flags & libc::NLM_F_ACK as u16 != 0)
            .count();
        let mut buffer = vec![0; DATAGRAM];
        while waiting > 0 {
            let length = self.receive(&mut buffer).map_err(|error| (0, error))?;
            for answer in Received::all(&buffer[..length]) {
                match answer.errno() {
                    Some(0) => waiting -= 1,
                    Some(errno) => {
                        let error = io::Error::from_raw_os_error(errno);
                        return Err((answer.sequence as usize, error));
                    }
                    None => {}
                }
            }
        }
        Ok(())
    }
}
