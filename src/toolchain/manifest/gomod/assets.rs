//! Files that a program opens by a path relative to its working directory: they belong beside it.

use std::collections::{BTreeSet, HashSet};

use super::conventions;
use super::mentions::{Mention, Place};
use super::ports::{self, File, default_of};
use crate::model::source_tree::{SourceTree, join};

/// Files and directories below one directory of the repository, and the first place that opens one of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Assets {
    pub(super) directory: String,
    /// Relative to the directory, sorted, none within another.
    pub(super) paths: Vec<String>,
    pub(super) first: Option<(String, u32)>,
}

/// What is known of functions that open files: the fact `opening`.
pub(super) struct Known<'a> {
    functions: HashSet<&'a str>,
    /// Functions that are given a directory in which settings are looked for.
    searches: HashSet<&'a str>,
    /// Whether such a function is given what another one was given.
    passes_on: bool,
    /// Parts of the names of that one.
    loaders: Vec<&'a str>,
    /// Parts of the names of flags whose default may be a directory with settings.
    flags: Vec<&'a str>,
    /// Endings of files with settings.
    settings: Vec<&'a str>,
    /// Beginnings of names of files that compose containers, which no program reads.
    compositions: Vec<&'a str>,
    endings: Vec<&'a str>,
    /// Endings of names of constants and variables that hold a directory.
    names: Vec<&'a str>,
    /// Functions of the program with a parameter of such a name, and which it is.
    parameters: HashSet<(String, usize)>,
    pub(super) sources: Vec<&'a str>,
}

/// Looks up what the program opens, in the first of the directories that has the most of it: a program is started in one.
pub(super) fn find(tree: &SourceTree, facts: &toml::Table, files: &[File<'_>], directories: &[&str]) -> Assets {
    let (known, listening) = (Known::of(tree, facts, files), ports::Known::of(facts));
    let mut meant: Vec<(&str, &Mention, Meaning)> = Vec::new();
    for (file, mentions) in files {
        let paths = mentions.iter().filter_map(|mention| {
            let meaning = known.meaning(mention, mentions, &listening)?;
            Some((*file, mention, meaning))
        });
        meant.extend(paths.filter(|(_, mention, _)| !is_definite(mention, mentions)));
    }
    let conventional = conventions::of(facts, files);
    let mut best = Assets::default();
    for directory in directories {
        let mut found = Assets { directory: (*directory).to_owned(), ..Assets::default() };
        for (file, line, name) in &conventional {
            if exists(tree, directory, name) && holds_data(tree, directory, name, &known.sources) {
                found.first.get_or_insert_with(|| ((*file).to_owned(), *line));
                found.paths.push((*name).to_owned());
            }
        }
        for (file, mention, meant) in &meant {
            let paths = opened(tree, directory, mention, *meant, &known);
            if !paths.is_empty() && found.first.is_none() {
                found.first = Some(((*file).to_owned(), mention.line));
            }
            found.paths.extend(paths);
        }
        let files = found.paths.iter().flat_map(|path| settings_at(tree, directory, path, &known));
        let of_settings = files.flat_map(|path| settings_name(tree, directory, &path, &known)).collect::<Vec<_>>();
        found.paths.extend(of_settings);
        tidy(&mut found.paths);
        if found.paths.len() > best.paths.len() {
            best = found;
        }
    }
    best
}

/// The text that may be a path: of a struct tag the default that it states (`default:"./migrations"`), of an address of a file
/// its path (`file://migrations`, golang-migrate's `source/file`).
fn text(mention: &Mention) -> &str {
    let text = match &mention.place {
        Place::Tag { .. } => default_of(&mention.text).unwrap_or_default(),
        _ => &mention.text,
    };
    let behind = || COMPUTED.iter().find_map(|verb| text.strip_prefix(verb));
    // Behind a directory that is computed, which is the working directory where there is such a file.
    let added = || text.strip_prefix('/').filter(|_| mention.added);
    text.strip_prefix(FILE).or_else(behind).or_else(added).unwrap_or(text)
}

/// What a text for `fmt.Sprintf` begins with that puts a directory before a path: `fmt.Sprintf("%s/config/config.yaml", wd)`.
const COMPUTED: &[&str] = &["%s/", "%v/"];

/// What an address of a file begins with (RFC 8089; golang-migrate takes a relative path behind it).
const FILE: &str = "file://";

/// What a program does with a text that may be a path.
#[derive(Clone, Copy)]
pub(super) struct Meaning {
    opens: bool,
    searches: bool,
    /// A flag's default, or what a loader of settings is given: a directory counts that has some.
    stands_for: bool,
}

impl<'a> Known<'a> {
    pub(super) fn of(tree: &SourceTree, facts: &'a toml::Table, files: &[File<'_>]) -> Self {
        let list = |key: &str| {
            let list = facts.get("opening").and_then(|table| table.get(key)).and_then(toml::Value::as_array);
            list.into_iter().flatten().filter_map(toml::Value::as_str)
        };
        let searches: HashSet<&str> = list("searches").collect();
        let texts = files.iter().filter_map(|(path, _)| tree.text(path));
        let names: Vec<&str> = list("names").collect();
        let (mut hands_on, mut parameters) = (false, HashSet::new());
        for text in texts {
            hands_on = hands_on || passes_on(text, &searches);
            parameters.extend(directories_of(text, &names));
        }
        Self {
            functions: list("functions").collect(),
            searches,
            passes_on: hands_on,
            parameters,
            loaders: list("loaders").collect(),
            flags: list("flags").collect(),
            settings: list("settings").collect(),
            compositions: list("compositions").collect(),
            endings: list("endings").collect(),
            names,
            sources: list("sources").collect(),
        }
    }

    /// `None` for most texts, which are no paths.
    pub(super) fn meaning(&self, mention: &Mention, all: &[Mention], listening: &ports::Known<'_>) -> Option<Meaning> {
        let text = text(mention);
        if text.is_empty() || text.len() > 200 || text.starts_with('/') || text.contains(['\n', '\\', '\0', ' ']) {
            return None;
        }
        let (opens, searches, loads) = match &mention.place {
            Place::Argument { package, function, .. } => {
                let qualified = format!("{package}.{function}");
                let among =
                    |names: &HashSet<&str>| names.contains(function.as_str()) || names.contains(qualified.as_str());
                let lower = qualified.to_lowercase();
                // `SetConfigName` is given a name.
                let sets = || function.to_lowercase().starts_with("set");
                let loads = self.passes_on && self.loaders.iter().any(|part| lower.contains(part)) && !sets();
                (among(&self.functions), among(&self.searches), loads)
            }
            _ => (false, false, false),
        };
        let stands_for = || {
            let name = ports::default_for(mention, all, listening).map(str::to_lowercase);
            name.is_some_and(|name| self.flags.iter().any(|part| name.contains(part)))
        };
        // Elsewhere a text is a path only if it looks like one: `./web`, `config.yml`.
        let data = || self.endings.iter().any(|ending| text.ends_with(ending));
        let held = || match &mention.place {
            Place::Named(name) => self.names.iter().any(|ending| name.to_lowercase().ends_with(ending)),
            Place::Argument { function, index, .. } => self.parameters.contains(&(function.clone(), *index)),
            _ => false,
        };
        let file = || mention.text.starts_with(FILE);
        let looks = || (text.starts_with("./") && text.len() > 2) || data() || held() || file();
        let stands_for = !opens && !searches && !looks() && (loads || stands_for());
        let searches = searches || loads && !opens;
        (opens || searches || stands_for || looks()).then_some(Meaning { opens, searches, stands_for })
    }
}

/// The functions that a file declares with a parameter that is a directory by its name, and which: `func Pages(publicDir string)`.
fn directories_of(text: &str, names: &[&str]) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("func ")) {
        let method = line.strip_prefix('(').and_then(|rest| rest.split_once(')'));
        let Some((name, rest)) = method.map_or(line, |(_, rest)| rest.trim_start()).split_once('(') else { continue };
        let parameters = rest.split(')').next().unwrap_or_default().split(',').enumerate();
        let is_directory = |parameter: &str| {
            let word = parameter.split_whitespace().next().unwrap_or_default().to_lowercase();
            names.iter().any(|ending| word.ends_with(ending))
        };
        found.extend(parameters.filter(|(_, one)| is_directory(one)).map(|(index, _)| (name.to_owned(), index)));
    }
    found
}

/// Whether a function that looks for settings in a directory is given a name: `viper.AddConfigPath(path)`.
fn passes_on(text: &str, searches: &HashSet<&str>) -> bool {
    searches.iter().any(|function| {
        text.match_indices(function).any(|(at, _)| {
            let given = text[at + function.len()..].strip_prefix('(');
            given.is_some_and(|given| given.starts_with(|c: char| c.is_lowercase()))
        })
    })
}

/// Whether the working directory is only the beginning of a path whose other parts are written down, too:
/// `filepath.Join(".", ".part-"+name)` names a file that the program makes.
fn is_definite(mention: &Mention, all: &[Mention]) -> bool {
    let Place::Argument { function, call, index: 0, .. } = &mention.place else { return false };
    let same = |other: &Mention| matches!(&other.place, Place::Argument { call: same, index, .. } if same == call && *index > 0);
    function == "Join" && mention.text == "." && all.iter().any(same)
}

/// The paths that a text stands for, where it is one that the program opens.
fn opened(
    tree: &SourceTree,
    directory: &str,
    mention: &Mention,
    Meaning { opens, searches, stands_for }: Meaning,
    known: &Known<'_>,
) -> Vec<String> {
    let text = text(mention);
    let Some(path) = join("", text) else { return Vec::new() };
    // `"." + name` is a hidden file's name, and `filepath.Join(home, ".")` is another place.
    let behind = matches!(&mention.place, Place::Argument { function, index, .. } if function == "Join" && *index > 0);
    if path.is_empty() && (mention.goes_on || behind) {
        return Vec::new();
    }
    if path.is_empty() {
        return match (opens, searches) {
            (true, _) => whole(tree, directory, &known.sources),
            (false, true) => settings(tree, directory, known).map(str::to_owned).collect(),
            (false, false) => Vec::new(),
        };
    }
    // Of a directory that a flag only names, what lies in it tells that it is read.
    let read = |path: &str| settings_below(tree, directory, path, known);
    if stands_for && !read(&path) {
        return Vec::new();
    }
    // What is put into a text (`fmt.Sprintf("./letters/%s", name)`) is a name in the directory before it, as a pattern is.
    let given = |fixed: &str| path.contains('%') && !holds_data(tree, directory, fixed, &known.sources);
    if let Some(at) = path.find(['*', '?', '[', '{', '%']) {
        return match path[..at].rsplit_once('/') {
            Some((fixed, _)) if exists(tree, directory, fixed) && !given(fixed) => vec![fixed.to_owned()],
            None if opens => {
                let ending = path.rsplit('*').next().filter(|ending| ending.starts_with('.'));
                let source = |file: &str| known.sources.iter().any(|ending| file.ends_with(ending));
                let files = tree.files_in(directory).filter(|file| ending.is_some_and(|ending| file.ends_with(ending)));
                files
                    .filter(|file| !source(file))
                    .filter_map(|file| file.rsplit('/').next())
                    .map(str::to_owned)
                    .collect()
            }
            _ => Vec::new(),
        };
    }
    if !exists(tree, directory, &path) {
        return with_ending(tree, directory, &path, known);
    }
    if holds_data(tree, directory, &path, &known.sources) { vec![path] } else { Vec::new() }
}

/// Files of settings that a path names without their ending, as libraries take them (viper's `SetConfigName`: "without
/// extension"): `./config/config-local`.
fn with_ending(tree: &SourceTree, directory: &str, path: &str, known: &Known<'_>) -> Vec<String> {
    let Some((above, stem)) = path.rsplit_once('/') else { return Vec::new() };
    let Some(full) = join(directory, above) else { return Vec::new() };
    let ending = |name: &&str| name.strip_prefix(stem).is_some_and(|rest| known.settings.contains(&rest));
    let names = settings(tree, &full, known).filter(ending);
    names.map(|name| format!("{above}/{name}")).collect()
}

fn exists(tree: &SourceTree, directory: &str, path: &str) -> bool {
    join(directory, path).is_some_and(|path| tree.has_file(&path) || tree.has_directory(&path))
}

/// Whether it is no source, or a directory with a file that is none: many a package is called as what it reads.
pub(super) fn holds_data(tree: &SourceTree, directory: &str, path: &str, sources: &[&str]) -> bool {
    let source = |path: &str| sources.iter().any(|ending| path.ends_with(ending));
    let Some(full) = join(directory, path).filter(|_| !source(path)) else { return false };
    tree.has_file(&full) || tree.below(&full).any(|(path, _)| !source(path))
}

/// The files of a directory that a library for settings looks for in it.
fn settings<'t>(tree: &'t SourceTree, directory: &'t str, known: &Known<'_>) -> impl Iterator<Item = &'t str> {
    let names = tree.files_in(directory).filter_map(|path| path.rsplit('/').next());
    names.filter(|name| is_settings(name, known))
}

fn is_settings(name: &str, known: &Known<'_>) -> bool {
    if known.compositions.iter().any(|beginning| name.starts_with(beginning)) {
        return false;
    }
    let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
    !name.starts_with('.') && ends(&known.settings) && !ends(&known.sources)
}

/// Whether a directory has settings, in it or in one below it (`configs/dev/server.toml`).
fn settings_below(tree: &SourceTree, directory: &str, path: &str, known: &Known<'_>) -> bool {
    let Some(full) = join(directory, path) else { return false };
    let mut files = tree.below(&full).map(|(path, _)| path);
    files.any(|file| is_settings(file.rsplit('/').next().unwrap_or(file), known))
}

/// More files of settings than these in one directory are something else.
const MANY: usize = 20;

/// The files of settings that an asset is, or that lie in it.
fn settings_at(tree: &SourceTree, directory: &str, path: &str, known: &Known<'_>) -> Vec<String> {
    let Some(full) = join(directory, path).filter(|full| tree.has_directory(full)) else {
        return vec![path.to_owned()];
    };
    let files = settings(tree, &full, known).take(MANY);
    files.map(|name| format!("{path}/{name}")).collect()
}

/// Larger files are data, not settings.
const LARGEST: usize = 64 * 1024;

/// What a file of settings names by a relative path, or by the beginning of one (`"migrations": "db/db_"`).
fn settings_name(tree: &SourceTree, directory: &str, path: &str, known: &Known<'_>) -> Vec<String> {
    let is_settings = known.settings.iter().any(|ending| path.ends_with(ending));
    let Some(file) = join(directory, path).filter(|file| is_settings && tree.has_file(file)) else { return Vec::new() };
    let Some(text) = tree.text(&file).filter(|text| text.len() <= LARGEST) else { return Vec::new() };
    let written = |line: &str| {
        let (_, value) =
            line.split_once([':', '=']).filter(|(key, _)| !key.trim_start().starts_with(['#', ';', '/']))?;
        let value = value.split(" #").next()?.trim().trim_end_matches(',').trim_matches(['"', '\'']);
        let value = value.strip_prefix(FILE).unwrap_or(value);
        let plain = !value.starts_with(['/', '#']) && !value.contains([' ', ':', '*', '$', '\\']);
        let whole = join("", value).filter(|whole| plain && value.contains('/') && !whole.is_empty())?;
        let begun = |whole: &str| {
            let (above, _) = whole.rsplit_once('/')?;
            let full = join(directory, whole)?;
            let begins = tree.below(&join(directory, above)?).any(|(path, _)| path.starts_with(&full));
            begins.then(|| above.to_owned())
        };
        let there = if exists(tree, directory, &whole) { Some(whole) } else { begun(&whole) };
        there.filter(|there| holds_data(tree, directory, there, &known.sources))
    };
    text.lines().filter_map(written).collect()
}

/// All that is no source: for programs that serve the directory they are started in.
fn whole(tree: &SourceTree, directory: &str, sources: &[&str]) -> Vec<String> {
    let skip = if directory.is_empty() { 0 } else { directory.len() + 1 };
    let first = |path: &str| path[skip..].split('/').next().unwrap_or_default().to_owned();
    let tops: BTreeSet<String> = tree.below(directory).map(|(path, _)| first(path)).collect();
    let kept = tops.into_iter().filter(|name| !name.starts_with('.') && holds_data(tree, directory, name, sources));
    kept.collect()
}

/// Sorted, and nothing twice or within another.
pub(super) fn tidy(paths: &mut Vec<String>) {
    paths.sort();
    paths.dedup();
    let all: BTreeSet<String> = paths.iter().cloned().collect();
    paths.retain(|path| {
        let mut up = path.as_str();
        while let Some((parent, _)) = up.rsplit_once('/') {
            if all.contains(parent) {
                return false;
            }
            up = parent;
        }
        true
    });
}
