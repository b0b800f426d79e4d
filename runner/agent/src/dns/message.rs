//! DNS messages (RFC 1035): reading the question, answering that there is nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(super) const HEADER: usize = 12;
const CLASS_INTERNET: u16 = 1;
/// A name of 255 bytes has at most this many labels; pointers count too.
const MAX_STEPS: usize = 128;

/// Response codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// No error.
    Ok = 0,
    /// The query could not be read.
    FormatError = 1,
    /// The server failed.
    ServerFailure = 2,
    /// The name does not exist.
    NoSuchName = 3,
    /// Not a kind of query that is answered here.
    NotImplemented = 4,
}

/// The question of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// In lower case, without the last dot; `.` for the root.
    pub name: String,
    /// Record type number.
    pub kind: u16,
    end: usize,
}

/// Names of record types, for reports and for the probe.
const TYPES: [(u16, &str); 15] = [
    (1, "A"),
    (2, "NS"),
    (5, "CNAME"),
    (6, "SOA"),
    (12, "PTR"),
    (15, "MX"),
    (16, "TXT"),
    (28, "AAAA"),
    (33, "SRV"),
    (35, "NAPTR"),
    (43, "DS"),
    (48, "DNSKEY"),
    (64, "SVCB"),
    (65, "HTTPS"),
    (255, "ANY"),
];

/// The name of a record type: `A`, …, `TYPE1234`.
pub fn type_name(kind: u16) -> String {
    let known = TYPES.iter().find(|(number, _)| *number == kind);
    known.map_or_else(|| format!("TYPE{kind}"), |(_, name)| (*name).to_owned())
}

/// The number of a record type's name.
pub fn type_number(name: &str) -> Option<u16> {
    let known = TYPES
        .iter()
        .find(|(_, known)| known.eq_ignore_ascii_case(name));
    known.map(|(number, _)| *number)
}

pub(super) fn u16_at(message: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(
        message.get(at..at + 2)?.try_into().ok()?,
    ))
}

impl Question {
    /// Reads the only question of a standard query; else what to answer.
    pub fn read(message: &[u8]) -> Result<Self, Code> {
        let flags = u16_at(message, 2).ok_or(Code::FormatError)?;
        if flags & 0x8000 != 0 {
            return Err(Code::FormatError);
        }
        if (flags >> 11) & 0xf != 0 {
            return Err(Code::NotImplemented);
        }
        if u16_at(message, 4) != Some(1) {
            return Err(Code::FormatError);
        }
        let (name, end) = read_name(message, HEADER).ok_or(Code::FormatError)?;
        let kind = u16_at(message, end).ok_or(Code::FormatError)?;
        u16_at(message, end + 2).ok_or(Code::FormatError)?;
        Ok(Self {
            name,
            kind,
            end: end + 4,
        })
    }
}

/// Reads a name at `at`; gives it with the offset behind it.
pub(super) fn read_name(message: &[u8], mut at: usize) -> Option<(String, usize)> {
    let mut name = String::new();
    let mut end = None;
    for _ in 0..MAX_STEPS {
        let length = usize::from(*message.get(at)?);
        match length >> 6 {
            0 if length == 0 => {
                let name = if name.is_empty() {
                    ".".to_owned()
                } else {
                    name
                };
                return Some((name, end.unwrap_or(at + 1)));
            }
            0 => {
                let label = message.get(at + 1..at + 1 + length)?;
                if !name.is_empty() {
                    name.push('.');
                }
                name.extend(label.iter().flat_map(|byte| show_byte(*byte)));
                at += 1 + length;
            }
            3 => {
                end = end.or(Some(at + 2));
                at = usize::from(u16_at(message, at)? & 0x3fff);
            }
            _ => return None,
        }
    }
    None
}

/// A byte of a label as zone files show it, in lower case.
fn show_byte(byte: u8) -> Vec<char> {
    match byte {
        b'.' | b'\\' => vec!['\\', byte.into()],
        0x21..=0x7e => vec![byte.to_ascii_lowercase().into()],
        other => format!("\\{other:03}").chars().collect(),
    }
}

/// An answer with a code and no records. `None` when there is nothing to answer to.
pub fn answer_without_records(query: &[u8], code: Code) -> Option<Vec<u8>> {
    let id = query.get(..2)?;
    let flags = u16_at(query, 2)?;
    let question = Question::read(query).ok();
    // Answer; operation and "recursion desired" as asked; recursion available.
    let flags = 0x8080 | (flags & 0x7900) | u16::from(code as u8);
    let mut answer = Vec::with_capacity(question.as_ref().map_or(HEADER, |question| question.end));
    answer.extend_from_slice(id);
    answer.extend_from_slice(&flags.to_be_bytes());
    answer.extend_from_slice(&u16::from(question.is_some()).to_be_bytes());
    answer.extend_from_slice(&[0; 6]);
    if let Some(question) = question {
        answer.extend_from_slice(query.get(HEADER..question.end)?);
    }
    Some(answer)
}

/// A query for one name. `None` for a name that cannot be one.
pub fn query(id: u16, name: &str, kind: u16) -> Option<Vec<u8>> {
    let mut message = Vec::with_capacity(HEADER + name.len() + 6);
    message.extend_from_slice(&id.to_be_bytes());
    message.extend_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.trim_end_matches('.').split('.') {
        let length = u8::try_from(label.len())
            .ok()
            .filter(|length| (1..64).contains(length))?;
        message.push(length);
        message.extend_from_slice(label.as_bytes());
    }
    message.push(0);
    message.extend_from_slice(&kind.to_be_bytes());
    message.extend_from_slice(&CLASS_INTERNET.to_be_bytes());
    (message.len() <= HEADER + 255 + 4).then_some(message)
}

/// What an answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Response code number.
    pub code: u8,
    /// Whether it was cut, so that TCP has to be asked.
    pub truncated: bool,
    /// Addresses in it.
    pub addresses: Vec<IpAddr>,
}

impl Reply {
    /// Reads an answer to the query with `id`.
    pub fn read(message: &[u8], id: u16) -> Option<Self> {
        let flags = u16_at(message, 2)?;
        if u16_at(message, 0)? != id || flags & 0x8000 == 0 {
            return None;
        }
        let mut at = HEADER;
        for _ in 0..u16_at(message, 4)? {
            at = read_name(message, at)?.1 + 4;
        }
        let mut addresses = Vec::new();
        for _ in 0..u16_at(message, 6)? {
            let record = read_name(message, at)?.1;
            let length = usize::from(u16_at(message, record + 8)?);
            let data = message.get(record + 10..record + 10 + length)?;
            match (u16_at(message, record)?, length) {
                (1, 4) => addresses.push(Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?).into()),
                (28, 16) => addresses.push(Ipv6Addr::from(<[u8; 16]>::try_from(data).ok()?).into()),
                _ => {}
            }
            at = record + 10 + length;
        }
        Some(Self {
            code: (flags & 0xf) as u8,
            truncated: flags & 0x200 != 0,
            addresses,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_answered_with_its_own_question() {
        let query = query(0x1234, "Telemetry.Vendor.Example", 28).unwrap();
        let question = Question::read(&query).unwrap();
        assert_eq!(
            (question.name.as_str(), question.kind),
            ("telemetry.vendor.example", 28)
        );
        let answer = answer_without_records(&query, Code::NoSuchName).unwrap();
        assert_eq!(&answer[12..], &query[12..]);
        let reply = Reply::read(&answer, 0x1234).unwrap();
        assert_eq!((reply.code, reply.addresses.len()), (3, 0));
        assert!(Reply::read(&answer, 0x1235).is_none());
    }

    #[test]
    fn additional_records_are_left_out_of_the_answer() {
        let mut asked = query(1, "a.example", 1).unwrap();
        let bare = asked.len();
        asked[11] = 1;
        asked.extend_from_slice(&[0, 0, 41, 16, 0, 0, 0, 0, 0, 0, 0]);
        let answer = answer_without_records(&asked, Code::NoSuchName).unwrap();
        assert_eq!(answer.len(), bare);
        assert_eq!(&answer[4..12], &[0, 1, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn bad_messages_never_panic() {
        let good = query(1, "a.example", 1).unwrap();
        for cut in 0..good.len() {
            assert!(Question::read(&good[..cut]).is_err(), "{cut}");
            let _ = answer_without_records(&good[..cut], Code::FormatError);
            let _ = Reply::read(&good[..cut], 1);
        }
        // A name that points at itself.
        let mut looped = good[..12].to_vec();
        looped.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1]);
        assert_eq!(Question::read(&looped), Err(Code::FormatError));
        assert!(query(1, "a..b", 1).is_none());
        assert!(query(1, &"a".repeat(64), 1).is_none());
    }

    #[test]
    fn odd_labels_are_shown_as_in_zone_files() {
        let mut asked = query(1, "abc", 1).unwrap();
        asked[13..16].copy_from_slice(b"A.\x00");
        assert_eq!(Question::read(&asked).unwrap().name, "a\\.\\000");
    }

    #[test]
    fn addresses_are_read_from_answers() {
        let mut answer = query(7, "db", 1).unwrap();
        answer[2] = 0x81;
        answer[7] = 1;
        answer.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 2, 88, 0, 4, 10, 0, 0, 9]);
        let reply = Reply::read(&answer, 7).unwrap();
        assert_eq!(reply.addresses, ["10.0.0.9".parse::<IpAddr>().unwrap()]);
    }
}
