//! A hand on one file of a service of a stack that stands: read and written in place, also where
//! the service itself may not write it.

use prodmirror_agent::wire::PROGRAM_PATH;
use prodmirror_model::diag::{Problem, ProblemKind};
use serde_json::{Value, json};

use super::exec;
use super::label::Role;
use super::standing::{Member, Standing};
use crate::docker::{Engine, ExecSpec, NewContainer};

/// How much of a file is read.
const KEEP: usize = 64 << 20;

/// A file that is mounted into a service. Close it.
pub struct Hand {
    engine: Engine,
    id: String,
    path: String,
}

impl Standing {
    /// A hand on a file that is mounted into a service: a container beside it that has the same
    /// mount.
    ///
    /// # Errors
    /// Nothing is mounted there, or the engine refuses.
    pub async fn hand(&self, member: &Member, path: &str) -> Result<Hand, Problem> {
        let doing = format!("get at {path} of `{}`", member.service);
        let engine = self.engine();
        let shown = engine.show_container(&member.id).await;
        let shown = shown.map_err(|e| e.problem(&doing))?;
        let mut host = json!({
            "NetworkMode": "none",
            "CapDrop": ["ALL"],
            // Files have the owners that the service needs.
            "CapAdd": ["DAC_OVERRIDE"],
            "SecurityOpt": ["no-new-privileges"],
            "ReadonlyRootfs": true,
        });
        let Some((key, mount)) = mount_of(&shown["HostConfig"], path) else {
            let what = format!("`{}` has nothing mounted at {path}", member.service);
            return Err(Problem::new(ProblemKind::Missing, what));
        };
        host[key] = json!([mount]);
        let image = engine.load_agent().await?;
        let new = NewContainer {
            name: format!("{}-hand-{}", member.name, uuid::Uuid::new_v4().simple()),
            body: json!({
                "Image": image,
                "Cmd": ["hold"],
                "Labels": self.labels(Role::OneOff),
                "HostConfig": host,
            }),
            platform: None,
        };
        let made = engine.create_container(&new).await;
        let hand = Hand {
            engine: engine.clone(),
            id: made.map_err(|e| e.problem(&doing))?.id,
            path: path.to_owned(),
        };
        match engine.start_container(&hand.id).await {
            Ok(()) => Ok(hand),
            Err(e) => {
                hand.close().await;
                Err(e.problem(doing))
            }
        }
    }
}

/// The mount through which a container sees a path, as one that may be written.
fn mount_of(host: &Value, path: &str) -> Option<(&'static str, Value)> {
    let holds = |target: &str| {
        let rest = path.strip_prefix(target.trim_end_matches('/'));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let binds = host["Binds"].as_array().into_iter().flatten();
    let binds = binds.filter_map(|bind| {
        let mut parts = bind.as_str()?.splitn(3, ':');
        let (source, target) = (parts.next()?, parts.next()?);
        let found = ("Binds", json!(format!("{source}:{target}")));
        holds(target).then_some((target.len(), found))
    });
    let mounts = host["Mounts"].as_array().into_iter().flatten();
    let mounts = mounts.filter_map(|mount| {
        let target = mount["Target"].as_str()?;
        let mut mount = mount.clone();
        mount["ReadOnly"] = json!(false);
        holds(target).then_some((target.len(), ("Mounts", mount)))
    });
    // The nearest one hides those above it.
    let nearest = binds.chain(mounts).max_by_key(|(length, _)| *length);
    nearest.map(|(_, found)| found)
}

impl Hand {
    async fn run(&self, mode: &str, stdin: Option<&[u8]>) -> Result<Vec<u8>, Problem> {
        let doing = format!("{mode} {}", self.path);
        let spec = ExecSpec {
            container: self.id.clone(),
            command: [PROGRAM_PATH, mode, &self.path].map(str::to_owned).to_vec(),
            ..ExecSpec::default()
        };
        let done = exec::run(&self.engine, &spec, stdin, KEEP).await;
        let done = done.map_err(|e| e.problem(&doing))?;
        match done.exit_code {
            0 => Ok(done.stdout),
            _ => Err(Problem::new(
                ProblemKind::Start,
                format!("could not {doing}: {}", done.summary()),
            )),
        }
    }

    /// What the file holds.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn read(&self) -> Result<Vec<u8>, Problem> {
        self.run("reread", None).await
    }

    /// Lets it hold something else.
    ///
    /// # Errors
    /// It cannot be written.
    pub async fn write(&self, content: &[u8]) -> Result<(), Problem> {
        self.run("rewrite", Some(content)).await.map(drop)
    }

    /// Lets go of it. What cannot be removed now goes with the stack.
    pub async fn close(self) {
        let _ = self.engine.remove_container(&self.id).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_mount_is_the_one() {
        let host = json!({
            "Binds": ["/v/1:/etc/shop/flags.json:ro", "data:/etc"],
            "Mounts": [{"Type": "volume", "Source": "f", "Target": "/etc/dir", "ReadOnly": true}],
        });
        let of = |path: &str| mount_of(&host, path).map(|(_, mount)| mount);
        assert_eq!(
            of("/etc/shop/flags.json"),
            Some(json!("/v/1:/etc/shop/flags.json"))
        );
        assert_eq!(of("/etc/shop/other"), Some(json!("data:/etc")));
        assert_eq!(of("/etc/dir/a").unwrap()["ReadOnly"], false);
        assert_eq!(of("/etcetera"), None);
    }
}
