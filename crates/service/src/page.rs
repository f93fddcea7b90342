//! The export page: the same exports, for people who look rather than type.
//!
//! Rendered by the service: templates (`templates/`), style and script (`assets/`) are compiled in,
//! and a page loads nothing from anywhere else. Everything that changes something is a POST of a
//! form, checked by [`session::Posted`], and works without JavaScript; the script only makes it
//! quicker. What a user may see and do is what the same user may over the API: a [`session::Visit`]
//! holds a viewer that is built anew for every request and counted like a caller's.
//!
//! Rooms: `frame` (headers and error pages), `layout` (what every page shares), `assets`,
//! `session` (who is signed in), `sign_in`, `form` (ask), `list` (requests), `live` (changes as
//! they happen), `labels` (plain names of fields and values).

pub mod assets;
pub mod form;
pub mod frame;
pub mod labels;
pub mod layout;
pub mod list;
pub mod preview;
pub mod session;
pub mod sign_in;

use std::sync::Arc;

use axum::Router;
use axum::middleware;
use axum::routing::{get, post};

use crate::app::App;

/// What requests of the page share.
#[derive(Debug)]
pub struct Shared {
    /// Who is signed in.
    pub sessions: session::Sessions,
    /// What the form offers.
    pub offers: form::offered::Offers,
}

impl Shared {
    /// Nobody is signed in.
    #[expect(clippy::new_without_default, reason = "a service has one, made with the rest of it")]
    pub fn new() -> Self {
        Self { sessions: session::Sessions::default(), offers: form::offered::Offers::default() }
    }
}

const HOME: &str = "/";
const EXPORTS: &str = "/exports";
const SIGN_IN: &str = "/sign-in";
const SIGN_IN_DEV: &str = "/sign-in/dev";
const SIGN_OUT: &str = "/sign-out";
const ASSET: &str = "/assets/{name}";
const FORM: &str = "/form";
const FORM_CHECK: &str = "/form/check";
const FORM_PARTICIPANTS: &str = "/form/participants";
const PREVIEW: &str = "/preview";
const PREVIEW_PANEL: &str = "/preview/panel";
/// The page's routes, as labels of metrics; the shortest last.
pub const ROUTES: [&str; 11] = [
    EXPORTS, FORM_CHECK, FORM_PARTICIPANTS, FORM, PREVIEW_PANEL, PREVIEW, SIGN_IN_DEV, SIGN_IN, SIGN_OUT, ASSET, HOME,
];

/// Every route of the page, inside its frame.
pub fn router(app: &Arc<App>) -> Router<Arc<App>> {
    let mut router = Router::new()
        .route(HOME, get(list::home))
        .route(EXPORTS, post(form::ask))
        .route(FORM, post(form::check::form))
        .route(FORM_CHECK, post(form::check::check))
        .route(FORM_PARTICIPANTS, post(form::check::participants))
        .route(PREVIEW, post(preview::page))
        .route(PREVIEW_PANEL, post(preview::panel))
        .route(SIGN_IN, get(sign_in::page))
        .route(SIGN_OUT, post(sign_in::sign_out));
    if app.config.dev {
        router = router.route(SIGN_IN_DEV, post(sign_in::dev::choose));
    }
    router
        .layer(middleware::from_fn_with_state(app.clone(), frame::frame))
        // Outside of the frame: the same for everybody, and kept by browsers for good.
        .route(ASSET, get(assets::asset))
}
