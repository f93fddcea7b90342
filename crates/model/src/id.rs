//! Identifiers as types of their own, and what it means for two ids to be the same.
//!
//! Participant and payment ids are text with leading zeros that spreadsheets strip. An id that
//! consists of digits is therefore the same id whatever its leading zeros: see [`canonical`].

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The canonical text of an id: leading zeros dropped when it is all ASCII digits (`"000"` becomes
/// `"0"`), otherwise the text itself.
///
/// Two ids are the same id exactly if their canonical texts are equal.
pub fn canonical(id: &str) -> &str {
    if id.is_empty() || !id.bytes().all(|b| b.is_ascii_digit()) {
        return id;
    }
    let stripped = id.trim_start_matches('0');
    if stripped.is_empty() { &id[id.len() - 1..] } else { stripped }
}

/// The id of an Export: what the wire calls `requestId`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ExportId(pub Uuid);

impl fmt::Display for ExportId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl std::str::FromStr for ExportId {
    type Err = uuid::Error;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Uuid::parse_str(s).map(Self)
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Takes the text as it is.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id! {
    /// A tenant: whose grants and requests are one list.
    TenantId
}
text_id! {
    /// A principal within a tenant: a user or an application.
    PrincipalId
}

/// A participant's id in its canonical text, so that `0042` and `42` are one participant.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct ParticipantId(String);

impl ParticipantId {
    /// The participant that `text` names, whatever its leading zeros.
    pub fn new(text: &str) -> Self {
        Self(canonical(text).to_owned())
    }
    /// The canonical text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ParticipantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ParticipantId {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Ok(Self::new(&String::deserialize(d)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leading_zeros_count_only_outside_digits() {
        assert_eq!(canonical("0042"), "42");
        assert_eq!(canonical("000"), "0");
        assert_eq!(canonical("00A"), "00A");
        assert_eq!(canonical(""), "");
        assert_eq!(ParticipantId::new("007"), ParticipantId::new("7"));
    }
}
