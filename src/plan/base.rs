//! The images that images are made of: names of the catalogue, references, and the mirrors of their registries.

use super::{Facts, decided};
use crate::catalog::{BaseImage, Catalog};
use crate::model::failure::{Failure, FailureCode};
use crate::model::image_reference::ImageReference;
use crate::model::origin::{Decision, Origin};

/// The repository of the catalogue's images that have no other home.
const OWN: &str = "docker.io/slipway/";

/// The image that is used where one was named.
#[derive(Debug)]
pub(super) struct Resolved {
    pub(super) image: BaseImage,
    /// Why it is another than the one that was named.
    pub(super) why: Option<String>,
}

/// The base image of a name of the catalogue, or of a reference.
pub(super) fn base(catalog: &Catalog, name: &str) -> Result<BaseImage, Failure> {
    if let Some(image) = catalog.base_images.get(name) {
        return Ok(image.clone());
    }
    if !name.contains(['/', ':']) {
        let message = format!("the catalogue has no base image `{name}`");
        return Err(Failure::new(FailureCode::PlanInvalid, message)
            .hint("set `image.base` to one of those that are named, or to a full reference")
            .candidates(catalog.base_images.keys().cloned()));
    }
    Ok(resolve(catalog, name)?.image)
}

/// What stands for a reference here: the catalogue's image for `slipway/NAME`, the mirror's for a registry that has
/// one, else the image itself.
///
/// # Errors
/// `plan_invalid` where it is no reference.
pub(super) fn resolve(catalog: &Catalog, named: &str) -> Result<Resolved, Failure> {
    let invalid = |error: &dyn std::fmt::Display| Failure::new(FailureCode::PlanInvalid, error.to_string());
    let reference = ImageReference::familiar(named).map_err(|error| invalid(&error))?;
    if let Some(name) = reference.name().strip_prefix(OWN) {
        let moves = reference.tag().is_none_or(|tag| tag.as_str() == "latest") && reference.digest().is_none();
        return Ok(match catalog.base_images.get(name).filter(|_| moves) {
            Some(image) => {
                let why = (image.reference != named).then(|| format!("`images.lock` pins the base image `{name}`"));
                Resolved { image: image.clone(), why }
            }
            None => as_it_is(named, &reference),
        });
    }
    let Some(mirror) = catalog.operator.image_mirrors.get(reference.registry()) else {
        return Ok(as_it_is(named, &reference));
    };
    let (registry, prefix) = mirror.trim_end_matches('/').split_once('/').unwrap_or((mirror.trim_end_matches('/'), ""));
    let repository = format!("{prefix}/{}", reference.repository());
    let mirrored = ImageReference::new(
        registry,
        repository.trim_start_matches('/'),
        // Without any, a pull means `latest`.
        reference.tag().cloned().or_else(|| if reference.digest().is_none() { "latest".parse().ok() } else { None }),
        reference.digest().cloned(),
    );
    let mirrored = mirrored.map_err(|error| {
        let message = format!("`mirrors.images` has `{mirror}` for `{}`: {error}", reference.registry());
        Failure::new(FailureCode::ConfigurationInvalid, message)
    })?;
    let why = format!("`{mirror}` stands for `{}` (`mirrors.images`)", reference.registry());
    Ok(Resolved { why: Some(why), ..as_it_is(&mirrored.to_string(), &mirrored) })
}

/// An image that is used as it was named; its digest is known where the name says it.
fn as_it_is(named: &str, reference: &ImageReference) -> Resolved {
    let digest = reference.digest().map(ToString::to_string);
    Resolved { image: BaseImage { reference: named.to_owned(), digest, ..BaseImage::default() }, why: None }
}

/// Refuses an image that the operator does not let own Dockerfiles use.
///
/// # Errors
/// `toolchain_forbidden`, naming the image and what is allowed.
pub(super) fn may_be_used(catalog: &Catalog, named: &str, resolved: &Resolved) -> Result<(), Failure> {
    let Some(patterns) = &catalog.operator.own_dockerfile_bases else { return Ok(()) };
    let image = &resolved.image.reference;
    let full = ImageReference::familiar(image).map(|reference| reference.to_string()).unwrap_or_default();
    if patterns.iter().any(|pattern| matches(pattern, image) || matches(pattern, &full)) {
        return Ok(());
    }
    let shown = if image == named { format!("`{named}`") } else { format!("`{named}`, which is `{image}` here,") };
    let message = format!("own Dockerfiles may not use the image {shown}");
    Err(Failure::new(FailureCode::ToolchainForbidden, message)
        .hint(
            "use one that a pattern of the operator's `build.own_dockerfile_bases` allows, or ask for another pattern",
        )
        .candidates(patterns.clone()))
}

/// Whether a text fits a pattern, in which `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return text.ends_with(part);
        }
        let Some(at) = text.find(part) else { return false };
        text = &text[at + part.len()..];
    }
    true
}

/// Chooses the run image: stated, of the application's shape, of the release, or the toolchain's.
pub(super) fn run_image(facts: &Facts<'_>, decisions: &mut Vec<Decision>) -> Result<(String, BaseImage), Failure> {
    let definition = &facts.toolchain.definition;
    let by_shape = definition.run.get(&facts.findings.shape);
    let by_release = facts.release.release.and_then(|release| release.run.as_ref());
    let (name, origin) = match (&facts.settings.value.image.base, by_shape, by_release) {
        (Some(name), ..) => (
            name.clone(),
            facts.settings.origin("image.base").cloned().unwrap_or_else(|| Origin::default("image.base")),
        ),
        (None, Some(name), _) => {
            (name.clone(), Origin::default(format!("run image of the shape `{}`", facts.findings.shape)))
        }
        (None, None, Some(name)) => (
            name.clone(),
            Origin::default(format!(
                "run image of {} {}",
                definition.title,
                facts.release.version.as_deref().unwrap_or_default()
            )),
        ),
        (None, None, None) => (
            definition.run.get("").cloned().unwrap_or_else(|| "debian".into()),
            Origin::default(format!("run image of {}", definition.title)),
        ),
    };
    decisions.push(decided("image.base", name.clone(), origin));
    let image = base(facts.catalog, &name)?;
    Ok((name, image))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog() -> Catalog {
        let mut catalog = Catalog::default();
        let image = BaseImage { reference: "slipway/debian:0123456789ab".into(), ..BaseImage::default() };
        catalog.base_images.insert("debian".into(), image);
        catalog.operator.image_mirrors.insert("docker.io".into(), "harbor.example.com/hub".into());
        catalog
    }

    #[test]
    fn a_reference_is_taken_from_where_the_operator_says() {
        let digest = format!("sha256:{}", "0".repeat(64));
        for (named, used) in [
            ("redis", "harbor.example.com/hub/library/redis:latest".to_owned()),
            ("docker.io/bitnami/redis:7", "harbor.example.com/hub/bitnami/redis:7".to_owned()),
            (&format!("redis@{digest}"), format!("harbor.example.com/hub/library/redis@{digest}")),
            ("quay.io/a/b:1", "quay.io/a/b:1".to_owned()),
            ("slipway/debian", "slipway/debian:0123456789ab".to_owned()),
            ("slipway/debian:latest", "slipway/debian:0123456789ab".to_owned()),
            ("slipway/debian:abc", "slipway/debian:abc".to_owned()),
        ] {
            let resolved = resolve(&catalog(), named).unwrap();
            assert_eq!(resolved.image.reference, used, "{named}");
            assert_eq!(resolved.why.is_some(), used != named, "{named}");
        }
        assert_eq!(resolve(&catalog(), &format!("a.b/c@{digest}")).unwrap().image.digest, Some(digest));
        assert_eq!(resolve(&catalog(), "A B").unwrap_err().code, FailureCode::PlanInvalid);
    }

    #[test]
    fn only_the_catalogue_names_a_layout() {
        let mut catalog = catalog();
        let image = BaseImage { reference: "oci:/srv/images:jre".into(), ..BaseImage::default() };
        catalog.base_images.insert("jre".into(), image);
        for named in ["jre", "slipway/jre", "slipway/jre:latest"] {
            assert_eq!(base(&catalog, named).unwrap().reference, "oci:/srv/images:jre", "{named}");
        }
        for named in ["oci:/srv/images:jre", "oci:/etc", "oci:/srv/images"] {
            assert_eq!(base(&catalog, named).unwrap_err().code, FailureCode::PlanInvalid, "{named}");
        }
    }

    #[test]
    fn a_list_of_bases_is_a_list_of_patterns() {
        let mut catalog = catalog();
        let used = |catalog: &Catalog, named: &str| may_be_used(catalog, named, &resolve(catalog, named).unwrap());
        assert!(used(&catalog, "redis").is_ok());
        catalog.operator.own_dockerfile_bases =
            Some(vec!["slipway/*".into(), "harbor.example.com/hub/*/redis:7*".into()]);
        for good in ["slipway/debian", "redis:7", "redis:7.4"] {
            assert!(used(&catalog, good).is_ok(), "{good}");
        }
        for bad in ["redis:6", "mysql", "quay.io/slipway/x:1", "harbor.example.com/hub/redis:7"] {
            let failure = used(&catalog, bad).unwrap_err();
            assert_eq!((failure.code, failure.candidates.len()), (FailureCode::ToolchainForbidden, 2), "{bad}");
        }
    }
}
