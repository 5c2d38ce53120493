//! Tests of the diagnosis against a registry that answers from a list.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// A server that answers requests whose first line begins with a key; other requests get 404.
/// `{base}` in an answer's headers stands for its own address.
async fn registry(answers: &'static [(&'static str, &'static str, &'static str, &'static str)]) -> ImageReference {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = Vec::new();
                let mut byte = [0];
                while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).await.unwrap_or(0) > 0 {
                    request.push(byte[0]);
                }
                let request = String::from_utf8_lossy(&request).into_owned();
                let authorized = request.to_ascii_lowercase().contains("\nauthorization:");
                let line = if authorized { format!("auth {request}") } else { request };
                let answer = answers.iter().find(|(key, ..)| line.starts_with(key));
                let (_, status, headers, body) = answer.copied().unwrap_or(("", "404 Not Found", "", ""));
                let headers = headers.replace("{base}", &format!("http://{address}"));
                let text = format!(
                    "HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
                let _ = stream.write_all(text.as_bytes()).await;
            });
        }
    });
    format!("{address}/trade/order:1").parse().unwrap()
}

async fn diagnosed(reference: &ImageReference, said: &str) -> Diagnosis {
    let credentials = Credentials::password("robot$slipway", "hunter2");
    diagnose(reference, Some(&credentials), &RegistryAccess::default(), said).await
}

const BEARER: &str = "WWW-Authenticate: Bearer realm=\"{base}/service/token\",service=\"harbor-registry\"\r\n";
const HARBOR: (&str, &str, &str, &str) = ("GET /api/v2.0/health", "200 OK", "", "{\"status\":\"healthy\"}");

// Tokens as Harbor grants them: {"access":[{"actions":[]}]} to a stranger, with "sub" and
// without "push" to an account that may not, with both to one that may.
const STRANGER: &str = "{\"access_token\":\"\",\"token\":\"e30.eyJhY2Nlc3MiOlt7ImFjdGlvbnMiOltdfV19.x\"}";
const READER: &str = "{\"token\":\"e30.eyJzdWIiOiJyIiwiYWNjZXNzIjpbeyJhY3Rpb25zIjpbInB1bGwiXX1dfQ.x\"}";
const PUSHER: &str = "{\"token\":\"e30.eyJzdWIiOiJyIiwiYWNjZXNzIjpbeyJhY3Rpb25zIjpbInB1bGwiLCJwdXNoIl19XX0.x\"}";

#[tokio::test]
async fn a_wrong_password_at_harbor_is_unauthorized() {
    let reference = registry(&[
        ("GET /v2/", "401 Unauthorized", BEARER, ""),
        ("auth GET /service/token", "200 OK", "", STRANGER),
        HARBOR,
    ])
    .await;
    let failure = diagnosed(&reference, "unauthorized: x").await.failure;
    assert_eq!(failure.code, FailureCode::RegistryUnauthorized);
    assert!(failure.message.contains("robot$slipway") && !failure.message.contains("hunter2"), "{failure}");
}

#[tokio::test]
async fn a_login_that_is_refused_in_the_middle_is_an_outage() {
    let reference = registry(&[
        ("GET /v2/", "401 Unauthorized", BEARER, ""),
        ("auth GET /service/token", "200 OK", "", PUSHER),
        ("auth POST /v2/trade/order/blobs/uploads/", "202 Accepted", "", ""),
    ])
    .await;
    // The last is how a proxy words it in the middle of a large body.
    let broken = "received unexpected HTTP status: 502 Bad Gateway";
    for said in ["unauthorized: authentication required", "no basic auth credentials", broken] {
        let failure = diagnosed(&reference, said).await.failure;
        assert_eq!((failure.code, failure.retryable), (FailureCode::RegistryUnavailable, true), "{failure}");
    }
    let failure = diagnosed(&reference, "denied: the tag is immutable").await.failure;
    assert_eq!(failure.code, FailureCode::RegistryRefused);
}

#[tokio::test]
async fn an_unhealthy_harbor_is_unavailable_not_unauthorized() {
    let reference = registry(&[
        ("GET /v2/", "401 Unauthorized", BEARER, ""),
        ("auth GET /service/token", "200 OK", "", STRANGER),
        ("GET /api/v2.0/health", "200 OK", "", "{\"status\":\"unhealthy\"}"),
    ])
    .await;
    assert_eq!(diagnosed(&reference, "").await.failure.code, FailureCode::RegistryUnavailable);
}

#[tokio::test]
async fn a_missing_project_is_told_from_a_missing_right() {
    let missing = registry(&[
        ("GET /v2/", "401 Unauthorized", BEARER, ""),
        ("auth GET /service/token", "200 OK", "", READER),
        HARBOR,
    ])
    .await;
    assert_eq!(diagnosed(&missing, "").await.failure.code, FailureCode::RegistryRepositoryMissing);
    let forbidden = registry(&[
        ("GET /v2/", "401 Unauthorized", BEARER, ""),
        ("auth GET /service/token", "200 OK", "", READER),
        ("auth HEAD /api/v2.0/projects?project_name=trade", "200 OK", "", ""),
        HARBOR,
    ])
    .await;
    assert_eq!(diagnosed(&forbidden, "").await.failure.code, FailureCode::RegistryForbidden);
}

#[tokio::test]
async fn what_the_registry_refuses_is_told_from_a_broken_connection() {
    let reference = registry(&[
        ("GET /v2/", "401 Unauthorized", BEARER, ""),
        ("auth GET /service/token", "200 OK", "", PUSHER),
        ("auth POST /v2/trade/order/blobs/uploads/", "202 Accepted", "Location: /v2/x\r\n", ""),
        HARBOR,
    ])
    .await;
    let refused = diagnosed(&reference, "unknown: Failed to process request due to 'app:1' configured as immutable.");
    let refused = refused.await.failure;
    assert_eq!(refused.code, FailureCode::RegistryTagImmutable);
    assert!(refused.message.contains("configured as immutable") && !refused.retryable, "{refused}");
    let broken = diagnosed(&reference, "Put \"http://x/v2/\": EOF").await.failure;
    assert_eq!(broken.code, FailureCode::RegistryUnavailable);
}

#[tokio::test]
async fn limits_and_outages_are_told() {
    let limited = registry(&[("GET /v2/", "429 Too Many Requests", "Retry-After: 17\r\n", "")]).await;
    let diagnosis = diagnosed(&limited, "").await;
    assert_eq!(diagnosis.failure.code, FailureCode::RegistryRateLimited);
    assert_eq!(diagnosis.retry_after, Some(Duration::from_secs(17)));
    assert!(diagnosis.failure.message.contains("`Retry-After: 17`"), "{}", diagnosis.failure);
    let down = registry(&[("GET /v2/", "502 Bad Gateway", "", "")]).await;
    assert_eq!(diagnosed(&down, "").await.failure.code, FailureCode::RegistryUnavailable);
    let absent = "127.0.0.1:1/a/b:1".parse().unwrap();
    assert_eq!(diagnosed(&absent, "").await.failure.code, FailureCode::RegistryUnavailable);
}

#[tokio::test]
async fn without_credentials_the_hint_says_so() {
    let reference = registry(&[("GET /v2/", "401 Unauthorized", "WWW-Authenticate: Basic realm=\"x\"\r\n", "")]).await;
    let failure = diagnose(&reference, None, &RegistryAccess::default(), "").await.failure;
    assert_eq!(failure.code, FailureCode::RegistryUnauthorized);
    assert!(failure.hint.contains("registry.credentials"), "{}", failure.hint);
}
