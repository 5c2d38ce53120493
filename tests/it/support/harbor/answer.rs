//! Answers as Harbor words them.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

pub(super) type Answer = Response<Body>;

pub(super) fn empty(status: u16) -> Answer {
    text(status, "", String::new())
}

pub(super) fn text(status: u16, kind: &str, body: String) -> Answer {
    let mut answer = Response::new(Body::from(body));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap();
    if !kind.is_empty() {
        answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_str(kind).unwrap());
    }
    answer
}

pub(super) fn json_of(status: u16, value: &Value) -> Answer {
    text(status, "application/json", format!("{value}\n"))
}

/// The same, by the parts that say how it is encoded: all of `/v2/`, and the token service.
pub(super) fn encoded_json(status: u16, value: &Value) -> Answer {
    text(status, "application/json; charset=utf-8", format!("{value}\n"))
}

/// An answer of what comes before anybody is looked up: no session is begun.
#[derive(Clone, Copy)]
pub(super) struct Early;

pub(super) fn early(mut answer: Answer) -> Answer {
    answer.extensions_mut().insert(Early);
    answer
}

/// An answer of `/v2/` says which protocol that is.
pub(super) fn of_v2(answer: Answer) -> Answer {
    with(answer, "docker-distribution-api-version", "registry/2.0")
}

/// `{"errors":[{"code","message"}]}` and a line break.
pub(super) fn error(status: u16, code: &str, message: &str) -> Answer {
    let body = json!({ "errors": [{ "code": code, "message": message }] });
    text(status, "application/json; charset=utf-8", format!("{body}\n"))
}

/// What nginx says for a core that is not there, or that broke off.
pub(super) fn bad_gateway() -> Answer {
    let page = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n";
    text(502, "text/html", page.to_owned())
}

pub(super) fn unauthorized() -> Answer {
    error(401, "UNAUTHORIZED", "unauthorized")
}

pub(super) fn forbidden() -> Answer {
    error(403, "FORBIDDEN", "forbidden")
}

pub(super) fn not_found(message: &str) -> Answer {
    error(404, "NOT_FOUND", message)
}

pub(super) fn read_only() -> Answer {
    early(error(403, "DENIED", "The system is in read only mode. Any modification is prohibited."))
}

pub(super) fn internal() -> Answer {
    error(500, "UNKNOWN", "internal server error")
}

pub(super) fn with(mut answer: Answer, name: &str, value: &str) -> Answer {
    let name: HeaderName = name.parse().unwrap();
    answer.headers_mut().insert(name, HeaderValue::from_str(value).unwrap());
    answer
}
