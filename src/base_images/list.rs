//! `base-images list`: what there is, and whether it is kept as the data says.

use std::collections::BTreeMap;

use super::definition::{Images, Origin, RootOrigin};
use super::engine::Found;
use super::maker::Maker;
use super::{inputs, reference};
use crate::model::failure::Failure;

/// One image of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// The reference that it is kept under.
    pub reference: String,
    /// What it has, for commands before the start.
    pub contains: Vec<String>,
    /// Whether it is kept.
    pub state: State,
    /// Bytes, if it is kept: uncompressed in an Engine, compressed in a layout.
    pub size: Option<u64>,
}

/// Whether an image is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// From the inputs that there are now.
    Ready,
    /// From other inputs: the data, or an image below, has changed.
    Outdated,
    /// Not at all.
    Missing,
}

/// Lists the images that are not internal, by name.
///
/// # Errors
///
/// `EngineUnavailable`.
pub async fn list(images: &Images, maker: &Maker) -> Result<Vec<Listed>, Failure> {
    let mut found: BTreeMap<String, (Found, State)> = BTreeMap::new();
    for name in images.in_order(&[])? {
        if let Some(image) = maker.find(&reference(&name)).await? {
            let state = state(images, &name, &image, &found);
            found.insert(name, (image, state));
        }
    }
    let listed = images.images.iter().filter(|(_, image)| !image.internal).map(|(name, image)| Listed {
        name: name.clone(),
        description: image.description.clone(),
        reference: reference(name),
        contains: image.contains.iter().cloned().collect(),
        state: found.get(name).map_or(State::Missing, |(_, state)| *state),
        size: found.get(name).map(|(image, _)| image.size),
    });
    Ok(listed.collect())
}

fn state(images: &Images, name: &str, image: &Found, found: &BTreeMap<String, (Found, State)>) -> State {
    let expected = match (images.images.get(name), images.root(name).map(super::Root::origin)) {
        (Some(definition), _) => match definition.origin() {
            Origin::Reference(_) => return State::Ready,
            Origin::Folder(folder) => {
                let parents: Vec<_> =
                    definition.from.iter().filter_map(|(arg, parent)| Some((arg, found.get(parent)?))).collect();
                if parents.len() < definition.from.len() || parents.iter().any(|(_, (_, state))| *state != State::Ready)
                {
                    return State::Outdated;
                }
                let parents: Vec<_> =
                    parents.iter().map(|(arg, (image, _))| ((*arg).clone(), image.identity())).collect();
                inputs::of_image(images, definition, folder, &parents)
            }
        },
        (None, Some(RootOrigin::Suite(suite))) => inputs::of_root(suite),
        (None, _) => return State::Ready,
    };
    if image.inputs.as_deref() == Some(expected.as_str()) { State::Ready } else { State::Outdated }
}
