//! Environment markers (PEP 508, "Dependency specifiers" of the Python Packaging User Guide): read once, answered for
//! every minor version of Python, since planning learns the release later.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::str::FromStr as _;

use pep440_rs::{Version, VersionSpecifier};

use super::requirement::normalise;

/// Minor versions of Python 3 that are answered for.
const MINORS: u32 = 48;
/// Deeper than anyone nests parentheses.
const MAX_DEPTH: usize = 32;
/// More comparisons than any marker that a tool writes.
const MAX_TERMS: usize = 512;

/// A set of minor versions of Python 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Releases(u64);

impl Releases {
    /// Every one.
    pub(super) const ALL: Self = Self((1 << MINORS) - 1);

    /// Those in both.
    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those in either.
    pub(super) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether there is none.
    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether Python 3 of this minor version is in it.
    pub(super) fn contains(self, minor: u32) -> bool {
        minor < MINORS && self.0 & (1 << minor) != 0
    }

    /// As a marker that holds for these alone; `None` where it always holds.
    pub(super) fn marker(self) -> Option<String> {
        if self == Self::ALL {
            return None;
        }
        let mut text = String::new();
        let mut minor = 0;
        while minor < MINORS {
            if !self.contains(minor) {
                minor += 1;
                continue;
            }
            let end = (minor..=MINORS).find(|end| !self.contains(*end)).unwrap_or(MINORS);
            let joint = if text.is_empty() { "" } else { " or " };
            let lower = (minor > 0).then(|| format!("python_version >= '3.{minor}'"));
            let upper = (end < MINORS).then(|| format!("python_version < '3.{end}'"));
            let range: Vec<_> = lower.into_iter().chain(upper).collect();
            let _ = write!(text, "{joint}{}", range.join(" and "));
            minor = end;
        }
        Some(if text.is_empty() { "python_version < '3.0'".to_owned() } else { text })
    }
}

/// What the image's Python says of itself: the toolchain's `[facts.environment]` and `[facts.patches]`.
#[derive(Debug, Clone, Default)]
pub(super) struct Environment {
    variables: BTreeMap<String, String>,
    patches: BTreeMap<u32, Version>,
}

impl Environment {
    /// From the toolchain's facts.
    pub(super) fn of(facts: &toml::Table) -> Self {
        let texts = |name: &str| {
            let table = facts.get(name).and_then(toml::Value::as_table).into_iter().flatten();
            table.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        };
        let minor = |release: &str| release.strip_prefix("3.")?.parse().ok();
        let patches = texts("patches").filter_map(|(release, patch)| Some((minor(&release)?, patch.parse().ok()?)));
        Self { variables: texts("environment").collect(), patches: patches.collect() }
    }

    /// The releases for which a marker holds where these extras were asked for; `None` when it cannot be read.
    pub(super) fn holds(&self, marker: &str, extras: &[&str]) -> Option<Releases> {
        let expression = parse(marker)?;
        let mut releases = 0;
        for minor in 0..MINORS {
            if self.evaluate(&expression, minor, extras) {
                releases |= 1 << minor;
            }
        }
        Some(Releases(releases))
    }

    fn evaluate(&self, expression: &Expression, minor: u32, extras: &[&str]) -> bool {
        match expression {
            Expression::All(parts) => parts.iter().all(|part| self.evaluate(part, minor, extras)),
            Expression::Any(parts) => parts.iter().any(|part| self.evaluate(part, minor, extras)),
            Expression::Compare { variable, operator, literal, turned } => {
                if variable == "extra" {
                    let asked = extras.contains(&normalise(literal).as_str());
                    return asked == (operator != "!=");
                }
                let value = match variable.as_str() {
                    "python_version" => format!("3.{minor}"),
                    "python_full_version" | "implementation_version" => self.full(minor).to_string(),
                    other => self.variables.get(other).cloned().unwrap_or_default(),
                };
                let versions = matches!(
                    variable.as_str(),
                    "python_version" | "python_full_version" | "implementation_version" | "platform_release"
                );
                let (left, right) = if *turned { (literal, &value) } else { (&value, literal) };
                compare(left, operator, right, versions)
            }
        }
    }

    fn full(&self, minor: u32) -> Version {
        self.patches.get(&minor).cloned().unwrap_or_else(|| Version::new([3, u64::from(minor), 20]))
    }
}

/// Compared as versions where the right side makes a specifier, otherwise as text.
fn compare(left: &str, operator: &str, right: &str, versions: bool) -> bool {
    if versions
        && !matches!(operator, "in" | "not in")
        && let (Ok(specifier), Ok(version)) =
            (VersionSpecifier::from_str(&format!("{operator}{right}")), Version::from_str(left))
    {
        return specifier.contains(&version);
    }
    match operator {
        "==" | "===" => left == right,
        "!=" => left != right,
        "<" => left < right,
        "<=" => left <= right,
        ">" => left > right,
        ">=" => left >= right,
        "in" => right.contains(left),
        "not in" => !right.contains(left),
        _ => false,
    }
}

#[derive(Debug)]
enum Expression {
    All(Vec<Expression>),
    Any(Vec<Expression>),
    Compare { variable: String, operator: String, literal: String, turned: bool },
}

fn parse(text: &str) -> Option<Expression> {
    let mut tokens = tokens(text)?.into_iter().peekable();
    let expression = any(&mut tokens, 0)?;
    tokens.next().is_none().then_some(expression)
}

type Tokens = std::iter::Peekable<std::vec::IntoIter<Token>>;

#[derive(Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Text(String),
    Operator(String),
    Open,
    Close,
}

fn tokens(text: &str) -> Option<Vec<Token>> {
    let (mut tokens, mut rest) = (Vec::new(), text.trim_start());
    while let Some(first) = rest.chars().next() {
        if tokens.len() > 4 * MAX_TERMS {
            return None;
        }
        let length = match first {
            '(' | ')' => {
                tokens.push(if first == '(' { Token::Open } else { Token::Close });
                1
            }
            '\'' | '"' => {
                let end = rest[1..].find(first)?;
                tokens.push(Token::Text(rest[1..=end].to_owned()));
                end + 2
            }
            '<' | '>' | '=' | '!' | '~' => {
                let end = rest.find(|c: char| !"<>=!~".contains(c)).unwrap_or(rest.len());
                tokens.push(Token::Operator(rest[..end].to_owned()));
                end
            }
            _ => {
                let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "_.".contains(c))).unwrap_or(rest.len());
                tokens.push(Token::Word(rest.get(..end).filter(|word| !word.is_empty())?.to_owned()));
                end
            }
        };
        rest = rest[length..].trim_start();
    }
    Some(tokens)
}

fn any(tokens: &mut Tokens, depth: usize) -> Option<Expression> {
    let mut parts = vec![all(tokens, depth)?];
    while tokens.next_if_eq(&Token::Word("or".into())).is_some() {
        parts.push(all(tokens, depth)?);
    }
    Some(Expression::Any(parts))
}

fn all(tokens: &mut Tokens, depth: usize) -> Option<Expression> {
    let mut parts = vec![term(tokens, depth)?];
    while tokens.next_if_eq(&Token::Word("and".into())).is_some() {
        parts.push(term(tokens, depth)?);
    }
    Some(Expression::All(parts))
}

fn term(tokens: &mut Tokens, depth: usize) -> Option<Expression> {
    if tokens.next_if_eq(&Token::Open).is_some() {
        let inner = (depth < MAX_DEPTH).then(|| any(tokens, depth + 1))??;
        return (tokens.next()? == Token::Close).then_some(inner);
    }
    let left = tokens.next()?;
    let operator = match tokens.next()? {
        Token::Operator(operator) => operator,
        Token::Word(word) if word == "in" => word,
        Token::Word(word) if word == "not" => {
            tokens.next_if_eq(&Token::Word("in".into()))?;
            "not in".to_owned()
        }
        _ => return None,
    };
    match (left, tokens.next()?) {
        (Token::Word(variable), Token::Text(literal)) => {
            Some(Expression::Compare { variable: known(&variable)?, operator, literal, turned: false })
        }
        (Token::Text(literal), Token::Word(variable)) => {
            Some(Expression::Compare { variable: known(&variable)?, operator, literal, turned: true })
        }
        _ => None,
    }
}

/// The variable by its name of today; the dotted ones are those of PEP 345.
fn known(name: &str) -> Option<String> {
    let name = match name {
        "os.name" => "os_name",
        "sys.platform" => "sys_platform",
        "platform.version" => "platform_version",
        "platform.machine" => "platform_machine",
        "platform.python_implementation" | "python_implementation" => "platform_python_implementation",
        other => other,
    };
    let variables = [
        "python_version",
        "python_full_version",
        "os_name",
        "sys_platform",
        "platform_release",
        "platform_system",
        "platform_version",
        "platform_machine",
        "platform_python_implementation",
        "implementation_name",
        "implementation_version",
        "extra",
    ];
    variables.contains(&name).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::tests::FACTS;
    use super::*;

    fn said(marker: &str) -> Option<String> {
        let releases = Environment::of(&FACTS).holds(marker, &["web"])?;
        Some(releases.marker().unwrap_or_else(|| "always".to_owned()))
    }

    #[test]
    fn markers_become_sets_of_releases() {
        for (marker, expected) in [
            ("python_version >= '3.8'", Some("python_version >= '3.8'")),
            ("python_version < \"3.11\" and sys_platform != 'win32'", Some("python_version < '3.11'")),
            ("sys_platform == 'win32'", Some("python_version < '3.0'")),
            ("os_name == 'nt' or 'linux' in sys_platform", Some("always")),
            (
                "(python_version == '3.9' or python_version >= '3.13') and extra == 'Web'",
                Some("python_version >= '3.9' and python_version < '3.10' or python_version >= '3.13'"),
            ),
            ("extra == 'docs'", Some("python_version < '3.0'")),
            ("'3.10' <= python_version", Some("python_version >= '3.10'")),
            ("python_version not in '3.9, 3.11'", None),
            (
                "python_full_version < '3.11.3' and python_version >= '3.11'",
                Some("python_version >= '3.11' and python_version < '3.12'"),
            ),
            ("python_version ~= '3.10'", Some("python_version >= '3.10'")),
            ("platform_python_implementation == 'PyPy'", Some("python_version < '3.0'")),
            ("platform.machine == 'x86_64'", Some("always")),
            ("nonsense == 'x'", None),
            ("python_version >=", None),
            ("(python_version >= '3'", None),
            ("", None),
        ] {
            if marker.contains("not in") {
                assert!(said(marker).is_some_and(|text| text.contains("'3.10'")), "{marker}");
            } else {
                assert_eq!(said(marker).as_deref(), expected, "{marker}");
            }
        }
    }

    #[test]
    fn hostile_markers_are_refused() {
        assert!(parse(&"(".repeat(100_000)).is_none());
        assert!(parse(&"os_name == 'a' and ".repeat(100_000)).is_none());
    }
}
