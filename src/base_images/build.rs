//! `base-images build`: brings whoever keeps the images to what `images.toml` says, doing only what is not done.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::context::{self, Host};
use super::definition::{Image, Images, Origin, RootOrigin};
use super::engine::Found;
use super::lock::{Lock, Locked};
use super::maker::{Build, Maker};
use super::{REPOSITORY, inputs, reference, root};
use crate::model::failure::{Failure, FailureCode};
use crate::model::layout_reference::LayoutReference;

/// How to build.
#[derive(Debug, Clone)]
pub struct Options {
    /// What the host lends.
    pub host: Host,
    /// Make root file systems afresh and pull again: packages get their updates.
    pub refresh: bool,
    /// How many images are built at a time.
    pub jobs: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { host: Host::default(), refresh: false, jobs: 2 }
    }
}

/// Builds the named images (all, when none is named; without an Engine only those that applications run on) and what
/// they are based on, unless they are kept from the same inputs. `cache` keeps the archives of root file systems; `progress` gets
/// lines for people. Returns the pinned images, those that are only bases included.
///
/// # Errors
///
/// [`FailureCode::BaseImageMissing`] for an unknown name or an image that cannot be pulled,
/// [`FailureCode::ImageFailed`] with the log's last lines when a build fails,
/// [`FailureCode::EngineUnavailable`], and what making a root file system may say.
pub async fn build(
    images: &Images,
    names: &[String],
    maker: &Maker,
    cache: &Path,
    options: &Options,
    progress: impl Fn(&str) + Sync,
) -> Result<Lock, Failure> {
    let order = order(images, names, maker)?;
    let builder = Builder { images, maker, cache, options, progress: &progress };
    let mut done: BTreeMap<String, Found> = BTreeMap::new();
    for level in levels(images, &order) {
        let found: Vec<(String, Found)> = stream::iter(level)
            .map(|name| builder.bring_about(name, &done))
            .buffer_unordered(options.jobs.max(1))
            .try_collect()
            .await?;
        done.extend(found);
    }
    let mut lock = Lock::new();
    for (name, found) in done {
        lock.images.insert(name.clone(), locked(&name, found));
    }
    Ok(lock)
}

struct Builder<'a> {
    images: &'a Images,
    maker: &'a Maker,
    cache: &'a Path,
    options: &'a Options,
    progress: &'a (dyn Fn(&str) + Sync),
}

impl Builder<'_> {
    async fn bring_about(&self, name: String, done: &BTreeMap<String, Found>) -> Result<(String, Found), Failure> {
        let found = if let Some(image) = self.images.images.get(&name) {
            match image.origin() {
                Origin::Folder(folder) => self.built(&name, image, folder, done).await?,
                Origin::Reference(from) => self.pulled(&name, from).await?,
            }
        } else {
            match self.images.root(&name).map(super::Root::origin) {
                Some(RootOrigin::Suite(suite)) => self.root(&name, suite).await?,
                Some(RootOrigin::Reference(from)) => self.pulled(&name, from).await?,
                None => return Err(Failure::new(FailureCode::BaseImageMissing, format!("there is no `{name}`"))),
            }
        };
        Ok((name, found))
    }

    async fn built(
        &self,
        name: &str,
        image: &Image,
        folder: &str,
        done: &BTreeMap<String, Found>,
    ) -> Result<Found, Failure> {
        let parents: Vec<(String, String)> =
            image.from.iter().filter_map(|(arg, parent)| Some((arg.clone(), done.get(parent)?.identity()))).collect();
        let inputs = inputs::of_image(self.images, image, folder, &parents);
        if let Some(found) = self.up_to_date(name, &inputs).await? {
            return Ok(found);
        }
        (self.progress)(&format!("{name}: building"));
        let mut args: HashMap<String, String> = image.args.clone().into_iter().collect();
        args.extend(image.from.iter().map(|(arg, parent)| (arg.clone(), reference(parent))));
        // Names of proxies are known to Docker: they reach every RUN and stay in none.
        args.extend(self.options.host.proxies.clone());
        let build = Build {
            name,
            reference: &reference(name),
            context: context::tar(self.images, folder, &self.options.host)?,
            dockerfile: format!("{folder}/Dockerfile"),
            args,
            inputs: &inputs,
        };
        self.maker.build(build, self.progress).await?;
        self.finish(name, &inputs).await
    }

    async fn root(&self, name: &str, suite: &str) -> Result<Found, Failure> {
        let inputs = inputs::of_root(suite);
        if !self.options.refresh
            && let Some(found) = self.up_to_date(name, &inputs).await?
        {
            return Ok(found);
        }
        (self.progress)(&format!("{name}: making the root file system"));
        let (suite, options, cache) = (suite.to_owned(), self.options.clone(), self.cache.to_owned());
        let archive =
            tokio::task::spawn_blocking(move || root::archive(&suite, &options.host, &cache, options.refresh))
                .await
                .map_err(|error| Failure::new(FailureCode::Internal, error.to_string()))??;
        self.maker.import(&archive, &format!("{REPOSITORY}/{name}"), &inputs).await?;
        self.finish(name, &inputs).await
    }

    async fn pulled(&self, name: &str, from: &str) -> Result<Found, Failure> {
        if LayoutReference::is_meant(from) {
            let message = format!("`{name}` is the OCI image layout `{from}`, on which no base image can be built");
            return Err(Failure::new(FailureCode::ConfigurationInvalid, message)
                .hint("let `from` name an image of a registry, or one that Slipway builds"));
        }
        if self.options.refresh || self.maker.find(from).await?.is_none() {
            (self.progress)(&format!("{name}: pulling `{from}`"));
            self.maker.pull(from).await?;
        }
        self.maker.tag(from, &format!("{REPOSITORY}/{name}"), "latest").await?;
        self.maker.get(&reference(name)).await
    }

    /// The image, if the Engine has it from these inputs, by whichever of its two tags.
    async fn up_to_date(&self, name: &str, inputs: &str) -> Result<Option<Found>, Failure> {
        for candidate in [reference(name), pinned(name, inputs)] {
            let found = self.maker.find(&candidate).await?;
            if let Some(found) = found.filter(|found| found.inputs.as_deref() == Some(inputs)) {
                if candidate != reference(name) {
                    self.maker.tag(&candidate, &format!("{REPOSITORY}/{name}"), "latest").await?;
                }
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    async fn finish(&self, name: &str, inputs: &str) -> Result<Found, Failure> {
        let repository = format!("{REPOSITORY}/{name}");
        self.maker.tag(&reference(name), &repository, short(inputs)).await?;
        let found = self.maker.get(&reference(name)).await?;
        (self.progress)(&format!("{name}: ready, {}", megabytes(found.size)));
        Ok(found)
    }
}

/// What has to be looked after, parents first. A layout is used where it is, and toolchains run in an Engine alone.
fn order(images: &Images, names: &[String], maker: &Maker) -> Result<Vec<String>, Failure> {
    let mut names = names.to_vec();
    if names.is_empty() && !maker.is_engine() {
        let runs = |(name, image): &(&String, &Image)| !image.internal && !name.starts_with("build-");
        names = images.images.iter().filter(runs).map(|(name, _)| name.clone()).collect();
    }
    let order = images.in_order(&names)?;
    let based_on = |name: &String| {
        let parents = order.iter().filter_map(|other| images.images.get(other)).flat_map(|image| image.from.values());
        parents.into_iter().any(|parent| parent == name)
    };
    let aside = |name: &String| {
        let image = images.images.get(name).map(Image::origin);
        matches!(image, Some(Origin::Reference(from)) if LayoutReference::is_meant(from)) && !based_on(name)
    };
    Ok(order.iter().filter(|name| !aside(name)).cloned().collect())
}

/// The images by how far they are from a root, so that each level needs only the ones before.
fn levels(images: &Images, order: &[String]) -> Vec<Vec<String>> {
    let mut depth: BTreeMap<&str, usize> = BTreeMap::new();
    let mut levels: Vec<Vec<String>> = Vec::new();
    for name in order {
        let parents = images.images.get(name).into_iter().flat_map(|image| image.from.values());
        let level = parents.filter_map(|parent| depth.get(parent.as_str())).map(|parent| parent + 1).max().unwrap_or(0);
        depth.insert(name, level);
        if levels.len() <= level {
            levels.resize_with(level + 1, Vec::new);
        }
        levels[level].push(name.clone());
    }
    levels
}

/// A size for people: whole megabytes, tenths for what is small.
fn megabytes(bytes: u64) -> String {
    if bytes < 10_000_000 {
        format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10)
    } else {
        format!("{} MB", bytes / 1_000_000)
    }
}

fn short(inputs: &str) -> &str {
    inputs.get(..12).unwrap_or(inputs)
}

fn pinned(name: &str, inputs: &str) -> String {
    format!("{REPOSITORY}/{name}:{}", short(inputs))
}

/// The lock's entry for an image that is kept.
pub(super) fn locked(name: &str, found: Found) -> Locked {
    let reference = found.inputs.as_ref().map_or_else(|| reference(name), |inputs| pinned(name, inputs));
    // An image of ours has the digests of wherever it was pushed to; only a pulled one has a home.
    let digest = if found.inputs.is_some() { None } else { found.digests.into_iter().next() };
    Locked { reference, id: found.id, inputs: found.inputs, size: found.size, digest }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_needs_only_the_levels_before() {
        let images = Images::parse(super::super::tests::own_files()).unwrap();
        let order = images.in_order(&["jre-17".into(), "static".into()]).unwrap();
        let mut levels = levels(&images, &order);
        for level in &mut levels {
            level.sort();
        }
        let expected: [&[&str]; 4] = [
            &["root-bookworm", "root-trixie"],
            &["http-probe", "maven"],
            &["build-jdk-17", "debian", "run-bookworm"],
            &["jre-17", "static"],
        ];
        assert_eq!(levels, expected);
    }

    #[test]
    fn sizes_are_for_people() {
        assert_eq!(megabytes(846_401), "0.8 MB");
        assert_eq!(megabytes(178_607_763), "178 MB");
    }

    #[test]
    fn the_pinned_tag_is_the_inputs_hash() {
        assert_eq!(pinned("jre-17", "0123456789abcdef"), "slipway/jre-17:0123456789ab");
    }
}
