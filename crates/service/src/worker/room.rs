//! How large files may grow: those of a tenant, and all together.
//!
//! Invariants: what is published (as the store counts it) and what grows here keep to both limits;
//! a file that ends without being sealed gives its room back. What the store does not count yet is
//! not seen by a file that begins meanwhile: files that other processes write, and the moment
//! between sealing a file and publishing it.

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

/// What one tenant takes, while files of it grow here.
#[derive(Debug, Default)]
struct OfTenant {
    /// As the store counted it when the last file began, and what was sealed since.
    published: u64,
    growing: u64,
    files: usize,
}

#[derive(Debug, Default)]
struct Taken {
    published: u64,
    growing: u64,
    tenants: HashMap<TenantId, OfTenant>,
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
        taken.published = published.total;
        let own = taken.tenants.entry(tenant.clone()).or_default();
        own.published = published.tenant;
        own.files += 1;
        Growing { room: self.clone(), tenant: tenant.clone(), bytes: 0, kept: false }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Growing {
    /// Takes room for more bytes.
    pub(super) fn grow(&mut self, bytes: u64) -> Result<(), NoRoom> {
        let room = &self.room;
        let mut taken = room.taken();
        let Taken { published, growing, tenants } = &mut *taken;
        let own = tenants.entry(self.tenant.clone()).or_default();
        if sum([own.published, own.growing, bytes]) > room.tenant_max_bytes {
            return Err(NoRoom::Tenant { limit_bytes: room.tenant_max_bytes });
        }
        if sum([*published, *growing, bytes]) > room.max_bytes {
            return Err(NoRoom::All { limit_bytes: room.max_bytes });
        }
        own.growing = own.growing.saturating_add(bytes);
        *growing = growing.saturating_add(bytes);
        self.bytes += bytes;
        Ok(())
    }

    /// Gives room back that was taken but not written to.
    pub(super) fn shrink(&mut self, bytes: u64) {
        if bytes > 0 {
            self.give_back(&mut self.room.taken(), bytes);
            self.bytes -= bytes;
        }
    }

    /// The file is sealed: from here on it counts as one that is there.
    pub(super) fn keep(mut self) {
        self.kept = true;
    }

    fn give_back(&self, taken: &mut Taken, bytes: u64) {
        taken.growing = taken.growing.saturating_sub(bytes);
        if let Some(own) = taken.tenants.get_mut(&self.tenant) {
            own.growing = own.growing.saturating_sub(bytes);
        }
    }
}

impl Drop for Growing {
    fn drop(&mut self) {
        let mut taken = self.room.taken();
        self.give_back(&mut taken, self.bytes);
        let sealed = if self.kept { self.bytes } else { 0 };
        taken.published = taken.published.saturating_add(sealed);
        let Some(own) = taken.tenants.get_mut(&self.tenant) else { return };
        own.published = own.published.saturating_add(sealed);
        own.files -= 1;
        // What nobody writes to is counted anew when its next file begins.
        if own.files == 0 {
            taken.tenants.remove(&self.tenant);
        }
    }
}

fn sum(bytes: [u64; 3]) -> u64 {
    bytes.into_iter().fold(0, u64::saturating_add)
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
    fn a_file_that_broke_off_takes_no_other_files_count_along() {
        let room = Room::new(100, 1_000);
        let a = TenantId::new("a");
        let mut first = room.begin(&a, published(90, 90));
        drop(room.begin(&a, published(90, 90)));
        assert_eq!(first.grow(11), Err(NoRoom::Tenant { limit_bytes: 100 }));
        assert_eq!(first.grow(10), Ok(()));
        first.shrink(10);
        assert_eq!(first.grow(11), Err(NoRoom::Tenant { limit_bytes: 100 }));
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
