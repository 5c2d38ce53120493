//! Applications made, changed and removed by people: as the text that `applications.toml` has of each.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use super::forms::{Form, Said, may};
use super::{Refused, Viewer, page, see};
use crate::model::failure::{Failure, FailureCode};
use crate::server::Shared;
use crate::server::access::{Role, Who};
use crate::server::api::application_seen as seen;
use crate::server::application::Application;
use crate::server::apply::{remove_one, store_one};
use crate::server::http::problem::Problem;
use crate::server::store::{applications, commit};

/// What a new application begins with.
const NEW: &str = "product_line = \"\"\nname = \"\"\nrepository = \"https://\"\n\n[rules]\nbranches = [\"main\"]\ntags = [\"*\"]\nmerge_requests = true\n";

/// What is shown in the form.
struct Shown<'a> {
    /// Where it is sent to.
    place: &'a str,
    text: &'a str,
    /// The version that it changes; 0 for none.
    version: i64,
    /// Why the last text was not taken.
    wrong: &'a str,
}

pub(super) async fn new(Viewer(who): Viewer) -> Result<Response, Refused> {
    who.must(Role::Admin)?;
    form(&who, "A new application", &Shown { place: "/applications/new", text: NEW, version: 0, wrong: "" })
}

pub(super) async fn edit(
    State(shared): State<Arc<Shared>>,
    Viewer(who): Viewer,
    Path((product_line, name)): Path<(String, String)>,
) -> Result<Response, Refused> {
    let stored = seen(&shared, &who, &product_line, &name).await?;
    who.must_in(Role::Admin, &product_line)?;
    let text = Application::stored(&stored.body).ok().and_then(|one| toml::to_string_pretty(&one).ok());
    let place = format!("/applications/{product_line}/{name}/edit");
    let shown = Shown { place: &place, text: &text.unwrap_or_default(), version: stored.version, wrong: "" };
    form(&who, &format!("Change {product_line}/{name}"), &shown)
}

pub(super) async fn make(
    State(shared): State<Arc<Shared>>,
    Viewer(who): Viewer,
    headers: HeaderMap,
    Form(said): Form,
) -> Result<Response, Refused> {
    may(&who, &headers, &said, Role::Admin, &who.product_line)?;
    let taken = match read(&said.text) {
        Ok(application) => keep(&shared, &who, &application, 0).await.map(|()| application),
        Err(failure) => Err(failure.into()),
    };
    answered(&who, "A new application", "/applications/new", &said, 0, taken)
}

pub(super) async fn change(
    State(shared): State<Arc<Shared>>,
    Viewer(who): Viewer,
    headers: HeaderMap,
    Path((product_line, name)): Path<(String, String)>,
    Form(said): Form,
) -> Result<Response, Refused> {
    may(&who, &headers, &said, Role::Admin, &product_line)?;
    let version = said.version.parse().unwrap_or_default();
    let taken = match read(&said.text) {
        Ok(one) if one.product_line.as_str() != product_line || one.name.as_str() != name => {
            Err(Problem::bad_request("`product_line` and `name` stay; make a new application to call it otherwise"))
        }
        Ok(application) => keep(&shared, &who, &application, version).await.map(|()| application),
        Err(failure) => Err(failure.into()),
    };
    let place = format!("/applications/{product_line}/{name}/edit");
    answered(&who, &format!("Change {product_line}/{name}"), &place, &said, version, taken)
}

pub(super) async fn remove(
    State(shared): State<Arc<Shared>>,
    Viewer(who): Viewer,
    headers: HeaderMap,
    Path((product_line, name)): Path<(String, String)>,
    Form(said): Form,
) -> Result<Response, Refused> {
    seen(&shared, &who, &product_line, &name).await?;
    may(&who, &headers, &said, Role::Admin, &product_line)?;
    let mut change = shared.store.change().await?;
    remove_one(&mut change, &who.name, &product_line, &name).await?;
    commit(change).await?;
    Ok(see("/applications"))
}

/// The application that a text describes.
fn read(text: &str) -> Result<Application, Failure> {
    let application: Application = toml::from_str(text).map_err(|error| {
        Failure::new(FailureCode::RequestInvalid, format!("the text is no application: {}", error.to_string().trim()))
    })?;
    application.check()?;
    Ok(application)
}

/// Writes an application, unless somebody else changed it since this version was shown.
async fn keep(shared: &Shared, who: &Who, application: &Application, shown: i64) -> Result<(), Problem> {
    let (product_line, name) = (application.product_line.as_str(), application.name.as_str());
    who.must_in(Role::Admin, product_line)?;
    let mut change = shared.store.change().await?;
    let newest = applications::newest(&mut change, product_line, name).await?;
    let there = shared.store.application(product_line, name).await?.is_some();
    if shown == 0 && there {
        return Err(Problem::conflict("there is an application of this name"));
    }
    if shown != 0 && newest != shown {
        return Err(Problem::conflict("somebody changed the application meanwhile: open it again"));
    }
    store_one(&mut change, &who.name, application).await?;
    Ok(commit(change).await?)
}

/// The application's page where it was taken, or the form with what is wrong.
fn answered(
    who: &Who,
    title: &str,
    place: &str,
    said: &Said,
    version: i64,
    taken: Result<Application, Problem>,
) -> Result<Response, Refused> {
    let problem = match taken {
        Ok(application) => return Ok(see(&format!("/applications/{}/{}", application.product_line, application.name))),
        Err(problem) if problem.status == 403 || problem.status >= 500 => return Err(problem.into()),
        Err(problem) => problem,
    };
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::BAD_REQUEST);
    let shown = Shown { place, text: &said.text, version, wrong: &problem.title };
    Ok((status, form(who, title, &shown)?).into_response())
}

fn form(who: &Who, title: &str, shown: &Shown<'_>) -> Result<Response, Refused> {
    let values = json!({ "heading": title, "place": shown.place, "text": shown.text, "version": shown.version, "wrong": shown.wrong });
    page(who, "edit.html", title, values)
}
