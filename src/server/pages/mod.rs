//! Pages for people: made here, escaped by the template engine, readable without a script.

mod application;
mod assets;
mod build;
mod edit;
mod forms;
mod overview;
mod product_line;
mod steps;
mod words;
mod workers;

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use rust_embed::RustEmbed;
use serde_json::{Value, json};
use tera::{Context, Tera};

use super::Shared;
use super::access::{Role, Who, login};
use super::http::problem::Problem;
use crate::model::failure::{Failure, FailureCode};

#[derive(RustEmbed)]
#[folder = "$CARGO_MANIFEST_DIR/src/server/pages/templates"]
struct Files;

/// The templates that the program brings along. Their names end with `.html`, so everything that they show is escaped.
static TEMPLATES: LazyLock<Result<Tera, String>> = LazyLock::new(|| {
    let mut tera = Tera::new();
    let files: Vec<(String, String)> = Files::iter()
        .filter_map(|name| Some((name.to_string(), String::from_utf8(Files::get(&name)?.data.into_owned()).ok()?)))
        .collect();
    let added = tera.add_raw_templates(files.iter().map(|(name, text)| (name.as_str(), text.as_str())));
    added.map(|()| tera).map_err(|error| error.to_string())
});

/// Refuses to start with a template that is malformed.
pub(super) fn check() -> Result<(), Failure> {
    let malformed =
        |error: &String| Failure::new(FailureCode::Internal, format!("a page's template is malformed: {error}"));
    TEMPLATES.as_ref().map(|_| ()).map_err(malformed)
}

fn render(name: &str, values: &Value) -> Result<String, Problem> {
    let failed = |error: &dyn std::fmt::Display| {
        tracing::error!(%error, name, "a page cannot be made");
        Problem::new(500, "internal", "the page cannot be made")
    };
    let templates = TEMPLATES.as_ref().map_err(|error| failed(error))?;
    let context = Context::from_serialize(values).map_err(|error| failed(&error))?;
    templates.render(name, &context).map_err(|error| failed(&error))
}

/// Everything that people look at.
pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/", get(overview::overview))
        .route("/login", get(forms::login_page).post(forms::log_in))
        .route("/logout", post(forms::log_out))
        .route("/builds/{id}", get(build::build))
        .route("/builds/{id}/cancel", post(forms::cancel))
        .route("/builds/{id}/retry", post(forms::retry))
        .route("/workers", get(workers::workers))
        .route("/product-lines/{name}", get(product_line::product_line))
        .route("/applications", get(application::all))
        .route("/applications/new", get(edit::new).post(edit::make))
        .route("/applications/{product_line}/{name}/edit", get(edit::edit).post(edit::change))
        .route("/applications/{product_line}/{name}/remove", post(edit::remove))
        .route("/applications/{product_line}/{name}", get(application::application))
        .route("/applications/{product_line}/{name}/build", post(forms::build))
        .route("/applications/{product_line}/{name}/restore", post(forms::restore))
        .route("/assets/{name}", get(assets::asset))
        .fallback(nothing)
}

async fn nothing(viewer: Option<Viewer>) -> Refused {
    let _ = viewer;
    Refused(Problem::not_found("there is nothing at this address"))
}

/// Who looks at a page; others are asked to log in.
struct Viewer(Who);

impl FromRequestParts<Arc<Shared>> for Viewer {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Response> {
        match login::of(shared, &parts.headers).await {
            Ok(Some(who)) => Ok(Self(who)),
            Ok(None) => {
                let place = parts.uri.path_and_query().map_or("/", |place| place.as_str());
                let next: String = url::form_urlencoded::byte_serialize(place.as_bytes()).collect();
                Err(see(&format!("/login?next={next}")))
            }
            Err(failure) => Err(Refused(failure.into()).into_response()),
        }
    }
}

impl axum::extract::OptionalFromRequestParts<Arc<Shared>> for Viewer {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Option<Self>, Self::Rejection> {
        Ok(login::of(shared, &parts.headers).await.ok().flatten().map(Self))
    }
}

/// A problem as people read it.
struct Refused(Problem);

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self(failure.into())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let values = json!({ "title": "Problem", "problem": self.0, "who": "", "csrf": "", "may_build": false });
        let text = render("problem.html", &values).unwrap_or_else(|problem| problem.title);
        (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], text).into_response()
    }
}

/// Looks elsewhere (303), whatever was asked.
fn see(place: &str) -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, place.to_owned())]).into_response()
}

/// A place of this server with a query: what people typed stays what it is.
fn address(path: &str, query: &[(&str, &str)]) -> String {
    let mut text = url::form_urlencoded::Serializer::new(String::new());
    text.extend_pairs(query.iter().filter(|(_, value)| !value.is_empty()));
    format!("{path}?{}", text.finish())
}

/// A page for somebody.
fn page(who: &Who, name: &str, title: &str, mut values: Value) -> Result<Response, Refused> {
    values["title"] = json!(title);
    values["who"] = json!(who.name);
    values["csrf"] = json!(who.csrf);
    values["may_build"] = json!(who.role >= Role::Builder);
    values["may_change"] = json!(who.role >= Role::Admin);
    let text = render(name, &values)?;
    Ok(([(header::CONTENT_TYPE, "text/html; charset=utf-8")], text).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_whole_and_escape() {
        let problem = json!({ "status": 404, "code": "x", "title": "<script>alert(1)</script>", "hint": "a\"b'c" });
        let values = json!({ "title": "t", "problem": problem, "who": "", "csrf": "", "may_build": false });
        let text = render("problem.html", &values).unwrap();
        assert!(text.contains("&lt;script&gt;") && !text.contains("<script>alert"), "{text}");
        assert!(!text.contains("a\"b'c"), "{text}");
    }
}
