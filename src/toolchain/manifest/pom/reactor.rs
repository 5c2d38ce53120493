//! Modules that are built together: aggregators, and which module needs which.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::beside;
use super::effective::Effective;
use super::model::Pom;
use super::poms::Poms;
use super::xml::Element;
use crate::model::failure::{Failure, FailureCode};
use crate::model::source_tree::join;

/// More modules than this are refused.
const MAX_MODULES: usize = 5000;

/// Every module that a pom reaches, itself first.
#[derive(Debug)]
pub(super) struct Reactor {
    pub(super) modules: Vec<Effective>,
    /// For each module those that it needs though it does not depend on them.
    beside: Vec<Vec<usize>>,
}

impl Reactor {
    /// Follows `<modules>` (of active profiles too) from a pom; `None` when there is no such file.
    ///
    /// # Errors
    /// `manifest_invalid` for a malformed pom or too many modules.
    pub(super) fn of(poms: &Poms<'_>, start: &str) -> Result<Option<Self>, Failure> {
        let Some(first) = poms.load(start)? else { return Ok(None) };
        let (mut raw, mut queue): (BTreeMap<String, Arc<Pom>>, Vec<Arc<Pom>>) = (BTreeMap::new(), vec![first]);
        let mut order = Vec::new();
        while let Some(pom) = queue.pop() {
            if raw.insert(pom.path.clone(), pom.clone()).is_some() {
                continue;
            }
            order.push(pom.clone());
            if order.len() > MAX_MODULES {
                let message = format!("`{start}` reaches more than {MAX_MODULES} modules");
                return Err(Failure::new(FailureCode::ManifestInvalid, message).at(start, None));
            }
            let profiles = super::profile::active(poms, &pom, &pom.directory);
            let layers = std::iter::once(&pom.project).chain(profiles);
            let mut next = Vec::new();
            for module in layers.flat_map(|layer| layer.all("modules/module")) {
                let path = poms.pom_path(&pom.directory, &module.text);
                next.extend(path.map(|path| poms.load(&path)).transpose()?.flatten());
            }
            queue.extend(next.into_iter().rev());
        }
        let modules = order.iter().map(|pom| Effective::of(poms, pom, &order)).collect::<Result<Vec<_>, _>>()?;
        let beside = beside::of(poms, &modules);
        Ok(Some(Self { modules, beside }))
    }

    /// The directory Maven runs in for a pom: that of the topmost aggregator of the tree that reaches it, else that of a parent
    /// which lies elsewhere and does (`<module>../shop</module>`; POM reference, "Aggregation"), else its own.
    pub(super) fn root_of(poms: &Poms<'_>, start: &str) -> Option<Self> {
        let directory = crate::model::source_tree::parent(start);
        let mut above = vec![String::new()];
        above.extend(directory.match_indices('/').map(|(at, _)| directory[..at].to_owned()));
        let pom = poms.load(start).ok().flatten();
        let parents = pom.and_then(|pom| poms.lineage(&pom, &[]).ok()).map(|lineage| lineage.poms).unwrap_or_default();
        let parents = parents.iter().filter(|parent| parent.in_tree).map(|parent| parent.path.clone());
        let above = above.iter().filter_map(|one| join(one, "pom.xml"));
        let candidates = above.chain(parents).filter(|path| path != start);
        // An unrelated broken pom above is not this build's fault.
        candidates
            .filter_map(|path| Self::of(poms, &path).ok().flatten())
            .find(|reactor| reactor.modules.iter().any(|module| module.pom.path == start))
    }

    /// Whether a module of `own`, or any of them, needs modules that only this larger reactor has.
    pub(super) fn adds_to(&self, own: &Self, module: Option<&String>) -> bool {
        let inside = |path: &str| own.modules.iter().any(|module| module.pom.path == path);
        let starts = |index: &usize| match (module, self.modules[*index].pom.path.as_str()) {
            (Some(module), path) => module == path,
            (None, path) => inside(path),
        };
        let needed = (0..self.modules.len()).filter(starts).flat_map(|index| self.closure(index));
        needed.collect::<BTreeSet<_>>().into_iter().any(|index| !inside(&self.modules[index].pom.path))
    }

    /// The module whose coordinates a dependency names.
    pub(super) fn provider(&self, user: &Effective, dependency: &Element) -> Option<usize> {
        let text = |key: &str| user.expand(dependency.text_of(key).unwrap_or_default()).unwrap_or_default();
        let (group, artifact, version) = (text("groupId"), text("artifactId"), text("version"));
        self.modules.iter().position(|module| {
            module.artifact == artifact
                && module.group == group
                && (version.is_empty() || version.contains("${") || version == module.version)
        })
    }

    /// Artifact ids of modules that the module, or one that it needs, only copies from: `-am` does not build them.
    pub(super) fn copied_from(&self, closure: &BTreeSet<usize>) -> Vec<&str> {
        let copied: BTreeSet<usize> = closure.iter().flat_map(|index| self.beside[*index].iter().copied()).collect();
        copied.into_iter().map(|index| self.modules[index].artifact.as_str()).collect()
    }

    /// A module and every module of the reactor that it needs: those that `-am` builds, and those that it copies from.
    pub(super) fn closure(&self, start: usize) -> BTreeSet<usize> {
        let (mut seen, mut queue) = (BTreeSet::new(), vec![start]);
        while let Some(index) = queue.pop() {
            if seen.insert(index) {
                let module = &self.modules[index];
                let plugins = module.plugins.iter().map(|plugin| &plugin.element);
                let extra = plugins.clone().flat_map(|plugin| plugin.all("dependencies/dependency"));
                let imported = module.managed.iter().filter(|managed| managed.text_of("scope") == Some("import"));
                let needs = module.dependencies.iter().chain(imported).chain(plugins.clone()).chain(extra);
                queue.extend(needs.filter_map(|needed| self.provider(module, needed)));
                queue.extend(&self.beside[index]);
            }
        }
        seen
    }
}
