//! Arguments that a Dockerfile starts the program with, although it is not built: `serve`, `--bind=0.0.0.0`.

use std::collections::BTreeMap;

use super::super::dockerfile::says;
use super::layout::below;
use super::mains::{Main, last};
use super::ports::{address, is_loopback};
use crate::model::origin::{Found, Origin};
use crate::toolchain::findings::Inspection;

/// Programs that only start another one and hand its signals on.
const STARTERS: &[&str] = &["tini", "dumb-init", "catatonit"];

/// Arguments that end a program with a word about itself.
const ABOUT: &[&str] = &["help", "-h", "-help", "--help", "version", "-v", "-version", "--version"];

/// Those of the first Dockerfile that starts this very program with some, where they mean the same in another image: a path
/// or a variable is that image's own.
pub(super) fn of_dockerfile(
    inspection: &Inspection<'_>,
    dockerfiles: &Dockerfiles<'_>,
    main: &Main,
    mains: &[Main],
    module: &str,
) -> Option<Found<Vec<String>>> {
    let given = |path: &str, text: &str| {
        let said =
            says::starts(text).filter(|said| said.plain || said.words.first().is_some_and(|word| is_script(word)))?;
        let (program, arguments) = program(&said.words)?;
        let other = mains.iter().any(|other| other != main && last(&other.import_path) == program);
        let own = is_own(program, &own_names(inspection, main, module), main);
        let built = || {
            let defaults = says::arguments(text);
            let said = says::builds(text);
            said.iter().flat_map(|said| &said.words).any(|word| name(&replaced(word, &defaults)) == program)
        };
        let same = own || !other && !program.is_empty() && built();
        let arguments = meant(arguments, inspection.facts).filter(|_| same)?;
        Some(Found::new(arguments, Origin::file(path, Some(said.line), "what the Dockerfile starts")))
    };
    let mut found = dockerfiles.files.iter().filter_map(|(path, text)| given(path, text));
    let first = found.next()?;
    // Of others than the program's own Dockerfile all have to say the same.
    (dockerfiles.own || found.all(|other| other.value == first.value)).then_some(first)
}

/// Dockerfiles that say something of the program.
pub(super) struct Dockerfiles<'t> {
    pub(super) files: Vec<(String, &'t str)>,
    /// Whether they lie where its own would.
    pub(super) own: bool,
}

/// More directories down nobody keeps the application's.
const DEPTH: usize = 2;

/// Those of these directories; where there are none, others of the repository (`docker/Dockerfile`, `.docker/Dockerfile-alpine`)
/// that start a program of this name.
pub(super) fn dockerfiles<'t>(
    inspection: &Inspection<'t>,
    directories: &[&str],
    main: &Main,
    module: &str,
) -> Dockerfiles<'t> {
    let tree = inspection.tree;
    let read = |path: String| Some((path.clone(), tree.text(&path)?));
    let files: Vec<_> = directories.iter().filter_map(|directory| read(below(directory, "Dockerfile"))).collect();
    if !files.is_empty() {
        return Dockerfiles { files, own: true };
    }
    let skip = if inspection.directory.is_empty() { 0 } else { inspection.directory.len() + 1 };
    let is_dockerfile =
        |path: &&str| path[skip..].matches('/').count() <= DEPTH && name(path).to_lowercase().starts_with("dockerfile");
    let found: Vec<&str> = tree.below(inspection.directory).map(|(path, _)| path).filter(is_dockerfile).collect();
    let own = own_names(inspection, main, module);
    let starts = |text: &str| {
        says::starts(text)
            .is_some_and(|said| program(&said.words).is_some_and(|(program, _)| is_own(program, &own, main)))
    };
    // Every text is asked for in one go.
    let read_ones: Vec<_> = found.into_iter().filter_map(|path| read(path.to_owned())).collect();
    Dockerfiles { files: read_ones.into_iter().filter(|(_, text)| starts(text)).collect(), own: false }
}

/// What the program may be called.
fn own_names<'n>(inspection: &'n Inspection<'_>, main: &'n Main, module: &'n str) -> [&'n str; 3] {
    [last(&main.import_path), last(module), inspection.application]
}

/// Whether a name is the program's; `go run` says none of the package where it stands.
fn is_own(program: &str, names: &[&str], main: &Main) -> bool {
    names.contains(&program) || program.is_empty() && main.name == "."
}

/// A word with the variables in it that `ARG` gives a value.
fn replaced(word: &str, defaults: &BTreeMap<String, String>) -> String {
    defaults.iter().fold(word.to_owned(), |word, (name, value)| {
        word.replace(&format!("${{{name}}}"), value).replace(&format!("${name}"), value)
    })
}

/// Arguments that mean the same in another image. Where words of its own say what the program does (`serve`), options behind
/// them whose values do not are left to their defaults: `serve --config /etc/shop.yml` is `serve`. Beside such an option a name is
/// no better (`--workdir /etc/shop --config prod`), and without words only addresses mean something (`--listen 0.0.0.0:80`).
fn meant(arguments: &[String], facts: &toml::Table) -> Option<Vec<String>> {
    let is_option = |word: &String| word.starts_with('-') && !ABOUT.contains(&word.as_str());
    let arguments = &without_variables(arguments)[..];
    let means = |word: &String| is_meant_anywhere(word, facts);
    let (words, mut options) = arguments.split_at(arguments.iter().position(is_option).unwrap_or(arguments.len()));
    if arguments.iter().all(means) {
        return Some(arguments.to_vec()).filter(|all| !all.is_empty());
    }
    if !words.iter().all(means) {
        return None;
    }
    let mut kept = words.to_vec();
    while let [option, rest @ ..] = options {
        let valued = !option.contains('=') && rest.first().is_some_and(|next| !next.starts_with('-'));
        let (one, rest) = options.split_at(if valued { 2 } else { 1 });
        let value =
            option.split_once('=').map_or(one.last().filter(|_| valued).map(String::as_str), |(_, value)| Some(value));
        let names = value.is_some_and(|value| value.starts_with(char::is_alphabetic) && value.parse::<bool>().is_err());
        let listens = value.is_some_and(|value| address(value).is_some_and(|(host, _)| !is_loopback(host)));
        let whole = one.iter().all(means) && !names && (listens || !words.is_empty());
        if !is_option(option) {
            return None;
        }
        kept.extend(one.iter().filter(|_| whole).cloned());
        options = rest;
    }
    Some(kept).filter(|kept| !kept.is_empty())
}

/// Without words that are a variable and nothing else, behind a word of a meaning: what nobody gives adds nothing
/// (`["shop", "serve", "${OPTIONS}"]`). The value of an option goes with it.
fn without_variables(arguments: &[String]) -> Vec<String> {
    let inner = |word: &str| word.strip_prefix('$').map(|name| name.trim_matches(['{', '}']).to_owned());
    let letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_variable = |word: &String| inner(word).is_some_and(|name| name.chars().all(letter));
    let stays = |at: usize| at == 0 || !is_variable(&arguments[at]) || arguments[at - 1].starts_with('-');
    (0..arguments.len()).filter(|at| stays(*at)).map(|at| arguments[at].clone()).collect()
}

/// Whether it is the script in front of a program that hands on what it is given (Dockerfile best practices, "ENTRYPOINT":
/// `docker-entrypoint.sh` ends with `exec "$@"`); what another script does nobody knows.
fn is_script(word: &str) -> bool {
    name(word).contains("entrypoint")
}

/// What `go run [build flags] package [arguments]` starts: the package's directory, which for `main.go` has no name.
fn run_by_go(words: &[String]) -> Option<(&str, &[String])> {
    let words = words.split_first().filter(|(verb, _)| *verb == "run")?.1;
    let words = &words[words.iter().take_while(|word| word.starts_with('-')).count()..];
    let is_source = |word: &&String| word.rsplit_once('.').is_some_and(|(_, ending)| ending == "go");
    match words.iter().take_while(is_source).count() {
        0 => words.split_first().map(|(package, arguments)| (name(package).trim_start_matches('.'), arguments)),
        files => Some((
            words[0].rsplit_once('/').map_or("", |(above, _)| name(above).trim_start_matches('.')),
            &words[files..],
        )),
    }
}

/// The name of the program that is started in the end, and its arguments.
fn program(words: &[String]) -> Option<(&str, &[String])> {
    let (first, mut rest) = words.split_first()?;
    if name(first) == "go" {
        return run_by_go(rest);
    }
    if !STARTERS.contains(&name(first)) && !is_script(first) {
        // A `CMD` that says the `ENTRYPOINT` again gives no argument.
        let again = rest.first().is_some_and(|word| word == first);
        return Some((name(first), &rest[usize::from(again)..]));
    }
    while let [word, more @ ..] = rest {
        rest = more;
        if !word.starts_with('-') {
            return Some((name(word), rest));
        }
    }
    None
}

/// The last element of a path.
fn name(word: &str) -> &str {
    word.trim_end_matches('/').rsplit('/').next().unwrap_or(word)
}

fn is_meant_anywhere(word: &str, facts: &toml::Table) -> bool {
    let endings = facts.get("opening").and_then(|table| table.get("endings")).and_then(toml::Value::as_array);
    let file = endings.into_iter().flatten().filter_map(toml::Value::as_str).any(|ending| word.ends_with(ending));
    !(word.is_empty() || file || word.contains(['/', '\\', '$', '%']) || ABOUT.contains(&word))
}
