//! Forms in which secrets get into what programs print.

use base64::Engine as _;

/// The forms in which a secret is looked for afterwards, made without the code under test.
pub fn forms(secret: &str) -> Vec<Vec<u8>> {
    let b64 = base64::engine::general_purpose::STANDARD;
    let b64url = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let percent = |keep: &str| {
        secret.bytes().fold(String::new(), |s, b| {
            if b.is_ascii_alphanumeric() || keep.as_bytes().contains(&b) {
                s + &char::from(b).to_string()
            } else {
                s + &format!("%{b:02X}")
            }
        })
    };
    let json = serde_json::to_string(secret).unwrap();
    let mut all = vec![
        secret.to_owned(),
        json[1..json.len() - 1].to_owned(),
        percent("-_.~"),
        percent("-_.!~*'()"),
        percent("*-._").replace("%20", "+"),
        b64.encode(secret),
        b64url.encode(secret),
        secret.bytes().map(|b| format!("{b:02x}")).collect(),
        secret.bytes().map(|b| format!("{b:02X}")).collect(),
        secret.replace('\'', "'\\''"),
        secret
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('"', "&quot;"),
        format!("{secret:?}").trim_matches('"').to_owned(),
    ];
    for before in ["x", "xy"] {
        let text = b64.encode(format!("{before}{secret}zz"));
        // Characters that hold bits of the secret only.
        let start = (before.len() * 8).div_ceil(6);
        let end = (before.len() + secret.len()) * 8 / 6;
        all.push(text[start..end].to_owned());
    }
    all.into_iter().map(String::into_bytes).collect()
}
