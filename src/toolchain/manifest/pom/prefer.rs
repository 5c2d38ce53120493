//! Which of several modules that start is the one that the repository is for.

use super::super::dockerfile::says;
use super::application::Runnable;
use super::effective::Effective;
use super::facts;
use super::poms::Poms;
use super::reactor::Reactor;
use crate::model::failure::Failure;
use crate::model::source_tree::join;
use crate::toolchain::findings::Inspection;

/// More Dockerfiles than this are not read.
const MAX_DOCKERFILES: usize = 20;

/// The place of the module among those found, and why the others are not: what lies in directories for tools and examples
/// is set aside, then the repository's Dockerfile counts, then the only one that serves.
///
/// # Errors
/// `manifest_invalid` for circular properties.
pub(super) fn one(
    inspection: &Inspection<'_>,
    poms: &Poms<'_>,
    reactor: &Reactor,
    found: &[(usize, Runnable)],
) -> Result<Option<(usize, &'static str)>, Failure> {
    let directory = |place: &usize| reactor.modules[found[*place].0].pom.directory.as_str();
    let near: Vec<usize> = (0..found.len()).filter(|place| !is_aside(inspection, poms, directory(place))).collect();
    if let [only] = near[..] {
        return Ok(Some((only, "its directory is for tools, examples or tests")));
    }
    let directories: Vec<&str> = near.iter().map(directory).collect();
    for files in [own_dockerfile(inspection), other_dockerfiles(inspection, poms, &directories)] {
        let copied = copied(poms, &files, &directories);
        let mut named = near.iter().filter(|place| copied.contains(&directory(place)));
        if let (Some(only), None) = (named.next(), named.next()) {
            return Ok(Some((*only, "the `Dockerfile` copies what the other makes")));
        }
    }
    let mut serving = Vec::new();
    for &place in &near {
        let (module, runnable) = &found[place];
        if is_web_application(poms, &reactor.modules[*module], runnable) || serves(poms, reactor, *module)? {
            serving.push(place);
        }
    }
    // A client with a page of its own is no more what the repository is for than the server that it calls.
    let client = |place: &usize| is_client(poms, directory(place));
    let calls_another = |place: &usize| client(place) && !near.iter().all(client);
    Ok(match serving[..] {
        [only] if !calls_another(&only) => Some((only, "only the other one serves requests")),
        _ => None,
    })
}

/// Whether a module, or one that it needs, depends on what serves requests.
pub(super) fn serves(poms: &Poms<'_>, reactor: &Reactor, module: usize) -> Result<bool, Failure> {
    let patterns = facts::list(poms.facts, "serving");
    for index in reactor.closure(module) {
        if reactor.modules[index].depends_on(&patterns)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a module is for a servlet container and has something of its own to serve (Maven's WAR plugin, "Usage": sources
/// and `src/main/webapp`).
pub(super) fn is_web_application(poms: &Poms<'_>, module: &Effective, runnable: &Runnable) -> bool {
    let below = |root: &String| poms.tree.has_directory(root);
    runnable.shape == "war"
        && (join(&module.pom.directory, "src/main/webapp").as_ref().is_some_and(below)
            || module.source_roots().iter().any(below))
}

/// Whether a module's directory is that of a client by its name: `shop-client`.
pub(super) fn is_client(poms: &Poms<'_>, directory: &str) -> bool {
    let clients = facts::list(poms.facts, "clients");
    let last = directory.rsplit('/').next().unwrap_or_default();
    last.split(['-', '_', '.']).any(|word| clients.contains(&word))
}

/// Whether a module's directory is one for tools, examples or tests.
pub(super) fn is_aside(inspection: &Inspection<'_>, poms: &Poms<'_>, directory: &str) -> bool {
    let (asides, endings) = (facts::list(poms.facts, "aside"), facts::list(poms.facts, "aside_endings"));
    let aside = |part: &str| asides.contains(&part) || endings.iter().any(|ending| part.ends_with(ending));
    directory.strip_prefix(inspection.directory).unwrap_or_default().split('/').any(aside)
}

/// The Dockerfile beside the pom.
fn own_dockerfile(inspection: &Inspection<'_>) -> Vec<String> {
    join(inspection.directory, "Dockerfile").into_iter().collect()
}

/// Dockerfiles of other names beside the pom, or in a directory for them: `docker/Dockerfile.web`.
fn other_dockerfiles(inspection: &Inspection<'_>, poms: &Poms<'_>, modules: &[&str]) -> Vec<String> {
    let own = inspection.directory;
    let is_one = |path: &str| {
        let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
        let below = directory.strip_prefix(own).unwrap_or_default().trim_start_matches('/');
        let name = name.to_lowercase();
        (name.starts_with("dockerfile") || name.ends_with(".dockerfile"))
            && !below.contains('/')
            && !modules.contains(&directory)
    };
    let files = poms.tree.below(own).map(|(path, _)| path).filter(|path| is_one(path));
    files.take(MAX_DOCKERFILES).map(str::to_owned).collect()
}

/// Those of some directories whose `target` Dockerfiles copy from, in the repository or in what a stage made of it, where a
/// directory of the stage stands before it: `COPY --from=build /src/shop/target/shop.jar`.
fn copied<'d>(poms: &Poms<'_>, files: &[String], directories: &[&'d str]) -> Vec<&'d str> {
    // Every text is asked for in one go.
    let texts: Vec<&str> = files.iter().filter_map(|path| poms.tree.text(path)).collect();
    let said: Vec<_> = texts.into_iter().flat_map(says::builds).collect();
    let modules = said.iter().flat_map(|said| &said.words).filter_map(|word| {
        word.split_once("/target/").map_or_else(|| word.strip_suffix("/target"), |(module, _)| Some(module))
    });
    let of = |module: &str| {
        let path = format!("/{}", module.trim_start_matches("./").trim_start_matches('/'));
        let inside = |directory: &&&str| !directory.is_empty() && path.ends_with(&format!("/{directory}"));
        directories.iter().filter(inside).max_by_key(|directory| directory.len()).copied()
    };
    modules.filter_map(of).collect()
}
