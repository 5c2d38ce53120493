//! The hash of everything that an image is made of: while it stays, the image is not built again.

use sha2::{Digest, Sha256};

use super::context::own_files;
use super::definition::{Image, Images};

/// Changes when this program makes images differently from the same data.
const FORMAT: &str = "1";

/// The hash (hexadecimal) of an image that is built from `folder`; `parents` are the build arguments
/// and identities of the images that it is based on. What the host lends does not count.
pub(super) fn of_image(images: &Images, image: &Image, folder: &str, parents: &[(String, String)]) -> String {
    let mut hash = Hash::new("image");
    for (path, bytes) in own_files(images, folder) {
        hash.part(path.as_bytes()).part(bytes);
    }
    for (name, value) in image.args.iter().chain(parents.iter().map(|(name, value)| (name, value))) {
        hash.part(name.as_bytes()).part(value.as_bytes());
    }
    hash.finish()
}

/// The hash of a root file system of ours.
pub(super) fn of_root(suite: &str) -> String {
    let mut hash = Hash::new("root");
    hash.part(suite.as_bytes());
    hash.finish()
}

/// What an image is, whenever it was made: its layers, and the inputs that set its configuration.
pub(super) fn identity(layers: &[String], inputs: Option<&str>) -> String {
    let mut hash = Hash::new("identity");
    hash.part(inputs.unwrap_or_default().as_bytes());
    for layer in layers {
        hash.part(layer.as_bytes());
    }
    hash.finish()
}

struct Hash(Sha256);

impl Hash {
    fn new(kind: &str) -> Self {
        let mut hash = Self(Sha256::new());
        hash.part(kind.as_bytes()).part(FORMAT.as_bytes());
        hash
    }

    /// Parts have their length in front, so that no two lists of parts are the same bytes.
    fn part(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.update((bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
        self
    }

    fn finish(self) -> String {
        hex::encode(self.0.finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::own_files;
    use super::*;

    fn hash(change: impl Fn(&mut Images), name: &str, parent: &str) -> String {
        let mut images = Images::parse(own_files()).unwrap();
        change(&mut images);
        let image = images.images[name].clone();
        let super::super::Origin::Folder(folder) = image.origin() else { panic!("{name} is built") };
        of_image(&images, &image, folder, &[("ROOT".into(), parent.into())])
    }

    #[test]
    fn every_input_counts_and_nothing_else() {
        let same = hash(|_| (), "build-jdk-17", "p");
        assert_eq!(same.len(), 64);
        assert_eq!(same, hash(|_| (), "build-jdk-17", "p"));
        assert_ne!(same, hash(|_| (), "build-jdk-17", "q"));
        assert_ne!(same, hash(|_| (), "build-jdk-21", "p"));
        let edit = |path: &'static str| move |images: &mut Images| images.files.get_mut(path).unwrap().push(b'\n');
        assert_ne!(same, hash(edit("build-jdk/Dockerfile"), "build-jdk-17", "p"));
        assert_ne!(same, hash(edit("shared/apt-install"), "build-jdk-17", "p"));
        assert_eq!(same, hash(edit("jre/Dockerfile"), "build-jdk-17", "p"));
        assert_eq!(same, hash(edit("images.toml"), "build-jdk-17", "p"));
    }

    #[test]
    fn identities_differ_by_layer_and_inputs() {
        let layers = ["a".to_owned(), "b".to_owned()];
        assert_ne!(identity(&layers, None), identity(&layers, Some("x")));
        assert_ne!(identity(&layers, None), identity(&layers[..1], None));
        assert_ne!(of_root("sid"), of_root("trixie"));
    }
}
