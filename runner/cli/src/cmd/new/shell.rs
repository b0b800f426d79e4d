//! A command line, taken apart as a shell does.

use super::draft::mark;

/// The words of a command, and what of it a file cannot say.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Words {
    /// Its words.
    pub words: Vec<String>,
    /// What was left out, and what is doubtful.
    pub warnings: Vec<String>,
}

/// Takes one command apart: quotes, `$'…'`, `\` at ends of lines, comments, variables (which
/// become secrets). What follows `|`, `;`, `&` or `>` is left out and said.
///
/// # Errors
/// A quote that is not closed.
pub fn words(line: &str) -> Result<Words, String> {
    let mut out = Words::default();
    let mut word: Option<String> = None;
    let mut chars = line.trim().chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('\r') => {
                    chars.next_if_eq(&'\n');
                }
                Some('\n') => {}
                Some(c) => word.get_or_insert_default().push(c),
                None => {}
            },
            // A prompt of Windows ends lines so.
            '^' if matches!(chars.peek(), Some('\n' | '\r')) => {
                chars.next();
            }
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next() {
                        Some('\'') => break,
                        Some(c) => word.push(c),
                        None => return Err("a single quote is not closed".into()),
                    }
                }
            }
            '"' => double(&mut chars, word.get_or_insert_default(), &mut out.warnings)?,
            '$' if chars.peek() == Some(&'\'') => {
                chars.next();
                ansi(&mut chars, word.get_or_insert_default())?;
            }
            '$' if chars.peek() == Some(&'"') => {}
            '$' => variable(&mut chars, word.get_or_insert_default(), &mut out.warnings),
            '`' => {
                out.warnings
                    .push("a command in backticks is not run; its text is kept".into());
                word.get_or_insert_default().push('`');
            }
            '#' if word.is_none() => while chars.next_if(|c| *c != '\n').is_some() {},
            '|' | ';' | '&' | '>' | '<' => {
                // `2>` names a stream, and is no word.
                if c == '>' && word.as_deref().is_some_and(|w| w == "2" || w == "1") {
                    word = None;
                }
                let rest: String = chars.collect();
                let what = format!("{c}{}", rest.trim_end());
                let shown: String = what.chars().take(40).collect();
                out.warnings
                    .push(format!("what follows the command is left out: {shown}"));
                break;
            }
            '\n' if word.is_none() && out.words.is_empty() => {}
            '\n' => {
                out.words.extend(word.take());
                if chars.clone().any(|c| !c.is_whitespace()) {
                    out.warnings
                        .push("only the first command is taken; later lines are left out".into());
                }
                break;
            }
            c if c.is_whitespace() => out.words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    out.words.extend(word);
    Ok(out)
}

type Chars<'t> = std::iter::Peekable<std::str::Chars<'t>>;

fn double(
    chars: &mut Chars<'_>,
    word: &mut String,
    warnings: &mut Vec<String>,
) -> Result<(), String> {
    loop {
        match chars.next() {
            Some('"') => return Ok(()),
            Some('\\') => match chars.next() {
                Some('\n') => {}
                Some(c @ ('"' | '\\' | '$' | '`')) => word.push(c),
                Some(c) => {
                    word.push('\\');
                    word.push(c);
                }
                None => return Err("a double quote is not closed".into()),
            },
            Some('$') => variable(chars, word, warnings),
            Some(c) => word.push(c),
            None => return Err("a double quote is not closed".into()),
        }
    }
}

/// `$NAME` and `${NAME}`: their values are not known here, and are most often secret.
fn variable(chars: &mut Chars<'_>, word: &mut String, warnings: &mut Vec<String>) {
    let braces = chars.next_if_eq(&'{').is_some();
    let mut name = String::new();
    while let Some(c) = chars.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
        name.push(c);
    }
    let closed = !braces || chars.next_if_eq(&'}').is_some();
    if name.is_empty() || !closed || name.starts_with(|c: char| c.is_ascii_digit()) {
        if chars.peek() == Some(&'(') {
            warnings.push("a command in $(…) is not run; its text is kept".into());
        }
        word.push('$');
        if braces {
            word.push('{');
        }
        word.push_str(&name);
        return;
    }
    warnings.push(format!(
        "${name} of the shell became the secret `{name}` of mirror.yaml"
    ));
    word.push_str(&mark(&format!("secrets.{name}")));
}

/// `$'…'` with the escapes of C.
fn ansi(chars: &mut Chars<'_>, word: &mut String) -> Result<(), String> {
    let mut bytes: Vec<u8> = Vec::new();
    let mut put = |c: char| {
        let mut buffer = [0; 4];
        bytes.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes());
    };
    loop {
        match chars.next() {
            None => return Err("the quote of $'…' is not closed".into()),
            Some('\'') => break,
            Some('\\') => match chars.next() {
                None => return Err("the quote of $'…' is not closed".into()),
                Some('n') => put('\n'),
                Some('t') => put('\t'),
                Some('r') => put('\r'),
                Some('a') => put('\u{7}'),
                Some('b') => put('\u{8}'),
                Some('e' | 'E') => put('\u{1b}'),
                Some('f') => put('\u{c}'),
                Some('v') => put('\u{b}'),
                Some('x') => put(number(chars, 16, 2).unwrap_or('x')),
                Some('u') => put(number(chars, 16, 4).unwrap_or('u')),
                Some('U') => put(number(chars, 16, 8).unwrap_or('U')),
                Some(c) if c.is_digit(8) => {
                    let mut value = c.to_digit(8).unwrap_or(0);
                    for _ in 0..2 {
                        match chars.next_if(|c| c.is_digit(8)) {
                            Some(c) => value = value * 8 + c.to_digit(8).unwrap_or(0),
                            None => break,
                        }
                    }
                    put(char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER));
                }
                Some(c) => put(c),
            },
            Some(c) => put(c),
        }
    }
    word.push_str(&String::from_utf8_lossy(&bytes));
    Ok(())
}

fn number(chars: &mut Chars<'_>, base: u32, most: usize) -> Option<char> {
    let mut value = None;
    for _ in 0..most {
        match chars.next_if(|c| c.is_digit(base)) {
            Some(c) => value = Some(value.unwrap_or(0) * base + c.to_digit(base)?),
            None => break,
        }
    }
    char::from_u32(value?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn is(line: &str, wanted: &[&str]) {
        let found = words(line).unwrap();
        assert_eq!(found.words, wanted, "{line}");
        assert_eq!(found.warnings, [""; 0], "{line}");
    }

    #[test]
    fn quotes_and_ends_of_lines() {
        is("curl  a\tb", &["curl", "a", "b"]);
        is("curl 'a b'\"c d\"e", &["curl", "a bc de"]);
        is(
            r#"curl 'it'\''s' "x \"y\" \z""#,
            &["curl", "it's", r#"x "y" \z"#],
        );
        is(
            "curl \\\n  -H 'A: b' \\\r\n  x",
            &["curl", "-H", "A: b", "x"],
        );
        is(r"curl $'a\nb\x41\u00e9\101\'c'", &["curl", "a\nbAéA'c"]);
        is("curl '' x", &["curl", "", "x"]);
        is("curl a#b # c", &["curl", "a#b"]);
        is("curl 'http://a/?x=1&y=2'", &["curl", "http://a/?x=1&y=2"]);
    }

    #[test]
    fn what_a_file_cannot_say_is_said() {
        let found = words("curl \"http://a/$ID\" -H 'A: $B' | jq . > x").unwrap();
        assert_eq!(found.words[1], format!("http://a/{}", mark("secrets.ID")));
        assert_eq!(found.words[3], "A: $B");
        assert_eq!(found.warnings.len(), 2, "{:?}", found.warnings);
        assert!(found.warnings[1].contains("| jq ."));
        assert!(words("curl 'a").is_err());
        assert!(words("curl \"a").is_err());
        assert!(words("curl $'a").is_err());
        let found = words("curl a 2>/dev/null").unwrap();
        assert_eq!(found.words, ["curl", "a"]);
    }
}
