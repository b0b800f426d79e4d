//! Reading events back.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::{EVENT_VERSION, Event, What};

/// Read through a tree of JSON values: numbers of arbitrary precision, as the rest of the tool
/// needs them, do not pass through serde's flattened and tagged types otherwise.
impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Stamp {
            v: u32,
            seq: u64,
            at: jiff::Timestamp,
            ms: u64,
        }
        let value = serde_json::Value::deserialize(d)?;
        let stamp = Stamp::deserialize(&value).map_err(D::Error::custom)?;
        if stamp.v > EVENT_VERSION {
            return Err(D::Error::custom(format!(
                "event format {} is newer than this program, which reads up to {EVENT_VERSION}",
                stamp.v
            )));
        }
        Ok(Self {
            v: stamp.v,
            seq: stamp.seq,
            at: stamp.at,
            ms: stamp.ms,
            what: What::deserialize(value).map_err(D::Error::custom)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{CaseId, Evidence, Mismatch, Outcome};

    #[test]
    fn events_read_back_as_written() {
        let case = CaseId {
            file: "a.yaml".into(),
            name: "b".into(),
        };
        for what in [
            What::StepFinished {
                case: case.clone(),
                step: "steps[0]".into(),
                outcome: Outcome::Failed,
                took_ms: 12.75,
                attempts: 3,
                mismatches: vec![Mismatch {
                    expectation: "status == 200".into(),
                    kind: "status".into(),
                    place: None,
                    expected: "200".into(),
                    actual: "500".into(),
                    path: None,
                    hint: None,
                }],
                error: None,
                evidence: vec![Evidence {
                    title: "request".into(),
                    text: "\0\u{1b}\u{2028}".into(),
                }],
            },
            What::CaseFinished {
                case,
                outcome: Outcome::TimedOut,
                took_ms: u64::MAX,
                reason: Some("x".into()),
                rerun: None,
            },
        ] {
            let event = Event {
                v: EVENT_VERSION,
                seq: 7,
                at: jiff::Timestamp::from_second(1_700_000_000).unwrap(),
                ms: 1234,
                what,
            };
            let line = serde_json::to_string(&event).unwrap();
            assert!(!line.contains('\n'));
            assert_eq!(serde_json::from_str::<Event>(&line).unwrap(), event);
        }
    }

    #[test]
    fn a_newer_format_is_refused() {
        let line = r#"{"v":99,"seq":1,"at":"2026-01-01T00:00:00Z","ms":0,"event":"warning","message":"m"}"#;
        let e = serde_json::from_str::<Event>(line).unwrap_err();
        assert!(e.to_string().contains("newer than this program"), "{e}");
    }
}
