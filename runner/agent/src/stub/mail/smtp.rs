//! One SMTP session (RFC 5321): bytes in, replies out. It neither reads nor writes itself.

use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prodmirror_agent::wire::Mail;

use super::store::{LARGEST, Store};

/// Bytes of a line at most: as long as an answer to `AUTH` may be (RFC 4954).
const LONGEST_LINE: usize = 12_288;
/// Bytes of a line without an end after which there is nothing to talk about.
const ENDLESS: usize = 1 << 20;
/// Recipients of a message at most.
const MOST_RECIPIENTS: usize = 1000;
/// Bytes of an address at most, with all that a path may hold.
const LONGEST_ADDRESS: usize = 1024;
/// Commands that nobody can understand, after which the session ends.
const MOST_ERRORS: u32 = 50;

/// What is to be done after bytes were taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Read on.
    More,
    /// Send the replies, then begin TLS.
    StartTls,
    /// Send the replies, then close.
    Close,
}

/// A session.
pub struct Session {
    store: Rc<Store>,
    host: String,
    port: u16,
    can_start_tls: bool,
    tls: bool,
    helo: Option<String>,
    extended: bool,
    user: Option<String>,
    from: Option<String>,
    to: Vec<String>,
    line: Vec<u8>,
    /// Bytes of the present line, also those that were too many to keep.
    line_length: usize,
    state: State,
    data: Data,
    errors: u32,
    taken: Vec<Taken>,
}

/// A message that was taken, for reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Its number.
    pub id: u64,
    /// Sender of the envelope.
    pub from: String,
    /// Recipients of the envelope.
    pub to: Vec<String>,
    /// Bytes of the message.
    pub size: usize,
}

/// What the next line is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Command,
    Data,
    AuthPlain,
    AuthUser,
    AuthPassword(String),
}

/// A message that comes in.
#[derive(Debug, Default)]
struct Data {
    bytes: Vec<u8>,
    at: At,
    /// All bytes that came, also those that were too many to keep.
    seen: usize,
    /// Bytes for which the store gave room.
    room: usize,
    /// What is said at its end instead of that it was taken.
    refused: Option<&'static str>,
}

/// Where in a message the next byte stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum At {
    /// At the beginning of a line.
    #[default]
    Start,
    /// Behind a dot at the beginning of a line.
    Dot,
    /// Behind such a dot and CR.
    DotCr,
    /// Within a line.
    Line,
    /// Behind CR within a line.
    Cr,
}

impl Session {
    /// A session on a port of the host.
    pub fn new(store: Rc<Store>, host: &str, port: u16, tls: bool, can_start_tls: bool) -> Self {
        Self {
            store,
            host: host.to_owned(),
            port,
            can_start_tls,
            tls,
            helo: None,
            extended: false,
            user: None,
            from: None,
            to: Vec::new(),
            line: Vec::new(),
            line_length: 0,
            state: State::Command,
            data: Data::default(),
            errors: 0,
            taken: Vec::new(),
        }
    }

    /// What is said first.
    pub fn greeting(&self) -> String {
        format!("220 {} ESMTP\r\n", self.host)
    }

    /// TLS has begun: all that was said before counts no more (RFC 3207).
    pub fn secured(&mut self) {
        let store = Rc::clone(&self.store);
        let (host, port) = (std::mem::take(&mut self.host), self.port);
        *self = Self::new(store, &host, port, true, false);
    }

    /// Messages that were taken since this was asked last.
    pub fn taken(&mut self) -> Vec<Taken> {
        std::mem::take(&mut self.taken)
    }

    /// Takes bytes; replies are put behind `out`.
    pub fn feed(&mut self, input: &[u8], out: &mut Vec<u8>) -> Next {
        let mut rest = input;
        while !rest.is_empty() {
            if self.state == State::Data {
                match self.take_data(rest, out) {
                    Ok(used) => rest = &rest[used..],
                    Err(next) => return next,
                }
                continue;
            }
            let end = rest.iter().position(|b| *b == b'\n');
            let piece = &rest[..end.unwrap_or(rest.len())];
            let room = LONGEST_LINE.saturating_sub(self.line.len());
            self.line.extend_from_slice(&piece[..piece.len().min(room)]);
            self.line_length += piece.len();
            if self.line_length > ENDLESS {
                say(out, "421 4.3.0 this line has no end");
                return Next::Close;
            }
            let Some(end) = end else { break };
            rest = &rest[end + 1..];
            let line = std::mem::take(&mut self.line);
            let too_long = std::mem::take(&mut self.line_length) > line.len();
            let next = if too_long {
                self.state = State::Command;
                self.wrong(out, "500 5.5.2 the line is too long")
            } else {
                self.take_line(line.strip_suffix(b"\r").unwrap_or(&line), out)
            };
            // What a client sent behind STARTTLS came before there was TLS, from anybody.
            if next != Next::More {
                return next;
            }
        }
        Next::More
    }

    fn take_line(&mut self, line: &[u8], out: &mut Vec<u8>) -> Next {
        let Some(line) = std::str::from_utf8(line)
            .ok()
            .filter(|l| !l.contains(['\0', '\r']))
        else {
            self.state = State::Command;
            return self.wrong(out, "500 5.5.2 this is no line of text");
        };
        match std::mem::replace(&mut self.state, State::Command) {
            State::AuthPlain => self.plain(line, out),
            State::AuthUser => self.login(line, out),
            State::AuthPassword(user) => match decoded(line) {
                Some(_) => self.known_as(user, out),
                None => self.wrong(out, "501 5.5.2 no base64"),
            },
            State::Command | State::Data => self.command(line, out),
        }
    }

    fn command(&mut self, line: &str, out: &mut Vec<u8>) -> Next {
        let line = line.trim_end_matches([' ', '\t']);
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let rest = rest.trim_start();
        match verb.to_ascii_uppercase().as_str() {
            "EHLO" | "HELO" if rest.is_empty() || rest.len() > 255 => {
                self.wrong(out, "501 5.5.4 say your name")
            }
            "EHLO" => {
                self.greeted(rest, true);
                let mut lines = vec![
                    self.host.clone(),
                    "PIPELINING".to_owned(),
                    format!("SIZE {LARGEST}"),
                    "8BITMIME".to_owned(),
                    "SMTPUTF8".to_owned(),
                    "AUTH PLAIN LOGIN".to_owned(),
                ];
                if self.can_start_tls {
                    lines.push("STARTTLS".to_owned());
                }
                let last = lines.len() - 1;
                for (i, line) in lines.iter().enumerate() {
                    say(
                        out,
                        &format!("250{}{line}", if i == last { ' ' } else { '-' }),
                    );
                }
                Next::More
            }
            "HELO" => {
                self.greeted(rest, false);
                let host = self.host.clone();
                ok(out, &format!("250 {host}"))
            }
            "MAIL" => self.mail(rest, out),
            "RCPT" => self.rcpt(rest, out),
            "DATA" if !rest.is_empty() => self.wrong(out, "501 5.5.4 DATA takes nothing"),
            "DATA" if self.to.is_empty() => self.wrong(out, "503 5.5.1 first MAIL and RCPT"),
            "DATA" => {
                self.state = State::Data;
                ok(out, "354 end with a dot on a line of its own")
            }
            "RSET" => {
                self.reset();
                ok(out, "250 2.0.0 forgotten")
            }
            "NOOP" => ok(out, "250 2.0.0 nothing done"),
            "VRFY" => ok(out, "252 2.5.0 send it and see"),
            "HELP" => ok(out, "214 2.0.0 see RFC 5321"),
            "QUIT" => {
                say(out, "221 2.0.0 bye");
                Next::Close
            }
            "STARTTLS" if self.can_start_tls && rest.is_empty() => {
                say(out, "220 2.0.0 begin");
                Next::StartTls
            }
            "STARTTLS" if self.tls => self.wrong(out, "503 5.5.1 it is TLS already"),
            "AUTH" => self.auth(rest, out),
            _ => self.wrong(out, "500 5.5.1 no such command"),
        }
    }

    fn greeted(&mut self, name: &str, extended: bool) {
        self.reset();
        self.helo = Some(name.to_owned());
        self.extended = extended;
    }

    fn reset(&mut self) {
        self.from = None;
        self.to.clear();
    }

    fn mail(&mut self, rest: &str, out: &mut Vec<u8>) -> Next {
        if self.helo.is_none() {
            return self.wrong(out, "503 5.5.1 first EHLO or HELO");
        }
        if self.from.is_some() {
            return self.wrong(out, "503 5.5.1 there is a sender already");
        }
        let Some((address, parameters)) = path(rest, "FROM:") else {
            return self.wrong(out, "501 5.1.7 write MAIL FROM:<address>");
        };
        for parameter in parameters.split_whitespace() {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            match name.to_ascii_uppercase().as_str() {
                "SIZE" => match value.parse::<u64>() {
                    Ok(size) if size > LARGEST as u64 => {
                        return self.wrong(out, "552 5.3.4 the message is too large");
                    }
                    Ok(_) => {}
                    Err(_) => return self.wrong(out, "501 5.5.4 SIZE is a number"),
                },
                "BODY" | "SMTPUTF8" | "AUTH" if self.extended => {}
                _ => return self.wrong(out, "555 5.5.4 no such parameter"),
            }
        }
        self.from = Some(address);
        ok(out, "250 2.1.0 sender taken")
    }

    fn rcpt(&mut self, rest: &str, out: &mut Vec<u8>) -> Next {
        if self.from.is_none() {
            return self.wrong(out, "503 5.5.1 first MAIL");
        }
        let Some((address, parameters)) = path(rest, "TO:").filter(|(a, _)| !a.is_empty()) else {
            return self.wrong(out, "501 5.1.3 write RCPT TO:<address>");
        };
        if !parameters.is_empty() {
            return self.wrong(out, "555 5.5.4 no such parameter");
        }
        if self.to.len() == MOST_RECIPIENTS {
            return ok(out, "452 4.5.3 too many recipients");
        }
        self.to.push(address);
        ok(out, "250 2.1.5 recipient taken")
    }

    fn auth(&mut self, rest: &str, out: &mut Vec<u8>) -> Next {
        if !self.extended {
            return self.wrong(out, "503 5.5.1 first EHLO");
        }
        if self.user.is_some() || self.from.is_some() {
            return self.wrong(out, "503 5.5.1 not now");
        }
        let (how, first) = rest.split_once(' ').unwrap_or((rest, ""));
        match (how.to_ascii_uppercase().as_str(), first) {
            ("PLAIN", "") => {
                self.state = State::AuthPlain;
                ok(out, "334 ")
            }
            ("PLAIN", first) => self.plain(first, out),
            ("LOGIN", "") => {
                self.state = State::AuthUser;
                ok(out, "334 VXNlcm5hbWU6")
            }
            ("LOGIN", first) => self.login(first, out),
            _ => self.wrong(out, "504 5.5.4 PLAIN and LOGIN are known"),
        }
    }

    /// `AUTH PLAIN`: as whom, who, and the password, which is not kept.
    fn plain(&mut self, line: &str, out: &mut Vec<u8>) -> Next {
        let Some(bytes) = decoded(line) else {
            return self.wrong(out, "501 5.5.2 no base64");
        };
        let mut words = bytes.split(|b| *b == 0);
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some(_), Some(user), Some(_), None) if !user.is_empty() => {
                self.known_as(String::from_utf8_lossy(user).into_owned(), out)
            }
            _ => self.wrong(out, "501 5.5.2 no user and password"),
        }
    }

    /// The user of `AUTH LOGIN`; the password comes next.
    fn login(&mut self, line: &str, out: &mut Vec<u8>) -> Next {
        match decoded(line) {
            Some(user) => {
                let user = String::from_utf8_lossy(&user).into_owned();
                self.state = State::AuthPassword(user);
                ok(out, "334 UGFzc3dvcmQ6")
            }
            None => self.wrong(out, "501 5.5.2 no base64"),
        }
    }

    fn known_as(&mut self, user: String, out: &mut Vec<u8>) -> Next {
        self.user = Some(user);
        ok(out, "235 2.7.0 known")
    }

    /// Takes bytes of a message up to its end; how many were taken.
    fn take_data(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, Next> {
        let data = &mut self.data;
        let mut used = 0;
        let mut ended = false;
        for byte in input {
            used += 1;
            if data.step(*byte) {
                ended = true;
                break;
            }
        }
        data.seen += used;
        if data.bytes.len() > LARGEST {
            data.refuse("552 5.3.4 the message is too large");
        } else if !self.store.grow(data.room, data.bytes.len()) {
            data.refuse("452 4.3.1 too much is coming in at the same time");
        } else {
            data.room = data.bytes.len();
        }
        if data.refused.is_some() && self.store.grow(data.room, 0) {
            data.room = 0;
        }
        if !ended {
            if data.seen > 2 * LARGEST {
                say(out, "421 4.3.0 this message has no end");
                return Err(Next::Close);
            }
            return Ok(used);
        }
        self.state = State::Command;
        let data = std::mem::take(&mut self.data);
        self.store.grow(data.room, 0);
        match data.refused {
            Some(why) => say(out, why),
            None => {
                let id = self.keep(data.bytes);
                say(out, &format!("250 2.0.0 taken as {id}"));
            }
        }
        self.reset();
        Ok(used)
    }

    fn keep(&mut self, bytes: Vec<u8>) -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let mail = Mail {
            at: u64::try_from(now.unwrap_or_default().as_millis()).unwrap_or(u64::MAX),
            port: self.port,
            from: self.from.take().unwrap_or_default(),
            to: std::mem::take(&mut self.to),
            helo: self.helo.clone().unwrap_or_default(),
            user: self.user.clone(),
            tls: self.tls,
            ..Mail::default()
        };
        let (from, to, size) = (mail.from.clone(), mail.to.clone(), bytes.len());
        let id = self.store.push(mail, bytes);
        self.taken.push(Taken { id, from, to, size });
        id
    }

    /// Says what is wrong; who cannot do better in the end is sent away.
    fn wrong(&mut self, out: &mut Vec<u8>, what: &str) -> Next {
        self.errors += 1;
        if self.errors > MOST_ERRORS {
            say(out, "421 4.7.0 too many mistakes");
            return Next::Close;
        }
        ok(out, what)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.store.grow(self.data.room, 0);
    }
}

impl Data {
    /// Takes a byte; whether it was the last of the message. A dot that the client put before
    /// a dot at the beginning of a line is taken away.
    fn step(&mut self, byte: u8) -> bool {
        self.at = match (self.at, byte) {
            (At::Start, b'.') => {
                self.at = At::Dot;
                return false;
            }
            (At::Dot, b'\r') => {
                self.at = At::DotCr;
                return false;
            }
            (At::DotCr, b'\n') => return true,
            (At::DotCr, _) => {
                self.push(b'\r');
                if byte == b'\r' { At::Cr } else { At::Line }
            }
            (At::Cr, b'\n') => At::Start,
            (_, b'\r') => At::Cr,
            _ => At::Line,
        };
        self.push(byte);
        false
    }

    fn push(&mut self, byte: u8) {
        if self.refused.is_none() {
            self.bytes.push(byte);
        }
    }

    fn refuse(&mut self, why: &'static str) {
        self.refused.get_or_insert(why);
        self.bytes = Vec::new();
    }
}

fn say(out: &mut Vec<u8>, line: &str) {
    out.extend_from_slice(line.as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn ok(out: &mut Vec<u8>, line: &str) -> Next {
    say(out, line);
    Next::More
}

/// Base64 of a client; `=` stands for nothing at all (RFC 4954), `*` gives up.
fn decoded(line: &str) -> Option<Vec<u8>> {
    match line.trim() {
        "=" => Some(Vec::new()),
        text => STANDARD.decode(text).ok(),
    }
}

/// The address behind `FROM:` or `TO:`, and what follows it.
fn path<'l>(rest: &'l str, word: &str) -> Option<(String, &'l str)> {
    let named = rest.get(..word.len())?.eq_ignore_ascii_case(word);
    let rest = named.then(|| rest[word.len()..].trim_start())?;
    let Some(inner) = rest.strip_prefix('<') else {
        // Without brackets, as some clients write it.
        let end = rest.find(' ').unwrap_or(rest.len());
        let (address, parameters) = rest.split_at(end);
        return (!address.is_empty() && address.len() <= LONGEST_ADDRESS)
            .then(|| (address.to_owned(), parameters.trim()));
    };
    let (mut quoted, mut escaped) = (false, false);
    let end = inner.char_indices().find_map(|(i, c)| {
        let ends = c == '>' && !quoted;
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        ends.then_some(i)
    })?;
    let (mut address, parameters) = (&inner[..end], &inner[end + 1..]);
    // A route through other hosts, which nobody uses any more (RFC 5321, 4.1.2).
    if let (true, Some((_, last))) = (address.starts_with('@'), address.split_once(':')) {
        address = last;
    }
    let parameters = match parameters {
        "" => "",
        p => p.strip_prefix(' ')?.trim(),
    };
    (address.len() <= LONGEST_ADDRESS).then(|| (address.to_owned(), parameters))
}

#[cfg(test)]
#[path = "smtp_tests.rs"]
mod tests;
