//! A sign-in under way, kept by the browser that began it: a cookie that only this process can write
//! or read. Strangers who begin many take no memory here.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use payouts_model::Timestamp;
use serde::{Deserialize, Serialize};

/// How long a sign-in may take.
pub const SIGN_IN_SECONDS: i64 = 10 * 60;
/// What the key is for: nothing else that this process seals can be taken for it.
const PURPOSE: &[u8] = b"payouts sign-in";

/// What must be known when the browser comes back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// The issuer's place.
    pub issuer: usize,
    /// Comes back in the address.
    pub state: String,
    /// Comes back in the ID token.
    pub nonce: String,
    /// The PKCE verifier.
    pub verifier: String,
    /// The page to go to then.
    pub to: String,
    /// When it began.
    pub began_at: Timestamp,
}

/// Seals and opens; the key is drawn anew at each start.
pub struct Sealer(RandomizedNonceKey);

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer")
    }
}

impl Default for Sealer {
    fn default() -> Self {
        let mut key = [0_u8; 32];
        aws_lc_rs::rand::fill(&mut key).expect("the system has randomness");
        Self(RandomizedNonceKey::new(&AES_256_GCM, &key).expect("the key has the cipher's length"))
    }
}

impl Sealer {
    /// The cookie's value.
    pub fn seal(&self, pending: &Pending) -> String {
        let mut text = serde_json::to_vec(pending).expect("texts and numbers are always JSON");
        let sealed = self.0.seal_in_place_append_tag(Aad::from(PURPOSE), &mut text);
        let nonce = sealed.expect("a small text can be sealed");
        BASE64_URL_SAFE_NO_PAD.encode([nonce.as_ref().as_slice(), &text].concat())
    }

    /// What a cookie says, if it was sealed here and its time is not over.
    pub fn open(&self, value: &str, now: Timestamp) -> Option<Pending> {
        let mut bytes = BASE64_URL_SAFE_NO_PAD.decode(value).ok()?;
        let mut text = bytes.split_off(bytes.len().min(NONCE_LEN));
        let nonce = Nonce::try_assume_unique_for_key(&bytes).ok()?;
        let text = self.0.open_in_place(nonce, Aad::from(PURPOSE), &mut text).ok()?;
        let pending: Pending = serde_json::from_slice(text).ok()?;
        let age_ms = now.ms_since(pending.began_at);
        (0..SIGN_IN_SECONDS * 1000).contains(&age_ms).then_some(pending)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_are_opened_and_only_for_a_while() {
        let (sealer, now) = (Sealer::default(), Timestamp(0));
        let text = |text: &str| text.to_owned();
        let pending = Pending {
            issuer: 1,
            state: text("s"),
            nonce: text("n"),
            verifier: text("v"),
            to: text("/"),
            began_at: now,
        };
        let value = sealer.seal(&pending);
        assert_ne!(value, sealer.seal(&pending), "no two are alike");
        assert_eq!(sealer.open(&value, now.plus_ms(599_999)), Some(pending));
        assert_eq!(sealer.open(&value, now.plus_ms(600_000)), None);
        assert_eq!(sealer.open(&value, now.plus_ms(-1)), None);
        assert_eq!(Sealer::default().open(&value, now), None);
        let changed = value.replace(&value[20..21], if &value[20..21] == "A" { "B" } else { "A" });
        for bad in ["", "AA", "not base64!", &value[..value.len() - 2], &changed] {
            assert_eq!(sealer.open(bad, now), None, "{bad}");
        }
    }
}
