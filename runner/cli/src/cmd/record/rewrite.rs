//! What a browser must be told otherwise than production says it, and the other way round.

/// The two names of one site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// As production calls it: `http://gateway`.
    pub there: String,
    /// As the person calls it: `http://127.0.0.1:4711`, and other names of the same.
    pub here: Vec<String>,
}

impl Site {
    /// A URL of production as the person must ask for it; nothing when it is another site's.
    pub fn to_person(&self, url: &str) -> Option<String> {
        let here = self.here.first()?;
        if let Some(rest) = after(url, &self.there) {
            return Some(format!("{here}{rest}"));
        }
        // `//gateway/x` is of the scheme that the page has.
        let bare = self.there.split_once(':').map_or("", |(_, rest)| rest);
        after(url, bare).map(|rest| format!("{here}{rest}"))
    }

    /// A URL of the person's as production would be told it.
    pub fn to_production(&self, url: &str) -> Option<String> {
        let mut here = self.here.iter();
        here.find_map(|h| Some(format!("{}{}", self.there, after(url, h)?)))
    }

    /// Whether a redirect leads to another site, and to which.
    pub fn leaves_for(&self, location: &str) -> Option<String> {
        let absolute = location.starts_with("//")
            || ["http://", "https://"].iter().any(|s| starts(location, s));
        if !absolute || self.to_person(location).is_some() {
            return None;
        }
        let from = location.find("//")? + 2;
        let end = location[from..].find(['/', '?', '#']);
        Some(location[..end.map_or(location.len(), |e| from + e)].to_owned())
    }
}

/// What follows a base in a URL. `http://gateway.evil/` does not begin with `http://gateway`.
fn after<'u>(url: &'u str, base: &str) -> Option<&'u str> {
    let head = url.get(..base.len())?;
    let rest = &url[base.len()..];
    let rest = match head.eq_ignore_ascii_case(base) {
        true => rest,
        false => return None,
    };
    // The port that is usual is the same as none.
    let rest = match base.starts_with("http://") || base.starts_with("//") {
        true if !has_port(base) => rest.strip_prefix(":80").unwrap_or(rest),
        _ => rest,
    };
    (rest.is_empty() || rest.starts_with(['/', '?', '#'])).then_some(rest)
}

fn starts(text: &str, with: &str) -> bool {
    text.get(..with.len())
        .is_some_and(|h| h.eq_ignore_ascii_case(with))
}

fn has_port(base: &str) -> bool {
    let host = base.rsplit('/').next().unwrap_or("");
    let (_, port) = host.rsplit_once(':').unwrap_or(("", ""));
    !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit())
}

/// A cookie as a browser takes it from a loopback address without TLS: without its domain, and
/// without what needs TLS.
pub fn cookie(line: &str) -> String {
    let mut parts = line.split(';');
    let first = parts.next().unwrap_or("");
    let name = first.split('=').next().unwrap_or("").trim();
    // Browsers refuse these names without `Secure`, and take it from loopback addresses.
    let bound = name.starts_with("__Host-") || name.starts_with("__Secure-");
    let mut out = first.trim().to_owned();
    for part in parts.map(str::trim).filter(|p| !p.is_empty()) {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        let key = key.trim().to_ascii_lowercase();
        let drop = match key.as_str() {
            "domain" => true,
            "secure" => !bound,
            "samesite" => !bound && value.trim().eq_ignore_ascii_case("none"),
            _ => false,
        };
        if !drop {
            out.push_str("; ");
            out.push_str(part);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(there: &str) -> Site {
        Site {
            there: there.into(),
            here: vec![
                "http://127.0.0.1:4711".into(),
                "http://localhost:4711".into(),
            ],
        }
    }

    #[test]
    fn redirects_stay_with_the_person() {
        let s = site("http://gateway");
        for (url, wanted) in [
            ("http://gateway/a?b#c", Some("http://127.0.0.1:4711/a?b#c")),
            ("HTTP://Gateway", Some("http://127.0.0.1:4711")),
            ("http://gateway:80/a", Some("http://127.0.0.1:4711/a")),
            ("//gateway/a", Some("http://127.0.0.1:4711/a")),
            ("http://gateway:8080/a", None),
            ("http://gateway.evil/a", None),
            ("https://shop.example/a", None),
            ("/a", None),
            ("", None),
            ("http://gatewäy/", None),
        ] {
            assert_eq!(s.to_person(url).as_deref(), wanted, "{url}");
        }
        let s = site("http://gateway:8080");
        assert!(s.to_person("http://gateway:8080/a").is_some());
        assert!(s.to_person("http://gateway:80801/a").is_none());
        assert!(s.to_person("http://gateway/a").is_none());
    }

    #[test]
    fn a_redirect_to_another_site_is_known() {
        let s = site("http://gateway");
        let wanted = Some("https://shop.example".to_owned());
        assert_eq!(s.leaves_for("https://shop.example/login?x"), wanted);
        assert_eq!(s.leaves_for("//cdn.example"), Some("//cdn.example".into()));
        assert_eq!(s.leaves_for("/login?next=http://x/"), None);
        assert_eq!(s.leaves_for("http://gateway/login"), None);
    }

    #[test]
    fn production_is_told_its_own_name() {
        let s = site("http://gateway");
        let told = s.to_production("http://localhost:4711/cart?x=1");
        assert_eq!(told.as_deref(), Some("http://gateway/cart?x=1"));
        let told = s.to_production("http://127.0.0.1:4711");
        assert_eq!(told.as_deref(), Some("http://gateway"));
        assert_eq!(s.to_production("https://elsewhere.example/"), None);
    }

    #[test]
    fn cookies_that_a_loopback_address_may_keep() {
        for (line, wanted) in [
            (
                "sid=1; Path=/; Domain=shop.example; HttpOnly",
                "sid=1; Path=/; HttpOnly",
            ),
            ("sid=a=b;Secure;SameSite=None", "sid=a=b"),
            (
                "sid=1; SameSite=Lax; Max-Age=60",
                "sid=1; SameSite=Lax; Max-Age=60",
            ),
            (
                "__Host-sid=1; Secure; Path=/",
                "__Host-sid=1; Secure; Path=/",
            ),
            ("", ""),
        ] {
            assert_eq!(cookie(line), wanted, "{line}");
        }
    }
}
