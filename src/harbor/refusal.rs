//! What Harbor's sentences mean. Quota, read-only mode and proxy projects share one code (`DENIED`): only their words
//! tell them apart.

use crate::model::failure::FailureCode;

/// Parts of sentences, and what is so where they are said; the first that fits counts.
const SENTENCES: &[(&str, FailureCode)] = &[
    ("will exceed the configured upper limit", FailureCode::RegistryQuotaExceeded),
    ("read only mode", FailureCode::RegistryReadOnly),
    ("to a proxy project", FailureCode::RegistryProxyProject),
    ("configured as immutable", FailureCode::RegistryTagImmutable),
    // The database is away, and all that Harbor knows is in it.
    ("failed to connect to `user=", FailureCode::RegistryUnavailable),
    ("no space left on device", FailureCode::RegistryUnavailable),
    ("\"Err\":28", FailureCode::RegistryUnavailable),
    ("un-recognized request", FailureCode::RequestInvalid),
    ("invalid repository name", FailureCode::RequestInvalid),
    ("invalid tag name", FailureCode::RequestInvalid),
];

/// What a refusal means, where Harbor's words say it.
#[must_use]
pub fn refusal(words: &str) -> Option<FailureCode> {
    if let Some(project) = words.split("project ").nth(1)
        && project.split_whitespace().nth(1) == Some("not")
        && project.contains("not found")
    {
        return Some(FailureCode::RegistryRepositoryMissing);
    }
    SENTENCES.iter().find(|(part, _)| words.contains(part)).map(|(_, code)| *code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_that_share_a_code_are_told_apart() {
        for (words, code) in [
            (
                "denied: adding 146.5 KiB of storage resource, which when updated to current usage of 0 B will exceed the configured upper limit of 97.7 KiB.",
                FailureCode::RegistryQuotaExceeded,
            ),
            ("denied: The system is in read only mode. Any modification is prohibited.", FailureCode::RegistryReadOnly),
            ("denied: can not push artifact to a proxy project: pcache", FailureCode::RegistryProxyProject),
            (
                "unknown: Failed to process request due to 'imm/app:rel-1' configured as immutable.",
                FailureCode::RegistryTagImmutable,
            ),
            (
                "unauthorized: project nosuch not found: project nosuch not found",
                FailureCode::RegistryRepositoryMissing,
            ),
            ("unauthorized: un-recognized request: POST /v2/slip/Upper/blobs/uploads/", FailureCode::RequestInvalid),
            ("failed to connect to `user=harbor database=registry`: postgresql:5432", FailureCode::RegistryUnavailable),
        ] {
            assert_eq!(refusal(words), Some(code), "{words}");
        }
        assert_eq!(refusal("unauthorized to access repository: slip/app, action: push"), None);
        assert_eq!(refusal(""), None);
    }
}
