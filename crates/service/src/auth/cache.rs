//! Tokens that were verified lately, so that a polling client costs one signature check in a
//! while and not one per request.
//!
//! Invariants: bounded; keyed by a digest, so that no token stays in memory; no entry outlives its
//! token, and none is older than five minutes, so that a key that an issuer withdraws is soon
//! without effect.

use std::collections::HashMap;
use std::sync::Mutex;

use payouts_model::Timestamp;
use sha2::{Digest, Sha256};

use super::Identity;

const ENTRIES_MAX: usize = 10_000;
const AGE_MS_MAX: i64 = 5 * 60 * 1000;

#[derive(Debug, Default)]
pub(super) struct Verified {
    entries: Mutex<HashMap<[u8; 32], (Identity, Timestamp)>>,
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

impl Verified {
    pub(super) fn get(&self, token: &str, now: Timestamp) -> Option<Identity> {
        let entries = self.entries.lock().expect("nothing panics while it holds this lock");
        entries.get(&digest(token)).filter(|(_, until)| now < *until).map(|(identity, _)| identity.clone())
    }

    pub(super) fn put(&self, token: &str, identity: Identity, expires_at: Timestamp, now: Timestamp) {
        let until = expires_at.min(now.plus_ms(AGE_MS_MAX));
        let mut entries = self.entries.lock().expect("nothing panics while it holds this lock");
        if entries.len() >= ENTRIES_MAX {
            entries.retain(|_, (_, until)| now < *until);
            if entries.len() >= ENTRIES_MAX {
                entries.clear();
            }
        }
        entries.insert(digest(token), (identity, until));
    }
}
