//! What every page shares: its address, who is signed in, and how a template becomes an answer.

use askama::Template;
use axum::response::{Html, IntoResponse, Response};

use payouts_model::Timestamp;

use super::assets;
use super::session::Session;
use crate::app::App;
use crate::http::Error;
use crate::http::base_url::path_prefix;

/// What `layout.html` needs. Every page's template has one as `shell`.
#[derive(Clone, Debug)]
pub struct Shell {
    /// The path prefix of `public_url`, without a slash at the end.
    root: String,
    /// Who is signed in.
    pub who: Option<Who>,
    /// Whether the built-in issuer is on: said on every page.
    pub dev: bool,
}

/// The user, as pages name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// The name that the issuer gave, otherwise the principal.
    pub name: String,
    /// The tenant.
    pub tenant: String,
    /// The token that every form sends back in a field `csrf`.
    pub csrf: String,
}

impl Shell {
    /// For a page, and whoever is signed in.
    pub fn new(app: &App, session: Option<&Session>) -> Self {
        let who = session.map(|session| Who {
            name: session.name().to_owned(),
            tenant: session.caller().tenant.to_string(),
            csrf: session.csrf().to_owned(),
        });
        Self { root: path_prefix(&app.config), who, dev: app.config.dev }
    }

    /// The address of a path of this service, as browsers see it. `path` begins with a slash.
    pub fn url(&self, path: &str) -> String {
        match path.strip_prefix('/') {
            // Below a prefix the first page has no slash at its end.
            Some(rest) if !self.root.is_empty() && (rest.is_empty() || rest.starts_with(['?', '#'])) => {
                format!("{}{rest}", self.root)
            }
            _ => format!("{}{path}", self.root),
        }
    }

    /// The address of a style or script.
    pub fn asset(&self, name: &str) -> String {
        self.url(&assets::path(name))
    }

    /// The value of every form's field `csrf`; empty if nobody is signed in.
    pub fn csrf(&self) -> &str {
        self.who.as_ref().map_or("", |who| &who.csrf)
    }
}

/// An instant: as pages write it, and as the script reads it to write it in the browser's way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct When {
    /// ISO 8601, UTC.
    pub iso: String,
    /// To the minute, UTC.
    pub plain: String,
}

impl When {
    /// Of an instant.
    pub fn new(at: Timestamp) -> Self {
        Self {
            iso: at.to_utc().format("%Y-%m-%dT%H:%M:%SZ").to_string(),
            plain: at.to_utc().format("%Y-%m-%d %H:%M UTC").to_string(),
        }
    }
}

/// The text of a template: escaped, as all templates end in `.html`.
pub fn text(template: &impl Template) -> Result<String, Error> {
    template.render().map_err(Error::internal)
}

/// A page.
pub fn page(template: &impl Template) -> Result<Response, Error> {
    Ok(Html(text(template)?).into_response())
}
