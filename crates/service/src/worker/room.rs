//! How large files may grow: those of a tenant, and all together.
//!
//! Invariants: what is published (as the store counts it) and what grows here keep to both limits;
//! a file that ends without being sealed gives its room back. Files that other processes write are
//! seen once they are published.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use payouts_model::TenantId;
use payouts_store::FileBytes;

/// A limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoRoom {
    /// The tenant's.
    #[error("The files of the tenant may take {limit_bytes} bytes together (limits.tenant_files_bytes)")]
    Tenant {
        /// The limit.
        limit_bytes: u64,
    },
    /// That of all.
    #[error("The files of all tenants may take {limit_bytes} bytes together (limits.files_bytes)")]
    All {
        /// The limit.
        limit_bytes: u64,
    },
}

/// What is taken, published files included.
#[derive(Debug, Default)]
struct Taken {
    total: u64,
    by_tenant: HashMap<TenantId, u64>,
    /// Of these, bytes that are not published yet.
    growing: u64,
    growing_by_tenant: HashMap<TenantId, u64>,
}

/// The room of this process's files.
#[derive(Debug)]
pub struct Room {
    tenant_max_bytes: u64,
    max_bytes: u64,
    taken: Mutex<Taken>,
}

/// A file that grows; its room is given back when this is dropped, unless it is kept.
#[derive(Debug)]
pub(super) struct Growing {
    room: Arc<Room>,
    tenant: TenantId,
    bytes: u64,
    kept: bool,
}

impl Room {
    /// With these limits.
    pub fn new(tenant_max_bytes: u64, max_bytes: u64) -> Arc<Self> {
        Arc::new(Self { tenant_max_bytes, max_bytes, taken: Mutex::default() })
    }

    /// A file of the tenant begins; `published` is what the store counts just now.
    pub(super) fn begin(self: &Arc<Self>, tenant: &TenantId, published: FileBytes) -> Growing {
        let mut taken = self.taken();
        let own = taken.growing_by_tenant.get(tenant).copied().unwrap_or(0);
        taken.total = published.total.saturating_add(taken.growing);
        taken.by_tenant.insert(tenant.clone(), published.tenant.saturating_add(own));
        Growing { room: self.clone(), tenant: tenant.clone(), bytes: 0, kept: false }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn add(&mut self, tenant: &TenantId, bytes: u64) {
        self.total = self.total.saturating_add(bytes);
        self.growing = self.growing.saturating_add(bytes);
        for map in [&mut self.by_tenant, &mut self.growing_by_tenant] {
            let own = map.entry(tenant.clone()).or_default();
            *own = own.saturating_add(bytes);
        }
    }

    /// They do not grow any more: they are published, or (if not `kept`) gone.
    fn end(&mut self, tenant: &TenantId, bytes: u64, kept: bool) {
        self.growing = self.growing.saturating_sub(bytes);
        if let Some(own) = self.growing_by_tenant.get_mut(tenant) {
            *own = own.saturating_sub(bytes);
            if *own == 0 {
                self.growing_by_tenant.remove(tenant);
            }
        }
        if !kept {
            self.total = self.total.saturating_sub(bytes);
            if let Some(own) = self.by_tenant.get_mut(tenant) {
                *own = own.saturating_sub(bytes);
            }
        }
        // What nobody writes to is counted anew when its next file begins.
        if !self.growing_by_tenant.contains_key(tenant) && !kept {
            self.by_tenant.remove(tenant);
        }
    }
}

impl Growing {
    /// Takes room for more bytes.
    pub(super) fn grow(&mut self, bytes: u64) -> Result<(), NoRoom> {
        let room = &self.room;
        let mut taken = room.taken();
        let own = taken.by_tenant.get(&self.tenant).copied().unwrap_or(0);
        if own.saturating_add(bytes) > room.tenant_max_bytes {
            return Err(NoRoom::Tenant { limit_bytes: room.tenant_max_bytes });
        }
        if taken.total.saturating_add(bytes) > room.max_bytes {
            return Err(NoRoom::All { limit_bytes: room.max_bytes });
        }
        taken.add(&self.tenant, bytes);
        self.bytes += bytes;
        Ok(())
    }

    /// Gives room back that was taken but not written to.
    pub(super) fn shrink(&mut self, bytes: u64) {
        if bytes > 0 {
            self.room.taken().end(&self.tenant, bytes, false);
            self.bytes -= bytes;
        }
    }

    /// The file is sealed: from here on it counts as one that is there.
    pub(super) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Growing {
    fn drop(&mut self) {
        self.room.taken().end(&self.tenant, self.bytes, self.kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published(tenant: u64, total: u64) -> FileBytes {
        FileBytes { tenant, total }
    }

    #[test]
    fn files_that_grow_side_by_side_share_the_room() {
        let room = Room::new(100, 150);
        let (a, b) = (TenantId::new("a"), TenantId::new("b"));
        let mut first = room.begin(&a, published(20, 30));
        let mut second = room.begin(&a, published(20, 30));
        assert_eq!(first.grow(50), Ok(()));
        assert_eq!(second.grow(30), Ok(()));
        assert_eq!(second.grow(1), Err(NoRoom::Tenant { limit_bytes: 100 }));
        let mut other = room.begin(&b, published(10, 30));
        assert_eq!(other.grow(40), Ok(()));
        assert_eq!(other.grow(1), Err(NoRoom::All { limit_bytes: 150 }));
        drop(first);
        assert_eq!((second.grow(1), other.grow(1)), (Ok(()), Ok(())), "a file that broke off gives its room back");
        second.shrink(31);
        assert_eq!(other.grow(49), Ok(()));
    }

    #[test]
    fn what_was_sealed_counts_until_the_store_counts_it() {
        let room = Room::new(100, 1_000);
        let a = TenantId::new("a");
        let mut first = room.begin(&a, published(0, 0));
        let mut second = room.begin(&a, published(0, 0));
        assert_eq!(first.grow(60), Ok(()));
        first.keep();
        assert!(second.grow(41).is_err());
        // Published and counted, then deleted.
        let mut third = room.begin(&a, published(60, 60));
        assert!(third.grow(41).is_err());
        drop(third);
        let mut fourth = room.begin(&a, published(0, 0));
        assert_eq!(fourth.grow(100), Ok(()));
    }
}
