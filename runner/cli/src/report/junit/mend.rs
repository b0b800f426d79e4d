//! What the JUnit library cannot write, added to what it wrote: suite properties, the number
//! of skipped cases, earlier attempts, and text that XML cannot hold.

use std::io;

use prodmirror_model::plain::visible;
use quick_xml::events::{BytesCData, BytesEnd, BytesStart, BytesText, Event};
use quick_xml::{Reader, Writer};

/// Stands for `]]>` in the library's output, which does not split a CDATA section there.
/// The character in it is none of XML's, so that [`clean`] leaves it nowhere else.
const CDATA_END: &str = "]]\u{ffff}>";

/// A text as XML 1.0 can hold it: control sequences are left out, control characters shown as
/// signs, and the two code points that are no characters replaced.
pub fn clean(text: &str) -> String {
    visible(text)
        .replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}")
        .replace("]]>", CDATA_END)
}

/// What is added to a suite.
pub struct SuiteFacts {
    /// Its number in the report.
    pub id: usize,
    /// How many of its cases were skipped.
    pub skipped: usize,
    /// How long its cases took, in seconds.
    pub time: String,
    /// Facts about the run.
    pub properties: Vec<(String, String)>,
    /// For each case in order, its earlier attempts.
    pub retried: Vec<Option<Retried>>,
}

/// Earlier attempts at a case.
pub struct Retried {
    /// Oldest first.
    pub attempts: Vec<Attempt>,
}

/// An earlier attempt that did not pass.
pub struct Attempt {
    /// `flakyFailure`, `flakyError`, `rerunFailure` or `rerunError`.
    pub element: &'static str,
    /// Class of what went wrong.
    pub kind: String,
    /// One line.
    pub message: String,
    /// All of it.
    pub trace: String,
}

/// The start tag of the whole report.
pub fn root(attributes: &[(&str, &str)]) -> String {
    let mut start = BytesStart::new("testsuites");
    for (name, value) in attributes {
        start.push_attribute((*name, value.replace(CDATA_END, "]]>").as_str()));
    }
    let mut w = Writer::new(Vec::new());
    let written = w.write_event(Event::Start(start));
    debug_assert!(written.is_ok(), "a vector takes every byte");
    String::from_utf8_lossy(&w.into_inner()).into_owned() + "\n"
}

/// The one suite of a report that the library wrote, completed.
///
/// # Errors
/// When the library's output is not XML.
pub fn suite(xml: &str, facts: &SuiteFacts) -> io::Result<String> {
    let mut mender = Mender {
        out: Writer::new_with_indent(Vec::new(), b' ', 1),
        facts,
        case: 0,
    };
    let mut reader = Reader::from_str(xml);
    loop {
        let event = reader.read_event().map_err(io::Error::other)?;
        if event == Event::Eof {
            break;
        }
        mender.take(event)?;
    }
    Ok(String::from_utf8_lossy(&mender.out.into_inner()).into_owned())
}

struct Mender<'a> {
    out: Writer<Vec<u8>>,
    facts: &'a SuiteFacts,
    /// Number of the case that comes next.
    case: usize,
}

impl Mender<'_> {
    fn take(&mut self, event: Event<'_>) -> io::Result<()> {
        match event {
            Event::Start(e) => self.start(&e, false),
            Event::Empty(e) => self.start(&e, true),
            Event::End(e) => self.end(&e),
            Event::CData(c) => self.cdata(&c),
            Event::Text(t) => self.out.write_event(Event::Text(t)),
            Event::GeneralRef(r) => self.out.write_event(Event::GeneralRef(r)),
            _ => Ok(()),
        }
    }

    fn start(&mut self, e: &BytesStart<'_>, empty: bool) -> io::Result<()> {
        let name = name_of(e.name().as_ref());
        match name.as_str() {
            "testsuites" => return Ok(()),
            "testsuite" => {
                self.out.write_event(Event::Start(self.suite_start(e)?))?;
                self.properties()?;
                return if empty {
                    self.close("testsuite")
                } else {
                    Ok(())
                };
            }
            _ => {}
        }
        let mut start = BytesStart::new(name.clone());
        for a in attributes(e)? {
            start.push_attribute((a.0.as_str(), a.1.as_str()));
        }
        let is_case = name == "testcase";
        if empty && is_case && self.retried().is_some() {
            self.out.write_event(Event::Start(start))?;
            self.attempts()?;
            self.close("testcase")?;
        } else if empty {
            self.out.write_event(Event::Empty(start))?;
        } else {
            self.out.write_event(Event::Start(start))?;
        }
        if empty && is_case {
            self.case += 1;
        }
        Ok(())
    }

    fn end(&mut self, e: &BytesEnd<'_>) -> io::Result<()> {
        let name = name_of(e.name().as_ref());
        match name.as_str() {
            "testsuites" => return Ok(()),
            "testcase" => {
                self.attempts()?;
                self.case += 1;
            }
            _ => {}
        }
        self.close(&name)
    }

    fn close(&mut self, name: &str) -> io::Result<()> {
        self.out.write_event(Event::End(BytesEnd::new(name)))
    }

    fn suite_start(&self, e: &BytesStart<'_>) -> io::Result<BytesStart<'static>> {
        let mut start = BytesStart::new("testsuite");
        for (key, value) in attributes(e)? {
            let value = match key.as_str() {
                "id" => self.facts.id.to_string(),
                "time" => self.facts.time.clone(),
                _ => value,
            };
            start.push_attribute((key.as_str(), value.as_str()));
            if key == "failures" {
                start.push_attribute(("skipped", self.facts.skipped.to_string().as_str()));
            }
        }
        Ok(start)
    }

    fn properties(&mut self) -> io::Result<()> {
        if self.facts.properties.is_empty() {
            return Ok(());
        }
        self.out
            .write_event(Event::Start(BytesStart::new("properties")))?;
        for (name, value) in &self.facts.properties {
            let mut p = BytesStart::new("property");
            p.push_attribute(("name", name.replace(CDATA_END, "]]>").as_str()));
            p.push_attribute(("value", value.replace(CDATA_END, "]]>").as_str()));
            self.out.write_event(Event::Empty(p))?;
        }
        self.close("properties")
    }

    fn retried(&self) -> Option<&Retried> {
        self.facts.retried.get(self.case)?.as_ref()
    }

    fn attempts(&mut self) -> io::Result<()> {
        let facts = self.facts;
        let Some(Some(retried)) = facts.retried.get(self.case) else {
            return Ok(());
        };
        for a in &retried.attempts {
            let mut start = BytesStart::new(a.element);
            start.push_attribute(("message", a.message.replace(CDATA_END, "]]>").as_str()));
            start.push_attribute(("type", a.kind.replace(CDATA_END, "]]>").as_str()));
            self.out.write_event(Event::Start(start))?;
            self.out
                .write_event(Event::Start(BytesStart::new("stackTrace")))?;
            let trace = a.trace.replace(CDATA_END, "]]>");
            self.out.write_event(Event::Text(BytesText::new(&trace)))?;
            self.close("stackTrace")?;
            self.close(a.element)?;
        }
        Ok(())
    }

    /// CDATA that holds `]]>` is written as two sections.
    fn cdata(&mut self, c: &BytesCData<'_>) -> io::Result<()> {
        let text = c.decode().map_err(io::Error::other)?;
        let parts: Vec<&str> = text.split(CDATA_END).collect();
        for (i, part) in parts.iter().enumerate() {
            let head = if i > 0 { ">" } else { "" };
            let tail = if i + 1 < parts.len() { "]]" } else { "" };
            let section = format!("{head}{part}{tail}");
            self.out
                .write_event(Event::CData(BytesCData::new(section.as_str())))?;
        }
        Ok(())
    }
}

/// Attributes with their values unescaped.
fn attributes(e: &BytesStart<'_>) -> io::Result<Vec<(String, String)>> {
    e.attributes()
        .map(|a| {
            let a = a.map_err(io::Error::other)?;
            let value = a
                .normalized_value(quick_xml::XmlVersion::Implicit1_0)
                .map_err(io::Error::other)?;
            Ok((name_of(a.key.as_ref()), value.replace(CDATA_END, "]]>")))
        })
        .collect()
}

fn name_of(name: impl AsRef<[u8]>) -> String {
    String::from_utf8_lossy(name.as_ref()).into_owned()
}
