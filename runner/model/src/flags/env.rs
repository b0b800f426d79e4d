//! Flags that are environment variables of services.

use indexmap::IndexMap;
use serde_json::Value as Json;

use super::{Flag, FlagSet, Format, Kind, Origin, Variant};
use crate::diag::{Problem, ProblemKind, Problems, nearest};
use crate::mirror::Mirror;
use crate::project::Flags as Wanted;
use crate::source::Span;
use crate::stack::secret_ref;

/// Words of a switch, in pairs.
const PAIRS: [(&str, &str); 5] = [
    ("true", "false"),
    ("on", "off"),
    ("1", "0"),
    ("yes", "no"),
    ("enabled", "disabled"),
];

/// The variables that `prefix` or `names` is about, in all services or in those that are named.
pub(super) fn read(wanted: &Wanted, production: &Mirror, problems: &mut Problems) -> FlagSet {
    let mut flags: IndexMap<String, Flag> = IndexMap::new();
    let prefix = wanted.prefix.as_ref().map(|p| p.value.as_str());
    let named = |name: &str| wanted.names.iter().any(|n| n.value == name);
    let mut seen: Vec<&str> = Vec::new();
    for service in production.services.values() {
        let name = &service.name.value;
        if !wanted.services.is_empty() && wanted.services.iter().all(|s| s.value != *name) {
            continue;
        }
        for var in &service.env {
            let key = var.name.value.as_str();
            seen.push(key);
            let of_prefix = prefix.is_some_and(|p| key.starts_with(p) && key.len() > p.len());
            if !of_prefix && !named(key) {
                continue;
            }
            let Some(value) = &var.value else { continue };
            if var.sensitive || secret_ref::holds_secret(&value.value) {
                if named(key) {
                    let text = format!("`{key}` of `{name}` is a secret, not a flag");
                    problems.push(Problem::at(ProblemKind::Conflict, &value.span, text));
                }
                continue;
            }
            match flags.get_mut(key) {
                None => {
                    let mut flag = variable(key, &value.value, &value.span);
                    flag.services.push(name.clone());
                    flags.insert(key.to_owned(), flag);
                }
                Some(flag) => {
                    flag.services.push(name.clone());
                    let first = flag.served().and_then(|v| v.text.clone());
                    if first.as_deref() != Some(value.value.as_str()) {
                        let text = format!(
                            "`{key}` has another value in `{name}` than in `{}`",
                            flag.services[0]
                        );
                        problems.push(
                            Problem::at(ProblemKind::Conflict, &value.span, text)
                                .warning()
                                .related(&flag.span, "this one counts as what production serves"),
                        );
                    }
                }
            }
        }
    }
    for name in wanted.names.iter().filter(|n| !seen.contains(&n.as_str())) {
        let text = format!("no service of production has a variable `{}`", name.value);
        let p = Problem::at(ProblemKind::UnknownReference, &name.span, text);
        problems.push(match nearest(name, seen.iter().copied()) {
            Some(near) => p.help(format!("did you mean `{near}`?")),
            None => p.help("take it out, or name the variable that services read"),
        });
    }
    if let (Some(p), true) = (&wanted.prefix, flags.is_empty()) {
        let text = format!(
            "no service of production has a variable that begins with `{}`",
            p.value
        );
        problems.push(Problem::at(ProblemKind::UnknownReference, &p.span, text));
    }
    FlagSet {
        format: Format::Env,
        flags,
        services: Vec::new(),
        origin: Origin::Variables,
    }
}

/// A variable as a flag: a switch where its value is a word of one, written as that word is.
fn variable(name: &str, value: &str, span: &Span) -> Flag {
    let pair = PAIRS
        .iter()
        .find(|(on, off)| value.eq_ignore_ascii_case(on) || value.eq_ignore_ascii_case(off));
    let Some((on, off)) = pair else {
        let mut flag = Flag::new(name, span, Kind::Text);
        flag.variants = vec![Variant {
            text: Some(value.to_owned()),
            ..Variant::of(value.into())
        }];
        flag.serves = Some(0);
        flag.open = true;
        return flag;
    };
    let mut flag = Flag::new(name, span, Kind::Boolean);
    let spelt = |word: &str| {
        let first = value.chars().next().unwrap_or('a');
        let upper = value.chars().all(|c| !c.is_ascii_lowercase());
        match (first.is_ascii_uppercase(), upper) {
            (true, true) => word.to_ascii_uppercase(),
            (true, false) => word[..1].to_ascii_uppercase() + &word[1..],
            _ => word.to_owned(),
        }
    };
    flag.variants = [(true, on), (false, off)]
        .map(|(b, word)| Variant {
            text: Some(spelt(word)),
            ..Variant::of(Json::Bool(b))
        })
        .to_vec();
    flag.serves = Some(usize::from(value.eq_ignore_ascii_case(off)));
    flag
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_keep_their_spelling() {
        for (value, on, off) in [
            ("true", "true", "false"),
            ("False", "True", "False"),
            ("OFF", "ON", "OFF"),
            ("0", "1", "0"),
            ("enabled", "enabled", "disabled"),
        ] {
            let flag = variable("F", value, &Span::generated());
            let texts: Vec<_> = flag
                .variants
                .iter()
                .map(|v| v.text.clone().unwrap())
                .collect();
            assert_eq!(texts, [on, off], "{value}");
            assert_eq!(flag.served().unwrap().text.as_deref(), Some(value));
        }
        let flag = variable("F", "blue", &Span::generated());
        assert_eq!((flag.kind, flag.open), (Kind::Text, true));
        assert_eq!(flag.variant(&"green".into()).unwrap().name, "green");
    }
}
