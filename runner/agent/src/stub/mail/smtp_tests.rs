//! Sessions with clients of every kind.

use super::*;

struct Talk {
    session: Session,
    store: Rc<Store>,
    next: Next,
}

impl Talk {
    fn new(can_start_tls: bool) -> Self {
        let store = Rc::new(Store::default());
        let session = Session::new(store.clone(), "mx.example", 25, false, can_start_tls);
        Self {
            session,
            store,
            next: Next::More,
        }
    }

    /// Greeted already.
    fn begun() -> Self {
        let mut talk = Self::new(false);
        talk.say("EHLO app\r\n");
        talk
    }

    fn say(&mut self, text: impl AsRef<[u8]>) -> String {
        let mut out = Vec::new();
        self.next = self.session.feed(text.as_ref(), &mut out);
        String::from_utf8(out).unwrap()
    }

    /// The codes of the replies.
    fn codes(&mut self, text: impl AsRef<[u8]>) -> String {
        let said = self.say(text);
        let codes: Vec<&str> = said
            .lines()
            .filter(|l| l.as_bytes().get(3) != Some(&b'-'))
            .map(|l| &l[..3])
            .collect();
        codes.join(" ")
    }

    fn mail(&self, id: u64) -> (Mail, String) {
        let kept = self.store.after(id - 1).expect("the message");
        let text = String::from_utf8_lossy(&kept.data).into_owned();
        (kept.envelope.clone(), text)
    }
}

const WHOLE: &str = "EHLO app.example\r\nMAIL FROM:<a@x.example> SIZE=10 BODY=8BITMIME\r\nRCPT TO:<b@y.example>\r\nRCPT TO:<c@y.example>\r\nDATA\r\nSubject: hi\r\n\r\n..dot\r\n.\r\nQUIT\r\n";

#[test]
fn a_message_is_taken_however_it_is_cut() {
    for size in [1, 2, 3, 7, 64, WHOLE.len()] {
        let mut talk = Talk::new(false);
        let mut codes = Vec::new();
        for piece in WHOLE.as_bytes().chunks(size) {
            codes.push(talk.codes(piece));
        }
        let codes: Vec<String> = codes.into_iter().filter(|c| !c.is_empty()).collect();
        assert_eq!(codes.join(" "), "250 250 250 250 354 250 221", "{size}");
        assert_eq!(talk.next, Next::Close);
        let (mail, text) = talk.mail(1);
        assert_eq!(mail.from, "a@x.example");
        assert_eq!(mail.to, ["b@y.example", "c@y.example"]);
        assert_eq!((mail.helo.as_str(), mail.tls), ("app.example", false));
        assert_eq!(text, "Subject: hi\r\n\r\n.dot\r\n");
        let taken = talk.session.taken();
        assert_eq!((taken[0].id, taken[0].size), (1, text.len()));
    }
}

#[test]
fn extensions_are_offered() {
    let mut talk = Talk::new(true);
    assert_eq!(talk.session.greeting(), "220 mx.example ESMTP\r\n");
    let said = talk.say("EHLO app\r\n");
    for word in [
        "250-PIPELINING",
        "250-SIZE 26214400",
        "250-8BITMIME",
        "250-SMTPUTF8",
    ] {
        assert!(said.contains(word), "{said}");
    }
    assert!(said.ends_with("250 STARTTLS\r\n"), "{said}");
    assert!(!Talk::new(false).say("EHLO app\r\n").contains("STARTTLS"));
    assert_eq!(
        talk.codes("VRFY b\r\nNOOP\r\nhelp\r\nRSET\r\n"),
        "252 250 214 250"
    );
}

#[test]
fn what_comes_in_the_wrong_order_is_refused() {
    let mut talk = Talk::new(false);
    assert_eq!(talk.codes("MAIL FROM:<a@x>\r\n"), "503");
    assert_eq!(talk.codes("RCPT TO:<a@x>\r\n"), "503");
    assert_eq!(talk.codes("DATA\r\n"), "503");
    assert_eq!(talk.codes("AUTH PLAIN AGEAYg==\r\n"), "503");
    assert_eq!(talk.codes("EHLO\r\n"), "501");
    assert_eq!(
        talk.codes("HELO a\r\nMAIL FROM:<>\r\nMAIL FROM:<>\r\n"),
        "250 250 503"
    );
    assert_eq!(talk.codes("DATA\r\n"), "503");
    assert_eq!(
        talk.codes("RCPT TO:<>\r\nRCPT TO:b\r\nRSET\r\nDATA\r\n"),
        "501 250 250 503"
    );
    assert_eq!(talk.codes("STARTTLS\r\nBDAT 3\r\n\r\n"), "500 500 500");
    assert_eq!(talk.store.last(), 0);
}

#[test]
fn addresses_are_read_as_they_are_written() {
    let mut talk = Talk::begun();
    for (written, code) in [
        ("<a@x>", "250"),
        (" <a@x>", "250"),
        ("<\"a >b\\\"\"@x> SMTPUTF8", "250"),
        ("<@one,@two:a@x>", "250"),
        ("<ü@x.example> SMTPUTF8 BODY=8BITMIME AUTH=<>", "250"),
        ("<a@x", "501"),
        ("<a@x>SIZE=1", "501"),
        ("<a@x> SIZE=x", "501"),
        ("<a@x> SIZE=26214401", "552"),
        ("<a@x> SIZE=99999999999999999999999", "501"),
        ("<a@x> RET=FULL", "555"),
        ("", "501"),
    ] {
        assert_eq!(
            talk.codes(format!("MAIL FROM:{written}\r\n")),
            code,
            "{written}"
        );
        talk.say("RSET\r\n");
    }
    assert_eq!(path("FROM:<@one,@two:a@x>", "FROM:").unwrap().0, "a@x");
    assert_eq!(
        path("FROM:<\"a >b\"@x> A", "FROM:"),
        Some(("\"a >b\"@x".to_owned(), "A"))
    );
    let long = format!("MAIL FROM:<{}@x>\r\n", "a".repeat(2000));
    assert_eq!(talk.codes(long), "501");
    // A cut within a letter of several bytes.
    assert_eq!(talk.codes("MAIL FRO\u{fc}:<a@x>\r\n"), "501");
}

#[test]
fn who_logs_in_is_known_and_the_password_is_not() {
    for login in [
        "AUTH PLAIN AHVzZXIAc2VjcmV0\r\n".to_owned(),
        "AUTH PLAIN\r\nAHVzZXIAc2VjcmV0\r\n".to_owned(),
        "auth login\r\ndXNlcg==\r\nc2VjcmV0\r\n".to_owned(),
        "AUTH LOGIN dXNlcg==\r\nc2VjcmV0\r\n".to_owned(),
    ] {
        let mut talk = Talk::begun();
        let codes = talk.codes(&login);
        assert!(codes.ends_with("235"), "{login}: {codes}");
        assert_eq!(talk.codes(&login).split(' ').next(), Some("503"));
        let mut talk = Talk::begun();
        talk.say(&login);
        talk.say("MAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nDATA\r\nhi\r\n.\r\n");
        let (mail, _) = talk.mail(1);
        assert_eq!(mail.user.as_deref(), Some("user"));
        assert!(!format!("{mail:?}").contains("secret"));
    }
    let mut talk = Talk::begun();
    assert_eq!(
        talk.codes("AUTH PLAIN\r\n*\r\nAUTH PLAIN ????\r\n"),
        "334 501 501"
    );
    assert_eq!(
        talk.codes("AUTH PLAIN AAAA\r\nAUTH CRAM-MD5\r\nAUTH\r\n"),
        "501 504 504"
    );
}

#[test]
fn hostile_lines_end_without_harm() {
    // No line end at all.
    let mut talk = Talk::begun();
    for _ in 0..ENDLESS / 1024 {
        assert_eq!(talk.say([b'x'; 1024]), "");
        assert!(talk.session.line.len() <= LONGEST_LINE);
    }
    assert_eq!(talk.codes("x"), "421");
    assert_eq!(talk.next, Next::Close);
    // A line that is too long is one mistake, and the next is read again.
    let mut talk = Talk::begun();
    let long = format!("NOOP {}\r\nNOOP\r\n", "x".repeat(LONGEST_LINE));
    assert_eq!(talk.codes(long), "500 250");
    // Line ends without CR; bytes that are no text.
    assert_eq!(talk.codes("NOOP\nNOOP\n\n"), "250 250 500");
    assert_eq!(
        talk.codes(b"NO\0P\r\n\xff\xfe\r\nNO\rOP\r\n"),
        "500 500 500"
    );
    // Mistakes without end.
    let mut talk = Talk::begun();
    let codes = talk.codes("x\r\n".repeat(500));
    assert!(codes.ends_with("500 421") && codes.len() < 300, "{codes}");
}

#[test]
fn a_message_ends_only_with_a_dot_between_whole_line_ends() {
    let mut talk = Talk::begun();
    talk.say("MAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nDATA\r\n");
    assert_eq!(
        talk.say("one\n.\ntwo\r.\rthree\r\n.\rx\r\n.\nMAIL FROM:<z@x>\r\n..\r\n"),
        ""
    );
    assert_eq!(talk.codes(".\r\n"), "250");
    assert_eq!(
        talk.mail(1).1,
        "one\n.\ntwo\r.\rthree\r\n\rx\r\n\nMAIL FROM:<z@x>\r\n.\r\n"
    );
    // An empty message.
    assert_eq!(
        talk.codes("MAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nDATA\r\n.\r\n"),
        "250 250 354 250"
    );
    assert_eq!(talk.mail(2).1, "");
}

#[test]
fn messages_without_end_are_bounded() {
    let begin = "MAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nDATA\r\n";
    let piece = vec![b'x'; 1 << 20];
    let mut talk = Talk::begun();
    talk.say(begin);
    for _ in 0..=LARGEST >> 20 {
        assert_eq!(talk.say(&piece), "");
    }
    assert!(talk.session.data.bytes.is_empty());
    assert_eq!(talk.codes("\r\n.\r\nNOOP\r\n"), "552 250");
    assert_eq!(talk.store.last(), 0);
    talk.say(begin);
    let mut said = String::new();
    for _ in 0..=(2 * LARGEST) >> 20 {
        said = talk.codes(&piece);
    }
    assert_eq!((said.as_str(), talk.next), ("421", Next::Close));
    // Many at the same time: some are told to come again, and what goes leaves its room.
    let store = talk.store.clone();
    let mut others: Vec<Talk> = (0..3)
        .map(|_| {
            let session = Session::new(store.clone(), "mx.example", 25, false, false);
            let mut other = Talk {
                session,
                store: store.clone(),
                next: Next::More,
            };
            other.say("EHLO app\r\n");
            other.say(begin);
            other
        })
        .collect();
    for other in &mut others {
        for _ in 0..24 {
            other.say(&piece);
        }
    }
    let ends: Vec<String> = others.iter_mut().map(|o| o.codes("\r\n.\r\n")).collect();
    assert_eq!(ends, ["250", "452", "452"]);
    drop(others);
    drop(talk);
    assert!(store.grow(0, 32 << 20), "no room is lost");
}

#[test]
fn what_was_said_before_tls_counts_no_more() {
    let mut talk = Talk::new(true);
    talk.say("EHLO app\r\n");
    assert_eq!(talk.codes("STARTTLS\r\nMAIL FROM:<evil@x>\r\n"), "220");
    assert_eq!(talk.next, Next::StartTls);
    talk.session.secured();
    assert_eq!(talk.codes("MAIL FROM:<a@x>\r\n"), "503");
    assert!(!talk.say("EHLO app\r\n").contains("STARTTLS"));
    assert_eq!(talk.codes("STARTTLS\r\n"), "503");
    talk.say("MAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nDATA\r\n.\r\n");
    let (mail, _) = talk.mail(1);
    assert!(mail.tls);
}
