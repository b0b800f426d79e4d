//! What differs between two sides.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json};

use super::difference::{Difference, What};
use super::parts::{Key, Part};
use super::side::Taken;
use super::text::expanded;

/// Whether the files or directories at two paths say the same.
pub type SamePath<'f> = &'f dyn Fn(&str, &str) -> bool;

/// Two sides that are compared.
struct Pair<'p> {
    a: &'p Taken,
    b: &'p Taken,
    same_path: SamePath<'p>,
    found: Vec<Difference>,
}

/// All differences, in the order of the stacks.
pub(super) fn find(a: &Taken, b: &Taken, same_path: SamePath<'_>) -> Vec<Difference> {
    let mut pair = Pair {
        a,
        b,
        same_path,
        found: Vec::new(),
    };
    pair.services();
    pair.networks();
    pair.volumes();
    pair.files();
    pair.found
}

impl Pair<'_> {
    fn put(&mut self, what: What, a: Option<Json>, b: Option<Json>) {
        self.found.push(Difference {
            what,
            a,
            b,
            secret: false,
        });
    }

    fn services(&mut self) {
        let (a, b) = (self.a, self.b);
        for name in a.services.keys() {
            if b.services.contains_key(name) {
                self.parts(name);
            } else {
                let whole = a.object("services", name).cloned();
                self.put(What::Service(name.clone()), whole, None);
            }
        }
        for name in b.services.keys().filter(|n| !a.services.contains_key(*n)) {
            let whole = b.object("services", name).cloned();
            self.put(What::Service(name.clone()), None, whole);
        }
    }

    fn parts(&mut self, service: &str) {
        let (Some(ours), Some(theirs)) =
            (self.a.services.get(service), self.b.services.get(service))
        else {
            return;
        };
        let more = theirs.keys().filter(|k| !ours.contains_key(*k));
        for key in ours.keys().chain(more) {
            let (a, b) = (ours.get(key), theirs.get(key));
            if let (Some(a), Some(b)) = (a, b)
                && self.same_part(key, a, b)
            {
                continue;
            }
            let secret = matches!(key, Key::Env(_))
                && [a, b].into_iter().flatten().any(|p| p.marks.sensitive);
            self.found.push(Difference {
                what: What::Part {
                    service: service.to_owned(),
                    key: key.clone(),
                },
                a: a.map(|p| told(self.a, key, p)),
                b: b.map(|p| told(self.b, key, p)),
                secret,
            });
        }
    }

    fn same_part(&self, key: &Key, a: &Part, b: &Part) -> bool {
        let marks = (a.marks.writable, a.marks.host) == (b.marks.writable, b.marks.host);
        let (mut ours, mut theirs) = (self.ours(&a.value), self.theirs(&b.value));
        if matches!(key, Key::Mount(_)) && ours["type"] == "bind" {
            self.level_paths(&mut ours, &mut theirs, "source");
        }
        marks && ours == theirs
    }

    /// Where both paths lead to the same content, the path is no difference.
    fn level_paths(&self, ours: &mut Json, theirs: &mut Json, field: &str) {
        if let (Some(one), Some(other)) = (ours[field].as_str(), theirs[field].as_str())
            && one != other
            && (self.same_path)(one, other)
        {
            theirs[field] = ours[field].clone();
        }
    }

    fn ours(&self, value: &Json) -> Json {
        expanded(value, &self.a.values)
    }

    fn theirs(&self, value: &Json) -> Json {
        expanded(value, &self.b.values)
    }

    fn networks(&mut self) {
        let common: Vec<&String> = self
            .a
            .services
            .keys()
            .filter(|n| self.b.services.contains_key(*n))
            .collect();
        let same_places = common
            .iter()
            .all(|s| self.ours(&self.a.place(s).into()) == self.theirs(&self.b.place(s).into()));
        let used: BTreeSet<String> = common
            .iter()
            .flat_map(|s| networks_of(&self.a.place(s)))
            .collect();
        let same_nets = used.iter().all(|n| {
            let definition = |side: &Taken| without_name(side.object("networks", n));
            definition(self.a) == definition(self.b)
        });
        let same_ways = self.a.extension("egress") == self.b.extension("egress");
        if !(same_places && same_nets && same_ways) {
            let whole = |side: &Taken| {
                Some(Json::Object(
                    side.section("networks").cloned().unwrap_or_default(),
                ))
            };
            self.put(What::Networks, whole(self.a), whole(self.b));
        }
    }

    fn volumes(&mut self) {
        for name in self.both("volumes") {
            let definition = |side: &Taken| without_name(side.object("volumes", &name));
            let (ours, theirs) = (definition(self.a), definition(self.b));
            let roots = |side: &Taken| {
                side.extension("volume_roots")
                    .and_then(|r| r.get(&name))
                    .cloned()
            };
            if ours != theirs || roots(self.a) != roots(self.b) {
                let told = (self.a.home.told(&ours), self.b.home.told(&theirs));
                self.put(What::Volume(name.clone()), Some(told.0), Some(told.1));
            }
            let data = |side: &Taken| side.extension("data").and_then(|d| d.get(&name)).cloned();
            let (ours, theirs) = (data(self.a), data(self.b));
            if is_empty(ours.as_ref()) && is_empty(theirs.as_ref()) {
                continue;
            }
            if ours != theirs {
                self.put(What::Data(name), ours, theirs);
            }
        }
    }

    fn files(&mut self) {
        for name in self.both("configs") {
            let definition = |side: &Taken| without_name(side.object("configs", &name));
            let (a, b) = (definition(self.a), definition(self.b));
            let (mut ours, mut theirs) = (self.ours(&a), self.theirs(&b));
            self.level_paths(&mut ours, &mut theirs, "file");
            if ours != theirs {
                self.put(What::Config(name), Some(a), Some(b));
            }
        }
        for name in self.both("secrets") {
            let (ours, theirs) = (secret_value(self.a, &name), secret_value(self.b, &name));
            if ours != theirs {
                self.put(
                    What::Secret(name),
                    ours.map(|_| Json::Null),
                    theirs.map(|_| Json::Null),
                );
            }
        }
    }

    /// The names that both have in a section.
    fn both(&self, section: &str) -> Vec<String> {
        let theirs = self.b.section(section);
        let ours = self.a.section(section).into_iter().flat_map(Map::keys);
        ours.filter(|n| theirs.is_some_and(|t| t.contains_key(*n)))
            .cloned()
            .collect()
    }
}

/// A part as it is shown; a mounted volume with what it starts from.
fn told(side: &Taken, key: &Key, part: &Part) -> Json {
    let mut told = side.home.told(&part.value);
    let source = part.value["source"].as_str().unwrap_or_default();
    let data = side.extension("data").and_then(|d| d.get(source));
    let snapshot = data.and_then(|d| d.get("snapshot"));
    if let (Key::Mount(_), Some(snapshot)) = (key, snapshot) {
        told["snapshot"] = snapshot.clone();
    }
    told
}

/// Whether a volume begins with nothing, on purpose or not.
fn is_empty(data: Option<&Json>) -> bool {
    data.is_none_or(|d| d.get("snapshot").is_none())
}

/// The names of the networks that a service is in.
pub(super) fn networks_of(place: &Map<String, Json>) -> Vec<String> {
    let attached = place.get("networks").and_then(Json::as_object);
    attached
        .into_iter()
        .flat_map(|n| n.keys().cloned())
        .collect()
}

/// A definition without its name on the engine.
fn without_name(value: Option<&Json>) -> Json {
    let mut value = value.cloned().unwrap_or_default();
    if let Some(map) = value.as_object_mut() {
        map.shift_remove("name");
    }
    value
}

fn secret_value(side: &Taken, name: &str) -> Option<Json> {
    let of_file = side
        .extension("secret_files")
        .and_then(|f| f.get(name))
        .and_then(Json::as_str);
    let definition = side.object("secrets", name)?;
    let variable = of_file.or_else(|| definition.get("environment")?.as_str());
    match variable.and_then(|v| side.values.get(v)) {
        Some(value) => Some(value.expose().into()),
        None => Some(without_name(Some(definition))),
    }
}
