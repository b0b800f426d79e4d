//! What a service is told about a name.

use serde::{Deserialize, Serialize};

/// The answer of a name's resolution: what mode `resolve` prints.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolved {
    /// The name that was asked for in the end: with a suffix of the search list, where one led
    /// to the answer.
    pub name: String,
    /// `NOERROR`, `NXDOMAIN`, `SERVFAIL`, …
    pub status: String,
    /// `dns`, or `hosts` where the answer is in `/etc/hosts`.
    pub source: String,
    /// The records.
    pub records: Vec<DnsRecord>,
    /// Microseconds that it took.
    pub micros: u64,
}

/// A record of an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsRecord {
    /// Whose it is, in lower case and without the last dot.
    pub name: String,
    /// `A`, `CNAME`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// For how many seconds it holds.
    pub ttl: u32,
    /// What it says, as zone files write it; texts without their quotes.
    pub data: String,
}
