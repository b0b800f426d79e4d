//! The images that a mirror needs.

use std::collections::BTreeMap;

use crate::mirror::{Mirror, MountKind};

/// An image that a mirror needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needed {
    /// The services that need it, in the order of the spec.
    pub services: Vec<String>,
    /// Whether it is the change that is tested, so that the engine's own goes before the
    /// registry's.
    pub under_test: bool,
    /// Whether the command line named it for this run only.
    pub given: bool,
}

/// The images of a mirror by reference, without those of the tool itself (which `own` tells).
/// `under_test` and `given` name services.
pub fn needed(
    mirror: &Mirror,
    own: impl Fn(&str) -> bool,
    (under_test, given): (&[String], &[String]),
) -> BTreeMap<String, Needed> {
    let mut all: BTreeMap<String, Needed> = BTreeMap::new();
    for (service, s) in &mirror.services {
        let mounted = s.mounts.list.iter();
        let mounted = mounted
            .filter(|m| *m.kind == MountKind::Image)
            .filter_map(|m| m.source.as_ref());
        let images = s.image.reference.iter();
        let images = images.map(|i| (i, true)).chain(mounted.map(|i| (i, false)));
        for (image, runs) in images.filter(|(i, _)| !own(i.as_str())) {
            let entry = all.entry(image.value.clone()).or_default();
            entry.under_test |= runs && under_test.contains(service);
            entry.given |= runs && given.contains(service);
            if !entry.services.contains(service) {
                entry.services.push(service.clone());
            }
        }
    }
    all
}
