//! From a configuration that fails to a small one that does.

use super::path::{Path, Purpose, Stop};
use super::set::Set;
use super::split::{Depth, Suspects, split};
use super::table::Level;
use super::verdict::Verdict;
use super::view::View;

/// How many parts are tried for a clear verdict before an unclear one is taken as it is.
const TRIES: usize = 3;

/// A small set of units which holds `base` and fails, of `whole`, which fails and holds it, too.
///
/// Again and again one unit is found without which a configuration does not fail, and is kept,
/// until what is kept fails by itself.
pub(super) fn reduce(
    path: &mut Path<'_>,
    view: &View<'_>,
    base: &Set,
    whole: &Set,
) -> Result<Set, Stop> {
    let (mut kept, mut whole) = (base.clone(), whole.clone());
    loop {
        kept = view.close(&kept, &path.needs).and(&whole);
        if kept == whole {
            return Ok(kept);
        }
        let config = view.atoms(&kept);
        let verdict = path.ask(&config, (Purpose::Alone, 0.5), Level::Search)?;
        if verdict == Verdict::Same {
            return Ok(kept);
        }
        let suspects = whole.minus(&kept);
        let (held, found) = critical(path, view, (&kept, verdict), &suspects)?;
        whole = held.or(&found);
        kept = view.grain.close(&kept.or(&found)).and(&whole);
    }
}

/// The one unit among the suspects that makes what is held fail, once others of them are held.
///
/// What is held never fails, and always fails with the suspects: by halves only one is left. A
/// part which gives no clear verdict is put aside for another, since what it lacks is among the
/// rest; when no other is likelier to be judged, it is held, for it does not fail as it should.
fn critical(
    path: &mut Path<'_>,
    view: &View<'_>,
    (held, verdict): (&Set, Verdict),
    suspects: &Set,
) -> Result<(Set, Set), Stop> {
    let (mut held, mut suspects) = (held.clone(), suspects.clone());
    let mut clear = verdict.is_clear();
    let mut depth = Depth::new(view, &suspects);
    while suspects.len() > 1 {
        let mut tried: Vec<Set> = Vec::new();
        let mut answer = None;
        while tried.len() < if clear { TRIES } else { 1 } && answer.is_none() {
            let of = Suspects {
                held: &held,
                suspects: &suspects,
                depth,
                clear,
            };
            let Some(part) = split(view, of, &path.needs, &tried) else {
                break;
            };
            let likely = view.weight(part.iter()) / view.weight(suspects.iter());
            let asked = (
                Purpose::Narrow,
                if likely.is_finite() { likely } else { 0.5 },
            );
            let config = view.atoms(&held.or(&part));
            let verdict = path.ask(&config, asked, Level::Search)?;
            if verdict.is_clear() {
                answer = Some((part, verdict));
            } else {
                tried.push(part);
            }
        }
        let unclear = tried.into_iter().next();
        let found = answer.or(unclear.map(|part| (part, Verdict::Unresolved)));
        let Some((part, verdict)) = found else {
            break;
        };
        depth.spend();
        if verdict == Verdict::Same {
            suspects = part;
        } else {
            held = held.or(&part);
            suspects = suspects.minus(&part);
            clear = verdict.is_clear();
        }
    }
    Ok((held, suspects))
}
