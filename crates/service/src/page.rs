//! The export page: the same exports, for people who look rather than type.
//!
//! Rendered by the service: templates (`templates/`), style and script (`assets/`) are compiled in,
//! and a page loads nothing from anywhere else. Everything that changes something is a POST of a
//! form, checked by [`session::Posted`], and works without JavaScript; the script only makes it
//! quicker. What a user may see and do is what the same user may over the API: a [`session::Visit`]
//! holds a viewer that is built anew for every request and counted like a caller's.
//!
//! Rooms: `frame` (headers and error pages), `layout` (what every page shares), `assets`,
//! `session` (who is signed in), `sign_in`, `form` (ask), `preview` (what one would get), `list`
//! (requests), `live` (changes as they happen), `kept` (what was found out, for
//! those who ask again), `labels` (plain names of reports and fields), `words` (filters in plain English).

pub mod assets;
pub mod form;
pub mod frame;
pub mod kept;
pub mod labels;
pub mod layout;
pub mod list;
pub mod live;
pub mod preview;
pub mod session;
pub mod sign_in;
pub mod words;

use std::sync::Arc;

use axum::Router;
use axum::middleware;
use axum::routing::{get, post};

use crate::app::App;

/// What requests of the page share.
#[derive(Debug, Default)]
pub struct Shared {
    /// Who is signed in.
    pub sessions: session::Sessions,
    /// What the form offers.
    pub offers: form::offered::Offers,
    /// What previews found.
    pub looks: preview::Looks,
    /// Seals sign-ins under way.
    pub sealer: sign_in::sealed::Sealer,
    /// Filters in words.
    pub words: words::Words,
    /// Links that sign in once.
    pub links: sign_in::once::OneTimeLinks,
}

const HOME: &str = "/";
const ASK: &str = "/exports";
const FORM: &str = "/form";
const FORM_CHECK: &str = "/form/check";
const FORM_CONTROLS: &str = "/form/controls";
const FORM_PARTICIPANTS: &str = "/form/participants";
const PREVIEW: &str = "/preview";
const PREVIEW_PANEL: &str = "/preview/panel";
const PART: &str = "/parts/list";
const LIVE: &str = "/live";
const DETAILS: &str = "/exports/{id}";
const DOWNLOAD: &str = "/exports/{id}/download";
const MANIFEST: &str = "/exports/{id}/manifest";
const AGAIN: &str = "/exports/{id}/again";
const DELETE: &str = "/exports/{id}/delete";
const SIGN_IN: &str = "/sign-in";
const SIGN_IN_START: &str = "/sign-in/start";
const SIGN_IN_DEV: &str = "/sign-in/dev";
const SIGN_IN_ONCE: &str = "/sign-in/once";
const SIGN_OUT: &str = "/sign-out";
const ASSET: &str = "/assets/{name}";
/// The page's routes, as labels of metrics; the shortest last.
pub const ROUTES: [&str; 22] = [
    ASK,
    FORM_CHECK,
    FORM_CONTROLS,
    FORM_PARTICIPANTS,
    FORM,
    PREVIEW_PANEL,
    PREVIEW,
    PART,
    LIVE,
    DETAILS,
    DOWNLOAD,
    MANIFEST,
    AGAIN,
    DELETE,
    sign_in::oidc::CALLBACK,
    SIGN_IN_START,
    SIGN_IN_DEV,
    SIGN_IN_ONCE,
    SIGN_IN,
    SIGN_OUT,
    ASSET,
    HOME,
];

/// Every route of the page, inside its frame.
pub fn router(app: &Arc<App>) -> Router<Arc<App>> {
    let mut router = Router::new()
        .route(HOME, get(list::home))
        .route(ASK, post(form::ask))
        .route(FORM, post(form::check::form))
        .route(FORM_CHECK, post(form::check::check))
        .route(FORM_CONTROLS, post(form::check::controls))
        .route(FORM_PARTICIPANTS, post(form::check::participants))
        .route(PREVIEW, post(preview::page))
        .route(PREVIEW_PANEL, post(preview::panel))
        .route(PART, get(list::part_alone))
        .route(LIVE, get(live::live))
        .route(DETAILS, get(list::details::details))
        .route(DOWNLOAD, get(list::actions::download))
        .route(MANIFEST, get(list::actions::manifest))
        .route(AGAIN, post(list::actions::again))
        .route(DELETE, get(list::actions::confirm).post(list::actions::delete))
        .route(SIGN_IN, get(sign_in::page))
        .route(SIGN_IN_START, get(sign_in::oidc::start))
        .route(sign_in::oidc::CALLBACK, get(sign_in::oidc::callback))
        .route(SIGN_OUT, post(sign_in::sign_out));
    if app.config.dev {
        router = router.route(SIGN_IN_DEV, post(sign_in::dev::choose)).route(SIGN_IN_ONCE, get(sign_in::once::once));
    }
    router
        .layer(middleware::from_fn_with_state(app.clone(), frame::frame))
        // Outside of the frame: the same for everybody, and kept by browsers for good.
        .route(ASSET, get(assets::asset))
}
