//! Signing in and out.
//!
//! Invariants: a session begins only after an identity was verified; whoever signs in is led to a
//! page of this service and nowhere else.

pub mod dev;
pub mod oidc;
pub mod once;
pub mod sealed;

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderMap, header};
use payouts_model::Timestamp;

use super::form::offered::Offers;
use super::layout::{self, Shell};
use super::session::{Cookies, Posted, cookies_unusable};
use crate::app::App;
use crate::auth::Identity;
use crate::http::Error;
use crate::http::wire::RawText;

/// The sign-in page.
#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    shell: Shell,
    note: Option<&'static str>,
    issuers: Vec<IssuerChoice>,
    users: Vec<dev::User>,
    to: String,
    nobody: &'static str,
}

/// An issuer that one can sign in with.
struct IssuerChoice {
    label: String,
    url: String,
}

/// `GET /sign-in`.
pub async fn page(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    RawText(raw_query): RawText,
) -> Result<Response, Error> {
    let shell = Shell::new(&app, None);
    let query = query_of(&raw_query);
    let value = |name: &str| value_of(&query, name);
    let to = safe_target(value("to")).to_owned();
    if app.page.sessions.of(&app.config, &headers, app.clock.now()).is_some() {
        return Ok(Redirect::to(&shell.url(&to)).into_response());
    }
    let note = match (value("ended"), value("out")) {
        _ if cookies_unusable(&app.config) => Some(
            "Browsers keep nobody signed in here: public_url begins with http://, and that is for loopback alone. \
             The operator has to serve the page over https.",
        ),
        ("", "") => None,
        ("", _) => Some("You are signed out."),
        _ => Some("Your session has ended. Sign in to go on."),
    };
    Offers::ahead(&app);
    let users = if app.config.dev { dev::users(&app).await? } else { Vec::new() };
    let start = |(place, label): (usize, &str)| {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("issuer", &place.to_string())
            .append_pair("to", &to)
            .finish();
        IssuerChoice { label: label.to_owned(), url: shell.url(&format!("/sign-in/start?{query}")) }
    };
    let issuers: Vec<IssuerChoice> = app.tokens.page_issuers().map(start).collect();
    let nobody = if app.config.dev {
        "Nobody has a grant yet. Give one with: payouts grant --data DIR --tenant TENANT --all-participants"
    } else {
        "Nobody can sign in to the page: the operator has not named it to a token issuer yet (page in [[issuers]])."
    };
    layout::page(&SignInPage { shell, note, issuers, users, to, nobody })
}

/// `POST /sign-out`.
pub async fn sign_out(State(app): State<Arc<App>>, posted: Posted) -> Response {
    app.page.sessions.end(&posted.visit.session);
    let cookies = Cookies::new(&app.config);
    let gone = cookies.set(&cookies.session, "", 0);
    let to = posted.visit.shell.url("/sign-in?out=1");
    ([(header::SET_COOKIE, gone)], Redirect::to(&to)).into_response()
}

/// The names and values of an address, decoded.
fn query_of(raw_query: &str) -> Vec<(String, String)> {
    url::form_urlencoded::parse(raw_query.as_bytes()).into_owned().collect()
}

/// The first value of a name; empty if there is none.
fn value_of<'q>(query: &'q [(String, String)], name: &str) -> &'q str {
    query.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
}

/// Begins a session, and leads to a page.
fn signed_in(app: &App, identity: Identity, name: Option<&str>, until: Timestamp, to: &str) -> Response {
    let now = app.clock.now();
    tracing::info!(tenant.id = %identity.caller.tenant, principal.id = %identity.caller.principal, "signed in to the page");
    let secret = app.page.sessions.begin(identity, name, until, now);
    let cookies = Cookies::new(&app.config);
    let seconds = until.ms_since(now).clamp(0, super::session::SESSION_MS_MAX) / 1000;
    let cookie = cookies.set(&cookies.session, &secret, seconds);
    let to = Shell::new(app, None).url(safe_target(to));
    ([(header::SET_COOKIE, cookie)], Redirect::to(&to)).into_response()
}

/// The path to come back to, if it is one of this service; else the first page. Browsers read `//`
/// and `/\` as the beginning of another host.
fn safe_target(to: &str) -> &str {
    let own = to.starts_with('/') && !to.starts_with("//") && !to.contains('\\') && !to.chars().any(char::is_control);
    if own { to } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_led_to_this_service_alone() {
        assert_eq!(safe_target("/?state=Failed"), "/?state=Failed");
        for bad in ["", "https://evil.example", "//evil.example", "/\\evil.example", "/a\\b", "/\t/evil", "evil"] {
            assert_eq!(safe_target(bad), "/", "{bad}");
        }
    }
}
