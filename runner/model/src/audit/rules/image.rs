//! What is wrong with the images.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;

use crate::audit::{Found, Look};
use crate::fidelity::Severity;
use crate::stack::secret_ref::holds_secret;

#[expect(
    clippy::unwrap_used,
    reason = "the pattern is a constant, and tests use it"
)]
static MAJOR: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^v?\d{1,3}(?:-[a-z][a-z0-9]*)*$").unwrap());

/// The tag of a reference without a digest; none when it has a digest.
fn tag(reference: &str) -> Option<&str> {
    if reference.contains('@') {
        return None;
    }
    let last = reference.rsplit('/').next().unwrap_or(reference);
    Some(last.split_once(':').map_or("", |(_, tag)| tag))
}

/// Why a tag moves and how bad that is.
fn moves(tag: &str) -> Option<(String, Severity)> {
    let named = |what: &str| Some((what.to_owned(), Severity::High));
    match tag {
        "" => named("has no tag, which means `latest`"),
        "latest" => named("is `latest`"),
        t if MAJOR.is_match(t) => Some((
            format!("names only the major version `{t}`"),
            Severity::Medium,
        )),
        t if !t.contains(|c: char| c.is_ascii_digit()) => {
            named(&format!("has the moving tag `{t}`"))
        }
        _ => None,
    }
}

/// Images whose tag moves.
pub fn floating(look: &Look<'_>, found: &mut Found) {
    for (key, service) in look.services() {
        let Some(reference) = &service.image.reference else {
            continue;
        };
        // What is built under this name is the change itself.
        let built = service.image.build.is_some();
        if built || holds_secret(reference) {
            continue;
        }
        if let Some((why, severity)) = tag(reference).and_then(moves) {
            found
                .service(
                    key,
                    "image",
                    &reference.span,
                    format!("`{}` {why}", reference.value),
                )
                .severity(severity);
        }
    }
}

/// Images for another platform than the hosts.
pub fn platform(look: &Look<'_>, found: &mut Found) {
    let declared = look.project.audit.platform.as_ref();
    let host = look
        .surroundings
        .platform
        .as_deref()
        .or(declared.map(|p| p.as_str()));
    let mut kinds: BTreeMap<&str, (&str, &crate::source::Span)> = BTreeMap::new();
    for (key, service) in look.services() {
        let written = service.image.platform.as_ref();
        let image = look.image(service).and_then(|i| i.platform.as_deref());
        let place = written
            .map(|w| &w.span)
            .or_else(|| service.image.reference.as_ref().map(|r| &r.span));
        let place = place.unwrap_or(&service.name.span);
        let own = written.map(|w| w.as_str()).or(image);
        if let (Some(w), Some(image)) = (written, image)
            && !fits(image, w)
        {
            found
                .service(
                    key,
                    "platform",
                    place,
                    format!(
                        "the image is for {image}, and the spec asks for {}",
                        w.value
                    ),
                )
                .key("image");
        }
        let Some(own) = own else { continue };
        match host {
            Some(host) if !fits(own, host) => {
                found.service(
                    key,
                    "platform",
                    place,
                    format!("it is for {own}, and production's hosts are {host}"),
                );
            }
            Some(_) => {}
            None => {
                kinds.entry(own).or_insert((key, place));
            }
        }
    }
    let mut kinds = kinds.into_iter();
    if let (Some((first, (a, a_place))), Some((second, (b, b_place)))) =
        (kinds.next(), kinds.next())
        && !fits(first, second)
    {
        found
            .service(
                b,
                "platform",
                b_place,
                format!("it is for {second}, and `{a}` is for {first}"),
            )
            .severity(Severity::Medium)
            .why("one kind of host does not run both")
            .related(a_place, format!("`{a}` is for {first}"));
    }
}

/// Whether an image's platform runs on a host's: a part that one does not say fits.
fn fits(image: &str, host: &str) -> bool {
    let normal = |p: &str| -> Vec<String> {
        let p = p.to_ascii_lowercase();
        p.split('/')
            .map(|part| match part {
                "x86_64" | "x86-64" => "amd64".to_owned(),
                "aarch64" => "arm64".to_owned(),
                "v8" => String::new(),
                other => other.to_owned(),
            })
            .filter(|part| !part.is_empty())
            .collect()
    };
    normal(image).iter().zip(&normal(host)).all(|(a, b)| a == b)
}

/// Images that do not know the user that they are to run as.
pub fn user(look: &Look<'_>, found: &mut Found) {
    for (key, service) in look.services() {
        let Some(image) = look.image(service) else {
            continue;
        };
        let Some(users) = &image.users else { continue };
        let written = service.process.user.as_ref();
        let user = written.map_or(image.user.as_str(), |u| u.as_str());
        let name = user.split(':').next().unwrap_or(user);
        let is_number = !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit());
        if name.is_empty()
            || is_number
            || name == "root"
            || users.contains(name)
            || holds_secret(name)
        {
            continue;
        }
        let place = written
            .map(|u| &u.span)
            .or_else(|| service.image.reference.as_ref().map(|r| &r.span));
        let place = place.unwrap_or(&service.name.span);
        found.service(
            key,
            "user",
            place,
            format!("the image has no user `{name}`"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_that_move() {
        let severity = |r: &str| tag(r).and_then(moves).map(|(_, s)| s);
        for r in [
            "nginx",
            "nginx:latest",
            "a/b:stable",
            "reg:5000/a",
            "x:alpine",
            "x:main",
        ] {
            assert_eq!(severity(r), Some(Severity::High), "{r}");
        }
        for r in [
            "postgres:15",
            "node:20-slim",
            "reg:5000/a/b:v3",
            "x:8-jdk-alpine",
        ] {
            assert_eq!(severity(r), Some(Severity::Medium), "{r}");
        }
        for r in [
            "nginx:1.25",
            "x:2026-11",
            "x:2.4.0-rc1",
            "x:a1b2c3d",
            "x@sha256:00",
            "x:latest@sha256:00",
            "x:20240101",
        ] {
            assert_eq!(severity(r), None, "{r}");
        }
    }

    #[test]
    fn platforms_that_fit() {
        assert!(fits("linux/amd64", "linux/x86_64"));
        assert!(fits("linux/arm64/v8", "linux/arm64"));
        assert!(!fits("linux/arm64", "linux/amd64"));
        assert!(!fits("linux/arm/v6", "linux/arm/v7"));
    }
}
