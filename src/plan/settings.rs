//! Settings from all places: the request wins over `slipway.toml`, that over detection, that over the operator's defaults.

use std::collections::BTreeMap;

use super::values;
use crate::model::failure::{Failure, FailureCode, Warning};
use crate::model::origin::{Origin, OriginKind};
use crate::model::request::BuildRequest;
use crate::model::settings::{Settings, ToolchainSettings};
use crate::model::source_tree::{SourceTree, Text, join};
use crate::model::written;

/// Settings merged, and where each came from.
#[derive(Debug, Clone)]
pub(super) struct Stated {
    /// The merged value.
    pub(super) value: Settings,
    /// Origins by the setting's path: `toolchain.version`.
    pub(super) origins: BTreeMap<String, Origin>,
    /// What was ignored.
    pub(super) warnings: Vec<Warning>,
}

impl Stated {
    /// Where a setting comes from, when somebody stated it.
    pub(super) fn origin(&self, key: &str) -> Option<&Origin> {
        self.origins.get(key)
    }

    /// Fills what is still open with the operator's defaults for the toolchain.
    pub(super) fn with_defaults(&self, defaults: Option<&ToolchainSettings>) -> Self {
        let mut merged = self.clone();
        if let Some(defaults) = defaults {
            let layer = Settings { toolchain: defaults.clone(), ..Settings::default() };
            let version = merged.value.toolchain.version.clone();
            merged.fill(layer, |key| Origin::default(format!("the operator's defaults: {key}")));
            // Manifests win over the operator's version; `release` asks for it when none demands one.
            merged.value.toolchain.version = version.or(merged.value.toolchain.version);
        }
        merged
    }

    /// Takes from `lower` what is absent here.
    fn fill(&mut self, lower: Settings, origin: impl Fn(&str) -> Origin) {
        let mut keys = Vec::new();
        let value = &mut self.value;
        macro_rules! option {
            ($($table:ident . $field:ident),*) => {$(
                if value.$table.$field.is_none() && lower.$table.$field.is_some() {
                    value.$table.$field = lower.$table.$field;
                    keys.push(concat!(stringify!($table), ".", stringify!($field)).to_owned());
                }
            )*};
        }
        option!(
            application.module,
            application.process,
            toolchain.name,
            toolchain.version,
            toolchain.args,
            toolchain.extras,
            toolchain.tests,
            toolchain.deploy,
            toolchain.target,
            image.base,
            runtime.command,
            runtime.ports,
            runtime.jvm_args,
            runtime.class_data_sharing,
            runtime.args,
            runtime.user,
            runtime.volumes,
            runtime.before_start,
            runtime.health
        );
        let mut map = |mine: &mut BTreeMap<String, String>, theirs: BTreeMap<String, String>, prefix: &str| {
            for (key, text) in theirs {
                keys.push(format!("{prefix}.{key}"));
                mine.entry(key).or_insert(text);
            }
        };
        map(&mut value.toolchain.env, lower.toolchain.env, "toolchain.env");
        map(&mut value.toolchain.build_args, lower.toolchain.build_args, "toolchain.build_args");
        map(&mut value.image.labels, lower.image.labels, "image.labels");
        map(&mut value.runtime.env, lower.runtime.env, "runtime.env");
        for (name, command) in lower.processes {
            keys.push(format!("processes.{name}"));
            value.processes.entry(name).or_insert(command);
        }
        value.include.extend(lower.include);
        for key in keys {
            let origin = origin(&key);
            self.origins.entry(key).or_insert(origin);
        }
    }
}

/// What the request and the repository's `slipway.toml` state, as far as an image could have it.
pub(super) fn stated(request: &BuildRequest, tree: &SourceTree) -> Result<Stated, Failure> {
    let stated = read(request, tree)?;
    values::check(&stated)?;
    Ok(stated)
}

fn read(request: &BuildRequest, tree: &SourceTree) -> Result<Stated, Failure> {
    let mut stated = Stated { value: Settings::default(), origins: BTreeMap::new(), warnings: Vec::new() };
    stated.fill(request.settings.clone(), |key| match request.asked_by {
        OriginKind::Flag => Origin::asked(OriginKind::Flag, format!("--set {key}")),
        kind => Origin::asked(kind, key),
    });
    let path = join(request.source.directory(), "slipway.toml").unwrap_or_default();
    let Some(text) = text(tree, &path)? else { return Ok(stated) };
    let file = parse(&path, text)?;
    if request.asked_by == OriginKind::Message {
        warn_of_names(&file, &path, &mut stated.warnings);
    }
    let lines = key_lines(text);
    stated.fill(file, |key| Origin::file(&path, lines.get(key).copied(), key));
    Ok(stated)
}

/// The text of a `slipway.toml`, if there is one; what somebody wrote there is never passed over.
fn text<'a>(tree: &'a SourceTree, path: &str) -> Result<Option<&'a str>, Failure> {
    let (why, hint) = match tree.raw_text(path) {
        None => return Ok(None),
        Some(Text::Utf8(text)) => return Ok(Some(text)),
        Some(Text::NotUtf8) => ("is not UTF-8", "save it as UTF-8"),
        Some(Text::TooLarge(_)) => ("is too large to be read", "settings are a few lines: shorten it"),
        Some(Text::Outside) => ("is a link that leaves the repository", "replace the link by the file itself"),
    };
    Err(Failure::new(FailureCode::SettingsInvalid, format!("`{path}` {why}")).hint(hint).at(path, None))
}

/// Reads a `slipway.toml`.
///
/// # Errors
/// `settings_invalid` with the place, for malformed text, unknown keys and wrong types.
fn parse(path: &str, text: &str) -> Result<Settings, Failure> {
    written::read(text).map_err(|wrong| {
        let message = format!("`{path}`: {}", wrong.message);
        Failure::new(FailureCode::SettingsInvalid, message).at_column(path, wrong.line, wrong.column)
    })
}

/// What a `slipway.toml` states, and the line of each key: its names, kind and tags count for local builds.
///
/// # Errors
/// `settings_invalid` with the place.
pub fn local_settings(path: &str, text: &str) -> Result<(Settings, BTreeMap<String, u32>), Failure> {
    Ok((parse(path, text)?, key_lines(text)))
}

fn warn_of_names(file: &Settings, path: &str, warnings: &mut Vec<Warning>) {
    let stated = [
        ("application.name", file.application.name.is_some()),
        ("application.product_line", file.application.product_line.is_some()),
        ("application.kind", file.application.kind.is_some()),
        ("image.tags", file.image.tags.is_some()),
    ];
    for (key, _) in stated.iter().filter(|(_, there)| *there) {
        let message = format!("`{key}` in `{path}` is ignored: it belongs to whoever asks for the build");
        warnings.push(
            Warning::new("setting_ignored", message, "remove it, or state it in the build message").at(path, None),
        );
    }
}

/// The line of every key of a TOML text, by its dotted path; `[a]` and `b = 1` give `a.b`.
fn key_lines(text: &str) -> BTreeMap<String, u32> {
    let mut lines = BTreeMap::new();
    if let Ok(table) = toml::de::DeTable::parse(text) {
        collect(table.get_ref(), "", text, &mut lines);
    }
    lines
}

fn collect(table: &toml::de::DeTable<'_>, prefix: &str, text: &str, lines: &mut BTreeMap<String, u32>) {
    for (key, value) in table {
        let path = if prefix.is_empty() { key.get_ref().to_string() } else { format!("{prefix}.{}", key.get_ref()) };
        if let Some(line) = line_of(text, key.span().start) {
            lines.insert(path.clone(), line);
        }
        if let toml::de::DeValue::Table(inner) = value.get_ref() {
            collect(inner, &path, text, lines);
        }
    }
}

fn line_of(text: &str, offset: usize) -> Option<u32> {
    let before = text.get(..offset)?;
    u32::try_from(before.bytes().filter(|byte| *byte == b'\n').count() + 1).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_lines() {
        let lines = key_lines("[runtime]\n\nports = [1]\n[toolchain]\nversion = \"8\"\n");
        assert_eq!(lines.get("runtime.ports"), Some(&3));
        assert_eq!(lines.get("toolchain.version"), Some(&5));
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let failure = parse("slipway.toml", "[runtime]\nport = 1\n").unwrap_err();
        assert_eq!(failure.code, FailureCode::SettingsInvalid);
        assert_eq!((failure.places[0].line, failure.places[0].column), (Some(2), Some(1)));
        assert!(failure.message.contains("port"), "{}", failure.message);
    }

    #[test]
    fn settings_that_cannot_be_read_are_not_passed_over() {
        for why in [Text::NotUtf8, Text::TooLarge(1 << 30), Text::Outside] {
            let mut tree = SourceTree::of_texts([("slipway.toml", "")]);
            tree.set_text("slipway.toml", why.clone());
            let failure = text(&tree, "slipway.toml").unwrap_err();
            assert_eq!((failure.code, failure.places[0].path.as_str()), (FailureCode::SettingsInvalid, "slipway.toml"));
        }
        assert_eq!(text(&SourceTree::of_texts([]), "slipway.toml"), Ok(None));
    }
}
