//! `fake`: values that look real, drawn by the seed of the run.

use fake::Fake as _;
use fake::faker::address::en::{CityName, PostCode, StreetName};
use fake::faker::company::en::CompanyName;
use fake::faker::internet::en::{FreeEmail, IPv4, IPv6, Username};
use fake::faker::lorem::en::{Sentence, Word};
use fake::faker::name::en::{FirstName, LastName, Name};
use fake::faker::phone_number::en::PhoneNumber;
use fake::rand::rngs::StdRng;
use fake::rand::{RngExt as _, SeedableRng as _};
use serde_json::Value as Json;

use super::read::Reader;
use crate::diag::{Problem, ProblemKind, nearest};
use crate::source::Span;
use crate::yaml::{Entry, Node};

/// What is drawn by a word alone.
pub(crate) const WORDS: [&str; 15] = [
    "uuid",
    "name",
    "first_name",
    "last_name",
    "email",
    "username",
    "phone",
    "company",
    "city",
    "street",
    "postcode",
    "ipv4",
    "ipv6",
    "word",
    "sentence",
];

/// A value to draw.
#[derive(Debug, Clone, PartialEq)]
pub enum Fake {
    /// One of the kinds of words.
    Word(&'static str),
    /// A whole number between two, both included.
    Int(i64, i64),
    /// A decimal with two places between two.
    Decimal(f64, f64),
    /// One of these.
    OneOf(Vec<Json>),
    /// So many letters and digits.
    Text(usize),
}

impl Fake {
    /// Draws a value; the same seed gives the same value.
    pub fn draw(&self, seed: u64) -> Json {
        let mut rng = StdRng::seed_from_u64(seed);
        match self {
            Fake::Word(word) => Json::from(draw_word(word, &mut rng)),
            Fake::Int(from, to) => Json::from(rng.random_range(*from..=*to)),
            Fake::Decimal(from, to) => {
                let cents = |v: f64| (v * 100.0).round() as i64;
                let drawn = rng.random_range(cents(*from)..=cents(*to));
                serde_json::Number::from_f64(drawn as f64 / 100.0).map_or(Json::Null, Json::Number)
            }
            Fake::OneOf(values) => {
                let at = rng.random_range(0..values.len().max(1));
                values.get(at).cloned().unwrap_or(Json::Null)
            }
            Fake::Text(length) => {
                const ALPHABET: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
                let letters =
                    (0..*length).map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())]));
                Json::from(letters.collect::<String>())
            }
        }
    }
}

fn draw_word(word: &str, rng: &mut StdRng) -> String {
    match word {
        "name" => Name().fake_with_rng(rng),
        "first_name" => FirstName().fake_with_rng(rng),
        "last_name" => LastName().fake_with_rng(rng),
        // Names of mail providers exist: what is drawn must reach nobody.
        "email" => {
            let drawn: String = FreeEmail().fake_with_rng(rng);
            let name = drawn.split('@').next().unwrap_or_default();
            format!("{name}@example.com")
        }
        "username" => Username().fake_with_rng(rng),
        "phone" => PhoneNumber().fake_with_rng(rng),
        "company" => CompanyName().fake_with_rng(rng),
        "city" => CityName().fake_with_rng(rng),
        "street" => StreetName().fake_with_rng(rng),
        "postcode" => PostCode().fake_with_rng(rng),
        "ipv4" => IPv4().fake_with_rng(rng),
        "ipv6" => IPv6().fake_with_rng(rng),
        "word" => Word().fake_with_rng(rng),
        "sentence" => Sentence(4..9).fake_with_rng(rng),
        _ => {
            let mut bytes: [u8; 16] = rng.random();
            // RFC 9562, section 5.4: version 4, variant 10.
            bytes[6] = bytes[6] & 0x0f | 0x40;
            bytes[8] = bytes[8] & 0x3f | 0x80;
            let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
            format!(
                "{}-{}-{}-{}-{}",
                &hex[..8],
                &hex[8..12],
                &hex[12..16],
                &hex[16..20],
                &hex[20..]
            )
        }
    }
}

impl Reader<'_> {
    pub(super) fn fake(&mut self, name: &str, entry: &Entry) -> Fake {
        self.variable_name(name, &entry.key);
        read(&entry.node).unwrap_or_else(|p| {
            self.problem(*p);
            Fake::Word("word")
        })
    }
}

fn read(node: &Node) -> Result<Fake, Box<Problem>> {
    if let Some(word) = node.as_str() {
        return match WORDS.iter().find(|w| **w == word) {
            Some(w) => Ok(Fake::Word(w)),
            None => Err(unknown(word, &node.span)),
        };
    }
    let one = node.as_map().filter(|m| m.len() == 1);
    let Some((key, entry)) = one.and_then(|m| m.0.first()) else {
        return Err(unknown(node.kind(), &node.span));
    };
    let value = &entry.node;
    let bad = |what: &str| {
        let text = format!("`{key}` takes {what}, found {}", value.kind());
        Box::new(Problem::at(ProblemKind::InvalidValue, &value.span, text))
    };
    match key.as_str() {
        "int" => match value.as_seq() {
            Some([a, b]) => match (a.as_int(), b.as_int()) {
                (Some(a), Some(b)) if a <= b => Ok(Fake::Int(a, b)),
                _ => Err(bad("two whole numbers, the smaller first")),
            },
            _ => Err(bad("two whole numbers: `int: [1, 100]`")),
        },
        "decimal" => {
            let number = |n: &Node| n.scalar_text().and_then(|t| t.parse::<f64>().ok());
            match value.as_seq() {
                Some([a, b]) => match (number(a), number(b)) {
                    (Some(a), Some(b)) if a <= b && b.abs() < 1e15 && a.abs() < 1e15 => {
                        Ok(Fake::Decimal(a, b))
                    }
                    _ => Err(bad("two numbers, the smaller first")),
                },
                _ => Err(bad("two numbers: `decimal: [0.5, 99]`")),
            }
        }
        "one_of" => match value.as_seq() {
            Some(items) if !items.is_empty() => {
                Ok(Fake::OneOf(items.iter().map(Node::to_json).collect()))
            }
            _ => Err(bad("a list with at least one value")),
        },
        "text" => match value.as_int().and_then(|n| usize::try_from(n).ok()) {
            Some(n) if (1..=10_000).contains(&n) => Ok(Fake::Text(n)),
            _ => Err(bad("a length from 1 to 10000")),
        },
        other => Err(unknown(other, &entry.key)),
    }
}

fn unknown(word: &str, span: &Span) -> Box<Problem> {
    let text = format!("`{word}` is nothing that can be drawn");
    let p = Problem::at(ProblemKind::InvalidValue, span, text);
    let known = WORDS
        .iter()
        .copied()
        .chain(["int", "decimal", "one_of", "text"]);
    Box::new(match nearest(word, known) {
        Some(n) => p.help(format!("did you mean `{n}`?")),
        None => p.help(format!(
            "a word ({}), or `int: [1, 9]`, `decimal: [0.5, 9]`, `one_of: [a, b]`, `text: 8`",
            WORDS.join(", ")
        )),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_and_another_does_not() {
        for word in WORDS {
            let fake = Fake::Word(word);
            assert_eq!(fake.draw(7), fake.draw(7), "{word}");
            let others = (0..20).filter(|s| fake.draw(*s) != fake.draw(7)).count();
            assert!(others >= 15, "{word} hardly varies");
        }
    }

    #[test]
    fn what_is_drawn_is_in_its_bounds() {
        for seed in 0..200 {
            let Json::Number(n) = Fake::Int(-2, 2).draw(seed) else {
                panic!()
            };
            assert!((-2..=2).contains(&n.as_i64().unwrap()));
            let d = Fake::Decimal(0.5, 1.5).draw(seed).as_f64().unwrap();
            assert!((0.5..=1.5).contains(&d), "{d}");
            let email = Fake::Word("email").draw(seed);
            assert!(email.as_str().unwrap().ends_with("@example.com"));
            assert_eq!(Fake::Text(12).draw(seed).as_str().unwrap().len(), 12);
        }
    }

    #[test]
    fn a_uuid_is_one() {
        let text = Fake::Word("uuid").draw(3);
        let text = text.as_str().unwrap();
        assert_eq!(text.len(), 36);
        assert_eq!(&text[14..15], "4");
        assert!(matches!(&text[19..20], "8" | "9" | "a" | "b"), "{text}");
    }
}
