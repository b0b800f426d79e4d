//! The images of both sides are those that their locks say, in each combination.

use std::collections::{BTreeMap, BTreeSet};

use prodmirror_model::hybrid::Side;
use serde_json::{Value as Json, json};

use super::environment::Environment;

/// References of images, each with the one by which an engine finds exactly what is locked.
pub type Pins = BTreeMap<String, String>;

/// What the locks of both sides make of their images. Where they make different things of one
/// name the stacks are given these, since that is a difference; elsewhere the name stays, which
/// is what people read.
pub fn level((a, b): (&Environment, &Environment), (ours, theirs): (&mut Side, &mut Side)) -> Pins {
    let (used, theirs_used) = (names(&mut ours.document), names(&mut theirs.document));
    let mut pins = Pins::new();
    let (mut other_a, mut other_b) = (Pins::new(), Pins::new());
    for name in used.union(&theirs_used) {
        let (in_a, in_b) = (pin(a, name), pin(b, name));
        if used.contains(name) && theirs_used.contains(name) && in_a != in_b {
            other_a.extend(in_a.map(|pin| (name.clone(), pin)));
            other_b.extend(in_b.map(|pin| (name.clone(), pin)));
        } else {
            let of_user = if used.contains(name) { in_a } else { in_b };
            pins.extend(of_user.map(|pin| (name.clone(), pin)));
        }
    }
    put(&mut ours.document, &other_a);
    put(&mut theirs.document, &other_b);
    pins
}

/// Puts what is locked in the places of the names.
pub fn put(document: &mut Json, pins: &Pins) {
    each(document, |image| {
        let pin = image.as_str().and_then(|name| pins.get(name));
        if let Some(pin) = pin {
            *image = json!(pin);
        }
    });
}

/// What a side's lock says of an image. The images of a bundle are exact already.
fn pin(environment: &Environment, name: &str) -> Option<String> {
    let lock = environment.opened.lock.as_ref();
    let pin = lock.filter(|_| environment.bundle.is_none())?;
    Some(pin.images.get(name)?.reference(name))
}

fn names(document: &mut Json) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    each(document, |image| {
        all.extend(image.as_str().map(str::to_owned))
    });
    all
}

/// Every reference of an image: of services, and of mounts that are images.
fn each(document: &mut Json, mut act: impl FnMut(&mut Json)) {
    let services = document["services"].as_object_mut().into_iter().flatten();
    for (_, service) in services {
        service.get_mut("image").map(&mut act);
        let mounts = service.get_mut("volumes").and_then(Json::as_array_mut);
        let images = mounts
            .into_iter()
            .flatten()
            .filter(|m| m["type"] == "image");
        images
            .filter_map(|m| m.get_mut("source"))
            .for_each(&mut act);
    }
}
