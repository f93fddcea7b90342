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
pub mod router;
#[cfg(test)]
mod tests;
pub mod view;
pub mod wire;

use tokio::sync::Semaphore;

pub use error::Error;
pub use router::router;

/// What requests share.
#[derive(Debug)]
pub struct Shared {
    /// One permit per request that is being answered.
    pub in_flight: Semaphore,
    /// Who is running a preview.
    pub previews: exports::preview::Previews,
    /// The secret names between the socket and the envelope.
    pub wire: wire::Names,
}

impl Shared {
    /// Room for so many requests at the same time.
    pub fn new(in_flight_max: usize) -> Self {
        Self {
            in_flight: Semaphore::new(in_flight_max.min(Semaphore::MAX_PERMITS)),
            previews: exports::preview::Previews::default(),
            wire: wire::Names::draw(),
        }
    }
}
