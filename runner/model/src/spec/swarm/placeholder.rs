//! Go templates in values: what Swarm fills in for each task.

use sha2::{Digest, Sha256};

/// What the templates of a service stand for.
pub(super) struct Task<'t> {
    /// The name of the stack.
    pub stack: &'t str,
    /// The name of the service in its file.
    pub service: &'t str,
}

/// A text with its templates filled in, and the first of them that is not known.
pub(super) struct Filled {
    /// The text.
    pub text: String,
    /// A template that stays as it is.
    pub unknown: Option<String>,
    /// Whether a value differs from one replica to the next in production.
    pub by_replica: bool,
}

/// Fills in the templates of a text; none when there are none.
pub(super) fn fill(text: &str, task: &Task<'_>) -> Option<Filled> {
    let mut out = Filled {
        text: String::new(),
        unknown: None,
        by_replica: false,
    };
    let mut rest = text;
    let mut any = false;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((inside, tail)) = after.split_once("}}") else {
            break;
        };
        any = true;
        out.text.push_str(before);
        let field = inside.trim().trim_matches('-').trim();
        match value(field, task) {
            Some(value) => out.text.push_str(&value),
            None => {
                let whole = format!("{{{{{inside}}}}}");
                out.text.push_str(&whole);
                out.unknown.get_or_insert(whole);
            }
        }
        out.by_replica |= field.starts_with(".Task.");
        rest = tail;
    }
    out.text.push_str(rest);
    any.then_some(out)
}

fn value(field: &str, task: &Task<'_>) -> Option<String> {
    let service = format!("{}_{}", task.stack, task.service);
    Some(match field {
        ".Service.Name" => service,
        ".Service.ID" => id(&format!("service {service}")),
        ".Node.ID" => id("node"),
        ".Node.Hostname" => "mirror".to_owned(),
        ".Node.Platform.OS" => "linux".to_owned(),
        ".Node.Platform.Architecture" => "x86_64".to_owned(),
        ".Task.Slot" => "1".to_owned(),
        ".Task.ID" => id(&format!("task {service}")),
        ".Task.Name" => {
            let task = id(&format!("task {service}"));
            format!("{service}.1.{task}")
        }
        _ => return None,
    })
}

/// An identifier of Swarm's form: 25 letters and digits, the same for the same thing.
fn id(of: &str) -> String {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let hash = Sha256::digest(of.as_bytes());
    let digits = hash.iter().take(25).map(|b| DIGITS[usize::from(*b) % 36]);
    digits.map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_filled_in() {
        let task = Task {
            stack: "shop",
            service: "web",
        };
        let fill = |text: &str| fill(text, &task);
        assert!(fill("plain {{ x").is_none());
        let name = fill("{{.Service.Name}}-{{ .Task.Slot }}").unwrap();
        assert_eq!((name.text.as_str(), name.by_replica), ("shop_web-1", true));
        let node = fill("{{.Node.ID}}").unwrap();
        assert_eq!((node.text.len(), node.by_replica), (25, false));
        let other = fill("a{{index .Service.Labels \"x\"}}b").unwrap();
        assert_eq!(other.text, "a{{index .Service.Labels \"x\"}}b");
        assert!(other.unknown.is_some());
    }
}
