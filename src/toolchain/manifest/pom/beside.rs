//! Modules that are built together though no dependency says so: one copies by its path what the other's build leaves in its
//! own directory, as a back end does with the pages of a front end.

use super::effective::Effective;
use super::plugin::Plugin;
use super::poms::Poms;
use super::xml::Element;
use crate::model::source_tree::join;

/// How a path begins that stands for the module's own directory, its parent's, or the reactor's (POM reference, "Project
/// Interpolation Variables"; Maven's `maven.multiModuleProjectDirectory`).
const OWN: &[&str] = &["${project.basedir}", "${basedir}", "${pom.basedir}"];
const PARENT: &[&str] = &["${project.parent.basedir}", "${parent.basedir}"];
const ROOT: &[&str] = &["${maven.multiModuleProjectDirectory}", "${session.executionRootDirectory}"];
/// Names of elements and attributes that say where something is written.
const WRITES: &[&str] = &["outputDirectory", "outputFile", "destFile", "todir", "tofile"];
/// What a module takes into its artifact when another writes there.
const TAKEN: &[&str] = &["src/main/resources", "src/main/webapp", "target/classes"];

/// For each module those whose build has to come before its own: whose directories hold what it copies, and who write into
/// its own.
pub(super) fn of(poms: &Poms<'_>, modules: &[Effective]) -> Vec<Vec<usize>> {
    let mut needed = vec![Vec::new(); modules.len()];
    // One module has nobody to copy from.
    for (index, module) in modules.iter().enumerate().filter(|_| modules.len() > 1) {
        for (path, writes) in paths(modules, module) {
            let Some((other, rest)) = owner(modules, module, &path) else { continue };
            let taken = || TAKEN.iter().any(|place| rest == *place || rest.starts_with(&format!("{place}/")));
            // What is in the repository needs no build.
            let made = || !poms.tree.has_directory(&path) && !poms.tree.has_file(&path);
            match (writes, index, other) {
                (true, writer, reader) if taken() => needed[reader].push(writer),
                (false, reader, writer) if made() => needed[reader].push(writer),
                _ => {}
            }
        }
    }
    needed
}

/// The module in whose directory a path lies, and the path from there; not one's own, nor one above it.
fn owner<'p>(modules: &[Effective], module: &Effective, path: &'p str) -> Option<(usize, &'p str)> {
    let inside = |directory: &str| path.strip_prefix(directory).and_then(|rest| rest.strip_prefix('/'));
    let found = modules.iter().enumerate().filter_map(|(index, other)| {
        let directory = other.pom.directory.as_str();
        Some((index, directory, inside(directory).filter(|rest| !directory.is_empty() && !rest.is_empty())?))
    });
    let (index, directory, rest) = found.max_by_key(|(_, directory, _)| directory.len())?;
    let own = module.pom.directory.as_str();
    (own != directory && !own.starts_with(&format!("{directory}/"))).then_some((index, rest))
}

/// Paths from the repository's root that the module's resources and its plugins name outside its own directory, and whether
/// something is written there.
fn paths(modules: &[Effective], module: &Effective) -> Vec<(String, bool)> {
    let mut texts = Vec::new();
    for resource in module.pom.project.all("build/resources/resource") {
        collect(resource, &mut texts);
    }
    let runs = |plugin: &&Plugin| !plugin.executions.is_empty() || plugin.artifact.starts_with("maven-");
    for configuration in module.plugins.iter().filter(runs).flat_map(Plugin::configurations) {
        collect(&configuration, &mut texts);
    }
    let own = module.pom.directory.as_str();
    let above = module.lineage.get(1).filter(|pom| pom.in_tree).map(|pom| pom.directory.as_str());
    let root = modules.first().map(|first| first.pom.directory.as_str());
    let found = texts.into_iter().filter_map(|(text, writes)| {
        let text = module.expand(&text).ok()?;
        let behind = |bases: &[&str]| bases.iter().find_map(|base| text.strip_prefix(base)?.strip_prefix('/'));
        let path = if let Some(rest) = behind(PARENT) {
            join(above?, rest)
        } else if let Some(rest) = behind(ROOT) {
            join(root?, rest)
        } else {
            join(own, behind(OWN).unwrap_or(&text))
        };
        Some((path.filter(|path| !path.contains("${") && !path.contains('*'))?, writes))
    });
    found.collect()
}

/// Texts of an element and those below it, and of their attributes, that may be paths out of the module.
fn collect(element: &Element, texts: &mut Vec<(String, bool)>) {
    let leads_out = |text: &str| text.contains("..") || text.contains("${");
    let own = std::iter::once((element.name.as_str(), element.text.as_str()));
    let attributes = element.attributes.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    for (name, text) in own.chain(attributes).filter(|(_, text)| leads_out(text) && text.len() < 500) {
        texts.push((text.to_owned(), WRITES.contains(&name)));
    }
    for child in &element.children {
        collect(child, texts);
    }
}

#[cfg(test)]
mod tests {
    use super::super::reactor::Reactor;
    use super::super::wrapper::Invocation;
    use super::*;
    use crate::model::source_tree::SourceTree;

    /// What `:shop` is built with beside what it depends on; `plugin` is a plugin of its own, `files` are in the repository.
    fn beside(shop: &str, pages: &str, files: &[&str]) -> Vec<String> {
        let module = |artifact: &str, plugin: &str| {
            let parent = "<parent><groupId>g</groupId><artifactId>p</artifactId><version>1</version></parent>";
            format!(
                "<project>{parent}<artifactId>{artifact}</artifactId><build><plugins>{plugin}</plugins></build></project>"
            )
        };
        let root = "<project><groupId>g</groupId><artifactId>p</artifactId><version>1</version><packaging>pom</packaging>\
            <properties><pages>${project.basedir}/../pages</pages></properties><modules><module>pages</module><module>shop</module></modules></project>";
        let (pages, shop) = (module("pages", pages), module("shop", shop));
        let texts = [("pom.xml", root), ("pages/pom.xml", &pages), ("shop/pom.xml", &shop)];
        let tree = SourceTree::of_texts(texts.into_iter().chain(files.iter().map(|path| (*path, ""))));
        let facts = toml::Table::new();
        let poms = Poms::new(&tree, &facts, Invocation::of(std::iter::empty()), None);
        let reactor = Reactor::of(&poms, "pom.xml").unwrap().unwrap();
        let place = reactor.modules.iter().position(|module| module.artifact == "shop").unwrap();
        reactor.copied_from(&reactor.closure(place)).into_iter().map(str::to_owned).collect()
    }

    fn resources(from: &str) -> String {
        format!(
            "<plugin><artifactId>maven-resources-plugin</artifactId><executions><execution><id>pages</id><goals><goal>copy-resources</goal></goals><configuration><outputDirectory>${{project.build.outputDirectory}}/static</outputDirectory><resources><resource><directory>{from}</directory></resource></resources></configuration></execution></executions></plugin>"
        )
    }

    #[test]
    fn what_another_module_makes_is_made_first() {
        for from in [
            "../pages/dist",
            "${project.parent.basedir}/pages/target/dist",
            "${basedir}/../pages/dist",
            "${pages}/dist",
        ] {
            assert_eq!(beside(&resources(from), "", &[]), ["pages"], "{from}");
        }
        let ant = "<plugin><artifactId>maven-antrun-plugin</artifactId><executions><execution><goals><goal>run</goal></goals><configuration><target><copy todir=\"target/classes/static\"><fileset dir=\"../pages/dist\"/></copy></target></configuration></execution></executions></plugin>";
        assert_eq!(beside(ant, "", &[]), ["pages"]);
    }

    #[test]
    fn what_is_in_the_repository_or_no_module_needs_no_build() {
        assert!(beside(&resources("../pages/dist"), "", &["pages/dist/index.html"]).is_empty());
        for from in
            ["src/main/pages", "../licences", "../pages", "../../pages/dist", "${elsewhere}/pages/dist", "../shop/dist"]
        {
            assert!(beside(&resources(from), "", &[]).is_empty(), "{from}");
        }
    }

    #[test]
    fn who_writes_into_its_resources_is_built_first() {
        let pages = resources("dist").replace("${project.build.outputDirectory}", "../shop/src/main/resources");
        assert_eq!(beside("", &pages, &[]), ["pages"]);
        assert!(beside("", &pages.replace("src/main/resources", "reports"), &[]).is_empty());
    }
}
