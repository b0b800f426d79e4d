//! Which process made an object, and whether it still lives.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Which process made an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Host name, and the PID namespace in which `pid` counts: a runner in a container
    /// shares its host's boot, but not its process numbers.
    pub host: String,
    /// Identity of the host's installation, where it has one: machines that are made from one
    /// template have equal names and namespaces, and may share an engine.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub machine: String,
    /// Identity of the kernel's boot: after a reboot no process of before lives.
    pub boot: String,
    /// Process id.
    pub pid: u32,
    /// When the process started, in clock ticks since boot: process ids are used again.
    pub start: u64,
}

/// What can be said of an owner from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// Its process runs.
    Alive,
    /// Its process has ended.
    Dead,
    /// It is, or was, on another host or in another container.
    Elsewhere,
}

impl Owner {
    /// This very process.
    pub fn this_process() -> Self {
        let pid = std::process::id();
        Self {
            host: host(),
            machine: machine(),
            boot: boot(),
            pid,
            start: process_start(pid).unwrap_or(0),
        }
    }

    /// Whether the owner lives, as far as this host can tell.
    pub fn life(&self) -> Life {
        if self.host != host() || self.machine != machine() {
            return Life::Elsewhere;
        }
        // A host without these facts (not Linux) must not take anybody for dead.
        if self.boot.is_empty() || self.start == 0 {
            return Life::Elsewhere;
        }
        if self.boot == boot() && process_start(self.pid) == Some(self.start) {
            Life::Alive
        } else {
            Life::Dead
        }
    }

    /// The owner as a label's value.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads a label's value.
    pub fn from_json(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

fn boot() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}

/// A hash of `machine-id(5)`, which itself is confidential.
fn machine() -> String {
    let id = ["/etc/machine-id", "/var/lib/dbus/machine-id"]
        .iter()
        .find_map(|path| std::fs::read_to_string(path).ok())
        .unwrap_or_default();
    let id = id.trim();
    // systemd writes this word before the first boot is over.
    if id.is_empty() || id == "uninitialized" {
        return String::new();
    }
    let digest = Sha256::digest(format!("prodmirror {id}"));
    digest[..8].iter().map(|b| format!("{b:02x}")).collect()
}

fn host() -> String {
    let name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let pids = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    let pids = pids.to_string_lossy();
    let pids = pids.trim_start_matches("pid:[").trim_end_matches(']');
    format!("{name}/{pids}")
}

/// Start time of a process that is not a zombie: field 22 of `/proc/PID/stat`.
fn process_start(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold blanks and parentheses itself.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_lives_and_survives_its_label() {
        let me = Owner::this_process();
        assert_eq!(me.life(), Life::Alive);
        assert_eq!(Owner::from_json(&me.to_json()), Some(me));
    }

    #[test]
    fn an_ended_process_is_dead_even_when_its_number_is_used_again() {
        let me = Owner::this_process();
        assert_eq!(
            Owner {
                start: me.start + 1,
                ..me.clone()
            }
            .life(),
            Life::Dead
        );
        assert_eq!(
            Owner {
                boot: "another".into(),
                ..me.clone()
            }
            .life(),
            Life::Dead
        );
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id();
        let start = process_start(pid).unwrap_or(1);
        child.wait().unwrap();
        assert_eq!(Owner { pid, start, ..me }.life(), Life::Dead);
    }

    #[test]
    fn other_hosts_are_not_judged() {
        let me = Owner {
            host: "far/1".into(),
            ..Owner::this_process()
        };
        assert_eq!(me.life(), Life::Elsewhere);
        // Another machine from the same template, whose boot is another one: not a reboot.
        let twin = Owner {
            machine: "another".into(),
            boot: "another".into(),
            ..Owner::this_process()
        };
        assert_eq!(twin.life(), Life::Elsewhere);
    }
}
