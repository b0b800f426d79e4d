//! Rows of `coming-from-hurl.md`: what Hurl says is kept in `hurl.tsv`, which
//! `ci/compare-hurl` makes by running Hurl against this very server.

use std::collections::BTreeMap;
use std::path::Path;

use super::all_rows;
use super::server::Server;
use super::table::{Row, Side, beside, page, rows};

/// Names the Hurl that is to be run.
const HURL: &str = "PRODMIRROR_HURL";

/// Says that what it says is to be kept.
const KEEP: &str = "PRODMIRROR_HURL_KEEP";

const FILE: &str = "hurl.tsv";

/// The exit codes of Hurl: it holds; or a check, or a query that found nothing, failed.
const HOLDS: i32 = 0;
const FAILS: [i32; 2] = [3, 4];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_check_of_hurl_holds_and_fails_as_there() {
    let rows = rows(&page("coming-from-hurl.md"));
    assert!(rows.len() >= 50, "{} rows", rows.len());
    let server = Server::start(&rows).await;
    if let Ok(hurl) = std::env::var(HURL) {
        run_hurl(Path::new(&hurl), &rows, &server).await;
    }
    let kept = kept();
    for row in &rows {
        let (holds, fails) = *kept.get(&row.theirs).unwrap_or_else(|| {
            panic!("{} is new: run ci/compare-hurl", row.theirs);
        });
        assert_eq!(holds, HOLDS, "{} does not hold in Hurl", row.theirs);
        assert!(
            FAILS.contains(&fails),
            "{} does not fail in Hurl",
            row.theirs
        );
    }
    all_rows(&rows, &server).await;
}

/// By the first column: how Hurl ended with each response.
fn kept() -> BTreeMap<String, (i32, i32)> {
    let text = std::fs::read_to_string(beside(FILE)).unwrap();
    text.lines()
        .filter(|l| !l.starts_with('#'))
        .map(|l| {
            let parts: Vec<&str> = l.split('\t').collect();
            let [holds, fails, check] = parts.as_slice() else {
                panic!("{FILE}: {l}");
            };
            (
                (*check).to_owned(),
                (holds.parse().unwrap(), fails.parse().unwrap()),
            )
        })
        .collect()
}

/// Runs Hurl on every row; what it says is kept, or must be what was kept.
async fn run_hurl(hurl: &Path, rows: &[Row], server: &Server) {
    let version = output(hurl, &["--version".into()]).await.1;
    let version = version
        .split_whitespace()
        .take(2)
        .collect::<Vec<_>>()
        .join(" ");
    let folder = tempfile::tempdir().unwrap();
    let mut text = format!(
        "# {version}: exit code with the response that holds, with the one that fails, check\n"
    );
    for row in rows {
        let mut codes = Vec::new();
        for side in [Side::Holds, Side::Fails] {
            let file = folder
                .path()
                .join(format!("{}-{}.hurl", row.number, side.name()));
            std::fs::write(&file, hurl_file(row, side, server)).unwrap();
            let args = [
                "--no-color".into(),
                "--insecure".into(),
                file.to_string_lossy().into_owned(),
            ];
            let (code, said) = output(hurl, &args).await;
            assert!(
                code == HOLDS || FAILS.contains(&code),
                "Hurl cannot run this:\n{}\n{said}",
                std::fs::read_to_string(&file).unwrap()
            );
            codes.push((code, said));
        }
        assert!(
            codes[0].0 == HOLDS && codes[1].0 != HOLDS,
            "{}:\n{}\n{}",
            row.theirs,
            codes[0].1,
            codes[1].1
        );
        text += &format!("{}\t{}\t{}\n", codes[0].0, codes[1].0, row.theirs);
    }
    if std::env::var_os(KEEP).is_some() {
        std::fs::write(beside(FILE), text).unwrap();
    } else {
        assert_eq!(
            text,
            std::fs::read_to_string(beside(FILE)).unwrap(),
            "Hurl says otherwise than {FILE}"
        );
    }
    println!("{version} was run on {} rows, twice each", rows.len());
}

async fn output(hurl: &Path, args: &[String]) -> (i32, String) {
    let out = tokio::process::Command::new(hurl)
        .args(args)
        .output()
        .await
        .unwrap();
    let text =
        String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    (out.status.code().unwrap_or(-1), text)
}

/// A row's file, with its pieces in the sections where Hurl has them.
fn hurl_file(row: &Row, side: Side, server: &Server) -> String {
    let base = match &row.answer(side).tls {
        None => format!("http://{}", server.plain),
        Some(name) => {
            let (_, address) = server.secure.iter().find(|(n, _)| n == name).unwrap();
            format!("https://{address}")
        }
    };
    const REQUEST: [&str; 5] = ["Options", "Query", "Form", "BasicAuth", "Cookies"];
    let mut sections: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let (mut status, mut headers, mut asserts) = ("HTTP *", Vec::new(), Vec::new());
    for piece in &row.their_code {
        let section = piece.strip_prefix('[').and_then(|p| p.split_once("] "));
        let word = piece.split(' ').next().unwrap();
        if let Some((name, line)) = section {
            sections.entry(name).or_default().push(line);
        } else if piece.starts_with("HTTP ") {
            status = piece;
        } else if word.ends_with(':') {
            headers.push(piece.as_str());
        } else {
            asserts.push(piece.as_str());
        }
    }
    let mut file = format!("GET {base}{}\n", row.path(side, "hurl"));
    let section = |name: &str, lines: &[&str]| format!("[{name}]\n{}\n", lines.join("\n"));
    for name in REQUEST {
        if let Some(lines) = sections.get(name) {
            file += &section(name, lines);
        }
    }
    file += &format!("{status}\n");
    for h in headers {
        file += &format!("{h}\n");
    }
    if let Some(lines) = sections.get("Captures") {
        file += &section("Captures", lines);
    }
    if !asserts.is_empty() {
        file += &section("Asserts", &asserts);
    }
    file
}
