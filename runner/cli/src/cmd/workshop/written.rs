//! An environment as text.

use std::collections::BTreeMap;

/// As dotenv tools read it: literally, in single quotes, wherever that can be. A quote in a
/// value needs the other form, in which they agree on little more than these escapes.
pub fn dotenv(env: &BTreeMap<String, String>) -> String {
    let line = |(name, value): (&String, &String)| format!("{name}={}\n", dotenv_value(value));
    env.iter().map(line).collect()
}

fn dotenv_value(value: &str) -> String {
    if !value.is_empty() && value.chars().all(is_plain) {
        return value.to_owned();
    }
    if !value.contains('\'') {
        return format!("'{value}'");
    }
    let mut out = String::from("\"");
    for c in value.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '"' | '\\' | '$' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// As a POSIX shell reads it.
pub fn shell(env: &BTreeMap<String, String>) -> String {
    let line = |(name, value): (&String, &String)| {
        format!("export {name}='{}'\n", value.replace('\'', "'\\''"))
    };
    env.iter().map(line).collect()
}

/// Characters that mean nothing to anybody.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_./:@%+,=-".contains(c)
}

/// Whether a shell can have a variable of this name.
pub fn is_name(name: &str) -> bool {
    let mut chars = name.chars();
    let first = chars.next();
    first.is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn hostile() -> BTreeMap<String, String> {
        let values = [
            "",
            "plain",
            "a b",
            "it's",
            "\"q\"",
            "$HOME `id` $(id)",
            "two\nlines",
            "it's\n$x \\n",
            "back\\slash",
            "#no comment",
            "ö €",
            "it's \"all\" of $it \\ \r\n",
        ];
        let named = values.iter().enumerate();
        named
            .map(|(i, v)| (format!("V{i}"), (*v).to_owned()))
            .collect()
    }

    #[test]
    fn a_shell_reads_back_what_was_written() {
        let env = hostile();
        let mut script = shell(&env);
        for name in env.keys() {
            script.push_str(&format!("printf '%s\\0' \"${name}\"\n"));
        }
        let said = Command::new("sh").args(["-c", &script]).output().unwrap();
        let said = String::from_utf8(said.stdout).unwrap();
        let values: Vec<&str> = said.split_terminator('\0').collect();
        let wanted: Vec<&str> = env.values().map(String::as_str).collect();
        assert_eq!(values, wanted);
    }

    #[test]
    fn env_files_are_literal_wherever_they_can_be() {
        let env = hostile();
        let literal = env.iter().filter(|(_, value)| !value.contains('\''));
        let literal: BTreeMap<String, String> =
            literal.map(|(n, v)| (n.clone(), v.clone())).collect();
        let mut script = dotenv(&literal);
        for name in literal.keys() {
            script.push_str(&format!("printf '%s\\0' \"${name}\"\n"));
        }
        let said = Command::new("sh").args(["-c", &script]).output().unwrap();
        let said = String::from_utf8(said.stdout).unwrap();
        let values: Vec<&str> = said.split_terminator('\0').collect();
        let wanted: Vec<&str> = literal.values().map(String::as_str).collect();
        assert_eq!(values, wanted);
        assert_eq!(dotenv_value("it's\n$x"), "\"it's\\n\\$x\"");
    }
}
