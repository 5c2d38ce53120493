//! Further releases within the commands' reach, and the image that all of them work in.

use serde_json::{Value, json};

use super::settings::Stated;
use super::{base, decided, release};
use crate::catalog::{Catalog, Toolchain};
use crate::model::failure::{Failure, FailureCode};
use crate::model::origin::{Decision, Origin};
use crate::model::plan::PlannedExtra;
use crate::toolchain::definition::Release;
use crate::toolchain::findings::Findings;

/// Where commands see what was taken out of other build images.
const DIRECTORY: &str = "/slipway/extras";

/// What was decided.
pub(super) struct Extras {
    /// The image that commands run in.
    pub(super) image: Option<String>,
    /// What is taken out of other images; the build's own release too, where commands run in another's image.
    pub(super) planned: Vec<PlannedExtra>,
    /// The build's own release where commands see it; empty where it is the image's.
    pub(super) home: String,
    /// The releases of the toolchain, for its templates: `names` and `home`, the build's own first.
    pub(super) homes: Vec<Value>,
    pub(super) decision: Option<Decision>,
}

/// One release that was asked for.
struct Wanted<'a> {
    toolchain: &'a Toolchain,
    release: &'a Release,
    origin: Origin,
}

/// Decides what `toolchain.extras` and the manifests ask for.
///
/// # Errors
/// `version_unknown` with what there is.
pub(super) fn choose(
    stated: &Stated,
    findings: &Findings,
    toolchain: &Toolchain,
    own: Option<&Release>,
    catalog: &Catalog,
) -> Result<Extras, Failure> {
    let mut wanted = wanted(stated, findings, toolchain, catalog)?;
    wanted.retain(|one| !own.is_some_and(|own| std::ptr::eq(own, one.release)));
    let build_image = |release: &Release| -> Result<Option<String>, Failure> {
        release.build.as_deref().map(|name| Ok(base::base(catalog, name)?.reference.clone())).transpose()
    };
    // All of them work in the image with the newest C library; the build's own, if it is none too old.
    let newest = wanted.iter().map(|one| one.release).fold(own, |newest, other| match newest {
        Some(newest) if newest.libc >= other.libc => Some(newest),
        _ => Some(other),
    });
    let mut planned = Vec::new();
    for one in &wanted {
        planned.extend(taken(one.toolchain, one.release, build_image(one.release)?));
    }
    let mut home = String::new();
    if let (Some(own), Some(newest)) = (own, newest)
        && !std::ptr::eq(own, newest)
        && let Some(extra) = taken(toolchain, own, build_image(own)?)
    {
        home.clone_from(&extra.home);
        planned.push(extra);
    }
    let homes = homes(toolchain, own, &home, &wanted);
    let decision = wanted.first().map(|first| {
        let names: Vec<_> = wanted.iter().filter_map(|one| name(one.toolchain, one.release)).collect();
        decided("toolchain.extras", json!(names), first.origin.clone())
    });
    let image = newest.map(build_image).transpose()?.flatten();
    Ok(Extras { image, planned, home, homes, decision })
}

fn wanted<'a>(
    stated: &Stated,
    findings: &Findings,
    toolchain: &'a Toolchain,
    catalog: &'a Catalog,
) -> Result<Vec<Wanted<'a>>, Failure> {
    let mut all = Vec::new();
    let asked = stated.value.toolchain.extras.iter().flatten();
    let origin = stated.origin("toolchain.extras").cloned().unwrap_or_else(|| Origin::default("toolchain.extras"));
    for name in asked {
        let found = catalog.toolchains.values().find_map(|toolchain| {
            let prefix = format!("{}-", toolchain.definition.extra.as_ref()?.name);
            Some((toolchain, release::find(name.strip_prefix(&prefix)?, &toolchain.definition)?))
        });
        let (toolchain, release) = found.ok_or_else(|| unknown(name, &origin, catalog))?;
        all.push(Wanted { toolchain, release, origin: origin.clone() });
    }
    for found in &findings.extras {
        let Some(extra) = &toolchain.definition.extra else { continue };
        let name = format!("{}-{}", extra.name, found.value);
        let release = release::find(&found.value, &toolchain.definition);
        let release = release.ok_or_else(|| unknown(&name, &found.origin, catalog))?;
        all.push(Wanted { toolchain, release, origin: found.origin.clone() });
    }
    let mut seen: Vec<&Release> = Vec::new();
    all.retain(|one| {
        let new = !seen.iter().any(|release| std::ptr::eq(*release, one.release));
        seen.push(one.release);
        new
    });
    Ok(all)
}

fn name(toolchain: &Toolchain, release: &Release) -> Option<String> {
    Some(format!("{}-{}", toolchain.definition.extra.as_ref()?.name, release.version))
}

fn taken(toolchain: &Toolchain, release: &Release, image: Option<String>) -> Option<PlannedExtra> {
    let name = name(toolchain, release)?;
    Some(PlannedExtra {
        home: format!("{DIRECTORY}/{name}"),
        name,
        version: release.version.to_string(),
        image: image?,
        recipe: toolchain.definition.extra.clone()?,
        aliases: release.aliases.clone(),
        host: toolchain.definition.host.clone(),
    })
}

fn homes(toolchain: &Toolchain, own: Option<&Release>, home: &str, wanted: &[Wanted<'_>]) -> Vec<Value> {
    let Some(extra) = &toolchain.definition.extra else { return Vec::new() };
    let names = |release: &Release| {
        std::iter::once(release.version.to_string()).chain(release.aliases.iter().cloned()).collect::<Vec<_>>()
    };
    let own = own.map(|own| {
        let home = if home.is_empty() { &extra.home } else { home };
        json!({ "names": names(own), "home": home })
    });
    let same = wanted.iter().filter(|one| std::ptr::eq(one.toolchain, toolchain));
    let others = same.filter_map(|one| {
        let home = format!("{DIRECTORY}/{}", name(one.toolchain, one.release)?);
        Some(json!({ "names": names(one.release), "home": home }))
    });
    own.into_iter().chain(others).collect()
}

fn unknown(name: &str, origin: &Origin, catalog: &Catalog) -> Failure {
    let all = catalog.toolchains.values();
    let offered: Vec<String> = all
        .flat_map(|toolchain| toolchain.definition.releases.iter().filter_map(|release| self::name(toolchain, release)))
        .collect();
    let message = format!("there is no `{name}` to give to the build ({origin}); there are {}", offered.join(", "));
    let failure = Failure::new(FailureCode::VersionUnknown, message).candidates(offered);
    match &origin.path {
        Some(path) => failure.at(path, origin.line),
        None => failure,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::catalog::{Operator, embedded};
    use crate::model::origin::Found;
    use crate::model::settings::Settings;

    fn chosen(own: &str, extras: &[&str], manifests: &[&str]) -> Result<Extras, Failure> {
        let catalog = Catalog::from_files(&embedded(), Operator::default()).unwrap();
        let toolchain = &catalog.toolchains[concat!("ma", "ven")];
        let mut settings = Settings::default();
        settings.toolchain.extras = Some(extras.iter().map(|name| (*name).to_owned()).collect());
        let stated = Stated { value: settings, origins: BTreeMap::new(), warnings: Vec::new() };
        let found = manifests.iter().map(|version| Found::new((*version).to_owned(), Origin::default("a manifest")));
        let findings = Findings { extras: found.collect(), ..Findings::default() };
        choose(&stated, &findings, toolchain, release::find(own, &toolchain.definition), &catalog)
    }

    fn names(extras: &Extras) -> Vec<&str> {
        extras.planned.iter().map(|extra| extra.name.as_str()).collect()
    }

    #[test]
    fn alone_a_release_is_its_image_s() {
        let alone = chosen("17", &[], &["17"]).unwrap();
        assert_eq!((names(&alone), alone.home.as_str(), alone.decision.is_none()), (vec![], "", true));
        assert_eq!(alone.image.as_deref(), Some("slipway/build-jdk-17:latest"));
        assert_eq!(alone.homes, [json!({ "names": ["17"], "home": "/usr/lib/jvm/default" })]);
    }

    #[test]
    fn several_meet_in_the_image_with_the_newest_c_library() {
        let both = chosen("17", &["jdk-8"], &["1.8"]).unwrap();
        assert_eq!(both.image.as_deref(), Some("slipway/build-jdk-8:latest"));
        assert_eq!((names(&both), both.home.as_str()), (vec!["jdk-8", "jdk-17"], "/slipway/extras/jdk-17"));
        assert_eq!(both.homes[1], json!({ "names": ["8", "1.8"], "home": "/slipway/extras/jdk-8" }));
        let other = chosen("8", &[], &["17"]).unwrap();
        assert_eq!(other.image.as_deref(), Some("slipway/build-jdk-8:latest"));
        assert_eq!((names(&other), other.home.as_str()), (vec!["jdk-17"], ""));
    }

    #[test]
    fn what_is_not_there_is_said_with_what_is() {
        for (extras, manifests) in [(&["jdk-6"][..], &[][..]), (&["node-20"], &[]), (&[], &["6"])] {
            let failure = chosen("17", extras, manifests).map(|_| ()).unwrap_err();
            assert_eq!(failure.code, FailureCode::VersionUnknown);
            assert!(failure.candidates.contains(&"jdk-21".to_owned()), "{failure:?}");
        }
    }
}
