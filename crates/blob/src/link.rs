//! Signed links: who may download which file until when, in a text that clients pass around.
//!
//! ```text
//! /files/{export}-{fence}/{download name}?sv=…&se=…&sr=b&sp=r&si={key}&skoid={principal}&sktid={tenant}&sig=…
//! ```
//!
//! Azure Storage clients take a link apart and put it together again: they keep only the query
//! names of Azure's own shared access signatures, in any order and encoding, and want a path of
//! account, container and blob. So the path has exactly three segments, the names are taken from
//! that set (`si`, there the name of a stored policy, is our key's id; `skoid` and `sktid`, there
//! the signing user and tenant, are the viewer), and what is signed are the values, not the text.
//!
//! A valid link proves only that this service made it for that viewer; whether the viewer may
//! still see the Export is for whoever serves it to ask at every download. This module holds no
//! clock and does no I/O but in [`keys`] and [`keyring`].

pub mod keyring;
pub mod keys;
#[cfg(test)]
mod tests;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, SecondsFormat};
use hmac::{Hmac, KeyInit, Mac};
use payouts_model::{ExportId, PrincipalId, TenantId, Timestamp};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::Sha256;
use url::form_urlencoded;

pub use keyring::Keyring;
pub use keys::{KeyInfo, KeysError, LinkKeys};

use keys::Key;

/// The first segment of every link's path.
pub const PATH_PREFIX: &str = "files";

/// The version of the form of links: looks like the date that Azure's versions are.
const VERSION: &str = "2024-11-04";

/// Keeps these signatures apart from any other use of the same secret.
const DOMAIN: &[u8] = b"payouts file link 1";

/// What may stand in a path segment as it is, and is left so by clients that encode anew.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

const MICROS: i64 = 1_000_000;

/// What a link says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The Export.
    pub export: ExportId,
    /// The attempt that wrote the file: with the Export its name in the blob store.
    pub fence: u64,
    /// The name that a download is saved under: one path segment, so without slashes.
    pub download_name: String,
    /// The tenant of the viewer it was made for.
    pub tenant: TenantId,
    /// The principal of the viewer it was made for.
    pub principal: PrincipalId,
    /// From then on it is dead. Whole seconds; what is smaller is cut off.
    pub expires_at: Timestamp,
}

/// Why a link is refused. Nothing of the link itself is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// A part is missing, comes twice or is not of its form.
    #[error("the link is not complete: its part '{part}' is missing or damaged")]
    Malformed {
        /** which part */
        part: &'static str,
    },
    /// The key that signed it is not known here, or was retired.
    #[error("the link was signed with a key that is no longer in use")]
    UnknownKey,
    /// The signature does not fit what the link says.
    #[error("the link's signature does not fit")]
    Forged,
    /// Genuine, but its time is over.
    #[error("the link expired at {expired_at}")]
    Expired {
        /** when */
        expired_at: Timestamp,
    },
}

/// How long links live, and for how long their text stays the same.
///
/// Time is cut into windows of half a life. A link made within a window expires at the end of the
/// next one: all links made within a window are equal, and each lives more than half a life and at
/// most a whole one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkLife {
    half_us: i64,
}

impl Default for LinkLife {
    /// One hour.
    fn default() -> Self {
        Self::from_seconds(3600)
    }
}

impl LinkLife {
    /// A life of at most so many seconds; odd ones lose a second, and two is the least.
    pub fn from_seconds(life_seconds: u32) -> Self {
        Self { half_us: i64::from(life_seconds / 2).max(1) * MICROS }
    }

    /// When a link expires that is made now.
    pub fn expires_at(self, now: Timestamp) -> Timestamp {
        Timestamp(self.window_end(now).saturating_add(self.half_us))
    }

    /// Until when (itself excluded) a link's text is the one that is made now, unless the keys
    /// change.
    pub fn stable_until(self, now: Timestamp) -> Timestamp {
        Timestamp(self.window_end(now))
    }

    fn window_end(self, now: Timestamp) -> i64 {
        now.0.div_euclid(self.half_us).saturating_add(1).saturating_mul(self.half_us)
    }
}

impl LinkKeys {
    /// Path and query of the link, beginning with a slash. Equal links give equal texts as long as
    /// the keys stay the same.
    pub fn sign(&self, link: &Link) -> String {
        let key = self.newest();
        let Link { export, fence, download_name, tenant, principal, expires_at } = link;
        let seconds = expires_at.0.div_euclid(MICROS);
        let expiry = DateTime::from_timestamp(seconds, 0).unwrap_or(DateTime::<chrono::Utc>::MAX_UTC);
        let signature = mac(key, link).finalize().into_bytes();
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("sv", VERSION)
            .append_pair("se", &expiry.to_rfc3339_opts(SecondsFormat::Secs, true))
            .append_pair("sr", "b")
            .append_pair("sp", "r")
            .append_pair("si", &key.id)
            .append_pair("skoid", &URL_SAFE_NO_PAD.encode(principal.as_str()))
            .append_pair("sktid", &URL_SAFE_NO_PAD.encode(tenant.as_str()))
            .append_pair("sig", &URL_SAFE_NO_PAD.encode(signature))
            .finish();
        let name = utf8_percent_encode(download_name, SEGMENT);
        format!("/{PATH_PREFIX}/{export}-{fence}/{name}?{query}")
    }

    /// What a link says, if this service made it and its time is not over. `file` and `name` are
    /// the second and third segment of its path, decoded; `query` is the raw text after the
    /// question mark, in which names that are not ours are ignored.
    pub fn verify(&self, file: &str, name: &str, query: &str, now: Timestamp) -> Result<Link, LinkError> {
        let (export, fence) = parse_file(file).ok_or(LinkError::Malformed { part: "path" })?;
        let Query { expires_at, key_id, tenant, principal, signature } = Query::parse(query)?;
        let key = self.find(&key_id).ok_or(LinkError::UnknownKey)?;
        let link = Link { export, fence, download_name: name.to_owned(), tenant, principal, expires_at };
        mac(key, &link).verify_slice(&signature).map_err(|_| LinkError::Forged)?;
        // Only now: an expiry that was not signed says nothing.
        if now >= link.expires_at {
            return Err(LinkError::Expired { expired_at: link.expires_at });
        }
        Ok(link)
    }
}

/// HMAC-SHA-256 over everything that a link says, each part with its length before it, so that no
/// two links have the same bytes.
fn mac(key: &Key, link: &Link) -> Hmac<Sha256> {
    let Link { export, fence, download_name, tenant, principal, expires_at } = link;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key.secret).expect("HMAC takes keys of any length");
    let (fence, expiry) = (fence.to_be_bytes(), expires_at.0.div_euclid(MICROS).to_be_bytes());
    for part in [
        DOMAIN,
        VERSION.as_bytes(),
        key.id.as_bytes(),
        export.0.as_bytes(),
        &fence,
        download_name.as_bytes(),
        &expiry,
        tenant.as_str().as_bytes(),
        principal.as_str().as_bytes(),
    ] {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac
}

/// `{export}-{fence}`, spelt as [`LinkKeys::sign`] does.
fn parse_file(text: &str) -> Option<(ExportId, u64)> {
    let (export, fence) = text.rsplit_once('-')?;
    let (export, fence) = (export.parse::<ExportId>().ok()?, fence.parse::<u64>().ok()?);
    (format!("{export}-{fence}") == text).then_some((export, fence))
}

/// The query of a link, not verified.
struct Query {
    expires_at: Timestamp,
    key_id: String,
    tenant: TenantId,
    principal: PrincipalId,
    signature: Vec<u8>,
}

impl Query {
    const PARTS: [&'static str; 8] = ["sv", "se", "sr", "sp", "si", "skoid", "sktid", "sig"];

    fn parse(query: &str) -> Result<Self, LinkError> {
        let mut values: [Option<String>; 8] = Default::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if let Some(i) = Self::PARTS.iter().position(|part| *part == name) {
                // Which of two would be meant?
                if values[i].replace(value.into_owned()).is_some() {
                    return Err(LinkError::Malformed { part: Self::PARTS[i] });
                }
            }
        }
        let [version, expiry, resource, permission, key_id, principal, tenant, signature] = values;
        exactly(version, "sv", VERSION)?;
        exactly(resource, "sr", "b")?;
        exactly(permission, "sp", "r")?;
        Ok(Self {
            expires_at: part(expiry, "se", parse_expiry)?,
            key_id: part(key_id, "si", |v| Some(v.to_owned()))?,
            tenant: TenantId::new(part(tenant, "sktid", decode_text)?),
            principal: PrincipalId::new(part(principal, "skoid", decode_text)?),
            signature: part(signature, "sig", |v| URL_SAFE_NO_PAD.decode(v).ok())?,
        })
    }
}

fn part<T>(value: Option<String>, part: &'static str, parse: impl FnOnce(&str) -> Option<T>) -> Result<T, LinkError> {
    value.as_deref().and_then(parse).ok_or(LinkError::Malformed { part })
}

fn exactly(value: Option<String>, name: &'static str, expected: &str) -> Result<(), LinkError> {
    part(value, name, |v| (v == expected).then_some(()))
}

/// The instant, however a client spells it: some read it as a time and print it again.
fn parse_expiry(text: &str) -> Option<Timestamp> {
    DateTime::parse_from_rfc3339(text).ok().map(|at| Timestamp(at.timestamp().saturating_mul(MICROS)))
}

fn decode_text(text: &str) -> Option<String> {
    String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}
