//! What is found out about a request on its way in: who calls, and which places it takes. The
//! envelope makes it, authentication fills it in, and a handler that only waits gives the places
//! back.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::Extensions;
use tokio::sync::OwnedSemaphorePermit;

use super::places::{NoPlace, Place};
use crate::App;
use crate::auth::{Caller, Identity, Rejection};

/// Of one request; shared by its parts.
#[derive(Clone, Debug, Default)]
pub struct Standing(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    identity: Option<Identity>,
    in_flight: Option<OwnedSemaphorePermit>,
    place: Option<Place>,
}

impl Standing {
    /// The request is being answered, under this permit.
    pub fn begin(&self, in_flight: OwnedSemaphorePermit) {
        self.inner().in_flight = Some(in_flight);
    }

    /// The caller is known: it takes one of its tenant's places.
    pub fn enter(extensions: &Extensions, identity: &Identity, app: &App) -> Result<(), Rejection> {
        let Some(standing) = extensions.get::<Self>() else { return Ok(()) };
        let mut inner = standing.inner();
        inner.identity = Some(identity.clone());
        match app.http.tenants_in_flight.enter(&identity.caller.tenant) {
            Ok(place) => inner.place = Some(place),
            Err(NoPlace::Tenant(max) | NoPlace::All(max)) => {
                let message = format!(
                    "{max} requests of your tenant are being answered, which is the limit (limits.tenant_in_flight_max). \
                     Send fewer at a time."
                );
                return Err(Rejection::beyond("tenant_in_flight_max", message));
            }
        }
        Ok(())
    }

    /// Who calls, once that is known.
    pub fn caller(&self) -> Option<Caller> {
        self.inner().identity.as_ref().map(|identity| identity.caller.clone())
    }

    /// Whether the token makes the caller an admin, whatever the grants say.
    pub fn admin(&self) -> bool {
        self.inner().identity.as_ref().is_some_and(|identity| identity.admin)
    }

    /// Gives the places back: the request only waits from here on, or is answered.
    pub fn leave(&self) {
        let mut inner = self.inner();
        inner.in_flight = None;
        inner.place = None;
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
