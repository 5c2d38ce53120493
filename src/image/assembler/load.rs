//! An assembled image is given to the Engine, which runs it: only the layers that it has not had before are sent.

use bollard::Docker;
use bollard::errors::Error;
use bollard::query_parameters::ImportImageOptionsBuilder;
use futures_util::StreamExt as _;
use sha2::{Digest as _, Sha256};

use super::{Assembled, AssemblerBackend, archive};
use crate::image::engine::{Engine, failure_of, messages};
use crate::image::{BuiltImage, tar_stream};
use crate::model::failure::{Failure, FailureCode};
use crate::model::image_reference::{Digest, ImageReference};

/// The notes about what an Engine was given.
const GIVEN: &str = "given";

impl AssemblerBackend {
    /// Gives the Engine the image under its references, and returns what the Engine calls it.
    ///
    /// # Errors
    /// `engine_unavailable`, `disk_full`, `image_failed` where the Engine does not take it.
    pub(in crate::image) async fn load(
        &self,
        built: &BuiltImage,
        references: &[ImageReference],
        engine: &Engine,
    ) -> Result<Digest, Failure> {
        let image = self.image(built)?;
        let docker = engine.docker().await?;
        let chain = chain(docker, &image).await;
        let held = chain.iter().take_while(|key| self.store.recall::<bool>(GIVEN, key).is_some()).count();
        let mut sent = self.send(docker, &image, references, held).await;
        if sent.is_err() && held > 0 {
            // Somebody removed there what it was given.
            sent = self.send(docker, &image, references, 0).await;
        }
        let what = "The Engine cannot be given the image";
        if let Err(error) = sent {
            return Err(failure_of(docker, &error, FailureCode::ImageFailed, what).await);
        }
        for key in &chain[held..] {
            self.store.note(GIVEN, key, &true);
        }
        // An Engine with containerd's store calls images by their manifest.
        let name = references.first().map_or_else(|| built.id.to_string(), ToString::to_string);
        match docker.inspect_image(&name).await {
            Ok(found) => Ok(found.id.and_then(|id| id.parse().ok()).unwrap_or_else(|| built.id.clone())),
            Err(error) => Err(failure_of(docker, &error, FailureCode::EngineUnavailable, what).await),
        }
    }

    async fn send(
        &self,
        docker: &Docker,
        image: &Assembled,
        references: &[ImageReference],
        held: usize,
    ) -> Result<(), Error> {
        let (mut writer, chunks) = tar_stream::channel();
        let (store, image, references) = (self.store.clone(), image.clone(), references.to_vec());
        let writing = tokio::task::spawn_blocking(move || {
            let written = archive::write(&store, &image, &references, held, &mut writer);
            if let Err(error) = &written {
                writer.fail(&error.to_string());
            }
            written
        });
        let options = ImportImageOptionsBuilder::new().quiet(true).build();
        let body = bollard::body_try_stream(tar_stream::stream(chunks));
        let mut messages = Box::pin(messages(docker.import_image(options, body, None)));
        let mut outcome = Ok(());
        while let Some(message) = messages.next().await {
            outcome = outcome.and(message.map(drop));
        }
        // Closes the connection: a writer that still waits for its reader is released.
        drop(messages);
        let written = writing.await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        outcome.and(written.map_err(|err| Error::IOError { err }))
    }
}

/// A key for each layer on those below it, in this Engine (OCI image specification, "Layer `ChainID`").
async fn chain(docker: &Docker, image: &Assembled) -> Vec<String> {
    let engine = docker.info().await.ok().and_then(|info| info.id).unwrap_or_default();
    let mut below = Sha256::new_with_prefix(engine);
    let keys = image.layers.iter().map(|layer| {
        below.update(layer.diff_id.0.as_str());
        hex::encode(below.clone().finalize())
    });
    keys.collect()
}
