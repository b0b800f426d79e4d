//! The events of libyaml, safely.
//!
//! libyaml is what Go's YAML library descends from, so that the same files are read as Docker
//! Compose and kubectl read them. The crate is libyaml itself, translated to Rust; all that
//! is unsafe about it stays in this file.

use std::ffi::CStr;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::slice;

use unsafe_libyaml as unsafe_sys;

/// A place: lines and columns (in characters) from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub line: u64,
    pub column: u64,
}

/// How a scalar is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// Without quotes.
    Plain,
    /// In quotes, or as a block.
    Other,
}

/// What comes next in a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    StreamEnd,
    DocumentStart,
    /// The start of the stream, or the end of a document.
    Other,
    Alias(String),
    Scalar {
        anchor: Option<String>,
        tag: Option<String>,
        text: String,
        style: Style,
    },
    SequenceStart {
        anchor: Option<String>,
        tag: Option<String>,
    },
    SequenceEnd,
    MappingStart {
        anchor: Option<String>,
        tag: Option<String>,
    },
    MappingEnd,
}

/// Why a text is not YAML.
#[derive(Debug)]
pub(super) struct SyntaxError {
    pub what: String,
    pub at: Mark,
    /// Where what was being read begins, with what that is.
    pub within: Option<(Mark, String)>,
}

/// The events of a text.
pub(super) struct Events<'t> {
    /// It holds a pointer to itself once it has an input, so it must not move.
    parser: Box<unsafe_sys::yaml_parser_t>,
    /// After the end, or after an error, there are no more events.
    ended: bool,
    text: PhantomData<&'t str>,
}

impl<'t> Events<'t> {
    /// Reads a text.
    pub fn new(text: &'t str) -> Self {
        let mut parser = Box::new(MaybeUninit::<unsafe_sys::yaml_parser_t>::uninit());
        // SAFETY: `yaml_parser_initialize` fills in the whole of the structure that it is
        // given (it fails only when memory does, and then aborts); the input outlives the
        // parser by the lifetime of `Self`, and the box keeps the parser in its place.
        let parser = unsafe {
            let _ = unsafe_sys::yaml_parser_initialize(parser.as_mut_ptr());
            unsafe_sys::yaml_parser_set_encoding(
                parser.as_mut_ptr(),
                unsafe_sys::YAML_UTF8_ENCODING,
            );
            unsafe_sys::yaml_parser_set_input_string(
                parser.as_mut_ptr(),
                text.as_ptr(),
                text.len() as u64,
            );
            Box::from_raw(Box::into_raw(parser).cast::<unsafe_sys::yaml_parser_t>())
        };
        Self {
            parser,
            ended: false,
            text: PhantomData,
        }
    }

    /// The next event with its place; [`Event::StreamEnd`] again and again after the end.
    pub fn next(&mut self) -> Result<(Event, Mark, Mark), SyntaxError> {
        if self.ended {
            let at = Mark { line: 0, column: 0 };
            return Ok((Event::StreamEnd, at, at));
        }
        let mut event = MaybeUninit::<unsafe_sys::yaml_event_t>::uninit();
        // SAFETY: the parser was initialised in `new` and has not failed; when it says that
        // it succeeded it has filled in the event, whose memory is given back below.
        let read = unsafe { unsafe_sys::yaml_parser_parse(&mut *self.parser, event.as_mut_ptr()) };
        if read.fail {
            self.ended = true;
            return Err(self.error());
        }
        // SAFETY: filled in, see above. It is given back once, after its parts were copied.
        let (result, start, end) = unsafe {
            let mut event = event.assume_init();
            let result = copied(&event);
            let marks = (mark(&event.start_mark), mark(&event.end_mark));
            unsafe_sys::yaml_event_delete(&mut event);
            (result, marks.0, marks.1)
        };
        self.ended = result == Event::StreamEnd;
        Ok((result, start, end))
    }

    fn error(&self) -> SyntaxError {
        // SAFETY: both are null or point to a constant text of the library.
        let (problem, context) =
            unsafe { (constant(self.parser.problem), constant(self.parser.context)) };
        let what = match (problem, context) {
            (Some(problem), Some(context)) => format!("{problem} {context}"),
            (Some(what), None) | (None, Some(what)) => what.to_owned(),
            (None, None) => "unreadable".to_owned(),
        };
        let begins = mark(&self.parser.context_mark);
        let within = context.and_then(|c| {
            let what = ["while parsing ", "while scanning "];
            let what = what.iter().find_map(|w| c.strip_prefix(w))?;
            Some((begins, what.to_owned()))
        });
        SyntaxError {
            what,
            at: mark(&self.parser.problem_mark),
            within,
        }
    }
}

impl Drop for Events<'_> {
    fn drop(&mut self) {
        // SAFETY: the parser was initialised in `new`, and this is the only place that ends it.
        unsafe { unsafe_sys::yaml_parser_delete(&mut *self.parser) }
    }
}

fn mark(mark: &unsafe_sys::yaml_mark_t) -> Mark {
    Mark {
        line: mark.line,
        column: mark.column,
    }
}

/// A constant text of the library.
///
/// # Safety
/// `text` is null or points to a text that ends in a zero byte and is never freed.
unsafe fn constant(text: *const sys_char) -> Option<&'static str> {
    if text.is_null() {
        return None;
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(text.cast()) }.to_str().ok()
}

/// The library's `char` has a sign on every platform.
#[expect(non_camel_case_types, reason = "named as in C")]
type sys_char = i8;

/// Copies what is in an event.
///
/// # Safety
/// The event was filled in by the parser and is not given back yet.
unsafe fn copied(event: &unsafe_sys::yaml_event_t) -> Event {
    // SAFETY: the type says which part of the union is there; its pointers are null or texts
    // of the library, a scalar's with its length.
    unsafe {
        match event.type_ {
            unsafe_sys::YAML_STREAM_END_EVENT => Event::StreamEnd,
            unsafe_sys::YAML_DOCUMENT_START_EVENT => Event::DocumentStart,
            unsafe_sys::YAML_SEQUENCE_END_EVENT => Event::SequenceEnd,
            unsafe_sys::YAML_MAPPING_END_EVENT => Event::MappingEnd,
            unsafe_sys::YAML_ALIAS_EVENT => {
                Event::Alias(text(event.data.alias.anchor).unwrap_or_default())
            }
            unsafe_sys::YAML_SCALAR_EVENT => {
                let scalar = &event.data.scalar;
                let bytes = slice::from_raw_parts(scalar.value, scalar.length as usize);
                Event::Scalar {
                    anchor: text(scalar.anchor),
                    tag: text(scalar.tag),
                    text: String::from_utf8_lossy(bytes).into_owned(),
                    style: match scalar.style {
                        unsafe_sys::YAML_PLAIN_SCALAR_STYLE => Style::Plain,
                        _ => Style::Other,
                    },
                }
            }
            unsafe_sys::YAML_SEQUENCE_START_EVENT => Event::SequenceStart {
                anchor: text(event.data.sequence_start.anchor),
                tag: text(event.data.sequence_start.tag),
            },
            unsafe_sys::YAML_MAPPING_START_EVENT => Event::MappingStart {
                anchor: text(event.data.mapping_start.anchor),
                tag: text(event.data.mapping_start.tag),
            },
            _ => Event::Other,
        }
    }
}

/// A copy of a text of the library.
///
/// # Safety
/// `text` is null or points to a text that ends in a zero byte.
unsafe fn text(text: *const u8) -> Option<String> {
    if text.is_null() {
        return None;
    }
    // SAFETY: the caller's promise.
    let text = unsafe { CStr::from_ptr(text.cast()) };
    Some(text.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn drain(text: &str) -> Result<usize, SyntaxError> {
        let mut events = Events::new(text);
        let mut n = 0;
        while events.next()?.0 != Event::StreamEnd {
            n += 1;
        }
        assert_eq!(events.next()?.0, Event::StreamEnd);
        Ok(n)
    }

    #[test]
    fn texts_that_end_early() {
        for text in [
            "a: |\n  b",
            "a: >+\n\n  b",
            "a: \"\\",
            "[!t,",
            "&",
            "%YAML",
            "a: '",
            "\u{feff}a: 1",
        ] {
            let _ = drain(text);
        }
    }

    #[test]
    fn no_more_events_after_an_error() {
        let mut events = Events::new("a: [");
        while events.next().is_ok_and(|e| e.0 != Event::StreamEnd) {}
        assert_eq!(events.next().unwrap().0, Event::StreamEnd);
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "([ab'\"#&*!|>%@`{}\\[\\]:,?.~\\-\\\\\t\r\n ]|\\PC|\\pC){0,60}") {
            let _ = drain(&text);
        }
    }
}
