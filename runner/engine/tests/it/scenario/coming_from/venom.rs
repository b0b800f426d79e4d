//! Rows of `coming-from-venom.md`. Venom is not run: [`says`] is its assertions, restated from
//! their documentation and source, so that each row is held against them and not against a claim.

use jiff::Timestamp;
use prodmirror_engine::step::compile;
use prodmirror_model::source::SourceFile;
use serde_json::Value as Json;

use super::all_rows;
use super::server::Server;
use super::table::{Answer, Side, cells, page, rows};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_assertion_of_venom_holds_and_fails_as_there() {
    let rows = rows(&page("coming-from-venom.md"));
    assert!(rows.len() >= 50, "{} rows", rows.len());
    for row in &rows {
        for side in [Side::Holds, Side::Fails] {
            let said = venom(&row.their_code, row.answer(side));
            assert_eq!(
                said,
                Ok(side == Side::Holds),
                "{}: {}",
                row.theirs,
                side.name()
            );
        }
    }
    let server = Server::start(&rows).await;
    all_rows(&rows, &server).await;
}

/// The other tables: what stands beside Venom's keys is a valid step.
#[test]
fn the_counterparts_of_other_keys_are_steps() {
    let steps = cells(&page("coming-from-venom.md"), 2);
    assert!(steps.len() >= 10, "{} rows", steps.len());
    for cell in steps {
        let step = cell[1].trim_matches('`');
        let step = step
            .strip_prefix("{ ")
            .and_then(|s| s.strip_suffix(" }"))
            .map_or_else(|| format!("{{ {step} }}"), |inner| format!("{{ {inner} }}"));
        let text = format!("scenario: it\nvars: {{ order_id: 1 }}\nsteps:\n  - {step}\n");
        let (_, problems) = compile(&SourceFile::new("s.yaml", text.clone()));
        // What a row captures is used by the reader's next step.
        let errors = problems.iter().filter(|p| p.is_error());
        let told: Vec<String> = errors.map(ToString::to_string).collect();
        assert_eq!(told, [""; 0], "{text}");
    }
}

/// A value as Venom has it: JSON, where `null` is an empty text; or nothing.
type Actual = Option<Json>;

/// Whether all lines hold for a response. Keys of the step say which response it is.
fn venom(lines: &[String], answer: &Answer) -> Result<bool, String> {
    let mut answer = answer.clone();
    let mut follow = true;
    let mut all = true;
    let asks = |l: &&String| l.contains(" Should");
    for key in lines.iter().filter(|l| !asks(l)) {
        match key.split_once(": ") {
            // The step is done again until its assertions hold.
            Some(("retry", n)) => {
                let n: u32 = n.parse().map_err(|_| key.clone())?;
                answer.first = answer.first.filter(|(times, _)| *times > n);
            }
            Some(("delay", _)) => {}
            Some(("no_follow_redirect", "true")) => follow = false,
            _ => return Err(format!("unknown key: {key}")),
        }
    }
    if follow && matches!(answer.status, Some(301..=308)) {
        let ok = answer
            .headers
            .iter()
            .any(|(k, v)| k == "Location" && v == "/ok");
        answer = Answer {
            status: Some(if ok { 200 } else { 404 }),
            body: if ok {
                b"{\"ok\": true}".to_vec()
            } else {
                Vec::new()
            },
            ..Answer::default()
        };
    }
    for line in lines.iter().filter(asks) {
        let words = words(line);
        let [path, assertion, expected @ ..] = words.as_slice() else {
            return Err(format!("no assertion: {line}"));
        };
        all &= says(&actual(path, &answer)?, assertion, expected)?;
    }
    Ok(all)
}

/// Words, of which quoted ones may have blanks.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim();
    while !rest.is_empty() {
        let (word, after) = match rest.strip_prefix('\'') {
            Some(quoted) => quoted.split_once('\'').unwrap(),
            None => rest.split_once(' ').unwrap_or((rest, "")),
        };
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    words
}

fn actual(path: &str, answer: &Answer) -> Result<Actual, String> {
    let (root, rest) = match path
        .strip_prefix("result.")
        .map(|p| p.split_once('.').unwrap_or((p, "")))
    {
        Some(p) => p,
        None => return Err(format!("no result: {path}")),
    };
    let text = String::from_utf8(answer.body.clone()).map_err(|e| e.to_string())?;
    Ok(match root {
        "statuscode" => {
            let status = answer
                .first
                .map_or(answer.status.unwrap_or(200), |(_, s)| s);
            Some(status.into())
        }
        "body" => Some(text.into()),
        "timeseconds" => Some(answer.after.as_secs_f64().into()),
        "headers" => {
            let given = answer
                .headers
                .iter()
                .find(|(k, _)| k == rest)
                .map(|(_, v)| v.clone());
            let own = (rest == "Content-Type" && !answer.body.is_empty())
                .then(|| answer.kind().to_owned());
            given.or(own).map(Json::from)
        }
        // A body that is no JSON has none.
        "bodyjson" => serde_json::from_str(&text)
            .ok()
            .and_then(|json| dumped(&json, rest)),
        _ => return Err(format!("no such result: {path}")),
    })
}

/// `items.items1.sku`, `tags.__len__`.
fn dumped(json: &Json, path: &str) -> Actual {
    let mut now = json;
    let mut before = "bodyjson";
    for part in path.split('.') {
        match (part, now) {
            ("__len__", Json::Array(a)) => return Some(a.len().into()),
            ("__len__", Json::Object(o)) => return Some(o.len().into()),
            ("__type__", Json::Array(_)) => return Some("Array".into()),
            ("__type__", _) => return Some("Map".into()),
            (_, Json::Array(a)) => {
                let index: usize = part.strip_prefix(before)?.parse().ok()?;
                now = a.get(index)?;
            }
            (_, other) => now = other.get(part)?,
        }
        before = part;
    }
    Some(if now.is_null() {
        "".into()
    } else {
        now.clone()
    })
}

/// A value as Go prints it, for scalars.
fn printed(v: &Json) -> Option<String> {
    match v {
        Json::String(s) => Some(s.clone()),
        Json::Number(_) | Json::Bool(_) => Some(v.to_string()),
        _ => None,
    }
}

fn json_equal(v: &Json, expected: &str) -> bool {
    match v {
        Json::Object(_) | Json::Array(_) => {
            serde_json::from_str::<Json>(expected).is_ok_and(|e| e == *v)
        }
        Json::String(s) => s == expected || (s.is_empty() && expected == "null"),
        Json::Number(n) => n.as_f64() == expected.parse().ok(),
        Json::Bool(b) => expected.parse() == Ok(*b),
        Json::Null => false,
    }
}

fn instant(text: &str) -> Option<Timestamp> {
    match text {
        "now" => Some(Timestamp::now()),
        other => other.parse().ok(),
    }
}

/// What an assertion says; an assertion that Venom does not have is an error.
fn says(actual: &Actual, assertion: &str, expected: &[String]) -> Result<bool, String> {
    let first = expected.first().map_or("", String::as_str);
    let text = actual.as_ref().and_then(printed);
    let number = actual.as_ref().and_then(Json::as_f64);
    let list = actual.as_ref().and_then(Json::as_array);
    let equal = |v: &Json, e: &str| printed(v).as_deref() == Some(e);
    // Limits have the type of the value.
    let limit = |i: usize| expected.get(i).and_then(|e| e.parse::<f64>().ok());
    let beside = |i: usize, holds: fn(&f64, &f64) -> bool| {
        number.zip(limit(i)).is_some_and(|(a, b)| holds(&a, &b))
    };
    let near = || {
        number
            .zip(limit(0))
            .zip(limit(1))
            .map(|((a, e), d)| ((a - e).abs(), d))
    };
    let at = text.as_deref().and_then(instant);
    let time = |i: usize| expected.get(i).and_then(|e| instant(e));
    let has = |piece: &dyn Fn(&str) -> bool| text.as_deref().is_some_and(piece);
    let len = || match actual {
        Some(Json::String(s)) => Some(s.len()),
        Some(Json::Array(a)) => Some(a.len()),
        Some(Json::Object(o)) => Some(o.len()),
        _ => None,
    };
    let empty = || actual.is_none() || len() == Some(0);
    let keyed = |holds: &dyn Fn(&Json) -> bool| -> Vec<bool> {
        let items = list.into_iter().flatten();
        items.filter_map(|i| i.get(first)).map(holds).collect()
    };
    let second = expected.get(1).map_or("", String::as_str);
    Ok(match assertion {
        "ShouldEqual" => text == Some(expected.join(" ")),
        "ShouldNotEqual" => text != Some(expected.join(" ")),
        "ShouldAlmostEqual" => near().is_some_and(|(d, max)| d <= max),
        "ShouldNotAlmostEqual" => near().is_some_and(|(d, max)| d >= max),
        "ShouldBeNil" | "ShouldNotExist" => actual.is_none(),
        "ShouldNotBeNil" => actual.is_some(),
        "ShouldBeTrue" => text.as_deref() == Some("true"),
        "ShouldBeFalse" => text.as_deref() == Some("false"),
        "ShouldBeZeroValue" => matches!(text.as_deref(), None | Some("" | "0" | "false")),
        "ShouldBeGreaterThan" => beside(0, f64::gt),
        "ShouldBeGreaterThanOrEqualTo" => beside(0, f64::ge),
        "ShouldBeLessThan" => beside(0, f64::lt),
        "ShouldBeLessThanOrEqualTo" => beside(0, f64::le),
        "ShouldBeBetween" => beside(0, f64::gt) && beside(1, f64::lt),
        "ShouldNotBeBetween" => !(beside(0, f64::gt) && beside(1, f64::lt)),
        "ShouldBeBetweenOrEqual" => beside(0, f64::ge) && beside(1, f64::le),
        "ShouldNotBeBetweenOrEqual" => !(beside(0, f64::ge) && beside(1, f64::le)),
        "ShouldContain" => match list {
            Some(l) => l.iter().any(|i| equal(i, first)),
            None => text.as_deref() == Some(first),
        },
        "ShouldNotContain" => list.is_some_and(|l| !l.iter().any(|i| equal(i, first))),
        "ShouldContainKey" => actual
            .as_ref()
            .and_then(Json::as_object)
            .is_some_and(|o| o.contains_key(first)),
        "ShouldNotContainKey" => actual
            .as_ref()
            .and_then(Json::as_object)
            .is_some_and(|o| !o.contains_key(first)),
        "ShouldBeIn" => expected.iter().any(|e| text.as_ref() == Some(e)),
        "ShouldNotBeIn" => !expected.iter().any(|e| text.as_ref() == Some(e)),
        "ShouldBeEmpty" => empty(),
        "ShouldNotBeEmpty" => !empty(),
        "ShouldHaveLength" => len() == first.parse().ok(),
        "ShouldStartWith" => has(&|s| s.starts_with(first)),
        "ShouldNotStartWith" => has(&|s| !s.starts_with(first)),
        "ShouldEndWith" => has(&|s| s.ends_with(first)),
        "ShouldNotEndWith" => has(&|s| !s.ends_with(first)),
        "ShouldBeBlank" => text.as_deref() == Some(""),
        "ShouldNotBeBlank" => has(&|s| !s.is_empty()),
        "ShouldContainSubstring" => has(&|s| s.contains(&expected.join(" "))),
        "ShouldNotContainSubstring" => has(&|s| !s.contains(&expected.join(" "))),
        "ShouldEqualTrimSpace" => has(&|s| s.trim() == expected.join(" ")),
        "ShouldMatchRegex" => has(&|s| regex::Regex::new(first).unwrap().is_match(s)),
        "ShouldHappenBefore" => at.zip(time(0)).is_some_and(|(a, b)| a < b),
        "ShouldHappenOnOrBefore" => at.zip(time(0)).is_some_and(|(a, b)| a <= b),
        "ShouldHappenAfter" => at.zip(time(0)).is_some_and(|(a, b)| a > b),
        "ShouldHappenOnOrAfter" => at.zip(time(0)).is_some_and(|(a, b)| a >= b),
        "ShouldHappenBetween" => at
            .zip(time(0))
            .zip(time(1))
            .is_some_and(|((a, b), c)| a > b && a < c),
        "ShouldTimeEqual" => at.zip(time(0)).is_some_and(|(a, b)| a == b),
        "ShouldJSONEqual" => actual.as_ref().is_some_and(|a| json_equal(a, first)),
        "ShouldNotJSONEqual" => !actual.as_ref().is_some_and(|a| json_equal(a, first)),
        "ShouldJSONContain" => list.is_some_and(|l| l.iter().any(|i| json_equal(i, first))),
        "ShouldNotJSONContain" => list.is_some_and(|l| !l.iter().any(|i| json_equal(i, first))),
        "ShouldJSONContainWithKey" => keyed(&|v| json_equal(v, second)).contains(&true),
        "ShouldJSONContainAllWithKey" => !keyed(&|v| json_equal(v, second)).contains(&false),
        "ShouldNotJSONContainWithKey" => !keyed(&|v| json_equal(v, second)).contains(&true),
        "ShouldBeArray" => list.is_some(),
        "ShouldBeMap" => actual.as_ref().is_some_and(Json::is_object),
        other => return Err(format!("Venom has no {other}")),
    })
}
