//! Which service a request is for.

use prodmirror_agent::wire::{GatewayRoute, PathKind};
use regex_lite::Regex;

/// All routes, those of one host before each other as they were given.
pub struct Routes {
    all: Vec<Route>,
}

struct Route {
    route: GatewayRoute,
    regex: Option<Regex>,
}

/// How well a rule's host fits: the same, by a star, any.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    Same,
    Star,
    Any,
}

impl Routes {
    /// Reads them.
    pub fn new(routes: Vec<GatewayRoute>) -> Result<Self, String> {
        let compiled = |route: GatewayRoute| {
            let regex = match route.kind {
                // As nginx does: at the beginning, in any case.
                PathKind::Regex => Some(Regex::new(&format!("(?i)^{}", route.path))),
                _ => None,
            };
            let regex = regex
                .transpose()
                .map_err(|e| format!("`{}`: {e}", route.path))?;
            Ok(Route { route, regex })
        };
        let all = routes
            .into_iter()
            .map(compiled)
            .collect::<Result<_, String>>()?;
        Ok(Self { all })
    }

    /// The service of a request, and the path by which it is asked.
    pub fn find(&self, host: &str, path: &str) -> Option<(&str, String)> {
        let mut hosts: Vec<(Fit, &Route)> = self
            .all
            .iter()
            .filter_map(|r| Some((fit(r, host)?, r)))
            .collect();
        hosts.sort_by(|a, b| a.0.cmp(&b.0));
        // The rules of the best host are the only ones.
        let best = hosts.first().map(|(fit, r)| (fit, r.route.host.as_str()));
        let mut own = hosts
            .iter()
            .filter(|(fit, r)| Some((fit, r.route.host.as_str())) == best);
        let found = own.find_map(|(_, r)| Some((r.route.to.as_str(), led(r, path)?)));
        let default = || {
            let route = self
                .all
                .iter()
                .find(|r| r.route.kind == PathKind::Default)?;
            Some((route.route.to.as_str(), path.to_owned()))
        };
        found.or_else(default)
    }
}

fn fit(route: &Route, host: &str) -> Option<Fit> {
    if route.route.kind == PathKind::Default {
        return None;
    }
    let wanted = route.route.host.as_str();
    // A star stands for one label.
    let starred = || {
        let rest = wanted.strip_prefix('*')?;
        let label = host.strip_suffix(rest)?;
        (!label.is_empty() && !label.contains('.')).then_some(Fit::Star)
    };
    match wanted {
        "" => Some(Fit::Any),
        wanted if wanted == host => Some(Fit::Same),
        _ => starred(),
    }
}

/// The path by which a route's service is asked; none when the route is not for it.
fn led(route: &Route, path: &str) -> Option<String> {
    let wanted = route.route.path.as_str();
    let rewrite = route.route.rewrite.as_deref();
    let to = match route.route.kind {
        PathKind::Exact => (path == wanted).then(|| rewrite.unwrap_or(path).to_owned()),
        PathKind::Prefix => is_below(path, wanted).then(|| rewrite.unwrap_or(path).to_owned()),
        PathKind::Regex => {
            let captures = route.regex.as_ref()?.captures(path)?;
            let mut to = String::new();
            match rewrite {
                Some(rewrite) => captures.expand(&braced(rewrite), &mut to),
                None => path.clone_into(&mut to),
            }
            Some(to)
        }
        PathKind::Default => None,
    }?;
    Some(if to.starts_with('/') {
        to
    } else {
        format!("/{to}")
    })
}

/// `$1` as `${1}`: nginx ends the number where its digits end.
fn braced(rewrite: &str) -> String {
    let mut out = String::new();
    let mut rest = rewrite;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let digits = rest[at + 1..]
            .bytes()
            .take_while(u8::is_ascii_digit)
            .count();
        let (number, after) = rest[at + 1..].split_at(digits);
        match number {
            "" => out.push_str("$$"),
            number => out.push_str(&format!("${{{number}}}")),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Whether a path is below another one, element by element.
fn is_below(path: &str, prefix: &str) -> bool {
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    let rest = path.strip_prefix(prefix);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(all: &[&str]) -> Routes {
        let all = all.iter().map(|r| serde_json::from_str(r).unwrap());
        Routes::new(all.collect()).unwrap()
    }

    /// The examples of Kubernetes' documentation of Ingress.
    #[test]
    fn paths_are_compared_as_kubernetes_does() {
        for (kind, rule, path, wanted) in [
            ("prefix", "/", "/any", true),
            ("exact", "/foo", "/foo", true),
            ("exact", "/foo", "/bar", false),
            ("exact", "/foo", "/foo/", false),
            ("exact", "/foo/", "/foo", false),
            ("prefix", "/foo", "/foo", true),
            ("prefix", "/foo", "/foo/", true),
            ("prefix", "/foo/", "/foo", true),
            ("prefix", "/foo/", "/foo/", true),
            ("prefix", "/aaa/bb", "/aaa/bbb", false),
            ("prefix", "/aaa/bbb", "/aaa/bbb", true),
            ("prefix", "/aaa/bbb/", "/aaa/bbb", true),
            ("prefix", "/aaa/bbb", "/aaa/bbb/ccc", true),
            ("prefix", "/aaa/bbb", "/aaa/bbbxyz", false),
        ] {
            let route = format!(r#"{{"kind":"{kind}","path":"{rule}","to":"a:80"}}"#);
            let all = routes(&[&route]);
            let found = all.find("x", path);
            let expected = wanted.then(|| ("a:80", path.to_owned()));
            assert_eq!(found, expected, "{kind} {rule} {path}");
        }
    }

    #[test]
    fn the_rules_of_the_best_host_are_the_only_ones() {
        let all = routes(&[
            r#"{"host":"shop.example","kind":"prefix","path":"/api","to":"api:80"}"#,
            r#"{"host":"*.shop.example","kind":"prefix","path":"/","to":"star:80"}"#,
            r#"{"kind":"prefix","path":"/","to":"any:80"}"#,
            r#"{"kind":"default","to":"default:80"}"#,
        ]);
        let to = |host: &str, path: &str| all.find(host, path).map(|(to, _)| to);
        assert_eq!(to("shop.example", "/api/x"), Some("api:80"));
        assert_eq!(to("shop.example", "/x"), Some("default:80"));
        assert_eq!(to("a.shop.example", "/x"), Some("star:80"));
        assert_eq!(to("a.b.shop.example", "/x"), Some("any:80"));
        assert_eq!(to("other.example", "/api"), Some("any:80"));
    }

    #[test]
    fn paths_are_rewritten_as_nginx_does() {
        let all = routes(&[
            r#"{"kind":"regex","path":"/api(/|$)(.*)","to":"api:80","rewrite":"/v1/$2"}"#,
            r#"{"kind":"prefix","path":"/old","to":"old:80","rewrite":"/"}"#,
            r#"{"kind":"regex","path":"/(a|b)/x","to":"x:80"}"#,
        ]);
        let found = |path: &str| all.find("x", path).map(|(to, path)| format!("{to} {path}"));
        assert_eq!(
            found("/api/orders/1").as_deref(),
            Some("api:80 /v1/orders/1")
        );
        assert_eq!(found("/API").as_deref(), Some("api:80 /v1/"));
        assert_eq!(found("/apis"), None);
        assert_eq!(found("/old/deep").as_deref(), Some("old:80 /"));
        assert_eq!(found("/b/x").as_deref(), Some("x:80 /b/x"));
        assert_eq!(braced("/$1x$$2-$"), "/${1}x$$${2}-$$");
    }
}
