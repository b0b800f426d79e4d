//! Mode `limits`: tells what the engine lets a container have, and ends.

use prodmirror_agent::wire::Event;

use crate::output::{Failure, emit};

/// Prints the limits of this very process.
pub fn run() -> Result<u8, Failure> {
    let nofile = nofile().map_err(|e| Failure::new("the limit of open files is not told", e))?;
    emit(&Event::Limits { nofile });
    Ok(0)
}

fn nofile() -> std::io::Result<Option<u64>> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the pointer is to a value of this frame that is written as a whole.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return Err(std::io::Error::last_os_error());
    }
    Ok((limit.rlim_max != libc::RLIM_INFINITY).then_some(limit.rlim_max))
}
