//! What another ecosystem's tools make for the application, which no build of Slipway's makes.

use crate::catalog::{Catalog, MadeElsewhere};
use crate::model::failure::Warning;
use crate::model::source_tree::{SourceTree, join, parent};
use crate::toolchain::manifest::dockerfile::{places, says};

/// Further below nobody keeps what belongs to the application.
const MAX_DEPTH: usize = 3;
/// More manifests than one application has.
const MAX_MANIFESTS: usize = 8;
/// More ignored directories than one manifest writes.
const MAX_OUTPUTS: usize = 200;

/// Warnings about manifests of `[[made_elsewhere]]` whose output the application needs.
pub(super) fn made(directory: &str, tree: &SourceTree, catalog: &Catalog) -> Vec<Warning> {
    let rows = catalog.made_elsewhere.iter();
    rows.filter_map(|row| {
        let manifests = manifests(row, directory, tree, catalog);
        let by_dockerfile = dockerfile(row, directory, tree);
        // The context of the Dockerfile of one directory may be the repository.
        let above = manifests.is_empty() && by_dockerfile.is_some();
        let manifests = if above { self::manifests(row, "", tree, catalog) } else { manifests };
        // Every text is asked for in one go.
        let texts: Vec<(&str, &str)> =
            manifests.into_iter().filter_map(|path| Some((path, tree.text(path)?))).collect();
        let texts: Vec<_> = texts.into_iter().filter(|(path, _)| !is_committed(row, path, tree)).collect();
        if is_packed(row, directory, tree, catalog) {
            return None;
        }
        let scripted = || texts.iter().filter(|(_, text)| text.contains(&row.says)).map(|(path, _)| *path);
        // What is only installed there makes something where the Dockerfile runs it.
        let by_maker = |text: &str| by_dockerfile.is_some() && row.makers.iter().any(|maker| names(text, maker));
        let run = || texts.iter().find(|(_, text)| by_maker(text)).map(|(path, _)| *path);
        let first = scripted().next().or_else(run)?;
        if made_here(row, directory, tree) {
            return None;
        }
        let (path, why) = by_dockerfile
            .map(|why| (first, why))
            .or_else(|| scripted().find_map(|path| Some((path, ignored(row, path, directory, tree)?))))
            .or_else(|| texts.iter().find_map(|(path, text)| Some((*path, written(row, (path, text), directory, tree)?))))?;
        let message = format!(
            "`{path}` has files made by {}, which is not run: the image lacks what it makes ({why})",
            row.name
        );
        let hint = "commit what it makes, or choose the repository's own Dockerfile: `[toolchain]` `name = \"dockerfile\"` in `slipway.toml`";
        Some(Warning::new("made_elsewhere", message, hint).at(path, None))
    })
    .collect()
}

fn manifests<'t>(row: &MadeElsewhere, directory: &'t str, tree: &'t SourceTree, catalog: &Catalog) -> Vec<&'t str> {
    let skip = if directory.is_empty() { 0 } else { directory.len() + 1 };
    // A web site is where the files come from here.
    let aside = |part: &str| {
        part.starts_with('.') || part != "site" && part != "website" && catalog.aside.iter().any(|name| name == part)
    };
    let paths = tree.below(directory).map(|(path, _)| path);
    let named = paths.filter(|path| {
        let inside = &path[skip..];
        path.rsplit('/').next() == Some(row.manifest.as_str())
            && inside.matches('/').count() <= MAX_DEPTH
            && !parent(inside).split('/').any(aside)
    });
    named.take(MAX_MANIFESTS).collect()
}

/// Whether what a manifest makes is in the tree, so that nobody has to make it: beside it, or where the application has it
/// under the name of the manifest's directory (`internal/studio/dist/index.html` of `studio/package.json`).
fn is_committed(row: &MadeElsewhere, manifest: &str, tree: &SourceTree) -> bool {
    let beside = |file: &String| join(parent(manifest), file).is_some_and(|path| tree.has_file(&path));
    let name = parent(manifest).rsplit('/').next().unwrap_or_default();
    let ends: Vec<String> = row.committed.iter().map(|file| format!("/{name}/{file}")).collect();
    let below_its_name = || tree.entries().any(|(path, _)| ends.iter().any(|end| path.ends_with(end.as_str())));
    row.committed.iter().any(beside) || !name.is_empty() && below_its_name()
}

/// Whether a generator has packed it into a source of the application.
fn is_packed(row: &MadeElsewhere, directory: &str, tree: &SourceTree, catalog: &Catalog) -> bool {
    let own = |path: &str| !parent(path).split('/').any(|part| catalog.aside.iter().any(|name| name == part));
    let packed = |path: &str| row.packed.iter().any(|name| path.rsplit('/').next() == Some(name));
    tree.below(directory).any(|(path, _)| packed(path) && own(path))
}

/// Whether the application's own build makes it.
fn made_here(row: &MadeElsewhere, directory: &str, tree: &SourceTree) -> bool {
    let files = tree.below(directory).map(|(path, _)| path);
    files
        .filter_map(|path| Some((row.unless.get(path.rsplit('/').next()?)?, tree.known_text(path)?)))
        .any(|(words, text)| words.iter().any(|word| text.contains(word.as_str())))
}

/// The line of the repository's Dockerfile that runs one of the programs to build.
fn dockerfile(row: &MadeElsewhere, directory: &str, tree: &SourceTree) -> Option<String> {
    let path = places::of(tree, directory)?;
    let text = tree.text(&path)?;
    let builds = says::builds(text);
    let is_maker = |word: &String| {
        let name = if word.contains("node_modules/") { word.rsplit('/').next() } else { Some(word.as_str()) };
        row.makers.iter().any(|maker| name == Some(maker.as_str()))
    };
    // `npm install -g gulp` brings it, and makes nothing yet: what it is told stands behind it.
    let makes = |words: &[String]| {
        words.iter().enumerate().any(|(index, word)| {
            let brings =
                words[..index].iter().rev().take(4).any(|before| matches!(before.as_str(), "install" | "add" | "i"));
            is_maker(word) && !brings
        })
    };
    let runs = |words: &[String]| {
        words.iter().any(|word| row.programs.contains(word))
            && words.iter().any(|word| word.starts_with("build") || word.contains(":build"))
            || makes(words)
    };
    let run = builds.iter().find(|said| runs(&said.words)).map(|said| format!("`{path}` line {} runs it", said.line));
    // What a stage on its image makes is made by it, whatever the command is called (`make js`).
    run.or_else(|| says::made_by(text, &row.images).map(|line| format!("`{path}` line {line} copies it")))
}

/// Whether a manifest names a program or what brings it: `"gulp"`, `"grunt-cli"`.
fn names(text: &str, maker: &str) -> bool {
    text.contains(&format!("\"{maker}\"")) || text.contains(&format!("\"{maker}-cli\""))
}

/// The directory that a manifest with a script to build names whole (`"buildDir": "../shop/static/build"`), that Git ignores
/// and that is not there.
fn written(row: &MadeElsewhere, (manifest, text): (&str, &str), directory: &str, tree: &SourceTree) -> Option<String> {
    let usual = |path: &String| {
        let name = path.rsplit('/').next().unwrap_or_default();
        path.contains('/') && row.outputs.iter().any(|output| output == name)
    };
    let ends = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'));
    let begins = |before: &str| !before.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '-'));
    let names =
        |path: &str| text.match_indices(path).any(|(at, _)| begins(&text[..at]) && ends(&text[at + path.len()..]));
    let found = ignored_paths(parent(manifest), directory, tree).into_iter().filter(usual).take(MAX_OUTPUTS);
    let mut found = found.filter(|path| text.contains(&row.says) && names(path) && !tree.has_directory(path));
    found.next().map(|path| format!("it writes `{path}`, which Git ignores"))
}

/// What the `.gitignore` files of these directories and of the repository name, relative to the repository's root.
fn ignored_paths(own: &str, directory: &str, tree: &SourceTree) -> Vec<String> {
    let places = [own, directory, ""];
    let lines = places.iter().filter_map(|place| Some((*place, tree.text(&join(place, ".gitignore")?)?)));
    let of_place = |(place, text): (&str, &str)| -> Vec<String> {
        text.lines().filter_map(|line| join(place, line.trim().trim_matches(['/', '*']))).collect()
    };
    lines.flat_map(of_place).collect()
}

/// The directory beside a manifest that Git ignores, that is not there, and that a source of the application names.
fn ignored(row: &MadeElsewhere, manifest: &str, directory: &str, tree: &SourceTree) -> Option<String> {
    let own = parent(manifest);
    let ignored = ignored_paths(own, directory, tree);
    let name = own.rsplit('/').next().unwrap_or_default();
    row.outputs.iter().find_map(|output| {
        let path = join(own, output)?;
        let hidden =
            ignored.iter().any(|one| *one == path || one.rsplit('/').next() == Some(output) && !one.contains('/'));
        if !hidden || tree.has_directory(&path) {
            return None;
        }
        let written = match name {
            "" => vec![format!("\"{output}"), format!("'{output}")],
            name => vec![format!("{name}/{output}")],
        };
        let outside = |source: &str| own.is_empty() || !source.starts_with(&format!("{own}/"));
        let tells = |source: &str| source != manifest && !source.ends_with(".gitignore") && outside(source);
        // `"output"` does not name `out`.
        let ends = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'));
        let says = |text: &str, one: &str| text.match_indices(one).any(|(at, _)| ends(&text[at + one.len()..]));
        let names =
            |source: &str| tree.known_text(source).is_some_and(|text| written.iter().any(|one| says(text, one)));
        let mut sources = tree.below(directory).map(|(path, _)| path);
        let source = sources.find(|source| tells(source) && names(source))?;
        Some(format!("`{source}` names `{path}`, which Git ignores"))
    })
}
