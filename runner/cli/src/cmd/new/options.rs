//! The options of curl, taken apart.

/// What an option means here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A step can say it.
    Known,
    /// It says how curl itself behaves, and nothing about the request.
    Idle,
    /// A step cannot say it.
    Lost,
}

/// An option that was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its long name.
    pub name: String,
    /// Its value.
    pub value: Option<String>,
    /// What it means here.
    pub kind: Kind,
}

/// Long name, short name, whether it takes a value.
type Row = (&'static str, char, bool);

const KNOWN: &[Row] = &[
    ("url", '\0', true),
    ("request", 'X', true),
    ("header", 'H', true),
    ("data", 'd', true),
    ("data-ascii", '\0', true),
    ("data-raw", '\0', true),
    ("data-binary", '\0', true),
    ("data-urlencode", '\0', true),
    ("json", '\0', true),
    ("url-query", '\0', true),
    ("form", 'F', true),
    ("form-string", '\0', true),
    ("user", 'u', true),
    ("oauth2-bearer", '\0', true),
    ("cookie", 'b', true),
    ("user-agent", 'A', true),
    ("referer", 'e', true),
    ("insecure", 'k', false),
    ("location", 'L', false),
    ("location-trusted", '\0', false),
    ("max-redirs", '\0', true),
    ("get", 'G', false),
    ("head", 'I', false),
    ("http2", '\0', false),
    ("http2-prior-knowledge", '\0', false),
    ("http1.1", '\0', false),
    ("http1.0", '0', false),
    ("compressed", '\0', false),
    ("max-time", 'm', true),
    ("connect-timeout", '\0', true),
    ("next", ':', false),
];

const IDLE: &[Row] = &[
    ("silent", 's', false),
    ("show-error", 'S', false),
    ("verbose", 'v', false),
    ("include", 'i', false),
    ("fail", 'f', false),
    ("fail-with-body", '\0', false),
    ("fail-early", '\0', false),
    ("progress-bar", '#', false),
    ("no-progress-meter", '\0', false),
    ("no-buffer", 'N', false),
    ("remote-name", 'O', false),
    ("remote-header-name", 'J', false),
    ("output", 'o', true),
    ("output-dir", '\0', true),
    ("create-dirs", '\0', false),
    ("write-out", 'w', true),
    ("dump-header", 'D', true),
    ("stderr", '\0', true),
    ("trace", '\0', true),
    ("trace-ascii", '\0', true),
    ("trace-time", '\0', false),
    ("disable", 'q', false),
    ("globoff", 'g', false),
    ("path-as-is", '\0', false),
    ("parallel", 'Z', false),
    ("tcp-nodelay", '\0', false),
    ("keepalive-time", '\0', true),
    ("styled-output", '\0', false),
];

/// Options that a step cannot say, with whether they take a value.
const LOST: &[Row] = &[
    ("proxy", 'x', true),
    ("proxy-user", 'U', true),
    ("noproxy", '\0', true),
    ("preproxy", '\0', true),
    ("socks5", '\0', true),
    ("socks5-hostname", '\0', true),
    ("cookie-jar", 'c', true),
    ("junk-session-cookies", 'j', false),
    ("upload-file", 'T', true),
    ("range", 'r', true),
    ("continue-at", 'C', true),
    ("config", 'K', true),
    ("cert", 'E', true),
    ("cert-type", '\0', true),
    ("key", '\0', true),
    ("key-type", '\0', true),
    ("pass", '\0', true),
    ("cacert", '\0', true),
    ("capath", '\0', true),
    ("ciphers", '\0', true),
    ("tls-max", '\0', true),
    ("tlsv1.2", '\0', false),
    ("tlsv1.3", '\0', false),
    ("pinnedpubkey", '\0', true),
    ("resolve", '\0', true),
    ("connect-to", '\0', true),
    ("dns-servers", '\0', true),
    ("interface", '\0', true),
    ("local-port", '\0', true),
    ("unix-socket", '\0', true),
    ("abstract-unix-socket", '\0', true),
    ("limit-rate", '\0', true),
    ("rate", '\0', true),
    ("speed-limit", 'Y', true),
    ("speed-time", 'y', true),
    ("time-cond", 'z', true),
    ("retry", '\0', true),
    ("retry-delay", '\0', true),
    ("retry-max-time", '\0', true),
    ("retry-all-errors", '\0', false),
    ("retry-connrefused", '\0', false),
    ("netrc", 'n', false),
    ("netrc-file", '\0', true),
    ("netrc-optional", '\0', false),
    ("digest", '\0', false),
    ("ntlm", '\0', false),
    ("negotiate", '\0', false),
    ("anyauth", '\0', false),
    ("basic", '\0', false),
    ("aws-sigv4", '\0', true),
    ("delegation", '\0', true),
    ("request-target", '\0', true),
    ("proto", '\0', true),
    ("proto-redir", '\0', true),
    ("proto-default", '\0', true),
    ("max-filesize", '\0', true),
    ("expect100-timeout", '\0', true),
    ("http3", '\0', false),
    ("ipv4", '4', false),
    ("ipv6", '6', false),
    ("post301", '\0', false),
    ("post302", '\0', false),
    ("post303", '\0', false),
    ("quote", 'Q', true),
    ("tr-encoding", '\0', false),
    ("raw", '\0', false),
    ("hsts", '\0', true),
    ("etag-save", '\0', true),
    ("etag-compare", '\0', true),
    ("parallel-max", '\0', true),
    ("variable", '\0', true),
];

fn find(by: impl Fn(&Row) -> bool) -> Option<(Kind, &'static Row)> {
    [(Kind::Known, KNOWN), (Kind::Idle, IDLE), (Kind::Lost, LOST)]
        .into_iter()
        .find_map(|(kind, rows)| Some((kind, rows.iter().find(|r| by(r))?)))
}

/// Takes the words behind `curl` apart. What a step cannot say is told by name.
///
/// # Errors
/// An option whose value is missing.
pub fn options(
    words: impl IntoIterator<Item = String>,
    warnings: &mut Vec<String>,
) -> Result<Vec<Seen>, String> {
    let mut words = words.into_iter();
    let mut all = Vec::new();
    let mut idle: Vec<String> = Vec::new();
    let mut only_urls = false;
    while let Some(word) = words.next() {
        if only_urls || !word.starts_with('-') || word == "-" {
            all.push(url(word));
        } else if word == "--" {
            only_urls = true;
        } else if let Some(long) = word.strip_prefix("--") {
            let (name, given) = match long.split_once('=') {
                Some((n, v)) => (n, Some(v.to_owned())),
                None => (long, None),
            };
            match find(|r| r.0 == name) {
                Some((kind, row)) => {
                    let value = match (row.2, given) {
                        (true, None) => Some(words.next().ok_or(missing(&word))?),
                        (_, given) => given,
                    };
                    put(row, kind, value, &word, &mut all, &mut idle, warnings);
                }
                None => unknown(&format!("--{name}"), name, warnings),
            }
        } else {
            let mut letters = word[1..].chars();
            while let Some(letter) = letters.next() {
                let Some((kind, row)) = find(|r| r.1 == letter) else {
                    unknown(&format!("-{letter}"), "", warnings);
                    continue;
                };
                let value = match row.2 {
                    false => None,
                    true => {
                        let rest: String = letters.by_ref().collect();
                        Some(match rest.is_empty() {
                            true => words.next().ok_or(missing(&word))?,
                            false => rest,
                        })
                    }
                };
                let shown = format!("-{letter}");
                put(row, kind, value, &shown, &mut all, &mut idle, warnings);
            }
        }
    }
    if !idle.is_empty() {
        idle.dedup();
        warnings.push(format!(
            "left out, because they only say how curl itself behaves: {}",
            idle.join(", ")
        ));
    }
    Ok(all)
}

fn put(
    row: &'static Row,
    kind: Kind,
    value: Option<String>,
    shown: &str,
    all: &mut Vec<Seen>,
    idle: &mut Vec<String>,
    warnings: &mut Vec<String>,
) {
    let shown = shown.split('=').next().unwrap_or(shown);
    match kind {
        Kind::Known => all.push(Seen {
            name: row.0.to_owned(),
            value,
            kind,
        }),
        Kind::Idle => idle.push(shown.to_owned()),
        Kind::Lost => warnings.push(format!(
            "{shown} (--{}) is left out: a step cannot say it",
            row.0
        )),
    }
}

fn unknown(shown: &str, name: &str, warnings: &mut Vec<String>) {
    // `--no-…` takes something back that is off anyway.
    let why = match name.strip_prefix("no-") {
        Some(_) => "it switches something off that a step does not do",
        None => "it is not known; if it takes a value, that was taken for a URL",
    };
    warnings.push(format!("{shown} is left out: {why}"));
}

fn missing(word: &str) -> String {
    format!("the value of {word} is missing")
}

fn url(word: String) -> Seen {
    Seen {
        name: "url".into(),
        value: Some(word),
        kind: Kind::Known,
    }
}
