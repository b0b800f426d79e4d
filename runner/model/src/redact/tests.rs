use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;

use super::*;

fn knowing(secrets: &[&str]) -> Redactor {
    let r = Redactor::new();
    for s in secrets {
        r.add("s", &Secret::new(*s));
    }
    r
}

fn through_stream(r: &Redactor, input: &[u8], cuts: &[usize]) -> Vec<u8> {
    let mut stream = r.stream();
    let mut out = Vec::new();
    let mut at = 0;
    let mut cuts: Vec<usize> = cuts.iter().map(|c| c % (input.len() + 1)).collect();
    cuts.sort_unstable();
    for cut in cuts {
        stream.push(&input[at..cut], &mut out);
        at = cut;
    }
    stream.push(&input[at..], &mut out);
    stream.finish(&mut out);
    out
}

/// The forms that other programs would print, made without the code under test.
fn printed(secret: &str) -> Vec<String> {
    let b = secret.as_bytes();
    let json = serde_json::to_string(secret).unwrap();
    let mut all = vec![
        secret.to_owned(),
        json[1..json.len() - 1].to_owned(),
        serde_json::to_string(&json).unwrap(),
        utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string(),
        utf8_percent_encode(secret, NON_ALPHANUMERIC)
            .to_string()
            .to_lowercase(),
        url::form_urlencoded::byte_serialize(b).collect(),
        STANDARD.encode(b),
        STANDARD_NO_PAD.encode(b),
        URL_SAFE.encode(b),
        URL_SAFE_NO_PAD.encode(b),
        b.iter().map(|b| format!("{b:02x}")).collect(),
        b.iter().map(|b| format!("{b:02X}")).collect(),
        format!("'{}'", secret.replace('\'', "'\\''")),
        format!("'{}'", secret.replace('\'', "'\"'\"'")),
        secret
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;"),
        secret
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('"', "&quot;")
            .replace('\'', "&#39;"),
        secret
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('"', "&quot;")
            .replace('\'', "&apos;"),
    ];
    // Lower-casing the whole percent form also changes letters; only hex digits are meant.
    all.remove(4);
    all
}

fn safe_secret() -> impl Strategy<Value = String> {
    prop_oneof![
        "[A-Za-z0-9]{6,40}",
        "[ -~]{6,40}",
        "\\PC{6,24}",
        "[a-c\"'\\\\/&<>$%+=~ \\n\\t]{6,30}",
    ]
    .prop_filter("safe", |s| unsafe_reason(s).is_none())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_printed_form_survives_any_chunking(
        secret in safe_secret(),
        before in "[ -~]{0,20}",
        after in "[ -~]{0,20}",
        cuts in proptest::collection::vec(any::<usize>(), 0..12),
    ) {
        let r = knowing(&[&secret]);
        for form in printed(secret.trim()) {
            let input = format!("{before}|{form}|{after}");
            let once = r.redact(&input).into_owned();
            prop_assert!(once.contains(MASK), "{form:?} in {once:?}");
            prop_assert!(!once.contains(form.trim_matches('\'')), "{form:?} in {once:?}");
            let streamed = through_stream(&r, input.as_bytes(), &cuts);
            prop_assert_eq!(String::from_utf8_lossy(&streamed), once);
        }
    }

    #[test]
    fn base64_hides_it_at_any_alignment(
        secret in safe_secret(),
        before in proptest::collection::vec(any::<u8>(), 0..7),
        after in proptest::collection::vec(any::<u8>(), 0..7),
        cuts in proptest::collection::vec(any::<usize>(), 0..6),
    ) {
        let secret = secret.trim();
        let r = knowing(&[secret]);
        let mut whole = before.clone();
        whole.extend_from_slice(secret.as_bytes());
        whole.extend_from_slice(&after);
        for text in [STANDARD.encode(&whole), URL_SAFE_NO_PAD.encode(&whole)] {
            let out = through_stream(&r, text.as_bytes(), &cuts);
            let out = String::from_utf8(out).unwrap();
            prop_assert!(out.contains(MASK), "{out}");
            // Only characters that share bits with what stands around it may be left.
            let left: usize = out.split(MASK).map(str::len).sum();
            let around = (before.len() * 8).div_ceil(6) + (after.len() * 8).div_ceil(6);
            prop_assert!(left <= around + 4, "{out}");
        }
    }

    #[test]
    fn other_bytes_are_untouched(
        secret in "[A-Z]{8,20}".prop_filter("safe", |s| unsafe_reason(s).is_none()),
        pieces in proptest::collection::vec("[a-z\\n*%&]{0,12}", 1..6),
        cuts in proptest::collection::vec(any::<usize>(), 0..8),
    ) {
        let r = knowing(&[&secret]);
        let input = pieces.join(&secret);
        let want = pieces.join(MASK);
        let got = through_stream(&r, input.as_bytes(), &cuts);
        prop_assert_eq!(String::from_utf8(got).unwrap(), want);
    }

    #[test]
    fn overlapping_secrets_leave_nothing(
        text in "[abc]{30,80}",
        a in (0usize..60, 6usize..14),
        b in (0usize..60, 6usize..14),
        cuts in proptest::collection::vec(any::<usize>(), 0..8),
    ) {
        let take = |(from, len): (usize, usize)| {
            let from = from.min(text.len() - len);
            text[from..from + len].to_owned()
        };
        let secrets = [take(a), take(b)];
        prop_assume!(secrets.iter().all(|s| unsafe_reason(s).is_none()));
        let r = knowing(&[&secrets[0], &secrets[1]]);
        let got = String::from_utf8(through_stream(&r, text.as_bytes(), &cuts)).unwrap();
        prop_assert_eq!(&got, &r.redact(&text));
        for s in &secrets {
            prop_assert!(!got.contains(s.as_str()), "{s} in {got}");
        }
    }

    #[test]
    fn any_bytes_pass_a_stream_unharmed(
        input in proptest::collection::vec(any::<u8>(), 0..400),
        cuts in proptest::collection::vec(any::<usize>(), 0..20),
    ) {
        let r = knowing(&["no-such-secret-here"]);
        prop_assert_eq!(through_stream(&r, &input, &cuts), input);
    }
}

#[test]
fn a_longer_form_wins_over_its_beginning() {
    let r = knowing(&["hunter2", "hunter2-extended"]);
    assert_eq!(r.redact("x hunter2-extended y hunter2 z"), "x *** y *** z");
    assert_eq!(through_stream(&r, b"hunter2-ext", &[3, 7, 9]), b"***-ext");
}

#[test]
fn a_stream_holds_back_only_what_could_grow() {
    let r = knowing(&["topsecret"]);
    let mut out = Vec::new();
    let mut s = r.stream();
    s.push(b"nothing here\n", &mut out);
    assert_eq!(out, b"nothing here\n");
    s.push(b"a tops", &mut out);
    assert_eq!(out, b"nothing here\na ");
    s.push(b"ecret!", &mut out);
    assert_eq!(out, b"nothing here\na ***!");
}

#[test]
fn a_secret_that_is_fed_in_the_middle_of_a_stream_is_found_from_there() {
    let r = knowing(&["firstone"]);
    let mut out = Vec::new();
    let mut s = r.stream();
    s.push(b"second-one ", &mut out);
    r.add("later", &Secret::new("second-one"));
    s.push(b"second-one firstone", &mut out);
    s.finish(&mut out);
    assert_eq!(out, b"second-one *** ***");
}

#[test]
fn lines_passwords_and_wrapped_base64_are_found() {
    let pem = "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\nhkiG9w0BAQEFAASC\n-----END KEY-----\n";
    let r = knowing(&[pem, "postgres://shop:p%40ss-w0rd@db:5432/shop"]);
    assert_eq!(r.redact("key MIIEvQIBADANBgkq"), "key ***");
    assert_eq!(r.redact("-----BEGIN KEY-----"), "-----BEGIN KEY-----");
    assert_eq!(r.redact("login p@ss-w0rd"), "login ***");
    assert_eq!(r.redact("login p%40ss-w0rd"), "login ***");
    let long: String = (0..90)
        .map(|i| char::from(b'A' + (i * 7 % 26) as u8))
        .collect();
    let r = knowing(&[&long]);
    let whole = STANDARD.encode(&long);
    for line in whole.as_bytes().chunks(76) {
        assert_eq!(r.redact(std::str::from_utf8(line).unwrap()), MASK);
    }
}

#[test]
fn hidden_between_control_sequences() {
    let r = knowing(&["topsecret"]);
    for hidden in [
        "top\u{1b}[31msecret",
        "t\0opsec\0ret",
        "\u{1b}]0;topsecret\u{7}x",
    ] {
        let mut text = format!("a {hidden} b topsecret");
        r.redact_shown(&mut text);
        assert!(
            !crate::plain::without_controls(&text).contains("topsecret"),
            "{text:?}"
        );
        assert!(
            !crate::plain::visible(&text).contains("topsecret"),
            "{text:?}"
        );
    }
    let mut text = "\u{1b}[1mbold\u{1b}[0m".to_owned();
    r.redact_shown(&mut text);
    assert_eq!(text, "\u{1b}[1mbold\u{1b}[0m");
}

#[test]
fn plain_secrets_are_said_and_left() {
    let r = Redactor::new();
    for (name, value) in [
        ("SHORT", "abc12"),
        ("PIN", "123456"),
        ("PASSWORD", "Postgres"),
        ("RULE", "------------"),
        ("EMPTY", ""),
        ("GOOD", "s3cr3t-value"),
    ] {
        r.add(name, &Secret::new(value));
    }
    let said: Vec<_> = r
        .unsafe_secrets()
        .iter()
        .map(|u| format!("{}: {}", u.name, u.reason))
        .collect();
    assert_eq!(
        said,
        [
            "SHORT: it has 5 bytes; 6 are needed",
            "PIN: it is a number of fewer than 8 digits, which ports and times are too",
            "PASSWORD: it is a word that is common in logs",
            "RULE: it has fewer than three different characters",
            "EMPTY: it has 0 bytes; 6 are needed",
        ]
    );
    assert_eq!(
        r.redact("postgres abc12 s3cr3t-value"),
        "postgres abc12 ***"
    );
}

#[test]
fn cutting_comes_after_redaction() {
    let r = knowing(&["topsecret"]);
    assert_eq!(r.redact_cut("xx topsecret", 7), "xx ***");
    assert_eq!(r.redact_cut("xx topsecret and more", 7), "xx *** …");
}

#[test]
fn what_was_cut_before_it_came_here() {
    let r = knowing(&["topsecret-value"]);
    for (input, want) in [
        ("Bearer topsecret-…", "Bearer ***…"),
        (
            "a topsecret-val\n… (20 bytes more)",
            "a ***\n… (20 bytes more)",
        ),
        ("b64 dG9wc2Vjcm… and tops…", "b64 ***… and tops…"),
        ("waiting… done", "waiting… done"),
        ("topsecret-", "topsecret-"),
    ] {
        let mut text = input.to_owned();
        r.redact_shown(&mut text);
        assert_eq!(text, want);
    }
}
