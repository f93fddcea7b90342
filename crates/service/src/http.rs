//! The HTTP API: routes, parameters, bodies, errors, file links, the API page.
//!
//! A handler reads as a plot of named steps; what every answer shares is in [`envelope`]; what is
//! refused is an [`Error`], whose message is for the caller and whose context is for the log.
//! Nothing here knows SQL, and nothing here builds a plan without a scope.

pub mod api_page;
pub mod base_url;
pub mod envelope;
pub mod error;
pub mod exports;
pub mod extract;
pub mod files;
pub mod health;
pub mod links;
pub mod metadata;
pub mod openapi;
pub mod params;
pub mod places;
pub mod router;
pub mod standing;
#[cfg(test)]
mod tests;
pub mod view;
pub mod wire;

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::config::Limits;

pub use error::Error;
pub use router::router;

/// What requests share.
#[derive(Debug)]
pub struct Shared {
    /// One permit per request that is being answered.
    pub in_flight: Arc<Semaphore>,
    /// The same by tenant, for those who have shown their token.
    pub tenants_in_flight: Arc<places::Places>,
    /// Downloads under way.
    pub downloads: Arc<places::Places>,
    /// Requests that wait for a change.
    pub held: Arc<places::Places>,
    /// Who is running a preview.
    pub previews: exports::preview::Previews,
    /// The secret names between the socket and the envelope.
    pub wire: wire::Names,
}

impl Shared {
    /// Room for what the limits say.
    pub fn new(limits: &Limits) -> Self {
        Self {
            in_flight: Arc::new(Semaphore::new(limits.in_flight_max.min(Semaphore::MAX_PERMITS))),
            tenants_in_flight: places::Places::new(limits.tenant_in_flight_max, usize::MAX),
            downloads: places::Places::new(limits.tenant_downloads_max, limits.downloads_max),
            held: places::Places::new(limits.tenant_held_max, limits.held_max),
            previews: exports::preview::Previews::default(),
            wire: wire::Names::draw(),
        }
    }
}
