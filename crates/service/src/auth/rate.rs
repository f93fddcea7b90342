//! How many requests a caller may send: a bucket of tokens for each tenant and principal, and for
//! each Export that a caller polls one of its own.
//!
//! Invariants: counted after authentication, so nobody empties another's bucket; whoever polls an
//! Export that is there at most twice a second is never refused, whatever else the same caller
//! does; memory is bounded: a full bucket is not kept.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Mutex;

use payouts_model::{ErrorCode, ExportId, Timestamp};

use super::{Caller, Rejection};
use crate::config::Limits;

/// The most buckets of one kind.
const BUCKETS_MAX: usize = 10_000;
/// One request, in the unit that buckets are filled by.
const REQUEST: i64 = 1_000;
/// Polls of one Export that are not counted: twice a second, and room for uneven clocks.
const POLLS_PER_SECOND: i64 = 4;

#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// In thousandths of a request.
    left: i64,
    at: Timestamp,
}

/// Buckets of one size, by whose they are.
#[derive(Debug)]
struct Buckets<K> {
    per_second: i64,
    burst: i64,
    buckets: Mutex<HashMap<K, Bucket>>,
}

impl<K: Eq + Hash + Clone> Buckets<K> {
    fn new(per_second: i64, burst: i64) -> Self {
        Self { per_second, burst: burst.saturating_mul(REQUEST), buckets: Mutex::default() }
    }

    fn filled(&self, bucket: Bucket, now: Timestamp) -> i64 {
        // A thousandth per millisecond for each request per second.
        let gained = now.ms_since(bucket.at).max(0).saturating_mul(self.per_second);
        bucket.left.saturating_add(gained).min(self.burst)
    }

    /// Takes one request out of a bucket; `false` if there is none left in it.
    fn take(&self, key: &K, now: Timestamp) -> bool {
        let mut buckets = self.buckets.lock().expect("nothing panics while it holds this lock");
        let left = buckets.get(key).map_or(self.burst, |bucket| self.filled(*bucket, now));
        if left < REQUEST {
            return false;
        }
        if buckets.len() >= BUCKETS_MAX {
            buckets.retain(|_, bucket| self.filled(*bucket, now) < self.burst);
            if buckets.len() >= BUCKETS_MAX {
                buckets.clear();
            }
        }
        buckets.insert(key.clone(), Bucket { left: left - REQUEST, at: now });
        true
    }
}

#[derive(Debug)]
pub(super) struct Rate {
    callers: Buckets<Caller>,
    polls: Buckets<(Caller, ExportId)>,
}

impl Rate {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            callers: Buckets::new(i64::from(limits.caller_per_second), i64::from(limits.caller_burst)),
            polls: Buckets::new(POLLS_PER_SECOND, POLLS_PER_SECOND),
        }
    }

    /// Counts one request of the caller.
    pub(super) fn admit(&self, caller: &Caller, now: Timestamp) -> Result<(), Rejection> {
        if self.callers.take(caller, now) {
            return Ok(());
        }
        let mut rejection = Rejection::new(
            ErrorCode::TooManyRequests,
            format!(
                "More than {} requests per second on average (limits.caller_per_second). Wait, and obey Retry-After when polling.",
                self.callers.per_second
            ),
        );
        rejection.retry_after_seconds = Some(1);
        Err(rejection)
    }

    /// Counts a look at an Export that is there: only what goes beyond polling counts as a request.
    pub(super) fn admit_poll(&self, caller: &Caller, export: ExportId, now: Timestamp) -> Result<(), Rejection> {
        if self.polls.take(&(caller.clone(), export), now) { Ok(()) } else { self.admit(caller, now) }
    }
}

#[cfg(test)]
mod tests {
    use payouts_model::{PrincipalId, TenantId};

    use super::*;

    fn rate(per_second: i64, burst: i64) -> Rate {
        Rate { callers: Buckets::new(per_second, burst), polls: Buckets::new(POLLS_PER_SECOND, POLLS_PER_SECOND) }
    }
    fn caller(name: &str) -> Caller {
        Caller { tenant: TenantId::new("t"), principal: PrincipalId::new(name) }
    }

    #[test]
    fn polling_twice_a_second_is_never_refused() {
        let rate = rate(1, 1);
        let (ann, id) = (caller("ann"), |n: u128| ExportId(uuid::Uuid::from_u128(n)));
        for half in 0..20 {
            let now = Timestamp(0).plus_ms(half * 500);
            for n in 0..1_000 {
                assert!(rate.admit_poll(&ann, id(n), now).is_ok(), "{n} at {half}");
            }
            // What a sibling does meanwhile.
            while rate.admit(&ann, now).is_ok() {}
        }
        let now = Timestamp(0).plus_ms(60_000);
        let admitted = (0..100).filter(|_| rate.admit_poll(&ann, id(1), now).is_ok()).count();
        assert_eq!(admitted, POLLS_PER_SECOND as usize + 1, "what goes beyond counts as any request");
    }

    #[test]
    fn a_burst_passes_and_then_the_average_rules() {
        let rate = rate(2, 3);
        let (ann, bob, now) = (caller("ann"), caller("bob"), Timestamp(0));
        for _ in 0..3 {
            assert!(rate.admit(&ann, now).is_ok());
        }
        assert_eq!(rate.admit(&ann, now).unwrap_err().code, ErrorCode::TooManyRequests);
        assert!(rate.admit(&bob, now).is_ok(), "callers do not share");
        assert!(rate.admit(&ann, now.plus_ms(499)).is_err());
        assert!(rate.admit(&ann, now.plus_ms(500)).is_ok());
        // Twice a second is never refused.
        for half in 2..200 {
            assert!(rate.admit(&ann, now.plus_ms(half * 500)).is_ok());
        }
    }
}
