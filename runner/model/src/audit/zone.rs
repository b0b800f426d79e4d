//! The time zone that a service is told, wherever it is said.

use crate::mirror::{Argv, MountKind, Service};
use crate::source::Span;

/// A time zone and where the spec says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    /// Its name (`Europe/Berlin`), or [`HOST`].
    pub name: String,
    /// The field that says it.
    pub field: String,
    /// The place.
    pub span: Span,
}

/// The name of a time zone that is that of whatever host the container runs on.
pub const HOST: &str = "the host's";

/// Variables that set a time zone, the one that most programs follow first.
const VARIABLES: [&str; 4] = ["TZ", "PGTZ", "GF_DATE_FORMATS_DEFAULT_TIMEZONE", "TIMEZONE"];

/// Options in arguments and in variables such as `JAVA_OPTS`.
const OPTIONS: [&str; 5] = [
    "-Duser.timezone=",
    "date.timezone=",
    "--default-time-zone=",
    "timezone=",
    "log_timezone=",
];

/// The time zone that the spec sets for a service.
pub fn of(service: &Service) -> Option<Zone> {
    by_variable(service)
        .or_else(|| by_argument(service))
        .or_else(|| by_mount(service))
}

fn by_variable(service: &Service) -> Option<Zone> {
    let named = VARIABLES.iter().find_map(|wanted| {
        let var = service.env.iter().find(|v| v.name.value == *wanted)?;
        let value = var.value.as_ref().filter(|v| !v.is_empty())?;
        Some((
            var,
            value.trim_start_matches(':').to_owned(),
            value.span.clone(),
        ))
    });
    let option = || {
        service.env.iter().find_map(|var| {
            let value = var.value.as_ref()?;
            Some((var, option_in(value)?, value.span.clone()))
        })
    };
    let (var, name, span) = named.or_else(option)?;
    Some(Zone {
        name,
        field: format!("environment.{}", var.name.value),
        span,
    })
}

fn by_argument(service: &Service) -> Option<Zone> {
    let argvs = [
        ("command", &service.process.command),
        ("entrypoint", &service.process.entrypoint),
    ];
    argvs.into_iter().find_map(|(field, argv)| {
        let Argv::Set(args) = &argv.value else {
            return None;
        };
        args.iter().find_map(|arg| {
            Some(Zone {
                name: option_in(arg)?,
                field: field.to_owned(),
                span: arg.span.clone(),
            })
        })
    })
}

/// The zone that an option in a text sets. An option begins the text or follows a blank.
fn option_in(text: &str) -> Option<String> {
    OPTIONS.iter().find_map(|option| {
        let (at, _) = text
            .match_indices(option)
            .find(|(at, _)| *at == 0 || text[..*at].ends_with([' ', '\t', '\'', '"']))?;
        let rest = &text[at + option.len()..];
        let end = rest
            .find(|c: char| c.is_whitespace() || matches!(c, '\'' | '"' | ';' | ','))
            .unwrap_or(rest.len());
        (end > 0).then(|| rest[..end].to_owned())
    })
}

fn by_mount(service: &Service) -> Option<Zone> {
    service.mounts.list.iter().find_map(|m| {
        let target = m.target.as_ref()?;
        if m.kind.value != MountKind::Bind
            || !matches!(target.as_str(), "/etc/localtime" | "/etc/timezone")
        {
            return None;
        }
        let source = m.source.as_ref()?;
        let name = source.split_once("/zoneinfo/").map_or(HOST, |(_, z)| z);
        Some(Zone {
            name: name.to_owned(),
            field: format!("volumes[{}]", target.value),
            span: source.span.clone(),
        })
    })
}

/// Whether two names mean the same time: the names of UTC are many.
pub fn same(a: &str, b: &str) -> bool {
    const UTC: [&str; 8] = [
        "utc",
        "etc/utc",
        "gmt",
        "etc/gmt",
        "zulu",
        "etc/zulu",
        "utc0",
        "universal",
    ];
    let utc = |z: &str| UTC.contains(&z.to_ascii_lowercase().as_str());
    a == b || (utc(a) && utc(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_in_texts() {
        for (text, zone) in [
            ("-Xmx1g -Duser.timezone=Asia/Tokyo -jar", Some("Asia/Tokyo")),
            ("timezone=UTC", Some("UTC")),
            ("my_timezone=UTC", None),
            ("timezone=", None),
        ] {
            assert_eq!(option_in(text).as_deref(), zone, "{text}");
        }
        assert!(same("UTC", "Etc/UTC") && !same("UTC", "Europe/Berlin"));
    }
}
