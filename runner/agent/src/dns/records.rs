//! Records of an answer, as text.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use prodmirror_agent::wire::DnsRecord;

use super::message::{HEADER, read_name, type_name, u16_at};

/// What an answer says, with all its records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Response code number.
    pub code: u8,
    /// Whether it was cut, so that TCP has to be asked.
    pub truncated: bool,
    /// The records of its answer section.
    pub records: Vec<DnsRecord>,
}

impl Answer {
    /// Reads an answer to the query with `id`.
    pub fn read(message: &[u8], id: u16) -> Option<Self> {
        let flags = u16_at(message, 2)?;
        if u16_at(message, 0)? != id || flags & 0x8000 == 0 {
            return None;
        }
        let mut answer = Self {
            code: (flags & 0xf) as u8,
            truncated: flags & 0x200 != 0,
            records: Vec::new(),
        };
        if answer.truncated {
            return Some(answer);
        }
        let mut at = HEADER;
        for _ in 0..u16_at(message, 4)? {
            at = read_name(message, at)?.1 + 4;
        }
        for _ in 0..u16_at(message, 6)? {
            let (name, record) = read_name(message, at)?;
            let kind = u16_at(message, record)?;
            let ttl = message.get(record + 4..record + 8)?.try_into().ok()?;
            let end = record + 10 + usize::from(u16_at(message, record + 8)?);
            message.get(record + 10..end)?;
            answer.records.push(DnsRecord {
                name,
                kind: type_name(kind),
                ttl: u32::from_be_bytes(ttl),
                data: data(message, kind, record + 10, end)?,
            });
            at = end;
        }
        Some(answer)
    }
}

/// The data of a record between two places of a message.
fn data(message: &[u8], kind: u16, at: usize, end: usize) -> Option<String> {
    let bytes = message.get(at..end)?;
    let name = |at| read_name(message, at).map(|(name, _)| name);
    let number = |at| u16_at(&message[..end], at);
    Some(match kind {
        1 => Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).to_string(),
        28 => Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).to_string(),
        2 | 5 | 12 => name(at)?,
        15 => format!("{} {}", number(at)?, name(at + 2)?),
        33 => format!(
            "{} {} {} {}",
            number(at)?,
            number(at + 2)?,
            number(at + 4)?,
            name(at + 6)?
        ),
        16 => texts(bytes)?,
        // As zone files write what they do not know (RFC 3597).
        _ => {
            let mut text = format!("\\# {}", bytes.len());
            for byte in bytes {
                let _ = write!(text, " {byte:02x}");
            }
            text
        }
    })
}

/// Texts, each behind its length, as one.
fn texts(mut bytes: &[u8]) -> Option<String> {
    let mut all = Vec::new();
    while let Some((length, rest)) = bytes.split_first() {
        all.extend_from_slice(rest.get(..usize::from(*length))?);
        bytes = &rest[usize::from(*length)..];
    }
    Some(String::from_utf8_lossy(&all).into_owned())
}

/// The name of a response code.
pub fn code_name(code: u8) -> String {
    let known = match code {
        0 => "NOERROR",
        1 => "FORMERR",
        2 => "SERVFAIL",
        3 => "NXDOMAIN",
        4 => "NOTIMP",
        5 => "REFUSED",
        other => return format!("RCODE{other}"),
    };
    known.to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::query;
    use super::*;

    fn answer(records: &[(u16, &[u8])]) -> Vec<u8> {
        let mut answer = query(7, "db.example", 1).unwrap();
        answer[2] = 0x81;
        answer[7] = records.len() as u8;
        for (kind, data) in records {
            answer.extend_from_slice(&[0xc0, 12]);
            answer.extend_from_slice(&kind.to_be_bytes());
            answer.extend_from_slice(&[0, 1, 0, 0, 2, 88, 0, data.len() as u8]);
            answer.extend_from_slice(data);
        }
        answer
    }

    #[test]
    fn records_are_read_as_text() {
        let message = answer(&[
            (5, b"\x02pg\xc0\x0c"),
            (1, &[10, 0, 0, 9]),
            (
                28,
                &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
            ),
            (15, b"\x00\x0a\xc0\x0c"),
            (33, b"\x00\x01\x00\x02\x15\x38\xc0\x0c"),
            (16, b"\x02a \x01b"),
            (99, b"\x01\xff"),
        ]);
        let read = Answer::read(&message, 7).unwrap();
        let shown: Vec<String> = read
            .records
            .iter()
            .map(|r| format!("{} {}", r.kind, r.data))
            .collect();
        assert_eq!(
            shown,
            [
                "CNAME pg.db.example",
                "A 10.0.0.9",
                "AAAA 2001:db8::1",
                "MX 10 db.example",
                "SRV 1 2 5432 db.example",
                "TXT a b",
                "TYPE99 \\# 2 01 ff",
            ]
        );
        assert_eq!(
            (read.records[0].name.as_str(), read.records[0].ttl),
            ("db.example", 600)
        );
        assert!(Answer::read(&message, 8).is_none());
    }

    #[test]
    fn bad_answers_never_panic() {
        let message = answer(&[(33, b"\x00\x01\x00\x02\x15\x38\xc0\x0c"), (16, b"\x02a ")]);
        for cut in 0..message.len() {
            assert_eq!(Answer::read(&message[..cut], 7), None, "{cut}");
        }
        for bad in [
            (1, &b"\x01"[..]),
            (16, b"\x05a"),
            (15, b"\x00"),
            (33, b"\x00\x01\x00\x02\x15"),
        ] {
            assert_eq!(Answer::read(&answer(&[bad]), 7), None);
        }
        let mut many = answer(&[]);
        many[6] = 0xff;
        assert_eq!(Answer::read(&many, 7), None);
    }
}
