//! Routes. Numbers are those of `linux/rtnetlink.h`.

use std::ffi::CStr;
use std::io;

use super::{Attributes, Message, Protocol, Socket, family};

const NEW_ROUTE: u16 = 24;
const TABLE_MAIN: u8 = 254;
const SET_BY_ADMINISTRATOR: u8 = 4;
const SCOPE_LINK: u8 = 253;
const UNICAST: u8 = 1;
const OUT_INTERFACE: u16 = 4;

/// Adds a default IPv4 route over the first interface, unless there is a default route or
/// no interface but loopback.
pub fn add_default() -> io::Result<()> {
    let Some(interface) = first_interface()? else {
        return Ok(());
    };
    let flags = libc::NLM_F_REQUEST | libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_EXCL;
    let mut header = vec![
        family::IPV4,
        0,
        0,
        0,
        TABLE_MAIN,
        SET_BY_ADMINISTRATOR,
        SCOPE_LINK,
        UNICAST,
    ];
    header.extend_from_slice(&[0; 4]);
    let route = Message {
        kind: NEW_ROUTE,
        flags: flags as u16,
        header,
        attributes: Attributes::new().ne32(OUT_INTERFACE, interface),
    };
    match Socket::open(Protocol::Route)?.request(&[route]) {
        Err((_, error)) if error.raw_os_error() == Some(libc::EEXIST) => Ok(()),
        other => other.map_err(|(_, error)| error),
    }
}

/// The lowest index of the interfaces other than loopback. (`/sys` may belong to another
/// namespace, and may not be there.)
fn first_interface() -> io::Result<Option<u32>> {
    // SAFETY: plain library call; the list is freed below.
    let list = unsafe { libc::if_nameindex() };
    if list.is_null() {
        return Err(io::Error::last_os_error());
    }
    let mut first = None;
    let mut entry = list;
    // SAFETY: the list ends with an entry whose index is 0; names of the others are C strings.
    unsafe {
        while (*entry).if_index != 0 {
            let loopback = CStr::from_ptr((*entry).if_name) == c"lo";
            if !loopback {
                first = first.into_iter().chain([(*entry).if_index]).min();
            }
            entry = entry.add(1);
        }
        libc::if_freenameindex(list);
    }
    Ok(first)
}
