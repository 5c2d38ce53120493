//! Which release of the toolchain builds and runs the application.

mod preference;

use serde_json::json;

use super::decided;
use super::settings::Stated;
use crate::model::failure::{Failure, FailureCode, Warning};
use crate::model::origin::{Decision, Found, Origin, Rejected};
use crate::toolchain::definition::{Choose, Definition, Release};
use crate::toolchain::findings::Findings;
use crate::toolchain::version::{Demand, Version};

/// The release that was chosen; none where the toolchain has no releases.
pub(super) struct Chosen<'a> {
    pub(super) release: Option<&'a Release>,
    pub(super) version: Option<String>,
    pub(super) decision: Option<Decision>,
    pub(super) warnings: Vec<Warning>,
}

/// The release that somebody stated, or the one that satisfies all manifests.
pub(super) fn choose<'a>(
    stated: &Stated,
    definition: &'a Definition,
    findings: &Findings,
    as_of: &str,
) -> Result<Chosen<'a>, Failure> {
    if definition.releases.is_empty() {
        return Ok(Chosen { release: None, version: None, decision: None, warnings: Vec::new() });
    }
    let origin =
        stated.origin("toolchain.version").filter(|origin| origin.kind != crate::model::origin::OriginKind::Default);
    let mut warnings = Vec::new();
    let (release, mut decision) = match (&stated.value.toolchain.version, origin) {
        (Some(version), Some(origin)) => as_stated(version, origin, definition, findings)?,
        (default, _) => as_demanded(default.as_deref(), definition, findings, &mut warnings)?,
    };
    decision.rejected.extend(findings.outvoted.iter().cloned());
    warnings.extend(end_of_life(release, definition, as_of, &decision.origin, findings));
    warnings.extend(outgrown(release, definition, findings));
    warnings.extend(patched(release, definition, findings));
    warnings.extend(assumed(release, definition, &decision.origin));
    let version = Some(release.version.to_string());
    Ok(Chosen { release: Some(release), version, decision: Some(decision), warnings })
}

fn as_stated<'a>(
    version: &str,
    origin: &Origin,
    definition: &'a Definition,
    findings: &Findings,
) -> Result<(&'a Release, Decision), Failure> {
    let release = find(version, definition).ok_or_else(|| unknown(version, origin, definition))?;
    let rejected = findings.versions.iter().filter(|found| !found.value.allows(&release.version));
    let decision = Decision {
        rejected: rejected
            .map(|found| Rejected {
                value: json!(found.value.to_string()),
                origin: found.origin.clone(),
                why: format!("{origin} wins over what manifests say"),
            })
            .collect(),
        ..decided("toolchain.version", release.version.to_string(), origin.clone())
    };
    Ok((release, decision))
}

fn as_demanded<'a>(
    operator: Option<&str>,
    definition: &'a Definition,
    findings: &Findings,
    warnings: &mut Vec<Warning>,
) -> Result<(&'a Release, Decision), Failure> {
    let default_origin = match operator {
        Some(_) => Origin::default("the operator's defaults: toolchain.version"),
        None => by_default(definition),
    };
    let default = operator.or(definition.default.as_deref());
    let default =
        default.map(|version| find(version, definition).ok_or_else(|| unknown(version, &default_origin, definition)));
    let default = default.transpose()?.or(definition.releases.last());
    let Some(default) = default else {
        return Err(Failure::new(FailureCode::ConfigurationInvalid, "a toolchain without releases"));
    };
    let demands = findings.versions.iter().map(|found| substituted(found, definition, findings, warnings));
    let demands = demands.collect::<Vec<_>>();
    let allowed: Vec<_> = definition
        .releases
        .iter()
        .filter(|release| demands.iter().all(|found| allows(definition, &found.value, release)))
        .collect();
    // An installer refuses a patch before the one that is asked for.
    let whole: Vec<_> =
        allowed.iter().copied().filter(|release| patched(release, definition, findings).is_none()).collect();
    let allowed = if whole.is_empty() { allowed } else { whole };
    let preferred = preference::among(&allowed, default, definition, findings);
    let (release, preference) = preferred.ok_or_else(|| impossible(definition, findings))?;
    // The demand that decided: the one that the chosen release answers most narrowly.
    let deciding = demands.iter().max_by_key(|found| narrowness(&found.value));
    let deciding = deciding.map_or(default_origin, |found| origin_of(found, release));
    let others = demands.iter().filter(|found| preference.is_some() || origin_of(found, release) != deciding);
    let mut rejected: Vec<_> =
        others.filter(|found| differs(&found.value, &release.version)).map(|found| outbid(found, release)).collect();
    let chosen_by = preference.as_ref().map(|found| &found.path);
    rejected.extend(findings.suggestions.iter().filter(|found| Some(&found.origin.path) != chosen_by).map(|found| {
        let why = if found.value.allows(&release.version) { "it is the same" } else { "others speak against it" };
        Rejected { value: json!(found.value.to_string()), origin: found.origin.clone(), why: why.into() }
    }));
    let origin = preference.unwrap_or(deciding);
    Ok((release, Decision { rejected, ..decided("toolchain.version", release.version.to_string(), origin) }))
}

/// An exact demand of a release that is not offered, as one of the next that is; said so in a warning.
fn substituted(
    found: &Found<Demand>,
    definition: &Definition,
    findings: &Findings,
    warnings: &mut Vec<Warning>,
) -> Found<Demand> {
    let Some(release) = preference::stand_in(&found.value, definition, findings) else { return found.clone() };
    let message = format!(
        "{} {} is not offered: {} stands in for it ({})",
        definition.title, found.value, release.version, found.origin
    );
    let hint = format!("move to {0}, or ask the operator to offer the release", release.version);
    let warning = Warning::new("version_not_offered", message, hint);
    warnings.push(match &found.origin.path {
        Some(path) => warning.at(path, found.origin.line),
        None => warning,
    });
    let mut origin = found.origin.clone();
    let relation = preference::relation(&found.value, release);
    origin.detail = format!("{} asks for {}, which is not offered; {relation}", origin.detail, found.value);
    Found::new(Demand::Exactly(release.version.clone()), origin)
}

/// Whether a release satisfies a demand. Where the oldest that does is chosen, the next later one stands for an exact
/// version that is not offered: 17 for 16.
fn allows(definition: &Definition, demand: &Demand, release: &Release) -> bool {
    let offered = |demand: &Demand| definition.releases.iter().any(|release| demand.allows(&release.version));
    match demand {
        Demand::Exactly(version) if definition.choose == Choose::Oldest && !offered(demand) => {
            release.version >= *version
        }
        demand => demand.allows(&release.version),
    }
}

/// Where the release comes from; a demand that it more than satisfies is quoted, since its line names another version.
fn origin_of(found: &Found<Demand>, release: &Release) -> Origin {
    let mut origin = found.origin.clone();
    if differs(&found.value, &release.version) {
        origin.detail = format!("{} asks for {}", origin.detail, found.value);
    }
    origin
}

/// Exact demands before lower bounds, high lower bounds before low ones, the rest last.
fn narrowness(demand: &Demand) -> (u8, Version) {
    match demand {
        Demand::Exactly(version) => (2, version.clone()),
        Demand::AtLeast(version) => (1, version.clone()),
        Demand::Below(version) | Demand::Not(version) => (0, version.clone()),
    }
}

fn differs(demand: &Demand, release: &Version) -> bool {
    matches!(demand, Demand::AtLeast(version) if !version.within(release))
}

fn outbid(found: &Found<Demand>, release: &Release) -> Rejected {
    Rejected {
        value: json!(found.value.to_string()),
        origin: found.origin.clone(),
        why: format!("satisfied by {} too", release.version),
    }
}

/// The release of this name.
pub(super) fn find<'a>(version: &str, definition: &'a Definition) -> Option<&'a Release> {
    let alias = |release: &&Release| release.aliases.iter().any(|alias| alias == version);
    if let Some(release) = definition.releases.iter().find(alias) {
        return Some(release);
    }
    let version: Version = version.parse().ok()?;
    let exact = definition.releases.iter().find(|release| release.version == version);
    exact.or_else(|| definition.releases.iter().find(|release| version.within(&release.version)))
}

fn offered(definition: &Definition) -> Vec<String> {
    definition.releases.iter().map(|release| release.version.to_string()).collect()
}

fn unknown(version: &str, origin: &Origin, definition: &Definition) -> Failure {
    let offered = offered(definition);
    let message =
        format!("{} has no release `{version}` here ({origin}); there are {}", definition.title, offered.join(", "));
    place(Failure::new(FailureCode::VersionUnknown, message).candidates(offered), origin)
}

fn impossible(definition: &Definition, findings: &Findings) -> Failure {
    let demands: Vec<_> = findings.versions.iter().map(|found| format!("{} ({})", found.value, found.origin)).collect();
    let alone =
        |found: &&Found<Demand>| !definition.releases.iter().any(|release| allows(definition, &found.value, release));
    // `>=3.12,<3.13` is one demand of one line.
    let one_line = findings.versions.windows(2).all(|two| two[0].origin == two[1].origin);
    let offered = offered(definition);
    let unknown = |what: String, origin: &Origin| {
        let there = offered.join(", ");
        Failure::new(
            FailureCode::VersionUnknown,
            format!("{} has no release that is {what} ({origin}); there are {there}", definition.title),
        )
        .hint("Change the line that is named to one of these releases, or set `toolchain.version` in `slipway.toml`.")
    };
    let failure = match (findings.versions.iter().find(alone), findings.versions.first()) {
        (Some(found), _) => unknown(found.value.to_string(), &found.origin),
        (None, Some(first)) if one_line => {
            let values: Vec<_> = findings.versions.iter().map(|found| found.value.to_string()).collect();
            unknown(values.join(" and "), &first.origin)
        }
        (None, _) => Failure::new(
            FailureCode::VersionConflict,
            format!(
                "no release of {} satisfies all of {}; there are {}",
                definition.title,
                demands.join(", "),
                offered.join(", ")
            ),
        ),
    };
    if one_line && let Some(first) = findings.versions.first() {
        return place(failure.candidates(offered), &first.origin);
    }
    findings.versions.iter().fold(failure.candidates(offered), |failure, found| place(failure, &found.origin))
}

fn place(failure: Failure, origin: &Origin) -> Failure {
    match &origin.path {
        Some(path) => failure.at(path, origin.line),
        None => failure,
    }
}

fn by_default(definition: &Definition) -> Origin {
    Origin::default(format!("{}'s default release", definition.title))
}

/// The warning that nobody says a release: another default would build the application by another one.
fn assumed(release: &Release, definition: &Definition, origin: &Origin) -> Option<Warning> {
    if *origin != by_default(definition) {
        return None;
    }
    let message = format!("nothing says which {}: {} is taken, the default", definition.title, release.version);
    let hint = format!(
        "state it, so that a later default changes nothing: `[toolchain]` `version = \"{}\"` in `slipway.toml`",
        release.version
    );
    Some(Warning::new("version_assumed", message, hint))
}

/// The warning about dependencies that are known not to work with the release, where none that they know may be taken.
fn outgrown(release: &Release, definition: &Definition, findings: &Findings) -> Option<Warning> {
    let mut broken = findings.limits.iter().filter(|limit| !limit.value.allows(&release.version));
    let first = broken.next()?;
    let others = match broken.count() {
        0 => String::new(),
        1 => "; so is one more".to_owned(),
        more => format!("; so are {more} more"),
    };
    let message = format!("{} {} is taken, and {}{others}", definition.title, release.version, first.origin.detail);
    let hint = "raise what is pinned, or ask the operator to offer an older release";
    let warning = Warning::new("pins_too_old", message, hint);
    Some(match &first.origin.path {
        Some(path) => warning.at(path, first.origin.line),
        None => warning,
    })
}

/// The warning that a manifest asks for a later patch of the release than the images have (`[facts.patches]`): a lock that was
/// made for it alone leaves out what earlier ones need.
fn patched(release: &Release, definition: &Definition, findings: &Findings) -> Option<Warning> {
    let offered = patch(release, definition)?;
    let later = |found: &&Found<Demand>| match &found.value {
        Demand::Exactly(version) | Demand::AtLeast(version) => version.within(&release.version) && *version > offered,
        Demand::Below(_) | Demand::Not(_) => false,
    };
    let found = findings.versions.iter().find(later)?;
    let message =
        format!("{} {} is asked for ({}), and {offered} is here", definition.title, found.value, found.origin);
    let hint = format!(
        "allow {offered} and lock again, so that the lock has all that it needs, or ask the operator for a later patch"
    );
    let warning = Warning::new("version_patch_later", message, hint);
    Some(match &found.origin.path {
        Some(path) => warning.at(path, found.origin.line),
        None => warning,
    })
}

/// The patch of a release that the images have, where the toolchain says it.
fn patch(release: &Release, definition: &Definition) -> Option<Version> {
    let patches = definition.facts.get("patches").and_then(toml::Value::as_table)?;
    patches.get(&release.version.to_string())?.as_str()?.parse().ok()
}

fn end_of_life(
    release: &Release,
    definition: &Definition,
    as_of: &str,
    origin: &Origin,
    findings: &Findings,
) -> Vec<Warning> {
    // A line that names another release than the one that was taken is not where to change it.
    let elsewhere = findings.versions.iter().any(|found| {
        let same = (&found.origin.path, found.origin.line) == (&origin.path, origin.line);
        same && differs(&found.value, &release.version)
    });
    // ISO dates compare as text.
    let ended = release.end_of_life.as_deref().filter(|day| *day < as_of);
    ended
        .map(|day| {
            let message = format!("{} {} has had no support since {day}", definition.title, release.version);
            let warning = Warning::new("end_of_life", message, "move to a release that is maintained");
            match &origin.path {
                Some(path) if !elsewhere => warning.at(path, origin.line),
                _ => warning,
            }
        })
        .into_iter()
        .collect()
}
