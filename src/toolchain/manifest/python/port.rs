//! The port that a script's modules state: constants, and defaults of variables of the environment and of options.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use super::imports::{self, Imports};
use super::layout::Sources;
use super::module::{Argument, Call, Module, Value};
use super::source;
use crate::model::origin::{Found, Origin};

/// More modules than a script that starts quickly imports of its own repository.
const MOST: usize = 150;

/// What is known of names that lead to a port: the fact `listening`.
struct Known<'a> {
    names: Vec<&'a str>,
    ending: &'a str,
    aside: Vec<&'a str>,
}

/// A port, the line that states it, and in which words.
struct Stated {
    port: u16,
    line: u32,
    what: String,
}

/// The first default of a variable of the environment, or else the first constant, in a script and what it imports of its
/// own repository, near modules first.
pub(super) fn stated(sources: &Sources<'_>, script: &str, facts: &toml::Table) -> Option<Found<u16>> {
    search(sources, script, facts, true)
}

/// The same of the module that an installed command calls, without constants: a program of many parts has some for others.
pub(super) fn of_command(sources: &Sources<'_>, module: &str, facts: &toml::Table) -> Option<Found<u16>> {
    search(sources, module, facts, false)
}

fn search(sources: &Sources<'_>, script: &str, facts: &toml::Table, constants: bool) -> Option<Found<u16>> {
    let known = Known::of(facts)?;
    let modules = imported(sources, script);
    // Only modules whose text may state one are parsed.
    let first = |may: &dyn Fn(&str) -> bool, say: &dyn Fn(&Module) -> Option<Stated>| {
        modules.iter().filter(|(file, _)| sources.tree.text(file).is_some_and(may)).find_map(|(file, _)| {
            let Stated { port, line, what } = say(&*source::of(sources.tree, file)?)?;
            Some(Found::new(port, Origin::file(file.as_str(), Some(line), what)))
        })
    };
    let asks = |text: &str| (text.contains("environ") || text.contains("getenv")) && known.may_be_asked_for(text);
    let names = |text: &str| text.lines().any(|line| known.may_be_given(line));
    let options = |text: &str| text.contains("add_argument") || text.contains("option(");
    let gets = |text: &str| text.contains(".get(") && known.may_be_asked_for(text);
    first(&asks, &|module| known.variable(module))
        .or_else(|| first(&options, &|module| known.option(module)))
        .or_else(|| constants.then(|| first(&gets, &|module| known.setting(module))).flatten())
        .or_else(|| constants.then(|| first(&names, &|module| known.constant(module))).flatten())
}

/// The script's module and those that it imports, breadth first.
pub(super) fn imported(sources: &Sources<'_>, script: &str) -> Vec<(String, Arc<Imports>)> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::from([script.to_owned()]);
    let mut next = VecDeque::from([script.to_owned()]);
    while let Some(file) = next.pop_front().filter(|_| found.len() < MOST) {
        let Some(imports) = imports::of(sources.tree, &file) else { continue };
        for name in &imports.all {
            let located = sources.locate(name, &file).map(|(target, _)| target);
            next.extend(located.filter(|target| seen.insert(target.clone())));
        }
        found.push((file, imports));
    }
    found
}

impl<'a> Known<'a> {
    fn of(facts: &'a toml::Table) -> Option<Self> {
        let table = facts.get("listening")?.as_table()?;
        let list = |key: &str| {
            let list = table.get(key).and_then(toml::Value::as_array);
            list.into_iter().flatten().filter_map(toml::Value::as_str).collect()
        };
        Some(Self { names: list("names"), ending: table.get("ending")?.as_str()?, aside: list("aside") })
    }

    /// `os.environ.get("SHOP_PORT", 8083)`, `os.getenv("PORT", "8083")`.
    fn variable(&self, module: &Module) -> Option<Stated> {
        module.calls.iter().find_map(|call| {
            let asks = ["os.environ.get", "os.getenv"].contains(&call.callee.dotted.as_str());
            let [Argument::Text(name), ..] = &call.arguments[..] else { return None };
            let says = plain(name).ends_with(self.ending) && !self.is_aside(name);
            let port = default_of(call, module).filter(|_| asks && says)?;
            Some(Stated { port, line: call.line, what: format!("default of `{name}`") })
        })
    }

    /// `add_argument("--api-port", type=int, default=8081)` (Python, `argparse`), also of click and tornado: an option with one
    /// of the names.
    fn option(&self, module: &Module) -> Option<Stated> {
        module.calls.iter().find_map(|call| {
            let asks = matches!(call.callee.dotted.rsplit('.').next(), Some("add_argument" | "option"));
            let options = call.arguments.iter().filter_map(|argument| match argument {
                Argument::Text(name) => name.strip_prefix("--").filter(|_| asks),
                _ => None,
            });
            let named = |name: &&str| self.names.contains(&plain(&name.replace('-', "_")).as_str());
            let name = options.into_iter().find(named)?;
            let (_, default) = call.keywords.iter().find(|(key, _)| key == "default")?;
            let port = number_of(default, module)?;
            Some(Stated { port, line: call.line, what: format!("default of `--{name}`") })
        })
    }

    /// `settings.get("web_port", 9899)`: the default of a setting with one of the names, but `port` alone, which is anybody's.
    fn setting(&self, module: &Module) -> Option<Stated> {
        module.calls.iter().find_map(|call| {
            let [Argument::Text(name), ..] = &call.arguments[..] else { return None };
            let named = name != "port" && self.names.contains(&plain(name).as_str());
            let asks = call.callee.dotted.rsplit('.').next() == Some("get");
            let port = default_of(call, module).filter(|_| asks && named)?;
            Some(Stated { port, line: call.line, what: format!("default of `{name}`") })
        })
    }

    /// Whether a text may hold the name of such a variable in quotes.
    fn may_be_asked_for(&self, text: &str) -> bool {
        text.match_indices(['"', '\'']).any(|(at, _)| {
            let before = text[..at].trim_end_matches(['_', '-', '.']);
            let end = before.len().saturating_sub(self.ending.len());
            before.get(end..).is_some_and(|end| end.eq_ignore_ascii_case(self.ending))
        })
    }

    /// Whether a line may give a number, or a text that is one, to one of the names.
    fn may_be_given(&self, line: &str) -> bool {
        let statement = line.split('#').next().unwrap_or_default();
        let Some((targets, value)) = statement.rsplit_once('=') else { return false };
        let value = value.trim_start_matches(|c: char| " \t\"'bBrRuU".contains(c));
        let mut words = targets.split(|c: char| !(c.is_alphanumeric() || c == '_'));
        value.starts_with(|c: char| c == '\\' || c.is_ascii_digit())
            && !targets.contains('(')
            && words.any(|word| !word.is_empty() && self.names.contains(&plain(word).as_str()))
    }

    /// `DEFAULT_PORT = 8083`.
    fn constant(&self, module: &Module) -> Option<Stated> {
        module.assignments.iter().find_map(|assignment| {
            let named = self.names.contains(&plain(&assignment.target).as_str());
            let port = number(&assignment.value).filter(|_| named)?;
            Some(Stated { port, line: assignment.line, what: assignment.target.clone() })
        })
    }

    fn is_aside(&self, name: &str) -> bool {
        let name = plain(name);
        self.aside.iter().any(|word| name.contains(word))
    }
}

/// The second argument of such a call.
fn default_of(call: &Call, module: &Module) -> Option<u16> {
    number_of(call.arguments.get(1)?, module)
}

/// A number, a text that is one, or a constant of the module.
fn number_of(argument: &Argument, module: &Module) -> Option<u16> {
    let default = match argument {
        Argument::Integer(port) => Value::Integer(*port),
        Argument::Text(text) => Value::Text(text.clone()),
        Argument::Name(name) => module.assignments.iter().find(|assignment| assignment.target == *name)?.value.clone(),
        _ => return None,
    };
    number(&default)
}

fn number(value: &Value) -> Option<u16> {
    let port = match value {
        Value::Integer(port) => u16::try_from(*port).ok()?,
        Value::Text(text) => text.parse().ok()?,
        _ => return None,
    };
    (port > 0).then_some(port)
}

/// A name without what separates its words, in lower case.
fn plain(name: &str) -> String {
    name.to_lowercase().replace('_', "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::source_tree::SourceTree;

    #[test]
    fn ports_are_found_in_what_a_script_imports() {
        let facts = "[listening]\nnames = ['port', 'defaultport']\nending = 'port'\naside = ['redis']".parse().unwrap();
        let of = |files: &[(&str, &str)]| {
            let tree = SourceTree::of_texts(files.iter().copied());
            let found = stated(&Sources::load(&tree, "", &facts), "start.py", &facts);
            found.map(|found| format!("{} {}", found.value, found.origin))
        };
        let start = ("start.py", "from shop.serving import main\nmain()\n");
        let constant = ("shop/constants.py", "TRIES = 3\nDEFAULT_PORT = 8083\n");
        let serving = ("shop/serving.py", "from . import constants\nREDIS_PORT = 6379\n");
        let there = of(&[start, ("shop/__init__.py", ""), serving, constant]);
        assert_eq!(there.as_deref(), Some("8083 shop/constants.py:2: DEFAULT_PORT"));
        for (text, expected) in [
            (
                "import os\np = int(os.environ.get('SHOP_PORT', 8001))\n",
                Some("8001 start.py:2: default of `SHOP_PORT`"),
            ),
            ("import os\nPORT = 1\np = os.getenv('PORT', PORT)\n", Some("1 start.py:3: default of `PORT`")),
            ("from os import getenv\np = getenv('APP_PORT', '8002')\n", Some("8002 start.py:2: default of `APP_PORT`")),
            ("import os\nport = os.getenv('REDIS_PORT', 6379)\n", None),
            ("import os\nport = os.getenv('PORT')\n", None),
            ("import os\np = os.environ.get(\n    'Port_', 8004)\n", Some("8004 start.py:2: default of `Port_`")),
            ("p = shop.conf().get('default_port', 8010)\n", Some("8010 start.py:1: default of `default_port`")),
            ("p = shop.get('port', 8010)\n", None),
            ("HOST = PORT = u'8005' # (=)\n", Some("8005 start.py:1: PORT")),
            ("port = \\\n  8006\n", Some("8006 start.py:1: port")),
            ("port: int = 8003\n", Some("8003 start.py:1: port")),
            ("PORT = 70000\nPORT = 'usb'\n", None),
            (
                "p.add_argument('--pg-port', default=1)\np.add_argument('-d', '--default-port', type=int, default=8007)\n",
                Some("8007 start.py:2: default of `--default-port`"),
            ),
        ] {
            assert_eq!(of(&[("start.py", text)]).as_deref(), expected, "{text}");
        }
        assert_eq!(of(&[("start.py", ""), ("other.py", "PORT = 8004\n")]), None, "nobody imports it");
    }
}
