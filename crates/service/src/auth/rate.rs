//! How many requests a caller may send: a bucket of tokens for each tenant and principal.
//!
//! Invariants: counted after authentication, so nobody empties another's bucket; memory is bounded:
//! a full bucket is not kept.

use std::collections::HashMap;
use std::sync::Mutex;

use payouts_model::{ErrorCode, Timestamp};

use super::{Caller, Rejection};
use crate::config::Limits;

const CALLERS_MAX: usize = 10_000;
/// One request, in the unit that buckets are filled by.
const REQUEST: i64 = 1_000;

#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// In thousandths of a request.
    left: i64,
    at: Timestamp,
}

#[derive(Debug)]
pub(super) struct Rate {
    per_second: i64,
    burst: i64,
    buckets: Mutex<HashMap<Caller, Bucket>>,
}

impl Rate {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            per_second: i64::from(limits.caller_per_second),
            burst: i64::from(limits.caller_burst).saturating_mul(REQUEST),
            buckets: Mutex::default(),
        }
    }

    fn filled(&self, bucket: Bucket, now: Timestamp) -> i64 {
        // A thousandth per millisecond for each request per second.
        let gained = now.ms_since(bucket.at).max(0).saturating_mul(self.per_second);
        bucket.left.saturating_add(gained).min(self.burst)
    }

    /// Takes one request out of the caller's bucket.
    pub(super) fn admit(&self, caller: &Caller, now: Timestamp) -> Result<(), Rejection> {
        let mut buckets = self.buckets.lock().expect("nothing panics while it holds this lock");
        let left = buckets.get(caller).map_or(self.burst, |bucket| self.filled(*bucket, now));
        if left < REQUEST {
            let mut rejection = Rejection::new(
                ErrorCode::TooManyRequests,
                format!(
                    "More than {} requests per second on average (limits.caller_per_second). Wait, and obey Retry-After when polling.",
                    self.per_second
                ),
            );
            rejection.retry_after_seconds = Some(1);
            return Err(rejection);
        }
        if buckets.len() >= CALLERS_MAX {
            buckets.retain(|_, bucket| self.filled(*bucket, now) < self.burst);
            if buckets.len() >= CALLERS_MAX {
                buckets.clear();
            }
        }
        buckets.insert(caller.clone(), Bucket { left: left - REQUEST, at: now });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use payouts_model::{PrincipalId, TenantId};

    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_average_rules() {
        let rate = Rate { per_second: 2, burst: 3 * REQUEST, buckets: Mutex::default() };
        let caller = |name: &str| Caller { tenant: TenantId::new("t"), principal: PrincipalId::new(name) };
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
