//! Places that are bounded in all, and for each tenant, so that no tenant takes them all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use payouts_model::TenantId;

/// A bounded number of places.
#[derive(Debug)]
pub struct Places {
    tenant_max: usize,
    max: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_tenant: HashMap<TenantId, usize>,
}

/// One place; free again when dropped.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    tenant: TenantId,
}

/// Why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPlace {
    /// The tenant has this many.
    Tenant(usize),
    /// All tenants together have this many.
    All(usize),
}

impl Places {
    /// So many for each tenant, and in all.
    pub fn new(tenant_max: usize, max: usize) -> Arc<Self> {
        Arc::new(Self { tenant_max, max, taken: Mutex::default() })
    }

    /// Takes one for a tenant.
    pub fn enter(self: &Arc<Self>, tenant: &TenantId) -> Result<Place, NoPlace> {
        let mut taken = self.taken();
        if taken.all >= self.max {
            return Err(NoPlace::All(self.max));
        }
        let own = taken.by_tenant.entry(tenant.clone()).or_default();
        if *own >= self.tenant_max {
            return Err(NoPlace::Tenant(self.tenant_max));
        }
        *own += 1;
        taken.all += 1;
        Ok(Place { places: self.clone(), tenant: tenant.clone() })
    }

    /// How many are taken.
    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.taken().all
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.all -= 1;
        if let Some(own) = taken.by_tenant.get_mut(&self.tenant) {
            *own -= 1;
            if *own == 0 {
                taken.by_tenant.remove(&self.tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_leaves_places_to_others() {
        let places = Places::new(2, 3);
        let (a, b, c) = (TenantId::new("a"), TenantId::new("b"), TenantId::new("c"));
        let first = places.enter(&a).unwrap();
        let _second = places.enter(&a).unwrap();
        assert_eq!(places.enter(&a).unwrap_err(), NoPlace::Tenant(2));
        let _third = places.enter(&b).unwrap();
        assert_eq!(places.enter(&c).unwrap_err(), NoPlace::All(3));
        drop(first);
        assert!(places.enter(&a).is_ok() && places.enter(&c).is_ok());
        assert_eq!(places.count(), 2);
    }
}
