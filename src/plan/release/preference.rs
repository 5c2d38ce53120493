//! Which of several releases that all manifests allow is taken.

use jiff::ToSpan as _;
use jiff::civil::Date;

use crate::model::origin::Origin;
use crate::toolchain::definition::{Choose, Definition, Release};
use crate::toolchain::findings::Findings;
use crate::toolchain::version::Demand;

/// The release to take of those that are allowed, and what spoke for it where it is neither a demand nor the default.
///
/// A suggestion of the repository wins; then the age of its pinned dependencies, since what was pinned before a release
/// came out was never tried with it, and has no wheels for it; then the default, then the newest.
pub(super) fn among<'a>(
    allowed: &[&'a Release],
    default: &'a Release,
    definition: &'a Definition,
    findings: &Findings,
) -> Option<(&'a Release, Option<Origin>)> {
    let newest = || allowed.iter().max_by(|a, b| a.version.cmp(&b.version)).copied();
    let default = allowed.iter().find(|release| release.version == default.version).copied();
    // Upper bounds alone say nothing about how old it may be.
    let bounded = findings.versions.iter().any(|found| matches!(found.value, Demand::Exactly(_) | Demand::AtLeast(_)));
    let release = match definition.choose {
        _ if findings.versions.is_empty() => default.or_else(newest),
        Choose::Newest => newest(),
        Choose::Oldest if !bounded => default.or_else(newest),
        Choose::Oldest => allowed.iter().min_by(|a, b| a.version.cmp(&b.version)).copied(),
        Choose::Default => default.or_else(newest),
    }?;
    if allowed.len() == 1 {
        return Some((release, None));
    }
    let found = suggested(allowed, definition, findings).or_else(|| {
        let (limited, release, limit) = limited(allowed, release, findings);
        aged(&limited, release, definition, findings).or_else(|| limit.map(|origin| (release, origin)))
    });
    Some(found.map_or((release, None), |(release, origin)| (release, Some(origin))))
}

/// The next offered release of the same major version, where an exact one is not offered. Where pinned dependencies do not
/// know that one, or other manifests forbid it, the nearest that they allow, be it an earlier one.
pub(super) fn stand_in<'a>(demand: &Demand, definition: &'a Definition, findings: &Findings) -> Option<&'a Release> {
    let Demand::Exactly(version) = demand else { return None };
    if !definition.substitute || definition.releases.iter().any(|release| demand.allows(&release.version)) {
        return None;
    }
    let same_major = |release: &&Release| release.version.parts().first() == version.parts().first();
    let all = || definition.releases.iter().filter(same_major);
    let later = || all().filter(|release| release.version > *version);
    let known = |release: &&Release| findings.limits.iter().all(|limit| limit.value.allows(&release.version));
    let ranges = |release: &&Release| {
        findings
            .versions
            .iter()
            .filter(|found| !matches!(found.value, Demand::Exactly(_)))
            .all(|found| found.value.allows(&release.version))
    };
    let nearest = later().filter(known).filter(ranges).min_by(|a, b| a.version.cmp(&b.version));
    let before = || all().filter(|release| release.version < *version).filter(known).filter(ranges);
    nearest
        .or_else(|| before().max_by(|a, b| a.version.cmp(&b.version)))
        .or_else(|| later().min_by(|a, b| a.version.cmp(&b.version)))
}

/// How a release stands to the one that it stands in for.
pub(super) fn relation(asked: &Demand, release: &Release) -> &'static str {
    match asked {
        Demand::Exactly(version) if release.version < *version => "the last before it, as others know no later one",
        _ => "the next that is",
    }
}

fn suggested<'a>(
    allowed: &[&'a Release],
    definition: &'a Definition,
    findings: &Findings,
) -> Option<(&'a Release, Origin)> {
    findings.suggestions.iter().find_map(|found| {
        let mut origin = found.origin.clone();
        let exact = allowed.iter().copied().find(|release| found.value.allows(&release.version));
        let stand_in =
            stand_in(&found.value, definition, findings).filter(|one| allowed.iter().any(|a| a.version == one.version));
        if let (None, Some(one)) = (exact, stand_in) {
            let relation = relation(&found.value, one);
            origin.detail = format!("{} names {}, which is not offered; {relation}", origin.detail, found.value);
        }
        exact.or(stand_in).map(|release| (release, origin))
    })
}

/// The releases within what dependencies work with, the one to take of them, and the limit that changed the choice.
fn limited<'a>(
    allowed: &[&'a Release],
    otherwise: &'a Release,
    findings: &Findings,
) -> (Vec<&'a Release>, &'a Release, Option<Origin>) {
    let works = |release: &&&Release| findings.limits.iter().all(|limit| limit.value.allows(&release.version));
    let mut within: Vec<&Release> = allowed.iter().filter(works).copied().collect();
    if within.is_empty() {
        // None will do; the oldest is the nearest.
        within.extend(allowed.iter().min_by(|a, b| a.version.cmp(&b.version)));
    }
    if within.iter().any(|release| release.version == otherwise.version) {
        return (within, otherwise, None);
    }
    let newest = within.iter().max_by(|a, b| a.version.cmp(&b.version)).copied().unwrap_or(otherwise);
    let strict = findings.limits.iter().filter(|limit| !limit.value.allows(&otherwise.version));
    let strictest = strict.min_by_key(|limit| match &limit.value {
        Demand::Below(version) => version.clone(),
        _ => otherwise.version.clone(),
    });
    (within, newest, strictest.map(|limit| limit.origin.clone()))
}

/// The newest release that had settled when the dependencies were pinned; the oldest where none had.
fn aged<'a>(
    allowed: &[&'a Release],
    otherwise: &Release,
    definition: &Definition,
    findings: &Findings,
) -> Option<(&'a Release, Origin)> {
    let (found, days) = (findings.pinned.as_ref()?, definition.settled_after_days?);
    let day = jiff::Timestamp::from_second(found.value).ok()?.to_zoned(jiff::tz::TimeZone::UTC).date();
    let settled = |released: Date| released.checked_add(i64::from(days).days()).is_ok_and(|settled| settled <= day);
    let old_enough = |release: &&Release| release.released.is_none_or(settled) && release.version <= otherwise.version;
    let newest = allowed.iter().copied().filter(old_enough).max_by(|a, b| a.version.cmp(&b.version));
    let release = newest.or_else(|| allowed.iter().min_by(|a, b| a.version.cmp(&b.version)).copied())?;
    if release.version == otherwise.version {
        return None;
    }
    let mut origin = found.origin.clone();
    origin.detail = match newest {
        Some(_) => format!("{} on {day}; no later release had been out for {days} days then", origin.detail),
        None => format!("{} on {day}, before any release that is offered; the oldest", origin.detail),
    };
    Some((release, origin))
}
