//! Which module is the application, by the rules of `[[facts.runnable]]`.

use super::effective::Effective;
use super::plugin::Plugin;
use super::poms::Poms;
use crate::model::failure::Failure;
use crate::model::origin::Origin;
use crate::model::source_tree::SourceTree;

/// Why a module can be started.
#[derive(Debug, Clone)]
pub(super) struct Runnable {
    pub(super) shape: String,
    pub(super) main_class: Option<String>,
    pub(super) origin: Origin,
}

/// The first rule that fits a module.
///
/// # Errors
/// `manifest_invalid` for circular properties.
pub(super) fn runnable(poms: &Poms<'_>, module: &Effective) -> Result<Option<Runnable>, Failure> {
    for rule in poms.facts.get("runnable").and_then(toml::Value::as_array).into_iter().flatten() {
        let text = |key: &str| rule.get(key).and_then(toml::Value::as_str);
        let list = |key: &str| -> Vec<String> {
            let all = rule.get(key).and_then(toml::Value::as_array).into_iter().flatten();
            all.filter_map(toml::Value::as_str).map(str::to_owned).collect()
        };
        let flag = |key: &str| rule.get(key).and_then(toml::Value::as_bool).unwrap_or(false);
        if !list("packagings").contains(&module.packaging) {
            continue;
        }
        let fits = |plugin: &&Plugin| list("plugins").contains(&plugin.artifact);
        let managed = module.managed_plugins.iter().filter(|_| flag("implicit"));
        let Some(plugin) = module.plugins.iter().chain(managed).find(fits) else { continue };
        let goals = list("goals");
        // A parent that nobody knows may bind the goal.
        let bound = goals.is_empty() || plugin.runs(&goals) || (plugin.executions.is_empty() && module.open);
        let configurations = plugin.configurations();
        let mut off = false;
        for path in list("skip") {
            for element in configurations.iter().filter_map(|configuration| configuration.at(&path)) {
                off |= module.value(element, &path)?.is_some_and(|value| value.value == "true");
            }
        }
        for name in list("skip_properties") {
            off |= module.property(&name)?.is_some_and(|value| value.value == "true");
        }
        let mut main_class = None;
        for path in list("main_class") {
            for element in configurations.iter().flat_map(|configuration| configuration.all(&path)) {
                main_class = main_class.or(module.value(element, &path)?);
            }
        }
        for name in list("main_class_properties") {
            main_class = main_class.or(module.property(&name)?);
        }
        if !bound || off || (flag("needs_main_class") && main_class.is_none()) {
            continue;
        }
        let mut shape = text("shape").unwrap_or_default();
        if module.packaging == "war" {
            shape = text("war_shape").unwrap_or(shape);
        }
        for variant in rule.get("variants").and_then(toml::Value::as_array).into_iter().flatten() {
            let part = |key: &str| variant.get(key).and_then(toml::Value::as_str).unwrap_or_default();
            if module.property(part("property"))?.is_some_and(|value| value.value == part("value")) {
                shape = part("shape");
            }
        }
        return Ok(Some(Runnable {
            shape: shape.to_owned(),
            main_class: main_class.map(|found| found.value),
            origin: plugin.element.origin(&plugin.artifact),
        }));
    }
    Ok(None)
}

/// Whether the module's own main sources hold a class that starts. Asked only to tell candidates apart.
pub(super) fn has_main(tree: &SourceTree, directory: &str) -> bool {
    let sources = |language: &str| {
        let below = if directory.is_empty() {
            format!("src/main/{language}")
        } else {
            format!("{directory}/src/main/{language}")
        };
        let paths = tree.below(&below).map(|(path, _)| path.to_owned());
        paths.filter(|path| matches!(path.rsplit_once('.'), Some((_, "java" | "kt")))).take(5000).collect::<Vec<_>>()
    };
    // No short cut: every text that is not there yet shall be asked for in one go.
    let paths = sources("java").into_iter().chain(sources("kotlin"));
    paths.filter(|path| tree.text(path).is_some_and(starts)).count() > 0
}

fn starts(source: &str) -> bool {
    source.lines().map(str::trim_start).filter(|line| !line.starts_with("//") && !line.starts_with('*')).any(|line| {
        line.contains("static void main(")
            || line.starts_with("fun main(")
            || line.starts_with("@SpringBootApplication")
    })
}

/// The port that the module's configuration names: a number, or the default of a reference to the environment.
pub(super) fn port(poms: &Poms<'_>, directory: &str) -> Option<crate::model::origin::Found<u16>> {
    let keys: Vec<&str> = poms.facts.get("port_keys")?.as_array()?.iter().filter_map(toml::Value::as_str).collect();
    ["properties", "yml", "yaml"].into_iter().find_map(|extension| {
        let relative = format!("src/main/resources/application.{extension}");
        let path = crate::model::source_tree::join(directory, &relative)?;
        let text = poms.tree.text(&path)?;
        let mut levels: Vec<(usize, String)> = Vec::new();
        text.lines().zip(1u32..).find_map(|(line, number)| {
            let word = line.trim();
            let (key, value) = if extension == "properties" {
                let (key, value) = word.split_once(['=', ':'])?;
                (key.trim().to_owned(), value)
            } else {
                let (key, value) = word.split_once(':').filter(|_| !word.starts_with(['#', '-']))?;
                let indent = line.len() - line.trim_start().len();
                levels.retain(|(depth, _)| *depth < indent);
                levels.push((indent, key.trim().to_owned()));
                (levels.iter().map(|(_, key)| key.as_str()).collect::<Vec<_>>().join("."), value)
            };
            let value = value.split(" #").next()?.trim().trim_matches(['"', '\'']);
            let inside = value.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
            let value = inside.map_or(Some(value), |inside| Some(inside.split_once(':')?.1))?;
            let port = keys.contains(&key.as_str()).then(|| value.parse().ok()).flatten().filter(|port| *port != 0)?;
            Some(crate::model::origin::Found::new(port, Origin::file(&path, Some(number), key)))
        })
    })
}
