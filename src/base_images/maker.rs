//! Who makes base images and keeps them: the Docker Engine, or Slipway itself where there is none.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use bollard::Docker;

use super::engine::{Engine, Found, there};
use super::own::Own;
use super::push::by_engine;
use crate::image::RegistryAccess;
use crate::image::assembler::AssemblerBackend;
use crate::model::failure::Failure;

/// A maker of base images.
pub struct Maker(Kind);

enum Kind {
    Engine(Engine),
    Own(Own),
}

/// One image build.
pub(super) struct Build<'a> {
    /// The name that progress lines begin with.
    pub(super) name: &'a str,
    /// The reference that the result gets.
    pub(super) reference: &'a str,
    /// The build context, a tar archive.
    pub(super) context: Vec<u8>,
    /// The `Dockerfile`'s path in the context.
    pub(super) dockerfile: String,
    /// Build arguments.
    pub(super) args: HashMap<String, String>,
    /// The hash of what it is made of.
    pub(super) inputs: &'a str,
}

impl Maker {
    /// The Engine.
    #[must_use]
    pub fn engine(docker: &Docker) -> Self {
        Self(Kind::Engine(Engine::new(docker)))
    }

    /// Slipway itself, as root; the images are where that backend keeps images.
    #[must_use]
    pub fn own(assembler: AssemblerBackend) -> Self {
        Self(Kind::Own(Own::new(assembler)))
    }

    /// Whether images run where they were made.
    #[must_use]
    pub fn is_engine(&self) -> bool {
        matches!(self.0, Kind::Engine(_))
    }

    /// The image that a reference stands for, if it is kept.
    pub(super) async fn find(&self, reference: &str) -> Result<Option<Found>, Failure> {
        match &self.0 {
            Kind::Engine(engine) => engine.find(reference).await,
            Kind::Own(own) => own.find(reference).await,
        }
    }

    /// Like [`Self::find`], where the image has to be there.
    pub(super) async fn get(&self, reference: &str) -> Result<Found, Failure> {
        there(self.find(reference).await?, reference)
    }

    /// Makes an image of one layer from a tar archive.
    pub(super) async fn import(&self, archive: &Path, repository: &str, inputs: &str) -> Result<(), Failure> {
        match &self.0 {
            Kind::Engine(engine) => engine.import(archive, repository, inputs).await,
            Kind::Own(own) => own.import(archive, repository, inputs).await,
        }
    }

    /// Pulls an image.
    pub(super) async fn pull(&self, reference: &str) -> Result<(), Failure> {
        match &self.0 {
            Kind::Engine(engine) => engine.pull(reference).await,
            Kind::Own(own) => own.pull(reference).await,
        }
    }

    /// Gives an image another name.
    pub(super) async fn tag(&self, reference: &str, repository: &str, tag: &str) -> Result<(), Failure> {
        match &self.0 {
            Kind::Engine(engine) => engine.tag(reference, repository, tag).await,
            Kind::Own(own) => own.tag(reference, repository, tag).await,
        }
    }

    /// Gives a registry an image under these tags of a repository; gives its `repository@digest` there.
    pub(super) async fn push(
        &self,
        reference: &str,
        repository: &str,
        tags: [&str; 2],
        access: &RegistryAccess,
    ) -> Result<Option<String>, Failure> {
        match &self.0 {
            Kind::Engine(engine) => by_engine(engine, reference, repository, tags, access).await,
            // Its future is large, and this one is a part of others.
            Kind::Own(own) => Box::pin(own.push(reference, repository, tags, access)).await.map(Some),
        }
    }

    /// Builds an image.
    pub(super) async fn build(&self, build: Build<'_>, progress: &(dyn Fn(&str) + Sync)) -> Result<(), Failure> {
        match &self.0 {
            Kind::Engine(engine) => engine.build(build, progress).await,
            Kind::Own(own) => own.build(build, progress).await,
        }
    }
}

/// The label that says what an image was made of.
pub(super) fn label(inputs: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(super::INPUTS_LABEL.to_owned(), inputs.to_owned())])
}
