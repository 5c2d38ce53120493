//! Layers that somebody takes away from the builder's cache while a build wants them.

use crate::model::failure::{Failure, FailureCode};

/// Whether somebody removed an image that shared layers with this one, or the builder's cache, just when they were taken from
/// there: the Engine (seen on 20.10) does not keep them for the build that wants them. In the words of its steps.
pub(crate) fn is_cause(failure: &Failure) -> bool {
    let words = [
        ("failed to get layer", "layer does not exist"),
        ("exporting to image", "layer does not exist"),
        ("failed to prepare", "/committed: no such file or directory"),
        // What was sent lies in the cache too, and is asked for a second time where it is gone.
        ("failed to read downloaded context", "context not found"),
    ];
    let says = |(step, what): &(&str, &str)| failure.message.contains(step) && failure.message.contains(what);
    failure.code == FailureCode::ImageFailed && words.iter().any(says)
}

/// The failure of a build that was repeated without the cache: what is lost again is never the project's fault.
pub(crate) fn again(failure: Failure) -> Failure {
    if !is_cause(&failure) {
        return failure;
    }
    let hint =
        "Images are removed while they are built; if it stays, empty the builder's cache: `docker builder prune`.";
    Failure::new(FailureCode::EngineUnavailable, failure.message).log_tail(failure.log_tail).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_layer_is_the_services_fault() {
        for text in [
            "The image build failed: exporting to image: layer does not exist.",
            "The image build failed: failed to prepare ef0e: open /d/overlay2/9wq9/committed: no such file or directory.",
            "The image build failed: failed to read downloaded context: Get \"http://buildkit-context/x\": context not found.",
        ] {
            assert!(is_cause(&Failure::new(FailureCode::ImageFailed, text)), "{text}");
        }
        let text = "The image build failed: failed to get layer sha256:733b: layer does not exist.";
        let failure = Failure::new(FailureCode::ImageFailed, text);
        assert!(is_cause(&failure));
        let twice = again(failure);
        assert_eq!((twice.code, twice.message.as_str()), (FailureCode::EngineUnavailable, text));
        let other = Failure::new(FailureCode::ImageFailed, "failed to compute cache key: layer does not exist");
        assert!(!is_cause(&other));
        assert_eq!(again(other.clone()), other);
    }
}
