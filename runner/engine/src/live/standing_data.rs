//! The data of a stack that stands: all of it remembered under a name, and put back.
//!
//! What is remembered belongs to the stack, as its clones do, and goes with it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use prodmirror_model::diag::{Problem, ProblemKind, nearest};

use super::down;
use super::label::{self, Role};
use super::standing::{Member, Standing};
use crate::docker::Found;
use crate::store::{Helper, Open};

/// The third part of the name of a clone that is remembered.
const SAVED: &str = "saved";

/// What was done to the data of a stack.
#[derive(Debug, Clone, Default)]
pub struct StackData {
    /// The volumes that it was done to.
    pub volumes: Vec<String>,
    /// Those that it cannot be done to, each with the reason.
    pub left: Vec<(String, String)>,
    /// Services that were stopped and started again.
    pub services: Vec<String>,
    /// How long it took.
    pub took: Duration,
}

/// A volume that is a clone.
struct Cloned {
    volume: String,
    engine_name: String,
    clone: String,
}

impl Standing {
    /// Remembers what all volumes hold that start from snapshots. Services that use them are
    /// stopped cleanly and started again.
    ///
    /// # Errors
    /// There is no such volume, or the engine's.
    pub async fn save_data(&self, store: &str, name: &str) -> Result<StackData, Problem> {
        check_name(name)?;
        self.with_clones(store, async |helper, all, clones| {
            for one in all {
                let saved = saved_as(&one.clone, name, &one.volume);
                if clones.contains(&saved) {
                    helper.discard(&saved).await?;
                }
                helper.fork(&one.clone, Some(&saved)).await?;
            }
            Ok(())
        })
        .await
    }

    /// Puts back what was remembered under a name.
    ///
    /// # Errors
    /// As [`Standing::save_data`]; nothing was remembered under the name.
    pub async fn restore_data(&self, store: &str, name: &str) -> Result<StackData, Problem> {
        check_name(name)?;
        self.with_clones(store, async |helper, all, clones| {
            let saved = |one: &Cloned| saved_as(&one.clone, name, &one.volume);
            // Asked of all first: half of a state is none.
            if let Some(one) = all.iter().find(|one| !clones.contains(&saved(one))) {
                return Err(unknown(name, &one.volume, clones));
            }
            for one in all {
                helper.discard(&one.clone).await?;
                helper.fork(&saved(one), Some(&one.clone)).await?;
            }
            Ok(())
        })
        .await
    }

    /// Names under which the data was remembered, with the volumes of each.
    ///
    /// # Errors
    /// The engine's.
    pub async fn saved_data(&self, store: &str) -> Result<BTreeMap<String, Vec<String>>, Problem> {
        let helper = self.store(store).await?;
        let found = self.clones(&helper).await;
        helper.close().await;
        let (all, _, clones) = found?;
        let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, volume) in clones.iter().filter_map(|c| read_saved(c)) {
            let ours = |one: &&Cloned| clones.contains(&saved_as(&one.clone, name, volume));
            if all.iter().any(|one| ours(&one) && one.volume == volume) {
                let of = names.entry(name.to_owned()).or_default();
                of.push(volume.to_owned());
            }
        }
        Ok(names)
    }

    async fn store(&self, store: &str) -> Result<Helper, Problem> {
        let how = Open {
            labels: self.labels(Role::Store),
            ..Open::of(store)
        };
        Helper::open(self.engine(), &how).await
    }

    /// Does something to the clones while nobody uses them.
    async fn with_clones(
        &self,
        store: &str,
        work: impl AsyncFnOnce(&Helper, &[Cloned], &[String]) -> Result<(), Problem>,
    ) -> Result<StackData, Problem> {
        let begun = Instant::now();
        let helper = self.store(store).await?;
        let done = async {
            let (all, left, clones) = self.clones(&helper).await?;
            if all.is_empty() {
                let what = "no volume of the mirror starts from a snapshot of this store";
                let problem = Problem::new(ProblemKind::UnknownReference, what);
                return Err(problem.help("name the data of a volume in mirror.yaml"));
            }
            let users = self.users(&all).await?;
            let paused = self.stop(&users).await;
            let worked = match paused {
                Ok(()) => work(&helper, &all, &clones).await,
                Err(p) => Err(p),
            };
            let started = self.start_again(&users).await;
            worked?;
            started?;
            Ok(StackData {
                volumes: all.into_iter().map(|one| one.volume).collect(),
                left,
                services: users.into_iter().map(|m| m.service).collect(),
                took: begun.elapsed(),
            })
        };
        let done = done.await;
        helper.close().await;
        done
    }

    /// The volumes that are clones, those that are none, and the names of all clones of the
    /// store.
    async fn clones(
        &self,
        helper: &Helper,
    ) -> Result<(Vec<Cloned>, Vec<(String, String)>, Vec<String>), Problem> {
        let (_, clones) = helper.list().await?;
        let volumes = self.engine().find_volumes(&self.filters()).await;
        let volumes = volumes.map_err(|e| e.problem("list the volumes of the mirror"))?;
        let ours = |v: &&Found| v.label(label::ROLE) == Role::Volume.text();
        let volumes: Vec<&Found> = volumes.iter().filter(ours).collect();
        let prefix = self.prefix();
        let (mut all, mut left) = (Vec::new(), Vec::new());
        for volume in volumes {
            let shown = self.engine().inspect_raw(volume).await;
            let shown = shown.map_err(|e| e.problem("look at a volume"))?;
            let key = volume.name.strip_prefix(&prefix).unwrap_or(&volume.name);
            // Its options say which clone it is: a part of a path, or of a list of options.
            let is = |clone: &&String| {
                shown
                    .split(['/', ',', '"'])
                    .any(|part| part == clone.as_str())
            };
            match clones.iter().find(is) {
                Some(clone) => all.push(Cloned {
                    volume: key.to_owned(),
                    engine_name: volume.name.clone(),
                    clone: clone.clone(),
                }),
                None => left.push((
                    key.to_owned(),
                    "it does not start from a snapshot".to_owned(),
                )),
            }
        }
        Ok((all, left, clones))
    }

    /// The services that run and use one of these volumes.
    async fn users(&self, all: &[Cloned]) -> Result<Vec<Member>, Problem> {
        let asked = all
            .iter()
            .map(|one| self.engine().users_of(&one.engine_name));
        let mut ids = Vec::new();
        for users in join_all(asked).await {
            let users = users.map_err(|e| e.problem("list the users of a volume"))?;
            ids.extend(
                users
                    .into_iter()
                    .filter(|u| u.state == "running")
                    .map(|u| u.id),
            );
        }
        let mut members = self.members();
        members.retain(|m| ids.contains(&m.id));
        Ok(members)
    }

    /// Stops services as production does, dependents first.
    pub(super) async fn stop(&self, members: &[Member]) -> Result<(), Problem> {
        let found = self.engine().find_containers(&self.filters()).await;
        let found = found.map_err(|e| e.problem("list containers"))?;
        let wanted = |f: &Found| members.iter().any(|m| m.id == f.id);
        let found: Vec<Found> = found.into_iter().filter(wanted).collect();
        down::stop_all(self.engine(), found, None).await;
        for member in members {
            let state = self.engine().inspect_container(&member.id).await;
            let state = state.map_err(|e| e.problem(format!("stop `{}`", member.service)))?;
            if state.running {
                let what = format!("`{}` could not be stopped", member.service);
                return Err(Problem::new(ProblemKind::Start, what));
            }
        }
        Ok(())
    }

    /// Starts services again and waits until they are ready.
    async fn start_again(&self, members: &[Member]) -> Result<(), Problem> {
        let started = members.iter().map(|m| async move {
            let started = self.engine().start_container(&m.id).await;
            started.map_err(|e| e.problem(format!("start `{}` again", m.service)))?;
            self.ready(&m.service, &m.id).await
        });
        join_all(started).await.into_iter().collect()
    }
}

fn check_name(name: &str) -> Result<(), Problem> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !name.is_empty() && name.len() <= 60 && name.chars().all(fits) {
        return Ok(());
    }
    let what = format!("`{name}` cannot be a name of saved data");
    Err(Problem::new(ProblemKind::InvalidValue, what)
        .help("letters, digits, `-` and `_`, at most 60 of them"))
}

/// `HOLDER.CONTENT.saved.NAME.VOLUME`: of whom it is and what it is a copy of, as all clones
/// are called.
fn saved_as(clone: &str, name: &str, volume: &str) -> String {
    let mut parts = clone.split('.');
    let holder = parts.next().unwrap_or_default();
    let content = parts.next().unwrap_or_default();
    format!("{holder}.{content}.{SAVED}.{name}.{volume}")
}

fn read_saved(clone: &str) -> Option<(&str, &str)> {
    let mut parts = clone.splitn(5, '.').skip(2);
    let saved = parts.next() == Some(SAVED);
    let (name, volume) = (parts.next()?, parts.next()?);
    saved.then_some((name, volume))
}

fn unknown(name: &str, volume: &str, clones: &[String]) -> Problem {
    let names: Vec<&str> = clones
        .iter()
        .filter_map(|c| read_saved(c))
        .filter(|(_, of)| *of == volume)
        .map(|(name, _)| name)
        .collect();
    let what = format!("no data of `{volume}` was saved as `{name}`");
    let help = match (nearest(name, names.iter().copied()), names.is_empty()) {
        (Some(near), _) => format!("did you mean `{near}`?"),
        (None, true) => format!("`prodmirror snapshot save {name}` saves what is there now"),
        (None, false) => format!("saved: {}", names.join(", ")),
    };
    Problem::new(ProblemKind::UnknownReference, what).help(help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_saved_data_are_read_back() {
        let saved = saved_as("h0.abc.7", "before", "orders.db");
        assert_eq!(saved, "h0.abc.saved.before.orders.db");
        assert_eq!(read_saved(&saved), Some(("before", "orders.db")));
        assert_eq!(read_saved("h0.abc.7"), None);
        assert!(check_name("../x").is_err() && check_name("").is_err());
        assert!(check_name("a.b").is_err() && check_name("paid-1").is_ok());
    }
}
