//! The images that come from outside: by `FROM`, `COPY --from` and `RUN --mount=…,from=`.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Base, Stage, stage_named, unsupported};
use crate::dockerfile::instruction::{Flag, Instruction, Located, Word};
use crate::model::failure::Failure;

/// The image at the end of a stage's chain of `FROM`s; none where that is `scratch`.
pub(super) fn of_stage<'a>(stages: &'a [Stage<'_>], mut stage: usize) -> Option<&'a str> {
    loop {
        match &stages[stage].base {
            Base::Image(image) => return Some(image),
            Base::Scratch => return None,
            // A stage only continues one that stands before it.
            Base::Stage(earlier) => stage = *earlier,
        }
    }
}

/// The images that building the stage needs, in the order of their lines. What other stages name is never fetched.
///
/// # Errors
/// `dockerfile_unsupported` where an image hides in a variable.
pub(super) fn used(path: &str, stages: &[Stage<'_>], built: usize) -> Result<Vec<Value>, Failure> {
    let mut needed = vec![built];
    let mut seen = BTreeSet::new();
    let mut images: BTreeSet<(u32, String, &str)> = BTreeSet::new();
    while let Some(index) = needed.pop() {
        if !seen.insert(index) {
            continue;
        }
        match &stages[index].base {
            Base::Image(image) => {
                images.insert((stages[index].line, image.clone(), "FROM"));
            }
            Base::Stage(earlier) => needed.push(*earlier),
            Base::Scratch => {}
        }
        for Located { line, instruction, .. } in stages[index].instructions {
            for from in sources(path, *line, instruction)? {
                match stage_named(stages, &from) {
                    Some(stage) => needed.push(stage),
                    None if from == "scratch" => {}
                    None => {
                        images.insert((*line, from, instruction.name()));
                    }
                }
            }
        }
    }
    let listed = images
        .into_iter()
        .map(|(line, image, instruction)| json!({ "image": image, "line": line, "instruction": instruction }));
    Ok(listed.collect())
}

/// The stages and images that an instruction copies from or mounts.
fn sources(path: &str, line: u32, instruction: &Instruction) -> Result<Vec<String>, Failure> {
    let hidden = |name: &str| {
        let what = format!("a variable in `--{name}`, which the Engine does not replace");
        unsupported(path, line, &what, "Name the image by `FROM … AS name` and copy from that name.")
    };
    let mut found = Vec::new();
    for Flag { name, value } in instruction.flags() {
        let Some(value) = value.as_ref().filter(|_| matches!(name.as_str(), "from" | "mount")) else { continue };
        match (name.as_str(), value.as_literal()) {
            ("from", Some(image)) => found.push(image.to_owned()),
            ("mount", Some(mount)) => found.extend(mounted(mount)),
            ("mount", None) if !may_name_an_image(value) => {}
            (name, _) => return Err(hidden(name)),
        }
    }
    Ok(found)
}

/// The option `from` of a mount; the Engine takes its keys in any case and quoted as CSV.
fn mounted(mount: &str) -> Option<String> {
    let options = mount.split(',').map(|option| option.trim_matches('"'));
    options
        .filter_map(|option| option.split_once('='))
        .find_map(|(key, value)| key.eq_ignore_ascii_case("from").then(|| value.to_owned()))
}

fn may_name_an_image(mount: &Word) -> bool {
    use crate::dockerfile::instruction::Piece;
    mount.pieces().iter().any(|piece| match piece {
        Piece::Literal(text) => text.to_ascii_lowercase().contains("from"),
        Piece::Variable { .. } => false,
    }) || matches!(mount.pieces().first(), Some(Piece::Variable { .. }))
}

#[cfg(test)]
mod tests {
    use super::super::examine;
    use super::*;
    use crate::model::failure::FailureCode;
    use std::collections::BTreeMap;

    fn images(text: &str, target: Option<&str>) -> (Vec<String>, Value) {
        let found = examine("Dockerfile", text, &BTreeMap::new(), target).unwrap();
        let images = found.variables["bases"].as_array().unwrap().iter();
        (
            images.map(|base| format!("{}:{}", base["line"], base["image"].as_str().unwrap())).collect(),
            found.variables["base"].clone(),
        )
    }

    #[test]
    fn only_what_the_built_stage_needs() {
        let text = "FROM a AS one\nFROM b AS two\nRUN --mount=type=bind,from=tools,target=/t x\n\
            FROM one AS three\nCOPY --from=1 /x /\nCOPY --from=c /y /\nFROM d\n";
        assert_eq!(images(text, None), (vec!["7:d".to_owned()], json!("d")));
        let three = ["1:a", "2:b", "3:tools", "6:c"].map(str::to_owned).to_vec();
        assert_eq!(images(text, Some("three")), (three, json!("a")));
        assert_eq!(images("FROM scratch\nCOPY --from=one /x /\n", None), (vec!["2:one".to_owned()], Value::Null));
    }

    #[test]
    fn an_image_cannot_hide() {
        for text in [
            "ARG X\nFROM a\nCOPY --from=$X /x /\n",
            "ARG X\nFROM a\nRUN --mount=type=bind,from=$X,target=/x y\n",
            "ARG X\nFROM a\nRUN --mount=$X y\n",
        ] {
            let failure = examine("Dockerfile", text, &BTreeMap::new(), None).unwrap_err();
            assert_eq!((failure.code, failure.places[0].line), (FailureCode::DockerfileUnsupported, Some(3)), "{text}");
        }
        assert_eq!(images("FROM a\nRUN --mount=\"type=bind\",FROM=b,target=/x y\n", None).0, ["1:a", "2:b"]);
        assert_eq!(images("ARG X\nFROM a\nRUN --mount=type=cache,target=$X y\n", None).0, ["2:a"]);
    }
}
