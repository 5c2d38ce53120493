//! Frameworks whose own server listens on the loopback address unless a variable of the environment tells it otherwise.

use super::layout::Sources;
use super::module::{Argument, Call};
use super::start::Entry;
use super::text::inside;
use super::{port, source};
use crate::model::failure::Warning;
use crate::model::origin::{Found, Origin};
use crate::toolchain::findings::{Findings, Inspection};

/// Tells the framework that a script serves by (`[[facts.listen_addresses]]`) to listen on all addresses; the port that is
/// its own.
pub(super) fn open(
    inspection: &Inspection<'_>,
    sources: &Sources<'_>,
    entry: &Entry,
    findings: &mut Findings,
) -> Option<Found<u16>> {
    let mut usual = None;
    let rows = inspection.facts.get("listen_addresses").and_then(toml::Value::as_array).into_iter().flatten();
    let modules = port::imported(sources, &inside(inspection.directory, &entry.name));
    for row in rows {
        let Some(module) = row.get("module").and_then(toml::Value::as_str) else { continue };
        let imports = |name: &String| name == module || name.split('.').next() == Some(module);
        let Some((file, _)) = modules.iter().find(|(_, read)| read.all.iter().any(imports)) else { continue };
        let origin =
            Origin::tree(file.as_str(), format!("`{module}` listens on the loopback address unless it is told"));
        for (name, value) in row.get("env").and_then(toml::Value::as_table).into_iter().flatten() {
            let value = Found::new(value.as_str().unwrap_or_default().to_owned(), origin.clone());
            findings.image_env.entry(name.clone()).or_insert(value);
        }
        let port = row.get("port").and_then(toml::Value::as_integer).and_then(|port| u16::try_from(port).ok());
        usual = port.map(|port| Found::new(port, Origin::tree(file.as_str(), format!("the port of `{module}`"))));
    }
    usual
}

const LOOPBACK: [&str; 2] = ["127.0.0.1", "localhost"];

/// Tells a program that asks its environment for the address it listens on, and would take the loopback address, to listen on all:
/// nobody outside of a container reaches that one.
pub(super) fn asked_for(sources: &Sources<'_>, findings: &mut Findings) {
    let may_ask = |text: &str| {
        LOOPBACK.iter().any(|address| text.contains(address)) && (text.contains("environ") || text.contains("getenv"))
    };
    for file in sources.files.iter().filter(|file| sources.tree.text(file).is_some_and(may_ask)) {
        let Some(module) = source::of(sources.tree, file) else { continue };
        for (name, line) in module.calls.iter().filter_map(variable) {
            let origin = Origin::file(*file, Some(line), format!("`{name}` is the loopback address unless it is told"));
            findings.image_env.entry(name.to_owned()).or_insert(Found::new("0.0.0.0".to_owned(), origin));
        }
    }
}

/// `os.getenv("BIND_ADDRESS", "127.0.0.1")`: names of what a program itself listens on. Others are of whom it speaks to.
fn variable(call: &Call) -> Option<(&str, u32)> {
    if !["os.environ.get", "os.getenv"].contains(&call.callee.dotted.as_str()) {
        return None;
    }
    let (name, sure) = match &call.arguments[..] {
        [Argument::Text(name)] => (name, false),
        [Argument::Text(name), Argument::Text(default)] if LOOPBACK.contains(&default.as_str()) => (name, true),
        _ => return None,
    };
    let plain = name.to_ascii_lowercase().replace('_', "");
    let listens =
        ["bindaddress", "bindaddr", "bindhost", "bindip", "listenaddress", "listenaddr", "listenhost", "listenip"];
    let own = ["host", "bind", "flaskhost", "flaskrunhost", "uvicornhost", "webhost", "httphost"];
    let is_own = listens.iter().any(|end| plain.ends_with(end)) || sure && own.contains(&plain.as_str());
    is_own.then_some((name.as_str(), call.line))
}

/// The warning about a script whose own call serves at the loopback address, whatever its environment says.
pub(super) fn fixed(inspection: &Inspection<'_>, entry: &Entry) -> Option<Warning> {
    let path = inside(inspection.directory, &entry.name);
    let module = source::of(inspection.tree, &path)?;
    let serves = |call: &&Call| {
        let name = call.callee.dotted.rsplit('.').next().unwrap_or_default();
        ["run", "run_app", "run_simple", "serve", "listen", "make_server"].contains(&name)
    };
    let at = |call: &&Call| {
        let given = |key: &str| ["host", "hostname", "address", "interface"].contains(&key);
        call.keywords.iter().any(|(key, value)| {
            given(key) && matches!(value, Argument::Text(text) if LOOPBACK.contains(&text.as_str()))
        })
    };
    let line = module.calls.iter().filter(serves).find(at)?.line;
    let message =
        format!("`{path}` line {line} listens on the loopback address, which nobody outside of the container reaches");
    let hint = "let it listen on `0.0.0.0`, or on what a variable of the environment says";
    Some(Warning::new("listens_on_loopback", message, hint).at(path, Some(line)))
}

#[cfg(test)]
mod tests {
    use super::super::tests::found;

    #[test]
    fn addresses_that_a_program_asks_for() {
        let start = "if __name__ == '__main__':\n    serve()\n";
        for (text, expected) in [
            ("import os\nhost = os.environ.get('HOST', '127.0.0.1')\n", Some("HOST")),
            (
                "import os\nhost = os.getenv('SHOP_BIND_ADDRESS') or read('address', '127.0.0.1')\n",
                Some("SHOP_BIND_ADDRESS"),
            ),
            ("import os\nhost = os.getenv('REDIS_HOST', 'localhost')\n", None),
            ("import os\nhost = os.getenv('HOST', '0.0.0.0')\n", None),
            ("import os\nhost = os.getenv('HOST')\nother = 'localhost'\n", None),
        ] {
            let text = format!("{text}{start}");
            let findings = found(&[("requirements.txt", "requests\n"), ("serve.py", text.as_str())]);
            let told =
                findings.image_env.iter().find(|(_, found)| found.value == "0.0.0.0").map(|(name, _)| name.as_str());
            assert_eq!(told, expected, "{text}");
        }
    }

    #[test]
    fn an_address_that_nobody_reaches() {
        for (call, expected) in [("serve(app, host='127.0.0.1', port=80)", true), ("serve(app, host='0.0.0.0')", false)]
        {
            let text = format!("if __name__ == '__main__':\n    {call}\n");
            let findings = found(&[("requirements.txt", "requests\n"), ("main.py", text.as_str())]);
            assert_eq!(findings.warnings.iter().any(|one| one.code == "listens_on_loopback"), expected, "{call}");
        }
    }
}
