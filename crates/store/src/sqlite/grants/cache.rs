//! What grants add up to, remembered for as long as it holds.
//!
//! Invariants: nothing remembered is used before the database said, after the caller had asked,
//! that no grant has changed since; callers that ask at the same time share that question;
//! what an instant ends or begins is not used beyond it; what is remembered is bounded.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use payouts_model::{PrincipalId, Role, Scope, TenantId, Timestamp};

use super::GRANTS;
use crate::Error;
use crate::sqlite::{SqliteStore, at};

/// Pairs that are remembered in all: some tens of megabytes.
const PAIRS_MAX: usize = 200_000;

/// What the grants of a tenant and principal add up to.
#[derive(Clone, Debug)]
pub(super) struct Access {
    /// Of the grants that it was read with.
    pub version: i64,
    /// It holds from here on…
    pub from: Timestamp,
    /// …and until before here.
    pub until: Timestamp,
    pub role: Role,
    pub scope: Scope,
}

type Holder = (TenantId, PrincipalId);

#[derive(Debug, Default)]
struct Remembered {
    by_holder: HashMap<Holder, Access>,
    pairs: usize,
}

/// Remembered access, and the question whether it still holds.
#[derive(Debug, Default)]
pub(in crate::sqlite) struct AccessCache {
    remembered: Mutex<Remembered>,
    /// The number of the newest question that was begun.
    asked: AtomicU64,
    /// The newest answer with the number of its question. Held while a question is under way.
    answer: tokio::sync::Mutex<(u64, i64)>,
}

impl AccessCache {
    pub(super) fn get(&self, holder: &Holder, version: i64, now: Timestamp) -> Option<(Role, Scope)> {
        let remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        let access = remembered.by_holder.get(holder)?;
        (access.version == version && access.from <= now && now < access.until)
            .then(|| (access.role, access.scope.clone()))
    }

    pub(super) fn put(&self, holder: Holder, access: Access) {
        let weight = |access: &Access| access.scope.pairs().len() + 1;
        let new = weight(&access);
        if new > PAIRS_MAX {
            return;
        }
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.pairs + new > PAIRS_MAX {
            *remembered = Remembered::default();
        }
        remembered.pairs += new;
        if let Some(old) = remembered.by_holder.insert(holder, access) {
            remembered.pairs -= weight(&old);
        }
    }
}

impl SqliteStore {
    /// The version of the grants at some moment after this call began.
    pub(super) async fn grants_version(&self) -> Result<i64, Error> {
        let cache = &self.access;
        // A question that is under way may have been answered before this call began: the next
        // one was not.
        let wanted = cache.asked.load(Ordering::SeqCst) + 1;
        let mut answer = cache.answer.lock().await;
        if answer.0 >= wanted {
            return Ok(answer.1);
        }
        let number = cache.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let mut reader = self.reader(GRANTS).await?;
        let version = sqlx::query_scalar("SELECT version FROM grants_version")
            .fetch_one(&mut *reader)
            .await
            .map_err(at(GRANTS, true))?;
        *answer = (number, version);
        Ok(version)
    }
}
