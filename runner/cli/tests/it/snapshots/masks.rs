//! Masks: nothing of what was masked is left, and what belonged together still does.

use std::fmt::Write as _;
use std::process::Command;

use super::{Store, database};
use crate::project::Project;

/// A text that stands in every planted value, and nowhere else.
const MARK: &str = "plänted7f3a";

/// Rows with a mark in each value that is masked, some of them long enough to be compressed and
/// kept beside the table.
fn planted() -> String {
    let mut sql = String::from(
        "CREATE TABLE people (id int PRIMARY KEY, email text UNIQUE, name text, phone varchar(20), card text, born date, note text, profile jsonb, tags text[]);\n\
         CREATE TABLE logins (id int PRIMARY KEY, email text REFERENCES people (email), at timestamptz);\n",
    );
    let _ = write!(
        sql,
        "INSERT INTO people SELECT n, '{MARK}-' || n || '@mail.shop.net', 'N {MARK} ' || n, '+49 30 {MARK}' || n % 100, \
         '{MARK}' || n, date '1980-01-01' + n, CASE n % 10 WHEN 0 THEN (SELECT string_agg(repeat(md5((n * 1000 + i)::text) || ' {MARK} ', 2), '') FROM generate_series(1, 300) i) \
           WHEN 1 THEN repeat('note {MARK} ' || n || ' ', 200) ELSE '{MARK} ' || n END, \
         jsonb_build_object('email', '{MARK}' || n, 'plan', 'gold', 'notes', jsonb_build_array(jsonb_build_object('text', '{MARK}'))), \
         ARRAY['{MARK}', 'x'] FROM generate_series(1, 1000) n;\n\
         INSERT INTO people VALUES (1001, '', '', '', '', NULL, '', NULL, NULL), (1002, NULL, NULL, NULL, NULL, NULL, NULL, '{{}}', '{{}}');\n\
         INSERT INTO logins SELECT n, '{MARK}-' || 1 + n % 1000 || '@mail.shop.net', timestamptz '2024-01-01' + n * interval '1 hour' FROM generate_series(1, 3000) n;\n\
         ANALYZE;\n"
    );
    sql
}

const RECIPES: &str = "project: t\nproduction: [compose.yaml]\nmask_key: { stub: \"a key of the test's own\" }\n\
snapshots:\n  raw: { script: seed.sql, service: db }\n  masked:\n    script: seed.sql\n    service: db\n    public: true\n    mask:\n      \
people.email: email\n      logins.email: email\n      people.name: name\n      people.phone: phone\n      people.card: card\n      \
people.born: { shift: 90d, by: id }\n      people.note: text\n      people.tags: hash\n      \
people.profile: { json: { $.email: email, \"$.notes[*].text\": text } }\n  \
open:\n    script: seed.sql\n    service: db\n    public: true\n    mask: { people.email: email, people.note: text }\n";

/// What is found in every file of a clone, in the encodings that it may be kept in, and in every
/// value that PostgreSQL has compressed.
const SEARCH: &str = r#"
import base64, os, re, struct, sys
top, mark = sys.argv[1], sys.argv[2]
raw = [mark.encode(e) for e in ('utf-8', 'latin-1', 'utf-16-le', 'utf-16-be')]
plain = mark.encode()
ascii = mark.encode('ascii', 'ignore')[2:]
raw.append(plain.hex().encode())
for shift in range(3):
    text = base64.b64encode(b'.' * shift + plain)
    raw.append(text[4 if shift else 0:len(text) // 4 * 4 - 4])
marks = re.compile(b'|'.join(re.escape(r) for r in raw))
def pglz(data, size):
    out = bytearray(); at = 0; end = len(data)
    while at < end and len(out) < size:
        control = data[at]; at += 1
        for bit in range(8):
            if at >= end or len(out) >= size: break
            if control >> bit & 1:
                if at + 1 >= end: return None
                length = (data[at] & 15) + 3
                offset = (data[at] & 0xf0) << 4 | data[at + 1]; at += 2
                if length == 18:
                    if at >= end: return None
                    length += data[at]; at += 1
                if offset == 0 or offset > len(out): return None
                for _ in range(length): out.append(out[-offset])
            else:
                out.append(data[at]); at += 1
    return bytes(out) if len(out) == size else None
found = []; values = 0
def look(path, data):
    global values
    for hit in marks.findall(data): found.append((path, 'raw'))
    # Values that were compressed where they stand: four bytes of header, four of the raw size.
    for m in re.finditer(rb'(?s)(?=([\x02\x06\x0a\x0e\x12\x16\x1a\x1e\x22\x26\x2a\x2e\x32\x36\x3a\x3e\x42\x46\x4a\x4e\x52\x56\x5a\x5e\x62\x66\x6a\x6e\x72\x76\x7a\x7e\x82\x86\x8a\x8e\x92\x96\x9a\x9e\xa2\xa6\xaa\xae\xb2\xb6\xba\xbe\xc2\xc6\xca\xce\xd2\xd6\xda\xde\xe2\xe6\xea\xee\xf2\xf6\xfa\xfe].[\x00-\x03]\x00..[\x00-\x0f]\x00))', data):
        at = m.start()
        header, size = struct.unpack_from('<II', data, at)
        length = header >> 2
        if not 12 < length < size + 8 or size > 1 << 20 or at + length > len(data): continue
        out = pglz(data[at + 8:at + length], size)
        if out is None: continue
        values += 1
        if marks.search(out): found.append((path, 'compressed'))
def toast(path, data):
    # Pieces of values that are kept beside their table: the value's id, its number, the piece.
    global values
    pieces = {}
    for page in range(0, len(data) - 8191, 8192):
        lower = struct.unpack_from('<H', data, page + 12)[0]
        for at in range(page + 24, page + lower, 4):
            item = struct.unpack_from('<I', data, at)[0]
            offset, flags, length = item & 0x7fff, item >> 15 & 3, item >> 17
            if flags != 1 or length < 36: continue
            tuple = data[page + offset:page + offset + length]
            start = tuple[22]
            if start + 12 > length: continue
            value, number = struct.unpack_from('<II', tuple, start)
            head = tuple[start + 8]
            piece = tuple[start + 9:start + (head >> 1) + 8] if head & 1 else tuple[start + 12:start + 8 + (struct.unpack_from('<I', tuple, start + 8)[0] >> 2)]
            pieces.setdefault(value, {})[number] = piece
    for value, parts in pieces.items():
        whole = b''.join(parts[n] for n in sorted(parts))
        if marks.search(whole): found.append((path, 'beside'))
        if len(whole) < 8: continue
        size = struct.unpack_from('<I', whole)[0] & 0x3fffffff
        for method in (pglz,):
            out = method(whole[4:], size) if size < 1 << 24 else None
            if out is not None:
                values += 1
                if marks.search(out): found.append((path, 'beside, compressed'))
for dir, _, files in os.walk(top):
    for name in files:
        path = os.path.join(dir, name)
        data = open(path, 'rb').read()
        if marks.search(os.fsencode(path)): found.append((path, 'name'))
        if not data.strip(b'\0'): continue
        look(path, data.rstrip(b'\0') + b'\0' * 8)
        if '/base/' in path and len(data) % 8192 == 0: toast(path, data)
print(f'{len(found)} found, {values} values unpacked')
kinds = {}
for path, kind in found: kinds[(kind, path.split('/')[2])] = kinds.get((kind, path.split('/')[2]), 0) + 1
for k, n in sorted(kinds.items()): print('found:', *k, n)
sys.exit(1 if found else 0)
"#;

/// Searches the files of a snapshot; gives what was said.
fn search(store: &Store, snapshot: &str) -> String {
    let compose = "services:\n  look:\n    image: registry.shop.example/python:3.11\n    init: true\n    \
        command: [sleep, infinity]\n    volumes: [\"data:/data:ro\", \"./search.py:/search.py:ro\"]\nvolumes:\n  data: {}\n";
    let at = Project::with(&[
        ("compose.yaml", compose),
        ("search.py", SEARCH),
        (
            "mirror.yaml",
            &format!(
                "project: search-{snapshot}\nproduction: [compose.yaml]\ndata: {{ data: {{ snapshot: {snapshot} }} }}\n"
            ),
        ),
    ]);
    store.run(&at, &["up", "-d"]).is(0, &[]);
    let said = store.run(
        &at,
        &["exec", "-T", "look", "python3", "/search.py", "/data", MARK],
    );
    store.run(&at, &["down"]).is(0, &[]);
    assert!(said.out.contains(" found, "), "{}{}", said.out, said.err);
    said.out
}

/// A query against a snapshot, in `psql`'s words.
fn query(store: &Store, snapshot: &str, sql: &str) -> String {
    let project = database(&[(
        "mirror.yaml",
        &format!(
            "project: asked-{snapshot}\nproduction: [compose.yaml]\ndata: {{ data: {{ snapshot: {snapshot} }} }}\n"
        ),
    )]);
    store.run(&project, &["up", "-d"]).is(0, &[]);
    let said = store.run(
        &project,
        &["exec", "-T", "db", "psql", "-XAtqU", "shop", "-c", sql],
    );
    store.run(&project, &["down"]).is(0, &[]);
    assert_eq!(said.code, 0, "{}", said.err);
    said.out.trim().to_owned()
}

#[test]
fn nothing_of_what_was_masked_is_left_and_joins_still_join() {
    let Some(store) = Store::new() else { return };
    let project = database(&[("seed.sql", &planted()), ("mirror.yaml", RECIPES)]);
    store
        .run(&project, &["snapshot", "create", "masked"])
        .is(0, &["masking", "9 columns masked"]);
    let said = search(&store, "masked");
    assert!(said.starts_with("0 found"), "{said}");
    // What was masked is long as well: the search has unpacked it.
    assert!(!said.contains(" 0 values"), "{said}");
    // Joins, uniqueness, empty texts, nulls, distances between dates, checksums.
    let told = query(
        &store,
        "masked",
        "SELECT (SELECT count(*) FROM logins JOIN people USING (email)), \
         (SELECT count(DISTINCT email) FROM people), \
         (SELECT count(*) FROM people WHERE email = ''), (SELECT count(*) FROM people WHERE name IS NULL), \
         (SELECT count(*) FROM people WHERE email LIKE '%@example.com'), \
         (SELECT count(*) FROM people WHERE abs(born - (date '1980-01-01' + id)) > 90), \
         (SELECT count(DISTINCT born - (date '1980-01-01' + id)) > 50 FROM people), \
         (SELECT count(*) FROM people WHERE card ~ '^400000[0-9]{10}$'), \
         (SELECT count(*) FROM people WHERE profile->>'plan' = 'gold' AND profile->>'email' LIKE '%@example.com' AND profile->'notes'->0->>'text' NOT LIKE '%pl%nted%'), \
         (SELECT count(*) FROM people WHERE tags[2] <> 'x'), \
         (SELECT max(length(note)) > 10000 FROM people), \
         (SELECT count(*) FROM people WHERE id <= 1000 AND (SELECT sum(CASE WHEN i % 2 = 1 THEN d * 2 - 9 * (d > 4)::int ELSE d END) % 10 \
             FROM (SELECT i, substr(card, i, 1)::int d FROM generate_series(1, 16) i) x) = 0)",
    );
    assert_eq!(told, "3000|1001|1|1|1000|0|t|1000|1000|1000|t|1000");
    let sealed = store.run(
        &project,
        &["snapshot", "inspect", "masked", "--format", "json"],
    );
    let sealed: serde_json::Value = serde_json::from_str(&sealed.out).unwrap();
    assert_eq!(sealed["public"], true);
    assert_eq!(sealed["masked"].as_array().unwrap().len(), 9);
    // The same key gives the same: what another snapshot has still fits.
    let again = RECIPES.replace("  raw:", "  twin:\n    script: seed.sql\n    service: db\n    mask: { people.email: email, logins.email: email }\n  raw:");
    project.write("mirror.yaml", again.as_bytes());
    store.run(&project, &["snapshot", "create", "twin"]).is(
        0,
        &[
            "warning: public.people.phone",
            "`people.born: { shift: 30d, by: COLUMN }`",
        ],
    );
    let email = "SELECT string_agg(email, ',' ORDER BY id) FROM people";
    assert_eq!(query(&store, "masked", email), query(&store, "twin", email));
    store
        .run(&project, &["snapshot", "rm", "masked", "twin"])
        .is(0, &[]);
    store.assert_gone();
}

#[test]
fn the_search_finds_what_a_plain_update_leaves() {
    let Some(store) = Store::new() else { return };
    // Masked by hand, as a control: the pages, the log and the statistics keep the old rows.
    // A checkpoint in between would take the log away, on a slow machine.
    let by_hand = format!(
        "ALTER SYSTEM SET wal_keep_size = '1GB';\nSELECT pg_reload_conf();\n{}UPDATE logins SET email = NULL; UPDATE people SET email = md5(id::text), name = NULL, phone = NULL, card = NULL, note = NULL, profile = NULL, tags = NULL WHERE id NOT IN (10, 11);\n",
        planted()
    );
    let project = database(&[("seed.sql", &by_hand), ("mirror.yaml", RECIPES)]);
    store
        .run(&project, &["snapshot", "create", "raw"])
        .is(0, &[]);
    let said = search(&store, "raw");
    for kind in [
        "raw base",
        "raw pg_wal",
        "compressed base",
        "compressed pg_wal",
        "beside, compressed base",
    ] {
        assert!(said.contains(&format!("found: {kind}")), "{kind}: {said}");
    }
    store.run(&project, &["snapshot", "rm", "raw"]).is(0, &[]);
    store.assert_gone();
}

#[test]
fn what_looks_personal_keeps_a_public_snapshot_from_being_sealed() {
    let Some(store) = Store::new() else { return };
    let seed = "CREATE TABLE a (id int, mail text, note text, key text, address text, ip text, plain text, iban text, cc text);\n\
        INSERT INTO a VALUES (1, 'somebody@real-mail.de', 'call +49 30 1234567', 'AKIAIOSFODNN7EXAMPLE', 'Main Street', '8.8.4.4', 'v1.2.3.4 at 10.0.0.1, ticket 2024-11-05 12:30', 'DE89370400440532013000', '4111 1111 1111 1111');\n";
    let recipe = |mask: &str| {
        format!(
            "project: t\nproduction: [compose.yaml]\nsnapshots:\n  open: {{ script: seed.sql, service: db, public: true, mask: {{ {mask} }} }}\n"
        )
    };
    let project = database(&[("seed.sql", seed), ("mirror.yaml", &recipe(""))]);
    let said = store.run(&project, &["snapshot", "create", "open"]);
    said.is(
        2,
        &[
            "public.a.mail: 1 value looks like mail addresses",
            "`a.mail: email`",
            "public.a.note: 1 value looks like telephone numbers",
            "public.a.key: 1 value looks like keys or passwords",
            "public.a.address looks like a person's data, by its name",
            "public.a.ip: 1 value looks like internet addresses",
            "public.a.iban: 1 value looks like account numbers",
            "public.a.cc: 1 value looks like card numbers",
        ],
    );
    assert!(!said.err.contains("a.plain"), "{}", said.err);
    assert!(!said.err.contains("real-mail"), "{}", said.err);
    store.assert_gone();
    let all = "a.mail: email, a.note: text, a.key: hash, a.address: text, a.ip: hash, a.iban: hash, a.cc: card";
    project.write("mirror.yaml", recipe(all).as_bytes());
    store
        .run(&project, &["snapshot", "create", "open"])
        .is(0, &["7 columns masked"]);
    // The key that was drawn is only its owner's.
    let mode = Command::new("stat")
        .args(["-c", "%a", ".prodmirror/mask.key"])
        .current_dir(project.path())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&mode.stdout).trim(), "600");
    for (rule, why) in [
        ("a.nothing: hash", "has no column `nothing`"),
        ("b.mail: email", "no table `b`"),
        ("a.id: text", "does not fit"),
    ] {
        project.write(
            "mirror.yaml",
            recipe(rule).replace("open:", "wrong:").as_bytes(),
        );
        store
            .run(&project, &["snapshot", "create", "wrong"])
            .is(2, &[why, "mirror.yaml:4:"]);
    }
    store.run(&project, &["snapshot", "rm", "open"]).is(0, &[]);
    store.assert_gone();
}
