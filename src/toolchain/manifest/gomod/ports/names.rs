//! What names the flag or the variable whose default a text is.

use super::Known;
use crate::toolchain::manifest::gomod::mentions::{Mention, Place};

/// The name of the flag whose default a text is: the nearest one before it that a field of this name says.
pub(super) fn flag_of<'m>(mention: &Mention, all: &'m [Mention], known: &Known<'_>) -> Option<&'m str> {
    let is = |mention: &Mention, field: &str| matches!(&mention.place, Place::Named(name) if name == field);
    if known.flag_default.is_empty() || !is(mention, known.flag_default) {
        return None;
    }
    let before = all.iter().rev().skip_while(|other| !std::ptr::eq(*other, mention)).skip(1);
    // Another default between them: this one belongs to no flag.
    let between = before.take_while(|other| !is(other, known.flag_default));
    between.filter(|other| is(other, known.flag_name)).map(|name| name.text.as_str()).next()
}

/// The variable of the environment whose default a text is: what such a function is called nobody knows, the variable's name
/// tells (`option("SHOP_ADDRESS", ":8080")`).
pub(super) fn variable_of<'m>(mention: &Mention, all: &'m [Mention]) -> Option<&'m str> {
    let Place::Argument { index: 1.., .. } = &mention.place else { return None };
    let name = first_of(mention, all)?.text.as_str();
    let letter = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    (name.len() > 2 && name.bytes().all(letter) && name.starts_with(|c: char| c.is_ascii_uppercase())).then_some(name)
}

/// The name of the flag that a chain of calls defines whose default a text is: `kingpin.Flag("listen", "…").Default(":8080")`.
pub(super) fn chained<'m>(mention: &Mention, all: &'m [Mention]) -> Option<&'m Mention> {
    let Place::Argument { package, function, .. } = &mention.place else { return None };
    if function != "Default" || !package.contains(".Flag()") {
        return None;
    }
    let before = all.iter().rev().skip_while(|other| !std::ptr::eq(*other, mention)).skip(1);
    let names =
        |other: &&Mention| matches!(&other.place, Place::Argument { function, index: 0, .. } if function == "Flag");
    let of_command = |other: &Mention| matches!(&other.place, Place::Argument { package, function, .. } if function == "Command" && package != "exec");
    // Where the file defines commands, the flag may be that of one which nobody starts.
    before.take(8).find(names).filter(|_| !all.iter().any(of_command))
}

/// The first text of the call whose argument a text is. Mentions stand in the order of their lines, and few calls are longer.
fn first_of<'m>(mention: &Mention, all: &'m [Mention]) -> Option<&'m Mention> {
    let Place::Argument { call, .. } = &mention.place else { return None };
    let near = &all[all.partition_point(|other| other.line.saturating_add(3) < mention.line)..];
    let mut near = near.iter().take_while(|other| other.line <= mention.line);
    near.find(|other| matches!(&other.place, Place::Argument { call: same, .. } if same == call))
}

/// The name of the flag, or of the environment's variable, whose default a text is.
pub(in crate::toolchain::manifest::gomod) fn default_for<'m>(
    mention: &Mention,
    all: &'m [Mention],
    known: &Known<'_>,
) -> Option<&'m str> {
    match &mention.place {
        Place::Argument { function, .. } if known.flags.contains(function.as_str()) => {
            let first = || first_of(mention, all).filter(|first| !std::ptr::eq(*first, mention));
            chained(mention, all).or_else(first).map(|name| name.text.as_str())
        }
        Place::Argument { .. } => variable_of(mention, all),
        _ => flag_of(mention, all, known),
    }
}
