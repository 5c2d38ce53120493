//! Names that people give: parsed once at the edge, valid ever after.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Says why a name was refused; the text is for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is not a valid {what}{}: {rule}", shown(*.wrong))]
pub struct InvalidName {
    what: &'static str,
    value: String,
    rule: &'static str,
    /// The first character that is wrong, counted from 1; none where the length is.
    wrong: Option<(usize, char)>,
}

fn shown(wrong: Option<(usize, char)>) -> String {
    wrong.map_or_else(String::new, |(at, found)| format!(" (character {at}, `{}`)", found.escape_debug()))
}

/// The first character that no name of that length may have there.
fn wrong(value: &str, valid: fn(&str) -> bool) -> Option<(usize, char)> {
    let length = value.chars().count();
    // A zero may stand anywhere in every kind of name.
    let with_zeros =
        |kept: usize| value.chars().take(kept).chain(std::iter::repeat_n('0', length - kept)).collect::<String>();
    if !valid(&with_zeros(0)) {
        return None;
    }
    value.chars().enumerate().map(|(at, found)| (at + 1, found)).find(|(at, _)| !valid(&with_zeros(*at)))
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(value: &str) -> Result<Self, InvalidName> {
                let valid: fn(&str) -> bool = $valid;
                if valid(value) {
                    Ok(Self(value.to_owned()))
                } else {
                    let value: String = value.chars().take(300).collect();
                    Err(InvalidName { what: $what, wrong: wrong(&value, valid), value, rule: $rule })
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;

            fn try_from(value: String) -> Result<Self, InvalidName> {
                value.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name_type!(
    /// An organisation's product line, which is a Harbor project.
    ProductLine,
    "product line",
    "lower-case letters and digits, with single `.`, `_` or `-` between them, at most 245 characters",
    is_path_component
);
name_type!(
    /// An application's name, the last part of its image's repository.
    ApplicationName,
    "application name",
    "lower-case letters and digits, with single `.`, `_` or `-` between them, at most 245 characters",
    is_path_component
);
name_type!(
    /// A tag of an image (OCI distribution specification, "Pulling manifests").
    Tag,
    "tag",
    "1 to 128 letters, digits, `_`, `.` or `-`, not starting with `.` or `-`",
    is_tag
);
name_type!(
    /// The identity of one build, chosen by whoever asks for it.
    BuildId,
    "build id",
    "1 to 64 letters, digits, `_` or `-`",
    |value| (1..=64).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
);
name_type!(
    /// A full commit id: 40 (SHA-1) or 64 (SHA-256) lower-case hexadecimal digits.
    CommitSha,
    "commit",
    "40 or 64 lower-case hexadecimal digits",
    |value| matches!(value.len(), 40 | 64) && value.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
);

impl CommitSha {
    /// The first 12 digits, the default tag of an image.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

/// A path component of an OCI repository: `[a-z0-9]+([._-][a-z0-9]+)*`.
fn is_path_component(value: &str) -> bool {
    value.len() <= 245
        && value
            .split(['.', '_', '-'])
            .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()))
}

fn is_tag(value: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let mut bytes = value.bytes();
    value.len() <= 128 && bytes.next().is_some_and(word) && bytes.all(|b| word(b) || b == b'.' || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_oci_rules() {
        for good in ["order", "order-web", "a.b_c-d", "0"] {
            assert!(good.parse::<ApplicationName>().is_ok(), "{good}");
        }
        for bad in ["", "Order", "a--b", "-a", "a-", "a/b", "ä", "a b"] {
            assert!(bad.parse::<ApplicationName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn tags_follow_the_oci_rules() {
        assert!("1.4.2".parse::<Tag>().is_ok());
        assert!("_x".parse::<Tag>().is_ok());
        for bad in ["", ".a", "-a", "a:b", "a/b"] {
            assert!(bad.parse::<Tag>().is_err(), "{bad}");
        }
        assert!("a".repeat(129).parse::<Tag>().is_err());
    }

    #[test]
    fn a_refused_name_says_the_rule() {
        let error = "Order Web".parse::<ApplicationName>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "\"Order Web\" is not a valid application name (character 1, `O`): lower-case letters and digits, \
             with single `.`, `_` or `-` between them, at most 245 characters"
        );
    }

    #[test]
    fn the_first_wrong_character_is_named() {
        let wrong = |text: &str| text.parse::<ApplicationName>().unwrap_err().wrong;
        assert_eq!(wrong("order web"), Some((6, ' ')));
        assert_eq!(wrong("a--b"), Some((3, '-')));
        assert_eq!(wrong("-a"), Some((1, '-')));
        assert_eq!(wrong("a-"), Some((2, '-')));
        assert_eq!(wrong("größe"), Some((3, 'ö')));
        assert_eq!(wrong(""), None);
        assert_eq!(wrong(&"a".repeat(246)), None);
        assert_eq!("v1:2".parse::<Tag>().unwrap_err().wrong, Some((3, ':')));
        assert_eq!("A".repeat(40).parse::<CommitSha>().unwrap_err().wrong, Some((1, 'A')));
        assert_eq!("abc".parse::<CommitSha>().unwrap_err().wrong, None);
    }
}
