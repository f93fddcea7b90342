//! How many requests may come: a bucket of tokens for each caller (tenant and principal), two for
//! each tenant (what changes something, and all else), and for each Export that a caller polls one
//! of its own.
//!
//! Invariants: counted after authentication, so nobody empties another's bucket; whoever polls an
//! Export that is there at most twice a second is never refused, whatever else the same caller
//! does; memory is bounded: a full bucket is not kept.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Mutex;

use http::{HeaderValue, Method};
use payouts_model::{ExportId, TenantId, Timestamp};

use super::{Caller, Rejection};
use crate::config::Limits;

/// The most buckets of one kind.
const BUCKETS_MAX: usize = 10_000;
/// One request, in the unit that buckets are filled by.
const REQUEST: i64 = 1_000;
/// A tenant's buckets hold what comes in so many seconds.
const TENANT_BURST_SECONDS: i64 = 2;
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

    /// The whole requests that are left, and the milliseconds until it is full.
    fn standing(&self, key: &K, now: Timestamp) -> (i64, i64) {
        let buckets = self.buckets.lock().expect("nothing panics while it holds this lock");
        let left = buckets.get(key).map_or(self.burst, |bucket| self.filled(*bucket, now));
        (left / REQUEST, (self.burst - left) / self.per_second.max(1))
    }

    /// Requests that come at once and the seconds in which they are given back: the average is
    /// their quotient.
    fn policy(&self) -> (i64, i64) {
        let burst = self.burst / REQUEST;
        (burst, (burst / self.per_second.max(1)).max(1))
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
            // After a clock has gone back it fills from now on, not once a wrong time comes true.
            if let Some(bucket) = buckets.get_mut(key).filter(|bucket| bucket.at > now) {
                bucket.at = now;
            }
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
    changing: Buckets<TenantId>,
    reading: Buckets<TenantId>,
    polls: Buckets<(Caller, ExportId)>,
}

impl Rate {
    pub(super) fn new(limits: &Limits) -> Self {
        let of_tenant = |per_second: u32| {
            let per_second = i64::from(per_second);
            Buckets::new(per_second, per_second.saturating_mul(TENANT_BURST_SECONDS))
        };
        Self {
            changing: of_tenant(limits.tenant_posts_per_second),
            reading: of_tenant(limits.tenant_gets_per_second),
            callers: Buckets::new(i64::from(limits.caller_per_second), i64::from(limits.caller_burst)),
            polls: Buckets::new(POLLS_PER_SECOND, POLLS_PER_SECOND),
        }
    }

    /// Counts one request of the caller and of its tenant.
    pub(super) fn admit(&self, caller: &Caller, method: &Method, now: Timestamp) -> Result<(), Rejection> {
        if !self.callers.take(caller, now) {
            return Err(Rejection::beyond(
                "caller_per_second",
                format!(
                    "More than {} requests per second on average (limits.caller_per_second). Wait, and obey Retry-After when polling.",
                    self.callers.per_second
                ),
            ));
        }
        let (buckets, name, what) = match self.changes(method) {
            true => (&self.changing, "tenant_posts_per_second", "POST and DELETE"),
            false => (&self.reading, "tenant_gets_per_second", "GET"),
        };
        if buckets.take(&caller.tenant, now) {
            return Ok(());
        }
        Err(Rejection::beyond(
            name,
            format!(
                "More than {} {what} requests of your tenant per second on average (limits.{name}). \
                 Send them over a longer time, and obey Retry-After.",
                buckets.per_second
            ),
        ))
    }

    fn changes(&self, method: &Method) -> bool {
        !method.is_safe()
    }

    /// `RateLimit-Policy` and `RateLimit`: every limit that rules the caller, and how the caller's
    /// own one stands. How the tenant's stand is not told: that would show what others do.
    pub(super) fn headers(&self, caller: &Caller, method: &Method, now: Timestamp) -> [HeaderValue; 2] {
        let (tenant, name) = match self.changes(method) {
            true => (self.changing.policy(), "tenant-post"),
            false => (self.reading.policy(), "tenant-get"),
        };
        let own = self.callers.policy();
        let (left, full_in_ms) = self.callers.standing(caller, now);
        let policy = format!("\"caller\";q={};w={}, \"{name}\";q={};w={}", own.0, own.1, tenant.0, tenant.1);
        let standing = format!("\"caller\";r={left};t={}", (full_in_ms + 999) / 1_000);
        [policy, standing].map(|text| HeaderValue::from_str(&text).expect("digits and names are a header value"))
    }

    /// Counts a look at an Export that is there: only what goes beyond polling counts as a request.
    pub(super) fn admit_poll(&self, caller: &Caller, export: ExportId, now: Timestamp) -> Result<(), Rejection> {
        if self.polls.take(&(caller.clone(), export), now) { Ok(()) } else { self.admit(caller, &Method::GET, now) }
    }
}

#[cfg(test)]
mod tests {
    use payouts_model::{ErrorCode, PrincipalId, TenantId};

    use super::*;

    fn rate(per_second: i64, burst: i64) -> Rate {
        Rate {
            callers: Buckets::new(per_second, burst),
            changing: Buckets::new(100, 200),
            reading: Buckets::new(500, 1_000),
            polls: Buckets::new(POLLS_PER_SECOND, POLLS_PER_SECOND),
        }
    }

    #[test]
    fn a_clock_that_goes_back_locks_nobody_out() {
        let rate = rate(2, 3);
        let (ann, ahead, now) = (caller("ann"), Timestamp(0).plus_ms(86_400_000), Timestamp(0));
        while rate.admit(&ann, &Method::GET, ahead).is_ok() {}
        assert!(rate.admit(&ann, &Method::GET, now).is_err(), "nothing is given away");
        assert!(rate.admit(&ann, &Method::GET, now.plus_ms(499)).is_err());
        assert!(rate.admit(&ann, &Method::GET, now.plus_ms(500)).is_ok());
    }

    #[test]
    fn a_tenants_callers_share_its_two_limits() {
        let rate = rate(1_000, 1_000);
        let now = Timestamp(0);
        let of = |tenant: &str, n: usize| Caller {
            tenant: TenantId::new(tenant),
            principal: PrincipalId::new(format!("p{}", n % 7)),
        };
        let admitted = |tenant: &str, method: Method, now: Timestamp| {
            (0..3_000).filter(|n| rate.admit(&of(tenant, *n), &method, now).is_ok()).count()
        };
        assert_eq!(admitted("t", Method::POST, now), 200);
        let refused = rate.admit(&of("t", 0), &Method::DELETE, now).unwrap_err();
        assert_eq!((refused.code, refused.retry_after_seconds), (ErrorCode::TooManyRequests, Some(1)));
        assert!(refused.message.contains("limits.tenant_posts_per_second"), "{}", refused.message);
        assert!(rate.admit(&of("u", 0), &Method::POST, now).is_ok(), "tenants do not share");
        assert!(rate.admit(&of("t", 9), &Method::GET, now).is_ok(), "nor do the two limits");
        assert_eq!(admitted("t", Method::POST, now.plus_ms(1_000)), 100);
        let own = rate.headers(&of("t", 99), &Method::POST, now.plus_ms(60_000));
        assert_eq!(own[0], "\"caller\";q=1000;w=1, \"tenant-post\";q=200;w=2");
        assert_eq!(own[1], "\"caller\";r=1000;t=0");
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
            while rate.admit(&ann, &Method::GET, now).is_ok() {}
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
            assert!(rate.admit(&ann, &Method::GET, now).is_ok());
        }
        assert_eq!(rate.admit(&ann, &Method::GET, now).unwrap_err().code, ErrorCode::TooManyRequests);
        assert!(rate.admit(&bob, &Method::GET, now).is_ok(), "callers do not share");
        assert!(rate.admit(&ann, &Method::GET, now.plus_ms(499)).is_err());
        assert!(rate.admit(&ann, &Method::GET, now.plus_ms(500)).is_ok());
        // Twice a second is never refused.
        for half in 2..200 {
            assert!(rate.admit(&ann, &Method::GET, now.plus_ms(half * 500)).is_ok());
        }
    }
}
