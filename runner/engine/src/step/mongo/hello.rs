//! The first question to a server. The driver would ask again and again what is no MongoDB.

use bson::{Document, doc};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::connect::ANSWERS;
use crate::step::fields::lossy;
use crate::step::world::Connection;

/// The number of messages that all versions since 3.6 understand.
const OP_MSG: i32 = 2013;
/// The number of this question.
const QUESTION: i32 = 1;
/// The longest answer.
const LONGEST: usize = 64 * 1024;
/// Bytes of a header.
const HEADER: usize = 16;

/// Asks who is there. An error is why it is no server, in words.
pub(super) async fn greet(mut stream: Connection) -> Result<Document, String> {
    let question = question().map_err(|e| e.to_string())?;
    let asked = async {
        let cut = |e: std::io::Error| match e.kind() {
            std::io::ErrorKind::UnexpectedEof => "the connection was closed at once".to_owned(),
            _ => format!("the connection was cut: {e}"),
        };
        stream.write_all(&question).await.map_err(cut)?;
        let mut header = Vec::with_capacity(HEADER);
        let mut buffer = [0; HEADER];
        while header.len() < HEADER {
            match stream.read(&mut buffer[..HEADER - header.len()]).await {
                Ok(0) if header.is_empty() => {
                    return Err("the connection was closed at once".to_owned());
                }
                Ok(0) => return Err(other(&header)),
                Ok(n) => header.extend_from_slice(&buffer[..n]),
                Err(e) => return Err(cut(e)),
            }
        }
        let length = body(&header).ok_or_else(|| other(&header))?;
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.map_err(cut)?;
        // Flags, and the kind of the only section, stand before the document.
        let document = body.get(5..).unwrap_or_default();
        Document::from_reader(document).map_err(|_| other(&header))
    };
    match tokio::time::timeout(ANSWERS, asked).await {
        Ok(answer) => answer,
        Err(_) => Err(format!(
            "what listens there did not answer as MongoDB does, within {}",
            humantime::format_duration(ANSWERS)
        )),
    }
}

/// How long the rest of an answer is; nothing where it is none.
fn body(header: &[u8]) -> Option<usize> {
    let word = |at: usize| {
        let bytes = header.get(at..at + 4)?;
        Some(i32::from_le_bytes(bytes.try_into().ok()?))
    };
    let length = usize::try_from(word(0)?).ok()?.checked_sub(HEADER)?;
    (word(8)? == QUESTION && word(12)? == OP_MSG && length <= LONGEST).then_some(length)
}

fn other(start: &[u8]) -> String {
    let shown = lossy(start);
    format!(
        "what answers there does not speak MongoDB's protocol: {:?}",
        shown.trim_end()
    )
}

fn question() -> bson::error::Result<Vec<u8>> {
    // All versions know it by this name.
    let document = doc! { "isMaster": 1, "$db": "admin" }.to_vec()?;
    let length = HEADER + 5 + document.len();
    let mut out = Vec::with_capacity(length);
    for word in [
        i32::try_from(length).unwrap_or(i32::MAX),
        QUESTION,
        0,
        OP_MSG,
        0,
    ] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    out.push(0);
    out.extend_from_slice(&document);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_has_the_form_of_an_answer() {
        let mut bytes = question().unwrap();
        assert_eq!(bytes[0] as usize, bytes.len());
        // As an answer to it would begin.
        bytes[8] = 1;
        let length = body(&bytes[..HEADER]).unwrap();
        assert_eq!(length, bytes.len() - HEADER);
        let document = Document::from_reader(&bytes[HEADER + 5..]).unwrap();
        assert_eq!(document.get_i32("isMaster").ok(), Some(1));
    }

    #[test]
    fn what_is_no_answer_is_none() {
        for bytes in [
            &b"HTTP/1.1 400 Bad"[..],
            b"-ERR unknown com",
            b"",
            &[0xff; 16],
            &[1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0xdd, 7, 0, 0],
        ] {
            assert_eq!(body(bytes), None, "{bytes:?}");
        }
    }
}
