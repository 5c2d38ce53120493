//! The effective model of one module: inheritance, active profiles, interpolation.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::facts;
use super::model::Pom;
use super::plugin::{Plugin, inherit_all};
use super::poms::Poms;
use super::profile;
use super::xml::Element;
use crate::model::failure::{Failure, FailureCode};
use crate::model::origin::{Found, Origin};
use crate::model::source_tree::join;

/// More references than this in one value are refused: doubling properties would never end.
const MAX_EXPANSIONS: u32 = 1000;
/// More plugins, or more dependencies, than this are refused: no build has them, and merging compares them.
const MAX_PLUGINS: usize = 2000;
const MAX_DEPENDENCIES: usize = 20_000;
/// Where Maven and Kotlin's plugin look for main sources.
const USUAL_SOURCES: &[&str] = &["src/main/java", "src/main/kotlin"];
/// Plugins that add directories of sources, and the lists that name them (Kotlin's "Configure source folders"; the Build
/// Helper plugin's `add-source`).
const ADDED_SOURCES: &[(&str, &str)] =
    &[("kotlin-maven-plugin", "sourceDirs"), ("build-helper-maven-plugin", "sources")];
/// How a path below the module begins.
const BASES: &[&str] = &["${project.basedir}/", "${basedir}/", "${pom.basedir}/"];
/// A value longer than this is not interpolated further.
const MAX_LENGTH: usize = 8192;

/// A module after inheritance.
#[derive(Debug)]
pub(super) struct Effective {
    pub(super) pom: Arc<Pom>,
    pub(super) lineage: Vec<Arc<Pom>>,
    /// Whether some parent is known neither to the tree nor to the facts.
    pub(super) open: bool,
    pub(super) group: String,
    pub(super) artifact: String,
    pub(super) version: String,
    pub(super) packaging: String,
    /// `<dependency>` elements, strongest first.
    pub(super) dependencies: Vec<Element>,
    /// `<dependencyManagement>`, strongest first.
    pub(super) managed: Vec<Element>,
    /// Plugins of the build, `pluginManagement` merged in.
    pub(super) plugins: Vec<Plugin>,
    /// `pluginManagement`, for plugins that the life cycle brings by itself.
    pub(super) managed_plugins: Vec<Plugin>,
    /// Where releases and snapshots are deployed (POM reference, "Distribution Management").
    repository: Option<Element>,
    snapshot_repository: Option<Element>,
    final_name: Option<Element>,
    directory: Option<Element>,
    sources: Option<Element>,
    properties: BTreeMap<String, Element>,
    user: BTreeMap<String, String>,
}

impl Effective {
    /// Builds the model; `reactor` holds poms that parents may be found among.
    ///
    /// # Errors
    /// `manifest_invalid` for malformed or cyclic parents and properties.
    pub(super) fn of(poms: &Poms<'_>, pom: &Arc<Pom>, reactor: &[Arc<Pom>]) -> Result<Self, Failure> {
        let lineage = poms.lineage(pom, reactor)?;
        // Strongest first: a pom's later profiles, its profiles, itself, then its parent.
        let mut layers: Vec<(usize, &Element)> = Vec::new();
        for (depth, one) in lineage.poms.iter().enumerate() {
            layers.extend(profile::active(poms, one, &pom.directory).into_iter().rev().map(|profile| (depth, profile)));
            layers.push((depth, &one.project));
        }
        let mut model = Self {
            pom: pom.clone(),
            lineage: lineage.poms.clone(),
            open: lineage.open,
            group: pom.group().to_owned(),
            artifact: pom.artifact().to_owned(),
            version: pom.version().to_owned(),
            packaging: pom.project.text_of("packaging").unwrap_or("jar").to_owned(),
            dependencies: Vec::new(),
            managed: Vec::new(),
            plugins: Vec::new(),
            managed_plugins: Vec::new(),
            repository: layers.iter().find_map(|(_, layer)| layer.at("distributionManagement/repository/url")).cloned(),
            snapshot_repository: layers
                .iter()
                .find_map(|(_, layer)| layer.at("distributionManagement/snapshotRepository/url"))
                .cloned(),
            final_name: layers.iter().find_map(|(_, layer)| layer.at("build/finalName")).cloned(),
            directory: layers.iter().find_map(|(_, layer)| layer.at("build/directory")).cloned(),
            sources: layers.iter().find_map(|(_, layer)| layer.at("build/sourceDirectory")).cloned(),
            properties: BTreeMap::new(),
            user: poms.invocation.properties.clone(),
        };
        for (_, layer) in &layers {
            for property in layer.child("properties").into_iter().flat_map(|all| &all.children) {
                model.properties.entry(property.name.clone()).or_insert_with(|| property.clone());
            }
            model.dependencies.extend(layer.all("dependencies/dependency").into_iter().cloned());
            model.managed.extend(layer.all("dependencyManagement/dependencies/dependency").into_iter().cloned());
        }
        let declared = |path: &str| layers.iter().map(|(_, layer)| layer.all(path).len()).sum::<usize>();
        let plugins = declared("build/plugins/plugin") + declared("build/pluginManagement/plugins/plugin");
        let executions = declared("build/plugins/plugin/executions/execution")
            + declared("build/pluginManagement/plugins/plugin/executions/execution");
        if plugins.max(executions) > MAX_PLUGINS || model.dependencies.len() + model.managed.len() > MAX_DEPENDENCIES {
            let message = format!("`{}` has more plugins or dependencies than any build", pom.path);
            return Err(pom.project.failure(FailureCode::ManifestInvalid, message));
        }
        (model.group, model.version) = (model.expand(pom.group())?, model.expand(pom.version())?);
        (model.artifact, model.packaging) = (model.expand(pom.artifact())?, model.expand(&model.packaging)?);
        model.plugins = model.inherited(&layers, "build/plugins/plugin");
        model.managed_plugins = model.inherited(&layers, "build/pluginManagement/plugins/plugin");
        for plugin in &mut model.plugins {
            let same = |m: &&Plugin| m.group == plugin.group && m.artifact == plugin.artifact;
            if let Some(managed) = model.managed_plugins.iter().find(same) {
                plugin.inherit(managed);
            }
        }
        Ok(model)
    }

    /// Plugins as Maven merges them, which is not the same in every order: from the farthest parent down, each pom's
    /// profiles over the pom itself, and the result over what its parent leaves to children.
    fn inherited(&self, layers: &[(usize, &Element)], path: &str) -> Vec<Plugin> {
        let resolve = |text: &str| self.expand(text).unwrap_or_else(|_| text.to_owned());
        let farthest = layers.last().map_or(0, |(depth, _)| *depth);
        let mut parent: Vec<Plugin> = Vec::new();
        for depth in (0..=farthest).rev() {
            let mut own: Vec<Plugin> = Vec::new();
            for (_, layer) in layers.iter().rev().filter(|(at, _)| *at == depth) {
                let mut stronger: Vec<Plugin> =
                    layer.all(path).into_iter().map(|element| Plugin::of(element, &resolve)).collect();
                inherit_all(&mut stronger, own);
                own = stronger;
            }
            inherit_all(&mut own, parent.into_iter().filter_map(Plugin::for_children).collect());
            parent = own;
        }
        parent
    }

    /// Directories of resources that the nearest pom names which names any (POM reference, "Resources"), relative to the module.
    pub(super) fn resources(&self) -> Vec<String> {
        let named = |pom: &Arc<Pom>| -> Vec<String> {
            let elements = pom.project.all("build/resources/resource/directory").into_iter();
            // A directory may be a profile's: `src/main/resources/${profiles.active}`.
            let places = elements.filter_map(|element| {
                let text = BASES.iter().find_map(|base| element.text.strip_prefix(base)).unwrap_or(&element.text);
                self.expand(text).ok()
            });
            places.filter(|place| !place.contains("${")).collect()
        };
        self.lineage.iter().map(named).find(|places| !places.is_empty()).unwrap_or_default()
    }

    /// Directories of main sources, relative to the repository's root: the one that a pom names (POM reference, "Directories")
    /// with those that plugins add to it, or else the usual ones.
    pub(super) fn source_roots(&self) -> Vec<String> {
        let own = &self.pom.directory;
        let usual = || USUAL_SOURCES.iter().filter_map(|root| join(own, root)).collect();
        let below = |text: &str| {
            let text = self.expand(text).ok().filter(|text| !text.is_empty() && !text.contains("${"));
            text.and_then(|text| join(own, &text))
        };
        let stated = |text: &str| below(BASES.iter().find_map(|base| text.strip_prefix(base)).unwrap_or(text));
        let Some(named) = self.sources.as_ref().and_then(|element| stated(&element.text)) else { return usual() };
        let mut roots = vec![named];
        let added = self.plugins.iter().flat_map(|plugin| {
            let wanted = ADDED_SOURCES.iter().filter(|(artifact, _)| *artifact == plugin.artifact);
            wanted.flat_map(|(_, list)| {
                let elements = plugin.configurations().into_iter().flat_map(|all| {
                    all.all(list).into_iter().flat_map(|list| list.children.clone()).collect::<Vec<_>>()
                });
                elements.filter_map(|element| stated(&element.text)).collect::<Vec<_>>()
            })
        });
        for root in added {
            if !roots.contains(&root) {
                roots.push(root);
            }
        }
        roots
    }

    /// A plugin of the build, or of the life cycle by way of `pluginManagement`.
    pub(super) fn plugin(&self, artifact: &str) -> Option<&Plugin> {
        self.plugins.iter().chain(&self.managed_plugins).find(|plugin| plugin.artifact == artifact)
    }

    /// An element's value with every reference resolved, and the place that says it: that of the
    /// property when the value is nothing but a reference. `None` when something stays unknown.
    pub(super) fn value(&self, element: &Element, detail: &str) -> Result<Option<Found<String>>, Failure> {
        let text = self.expand(&element.text)?;
        if text.is_empty() || text.contains("${") {
            return Ok(None);
        }
        let mut place = element;
        let mut detail = detail.to_owned();
        for _ in 0..32 {
            let whole = place.text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
            let Some(name) = whole else { break };
            if self.user.contains_key(name) {
                return Ok(Some(Found::new(text, Origin::default(format!("{detail}: -D{name} of Maven's arguments")))));
            }
            let Some(property) = self.properties.get(name) else { break };
            detail = format!("{detail}: {name}");
            place = property;
        }
        Ok(Some(Found::new(text, place.origin(detail))))
    }

    /// The version of a dependency: its own, or the managed one; empty where nothing known says it.
    ///
    /// # Errors
    /// `manifest_invalid` for circular properties.
    pub(super) fn version_of(&self, dependency: &Element, group: &str, artifact: &str) -> Result<String, Failure> {
        if let Some(version) = dependency.text_of("version") {
            return self.expand(version);
        }
        for managed in self.managed.iter().filter(|managed| managed.text_of("artifactId") == Some(artifact)) {
            if self.expand(managed.text_of("groupId").unwrap_or_default())? == group {
                return self.expand(managed.text_of("version").unwrap_or_default());
            }
        }
        Ok(String::new())
    }

    /// Where the first dependency stands that one of some patterns of the facts names.
    ///
    /// # Errors
    /// `manifest_invalid` for circular properties.
    pub(super) fn depends_on(&self, patterns: &[&str]) -> Result<Option<Origin>, Failure> {
        for dependency in &self.dependencies {
            let text = |key: &str| self.expand(dependency.text_of(key).unwrap_or_default());
            let (group, artifact) = (text("groupId")?, text("artifactId")?);
            if patterns.iter().any(|pattern| facts::matches(pattern, &group, &artifact, "")) {
                return Ok(Some(dependency.origin(format!("{group}:{artifact}"))));
            }
        }
        Ok(None)
    }

    /// The names of all properties of the poms.
    pub(super) fn property_names(&self) -> impl Iterator<Item = &str> {
        self.properties.keys().map(String::as_str)
    }

    /// The line that says the packaging.
    pub(super) fn packaging_origin(&self) -> crate::model::origin::Origin {
        let place = self.pom.project.child("packaging").unwrap_or(&self.pom.project);
        place.origin(format!("packaging {}", self.packaging))
    }

    /// A property's value: `-D` first, then the poms.
    pub(super) fn property(&self, name: &str) -> Result<Option<Found<String>>, Failure> {
        if let Some(value) = self.user.get(name) {
            return Ok(Some(Found::new(value.clone(), Origin::default(format!("-D{name} of Maven's arguments")))));
        }
        self.properties.get(name).map_or(Ok(None), |element| self.value(element, name))
    }

    /// The artifact's base name, where the poms tell it.
    pub(super) fn final_name(&self) -> Result<Option<String>, Failure> {
        let text = self.final_name.as_ref().map_or("${project.artifactId}-${project.version}", |e| e.text.as_str());
        Ok(Some(self.expand(text)?).filter(|name| !name.contains("${")))
    }

    /// Where the module's build leaves what it makes, relative to the repository's root.
    pub(super) fn build_directory(&self) -> Result<String, Failure> {
        let own = &self.pom.directory;
        let usual = || join(own, "target").unwrap_or_default();
        let Some(element) = &self.directory else { return Ok(usual()) };
        let text = self.expand(&element.text)?;
        let text = BASES.iter().find_map(|base| text.strip_prefix(base)).unwrap_or(&text);
        Ok(join(own, text).filter(|path| !path.contains("${")).unwrap_or_else(usual))
    }

    /// The URL that `distributionManagement` deploys this version to, without an account: a snapshot's own repository
    /// if there is one, else that of releases (POM reference, "Repository" of the distribution management).
    ///
    /// # Errors
    /// `manifest_invalid` for properties that go round in a circle.
    pub(super) fn deploys_to(&self) -> Result<Option<String>, Failure> {
        let snapshot = self.version.ends_with("-SNAPSHOT").then_some(self.snapshot_repository.as_ref()).flatten();
        let Some(url) = snapshot.or(self.repository.as_ref()) else { return Ok(None) };
        let url = self.expand(url.text.trim())?;
        Ok(Some(
            match url.split_once("://").map(|(scheme, rest)| (scheme, rest.split_once('/').unwrap_or((rest, "")))) {
                Some((scheme, (authority, path))) if authority.contains('@') => {
                    let host = authority.rsplit('@').next().unwrap_or_default();
                    format!("{scheme}://{host}/{path}")
                }
                _ => url,
            },
        ))
    }

    /// A text with its references resolved; unknown ones stay as they are.
    ///
    /// # Errors
    /// `manifest_invalid` for references that go round in a circle.
    pub(super) fn expand(&self, text: &str) -> Result<String, Failure> {
        let mut fuel = MAX_EXPANSIONS;
        self.expand_in(text, &mut Vec::new(), &mut fuel)
    }

    fn expand_in(&self, text: &str, open: &mut Vec<String>, fuel: &mut u32) -> Result<String, Failure> {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            out.push_str(before);
            let Some((name, tail)) = after.split_once('}') else {
                out.push_str("${");
                rest = after;
                continue;
            };
            rest = tail;
            *fuel = fuel.saturating_sub(1);
            if open.iter().any(|one| one == name) {
                let circle = format!("{} → {name}", open.join(" → "));
                let message = format!("Properties of `{}` refer to each other in a circle: {circle}", self.pom.path);
                let failure = Failure::new(FailureCode::ManifestInvalid, message);
                return Err(match self.properties.get(name).filter(|element| element.document.in_tree) {
                    Some(element) => failure.at(&element.document.name, Some(element.line)),
                    None => failure.at(&self.pom.path, None),
                });
            }
            match self.lookup(name).filter(|_| *fuel > 0 && out.len() < MAX_LENGTH && open.len() < 64) {
                Some(value) => {
                    open.push(name.to_owned());
                    out.push_str(&self.expand_in(&value, open, fuel)?);
                    open.pop();
                }
                None => out.extend(["${", name, "}"]),
            }
        }
        out.push_str(rest);
        Ok(out)
    }

    fn lookup(&self, name: &str) -> Option<String> {
        let of_model = |key: &str| match key {
            "groupId" => Some(self.group.clone()),
            "artifactId" => Some(self.artifact.clone()),
            "version" => Some(self.version.clone()),
            "packaging" => Some(self.packaging.clone()),
            "parent.groupId" => self.pom.parent().map(|parent| parent.group.to_owned()),
            "parent.artifactId" => self.pom.parent().map(|parent| parent.artifact.to_owned()),
            "parent.version" => self.pom.parent().map(|parent| parent.version.to_owned()),
            _ => None,
        };
        let prefixed = name.strip_prefix("project.").or_else(|| name.strip_prefix("pom."));
        prefixed
            .and_then(of_model)
            .or_else(|| self.user.get(name).cloned())
            .or_else(|| self.properties.get(name).map(|property| property.text.clone()))
            .or_else(|| of_model(name))
    }
}
