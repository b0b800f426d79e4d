//! Making a lock, from nothing or from an older one.

use std::collections::{BTreeMap, BTreeSet};

use super::{Facts, Lock, Needed, Now, Pin, Seen};
use crate::diag::{Problem, ProblemKind, Problems, nearest};

/// What of an older lock is taken again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Renew {
    /// What is not in it yet, and all facts; images that are in it stay.
    Missing,
    /// Everything.
    All,
    /// The images of these services, and nothing else.
    Services(Vec<String>),
}

impl Renew {
    /// The images that must be asked for.
    ///
    /// # Errors
    /// A service that does not exist.
    pub fn images(
        &self,
        old: Option<&Lock>,
        needed: &BTreeMap<String, Needed>,
    ) -> Result<BTreeMap<String, Needed>, Problems> {
        let locked = |name: &String| old.is_some_and(|l| l.images.contains_key(name));
        let of =
            |services: &Vec<String>, n: &Needed| n.services.iter().any(|s| services.contains(s));
        if let Self::Services(services) = self {
            unknown(services, needed)?;
        }
        let wanted = needed.iter().filter(|(name, n)| match self {
            Self::Missing => !locked(name),
            Self::All => true,
            Self::Services(services) => of(services, n),
        });
        Ok(wanted.map(|(name, n)| (name.clone(), n.clone())).collect())
    }

    /// The new lock. `now` has the images that [`images`](Self::images) gave.
    ///
    /// # Errors
    /// Images that nobody has, or could say anything of.
    pub fn lock(
        &self,
        old: Option<&Lock>,
        needed: &BTreeMap<String, Needed>,
        now: Now,
    ) -> Result<Lock, Problems> {
        let mut lock = old.cloned().unwrap_or_default();
        let mut problems = Problems::default();
        for (name, (needed, seen)) in now.images {
            match seen {
                Seen::Is(pin) => {
                    let pin = with_known(pin, lock.images.get(&name).map(|p| &p.value));
                    lock.images.insert(name, pin.into());
                }
                Seen::Missing(why) | Seen::Unanswered(why) => problems.push(
                    Problem::new(
                        ProblemKind::Start,
                        format!(
                            "the image {name} of {} cannot be locked: {why}",
                            needed.services.join(", ")
                        ),
                    )
                    .help("make its registry answer, or have the image on this engine, where it is locked by its id"),
                ),
            }
        }
        if !problems.0.is_empty() {
            return Err(problems);
        }
        if !matches!(self, Self::Services(_)) || old.is_none() {
            lock.images.retain(|name, _| needed.contains_key(name));
            lock.facts = with_manifests(now.facts, &lock.facts);
            lock.tool = now.tool;
        }
        Ok(lock)
    }
}

fn unknown(services: &[String], needed: &BTreeMap<String, Needed>) -> Result<(), Problems> {
    let known: BTreeSet<&str> = needed
        .values()
        .flat_map(|n| n.services.iter().map(String::as_str))
        .collect();
    let mut problems = Problems::default();
    for service in services.iter().filter(|s| !known.contains(s.as_str())) {
        let help = match nearest(service, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!(
                "services: {}",
                known.iter().copied().collect::<Vec<_>>().join(", ")
            ),
        };
        let what = format!("the mirror has no service `{service}` with an image");
        problems.push(Problem::new(ProblemKind::UnknownReference, what).help(help));
    }
    if problems.0.is_empty() {
        Ok(())
    } else {
        Err(problems)
    }
}

/// The same index has the same manifests: what was known of them stays.
fn with_known(mut pin: Pin, old: Option<&Pin>) -> Pin {
    if let (
        Pin::Registry { digest, platforms },
        Some(Pin::Registry {
            digest: same,
            platforms: known,
        }),
    ) = (&mut pin, old)
        && digest == same
    {
        for (platform, manifest) in platforms {
            if manifest.is_none() {
                *manifest = known.get(platform).cloned().flatten();
            }
        }
    }
    pin
}

/// The same snapshot has the same manifest, until somebody reads it anew.
pub(super) fn with_manifests(mut facts: Facts, old: &Facts) -> Facts {
    for (volume, content) in &mut facts.data {
        let known = old.data.get(volume);
        if let Some(known) = known.filter(|k| k.snapshot == content.snapshot)
            && content.manifest.is_none()
        {
            content.value.manifest.clone_from(&known.manifest);
        }
    }
    facts
}
