//! What differs inside of the images.

use std::collections::BTreeMap;

use super::Side;
use super::change::{Change, Kind, Shown};
use super::fingerprint::Fingerprint;
use crate::source::Span;

/// Adds the differences inside of the images of services that are on both sides: once for each
/// pair of images.
pub(super) fn compare(left: Side<'_>, right: Side<'_>, services: &[String], out: &mut Vec<Change>) {
    let mut pairs: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for name in services {
        if let (Some((a, _)), Some((b, _))) = (image(left, name), image(right, name))
            && a != b
        {
            pairs.entry((a, b)).or_default().push(name);
        }
    }
    for ((a, b), services) in pairs {
        let (Some(fa), Some(fb)) = (left.fingerprints.get(a), right.fingerprints.get(b)) else {
            continue;
        };
        let span = |side| {
            services
                .first()
                .and_then(|s| image(side, s))
                .map(|(_, span)| span)
        };
        let pair = Pair {
            object: format!("inside:{}", services.join(", ")),
            spans: (span(left), span(right)),
        };
        pair.compare(fa, fb, out);
    }
}

fn image<'s>(side: Side<'s>, service: &str) -> Option<(&'s str, &'s Span)> {
    let reference = side
        .mirror
        .services
        .get(service)?
        .image
        .reference
        .as_ref()?;
    Some((reference.as_str(), &reference.span))
}

struct Pair<'p> {
    object: String,
    spans: (Option<&'p Span>, Option<&'p Span>),
}

impl Pair<'_> {
    fn compare(&self, a: &Fingerprint, b: &Fingerprint, out: &mut Vec<Change>) {
        let platform =
            |f: &Fingerprint| BTreeMap::from([("platform".to_owned(), f.platform.clone())]);
        self.texts("system", "", &platform(a), &platform(b), out);
        self.texts("system", "", &a.facts, &b.facts, out);
        self.texts("runtimes", "", &a.runtimes, &b.runtimes, out);
        let none = BTreeMap::new();
        let kinds: std::collections::BTreeSet<&String> =
            a.packages.keys().chain(b.packages.keys()).collect();
        for kind in kinds {
            let of = |f: &'_ Fingerprint| {
                f.packages
                    .get(kind)
                    .cloned()
                    .unwrap_or_else(|| none.clone())
            };
            self.texts("packages", kind, &of(a), &of(b), out);
        }
    }

    fn texts(
        &self,
        aspect: &'static str,
        kind: &str,
        a: &BTreeMap<String, String>,
        b: &BTreeMap<String, String>,
        out: &mut Vec<Change>,
    ) {
        let names: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
        for name in names {
            let (left, right) = (a.get(name), b.get(name));
            let side = match (left, right) {
                (Some(l), Some(r)) if l == r => continue,
                (Some(_), Some(_)) => Kind::Differs,
                (Some(_), None) => Kind::LeftOnly,
                _ => Kind::RightOnly,
            };
            let field = if kind.is_empty() {
                name.clone()
            } else {
                format!("{kind}[{name}]")
            };
            let shown = |text: Option<&String>, span: Option<&Span>| {
                let generated = Span::generated();
                text.map(|t| Shown::new(t.clone(), span.unwrap_or(&generated)))
            };
            out.push(Change {
                object: self.object.clone(),
                aspect,
                field,
                kind: side,
                left: shown(left, self.spans.0),
                right: shown(right, self.spans.1),
                means: means(aspect).to_owned(),
                diff: Vec::new(),
            });
        }
    }
}

fn means(aspect: &str) -> &'static str {
    match aspect {
        "packages" => "a library of another version may behave differently",
        "runtimes" => "a language runtime of another version may not know what the program uses",
        _ => "the program finds another system around it",
    }
}
