//! What the Dockerfile tells gunicorn beside the application and the address: the kind of worker, and a configuration
//! (gunicorn's documentation, "Settings").

use super::dependencies::Dependencies;
use super::gunicorn::{USUAL, arguments, option};
use super::layout::Sources;
use super::text::inside;

/// Kinds of workers that are gunicorn's own, and the distribution that each needs.
const KINDS: &[(&str, &str)] = &[
    ("sync", ""),
    ("gthread", ""),
    ("gevent", "gevent"),
    ("gevent_wsgi", "gevent"),
    ("gevent_pywsgi", "gevent"),
    ("eventlet", "eventlet"),
    ("tornado", "tornado"),
];

/// Whether a word names workers that speak ASGI (uvicorn, "Deployment").
pub(super) fn is_asgi(word: &str) -> bool {
    word.contains("uvicorn.workers") || word.contains("uvicorn_worker.")
}

/// The options for the command that Slipway writes. A worker is named where what it needs is there; a configuration where it
/// is a file of the repository that names no place of another machine.
pub(super) fn options(sources: &Sources<'_>, dependencies: &Dependencies, words: &[String], asgi: bool) -> Vec<String> {
    let Some(arguments) = arguments(words) else { return Vec::new() };
    let there = |kind: &&str| {
        if let Some((_, needed)) = KINDS.iter().find(|(name, _)| name == kind) {
            return needed.is_empty() || dependencies.may_have(needed);
        }
        let module = kind.split('.').next().unwrap_or_default();
        kind.contains('.')
            && kind.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_'))
            && (dependencies.may_have(&module.replace('_', "-")) || sources.locate(module, "").is_some())
    };
    let worker = option(arguments, "-k", "--worker-class").filter(there).filter(|kind| !asgi && !is_asgi(kind));
    let configuration = configuration(sources, arguments).filter(|(path, text)| path != USUAL && fits(text));
    let worker = worker.into_iter().flat_map(|kind| ["--worker-class".to_owned(), kind.to_owned()]);
    let configuration = configuration.into_iter().flat_map(|(path, _)| ["--config".to_owned(), path]);
    configuration.chain(worker).collect()
}

/// What the configuration has gunicorn import (`wsgi_app`), where its command names nothing.
pub(super) fn imports(sources: &Sources<'_>, words: &[String]) -> Option<String> {
    let (_, text) = configuration(sources, arguments(words)?)?;
    let stated = text.lines().find_map(|line| line.split_once('=').filter(|(key, _)| key.trim_end() == "wsgi_app"));
    let value = stated?.1.split('#').next().unwrap_or_default().trim().trim_matches(['"', '\'']);
    value.contains(':').then(|| value.to_owned())
}

/// The configuration that the arguments name, wherever the Dockerfile has put it, relative to the application's directory.
fn configuration<'t>(sources: &Sources<'t>, arguments: &[String]) -> Option<(String, &'t str)> {
    let named = option(arguments, "-c", "--config").unwrap_or(USUAL);
    let path = named.trim_start_matches("file:").trim_start_matches("./").trim_start_matches('/');
    let mut places = std::iter::successors(Some(path), |path| path.split_once('/').map(|(_, rest)| rest));
    let path = places.find(|place| sources.tree.has_file(&inside(sources.directory, place)))?;
    Some((path.to_owned(), sources.tree.text(&inside(sources.directory, path))?))
}

/// Whether it can be used in this image: places, users and groups of another one are not there.
fn fits(text: &str) -> bool {
    let places = text.match_indices(['"', '\'']).map(|(at, _)| &text[at + 1..]);
    let foreign = |place: &str| place.starts_with('/') && !place.starts_with("/dev/") && !place.starts_with("/tmp");
    let sets = |name: &str| {
        text.lines().any(|line| line.split('=').next().is_some_and(|key| key.trim_end() == name && line.contains('=')))
    };
    !places.into_iter().any(foreign) && !["user", "group", "chdir", "daemon", "raw_env"].iter().any(|name| sets(name))
}

#[cfg(test)]
mod tests {
    use super::super::dependencies::Dependencies;
    use super::*;
    use crate::model::origin::Origin;
    use crate::model::source_tree::SourceTree;

    #[test]
    fn what_gunicorn_is_told() {
        let tree = SourceTree::of_texts([
            ("shop/__init__.py", ""),
            ("conf/g.py", "bind = '0.0.0.0:80'\nwsgi_app = \"shop:app()\"  # ours\n"),
            ("conf/other.py", "errorlog = '/var/log/shop.log'\n"),
        ]);
        let sources = Sources::parse_all(&tree);
        let list = ["gevent", "aiohttp"]
            .map(|name| super::super::requirement::Requirement::parse(name, Origin::default("")).unwrap());
        let dependencies = Dependencies { list: list.to_vec(), ..Dependencies::default() };
        for (line, asgi, expected, imported) in [
            ("gunicorn shop:app -k gevent --workers=2", false, "--worker-class gevent", None),
            (
                "gunicorn --worker-class=aiohttp.GunicornWebWorker shop:app",
                false,
                "--worker-class aiohttp.GunicornWebWorker",
                None,
            ),
            ("gunicorn -k eventlet shop:app", false, "", None),
            ("gunicorn -k shop.Worker shop:app", false, "--worker-class shop.Worker", None),
            ("gunicorn -k uvicorn.workers.UvicornWorker shop:app", true, "", None),
            ("gunicorn -c /srv/conf/g.py", false, "--config conf/g.py", Some("shop:app()")),
            ("gunicorn --config=conf/other.py shop:app", false, "", None),
            ("uvicorn -k gevent shop:app", false, "", None),
        ] {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            assert_eq!(options(&sources, &dependencies, &words, asgi).join(" "), expected, "{line}");
            assert_eq!(imports(&sources, &words).as_deref(), imported, "{line}");
        }
    }
}
