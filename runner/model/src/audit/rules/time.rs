//! Time zones and locales.

use crate::audit::zone::{self, HOST, Zone};
use crate::audit::{Found, Look};
use crate::fidelity::Severity;
use crate::mirror::Service;
use crate::source::Span;

/// Services that are not told the same time zone.
pub fn zones(look: &Look<'_>, found: &mut Found) {
    let all: Vec<(&str, &Service, Option<Zone>)> = look
        .services()
        .map(|(key, s)| (key, s, zone::of(s).or_else(|| image_zone(look, s))))
        .collect();
    let Some((first_key, first)) = all.iter().find_map(|(k, _, z)| Some((*k, z.as_ref()?))) else {
        none_at_all(look, found);
        return;
    };
    for (key, service, zone) in &all {
        match zone {
            Some(z) if z.name == HOST => {
                found
                    .service(
                        key,
                        z.field.clone(),
                        &z.span,
                        format!("`{key}` has the time zone of whatever host it runs on"),
                    )
                    .severity(Severity::Medium)
                    .why("it changes with the host, and a test cannot know it");
            }
            Some(z) if !zone::same(&z.name, &first.name) => {
                found
                    .service(
                        key,
                        z.field.clone(),
                        &z.span,
                        format!(
                            "`{key}` has the time zone {}, and `{first_key}` has {}",
                            z.name, first.name
                        ),
                    )
                    .severity(Severity::Medium)
                    .related(&first.span, format!("`{first_key}` is told here"));
            }
            Some(_) => {}
            // Containers have UTC unless they are told otherwise.
            None if zone::same(&first.name, "UTC") => {}
            None => {
                found
                    .service(
                        key,
                        "environment.TZ",
                        &service.name.span,
                        format!(
                            "`{key}` is told no time zone (so UTC), and `{first_key}` has {}",
                            first.name
                        ),
                    )
                    .related(&first.span, format!("`{first_key}` is told here"));
            }
        }
    }
}

fn none_at_all(look: &Look<'_>, found: &mut Found) {
    let span = look
        .services()
        .next()
        .map_or_else(Span::generated, |(_, s)| s.name.span.clone());
    found
        .add("spec", "environment.TZ", &span, "no service is told its time zone: it is the image's, mostly UTC")
        .severity(Severity::Info)
        .why("where images differ, or a developer's machine has another zone, the same moment is another day");
}

fn image_zone(look: &Look<'_>, service: &Service) -> Option<Zone> {
    let name = look.image(service)?.time_zone.clone()?;
    Some(Zone {
        name,
        field: "image".to_owned(),
        span: service.image.reference.as_ref()?.span.clone(),
    })
}

/// Services that are not told the same locale.
pub fn locales(look: &Look<'_>, found: &mut Found) {
    let locale = |s: &Service| {
        ["LC_ALL", "LANG"].iter().find_map(|wanted| {
            let var = s.env.iter().find(|v| v.name.value == *wanted)?;
            let value = var.value.as_ref().filter(|v| !v.is_empty())?;
            Some((*wanted, value.value.clone(), value.span.clone()))
        })
    };
    let mut first: Option<(&str, String, Span)> = None;
    for (key, service) in look.services() {
        let Some((name, value, span)) = locale(service) else {
            continue;
        };
        let field = format!("environment.{name}");
        if matches!(value.as_str(), "C" | "POSIX") {
            found
                .service(
                    key,
                    field,
                    &span,
                    format!("`{name}={value}` knows ASCII only"),
                )
                .why("programs write `?` for, or refuse, any other letter");
            continue;
        }
        match &first {
            None => first = Some((key, value, span)),
            Some((other, theirs, place)) if !same(theirs, &value) => {
                found
                    .service(
                        key,
                        field,
                        &span,
                        format!("`{key}` has the locale {value}, and `{other}` has {theirs}"),
                    )
                    .related(place, format!("`{other}` is told here"));
            }
            Some(_) => {}
        }
    }
}

fn same(a: &str, b: &str) -> bool {
    let normal = |l: &str| l.to_ascii_lowercase().replace("utf-8", "utf8");
    normal(a) == normal(b)
}
