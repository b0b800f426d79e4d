//! Text of unknown origin made fit to be shown: no terminal control, nothing invisible.

use std::borrow::Cow;

/// Whether a text holds control characters other than line ends and tabs.
pub fn has_controls(text: &str) -> bool {
    // Most text is plain ASCII: look at bytes first.
    text.bytes()
        .any(|b| b < 0x20 && !matches!(b, b'\n' | b'\t') || b == 0x7f || b == 0xc2)
        && text.chars().any(is_control)
}

fn is_control(c: char) -> bool {
    c.is_control() && !matches!(c, '\n' | '\t')
}

/// The text without terminal control sequences and without any other control character.
pub fn without_controls(text: &str) -> String {
    without_sequences(text)
        .chars()
        .filter(|c| !is_control(*c))
        .collect()
}

/// The text without terminal control sequences, and with each other control character as a
/// sign that can be seen: NUL as `␀`, `\r` as `␍`, those beyond ASCII as `\u{85}`. A line end
/// of two characters becomes one.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !has_controls(text) {
        return Cow::Borrowed(text);
    }
    let text = without_sequences(text).replace("\r\n", "\n");
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if !is_control(c) => out.push(c),
            '\u{7f}' => out.push('\u{2421}'),
            c if (c as u32) < 0x20 => {
                out.push(char::from_u32(0x2400 + c as u32).unwrap_or('\u{fffd}'));
            }
            c => out.push_str(&format!("\\u{{{:x}}}", c as u32)),
        }
    }
    Cow::Owned(out)
}

/// What a terminal sequence that has begun consists of.
enum Sequence {
    /// After ESC.
    Escape,
    /// ESC and intermediate bytes: one more byte ends it.
    Intermediate,
    /// `ESC [`: parameters up to a byte from `@` to `~`.
    Csi,
    /// `ESC ]` and its like: text up to BEL or `ESC \`.
    Text,
    /// ESC inside such a text.
    TextEscape,
}

/// Leaves out ECMA-48 sequences. A sequence that never ends is left out to the end of its line.
fn without_sequences(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut state: Option<Sequence> = None;
    for c in text.chars() {
        state = match (state, c) {
            (Some(_), '\n') => {
                out.push('\n');
                None
            }
            (None | Some(Sequence::Escape | Sequence::Intermediate | Sequence::Csi), '\u{1b}') => {
                Some(Sequence::Escape)
            }
            (None, '\u{9b}') => Some(Sequence::Csi),
            (None, '\u{90}' | '\u{98}' | '\u{9d}' | '\u{9e}' | '\u{9f}') => Some(Sequence::Text),
            (None, c) => {
                out.push(c);
                None
            }
            (Some(Sequence::Escape), '[') => Some(Sequence::Csi),
            (Some(Sequence::Escape), ']' | 'P' | 'X' | '^' | '_') => Some(Sequence::Text),
            (Some(Sequence::Escape | Sequence::Intermediate), ' '..='/') => {
                Some(Sequence::Intermediate)
            }
            (Some(Sequence::Escape | Sequence::Intermediate), '0'..='~') => None,
            (Some(Sequence::Csi), ' '..='?') => Some(Sequence::Csi),
            (Some(Sequence::Csi), '@'..='~') => None,
            (Some(Sequence::Text), '\u{7}' | '\u{9c}') => None,
            (Some(Sequence::Text), '\u{1b}') => Some(Sequence::TextEscape),
            (Some(Sequence::Text), _) => Some(Sequence::Text),
            (Some(Sequence::TextEscape), '\\') => None,
            (Some(Sequence::TextEscape), _) => Some(Sequence::Text),
            // Not a sequence after all: a control character or text stands in it.
            (Some(_), c) => {
                out.push(c);
                None
            }
        };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_go_and_text_stays() {
        for (input, want) in [
            ("plain", "plain"),
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("\u{1b}]0;title\u{7}after", "after"),
            ("\u{1b}]8;;http://x\u{1b}\\link\u{1b}]8;;\u{1b}\\", "link"),
            ("\u{9b}1mbold", "bold"),
            ("\u{1b}(Bset", "set"),
            ("cut \u{1b}[31", "cut "),
            ("open \u{1b}]0;never\nnext", "open \nnext"),
            ("two\u{1b}\u{1b}[1mtimes", "twotimes"),
        ] {
            assert_eq!(visible(input), want, "{input:?}");
        }
    }

    #[test]
    fn other_controls_are_shown() {
        assert_eq!(visible("a\0b\r\nc\rd\u{7f}\u{85}"), "a␀b\nc␍d␡\\u{85}");
        assert_eq!(without_controls("a\0b\u{1b}[1mc"), "abc");
        assert!(!has_controls("tab\tand\nline é"));
    }
}
