//! Every request: the proxy in front, cookies, request ids, then whose path it is.

use axum::Router;
use axum::body::Body;
use axum::extract::State as Extract;
use axum::http::{HeaderMap, HeaderValue, Request};
use futures_util::StreamExt as _;

use super::answer::{Answer, Early, bad_gateway, empty, error, text, with};
use super::state::Instead;
use super::who::{Shown, Who};
use super::{Shared, api, token, v2};

/// A request, without its body.
pub(super) struct Call {
    pub(super) method: String,
    /// As it came, still encoded, without doubled slashes.
    pub(super) path: String,
    pub(super) raw_query: String,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: HeaderMap,
    pub(super) shown: Shown,
}

impl Call {
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub(super) fn host(&self) -> &str {
        self.header("host").unwrap_or_default()
    }

    /// Whether it only looks.
    pub(super) fn reads(&self) -> bool {
        ["GET", "HEAD", "OPTIONS"].contains(&self.method.as_str())
    }

    pub(super) fn length(&self) -> u64 {
        self.header("content-length").and_then(|value| value.parse().ok()).unwrap_or(0)
    }
}

impl Shared {
    /// What comes instead of an answer to a request.
    fn happens(&self, line: &str, length: u64) -> Option<Instead> {
        let mut state = self.state.lock().unwrap();
        let mut when = state.when.take()?;
        let instead = when(&mut state, line, length);
        state.when = Some(when);
        instead
    }
}

async fn otherwise(instead: Instead, body: Body) -> Answer {
    match instead {
        Instead::Error(status, code, message) => error(status, code, message),
        Instead::Page(status) => text(status, "text/html", "<html><head></head></html>\r\n".to_owned()),
        Instead::Later(status, after) => with(text(status, "text/html", String::new()), "retry-after", after),
        Instead::Held(_) => unreachable!("it is answered as usual"),
        Instead::Cut => {
            let _ = body.into_data_stream().next().await;
            // hyper closes the connection; nobody is told, as this is no fault of the program.
            std::panic::resume_unwind(Box::new("cut"))
        }
    }
}

/// What a browser is to keep: its session, and once it has one, what proves that its requests come from Harbor's own pages.
fn cookie(sent: &str, has_token: bool) -> Option<String> {
    let value = uuid::Uuid::now_v7().simple();
    match (sent.contains("sid="), has_token) {
        (false, _) => Some(format!("sid={value}; Path=/; HttpOnly")),
        (true, false) => Some(format!("_gorilla_csrf={value}; Path=/; HttpOnly; SameSite=Strict")),
        (true, true) => None,
    }
}

pub(super) fn router(shared: Shared) -> Router {
    Router::new().fallback(answer).with_state(shared)
}

async fn answer(Extract(shared): Extract<Shared>, request: Request<Body>) -> Answer {
    let (parts, body) = request.into_parts();
    let id = parts.headers.get("x-request-id").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let head = parts.method == "HEAD";
    let line = format!("{} {}", parts.method, parts.uri);
    shared.state.lock().unwrap().requests.push((line.clone(), id.clone()));
    let length = parts.headers.get("content-length").and_then(|value| value.to_str().ok()?.parse().ok());
    match shared.happens(&line, length.unwrap_or(0)) {
        Some(Instead::Held(go_on)) => drop(go_on.await),
        Some(instead) => return otherwise(instead, body).await,
        None => {}
    }
    let call = {
        let mut state = shared.state.lock().unwrap();
        let call = Call {
            method: parts.method.to_string(),
            path: parts.uri.path().replace("//", "/"),
            raw_query: parts.uri.query().unwrap_or_default().to_owned(),
            query: url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).into_owned().collect(),
            shown: Shown::of(&parts.headers, &state),
            headers: parts.headers,
        };
        state.refused_logins += u32::from(matches!(call.shown, Shown::Basic(Who::Anonymous)));
        call
    };
    let core_down = shared.state.lock().unwrap().faults.core;
    let cookies = call.header("cookie").unwrap_or_default().to_owned();
    let has_token = call.header("x-harbor-csrf-token").is_some();
    let mut answer = if core_down {
        bad_gateway()
    } else if call.path == "/v2" {
        return with(text(301, "text/html", String::new()), "location", &format!("http://{}/v2/", call.host()));
    } else if cookies.contains("sid=") && !call.reads() && !has_token {
        error(403, "FORBIDDEN", "CSRF token not found in request")
    } else if call.path == "/service/token" {
        token::answer(&mut shared.state.lock().unwrap(), &call)
    } else if call.path.starts_with("/v2/") {
        v2::answer(&shared, call, body).await
    } else if call.path.starts_with("/api/") {
        api::answer(&shared, call, body).await
    } else {
        bad_gateway()
    };
    // A page of the proxy's own has none of the core's headers.
    let page = answer.headers().get("content-type").is_some_and(|kind| kind == "text/html");
    if !page {
        let id = id.unwrap_or_else(|| uuid::Uuid::now_v7().to_string());
        answer.headers_mut().insert("x-request-id", HeaderValue::from_str(&id).unwrap());
        if let Some(cookie) = cookie(&cookies, has_token).filter(|_| answer.extensions().get::<Early>().is_none()) {
            answer.headers_mut().insert("set-cookie", HeaderValue::from_str(&cookie).unwrap());
        }
    }
    if head {
        let (parts, _) = answer.into_parts();
        let mut bare = empty(parts.status.as_u16());
        *bare.headers_mut() = parts.headers;
        return bare;
    }
    answer
}
