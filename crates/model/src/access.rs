//! Who may see what: grants, the scope they add up to, and the viewer that carries it.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::id::{ParticipantId, PrincipalId, TenantId};
use crate::time::Timestamp;

/// A granted pair of participant and programme. `None` means all of them, also future ones.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Pair {
    /// The participant, or all.
    pub participant: Option<ParticipantId>,
    /// The programme by its exact name, or all.
    pub program: Option<String>,
}

impl Pair {
    /// Whether everything that `other` allows is allowed by this pair alone. "All" is covered
    /// only by "all".
    pub fn covers(&self, other: &Self) -> bool {
        (self.participant.is_none() || self.participant == other.participant)
            && (self.program.is_none() || self.program == other.program)
    }
}

/// What a principal is within the tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sees and exports what is granted.
    Viewer,
    /// Besides sees the state of, and cancels, every Export of the tenant.
    Admin,
}

impl Role {
    /// The name on the command line and in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Admin => "admin",
        }
    }
}

/// One grant as it is recorded.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Grant {
    /// The tenant it is given to.
    pub tenant: TenantId,
    /// The principal it is given to; `None` means every principal of the tenant.
    pub principal: Option<PrincipalId>,
    /// What may be seen.
    pub pair: Pair,
    /// As what.
    pub role: Role,
    /// Until when; `None` means until revoked.
    pub until: Option<Timestamp>,
}

/// A set of granted pairs. A clone shares the pairs and their digest: a viewer of thousands of
/// participants costs no more per request than one of a single one.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    shared: Arc<Pairs>,
}

#[derive(Debug, Default)]
struct Pairs {
    all: BTreeSet<Pair>,
    /// Made when it is first asked for.
    digest: OnceLock<String>,
}

impl From<BTreeSet<Pair>> for Scope {
    fn from(all: BTreeSet<Pair>) -> Self {
        Self { shared: Arc::new(Pairs { all, digest: OnceLock::new() }) }
    }
}

impl PartialEq for Scope {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared) || self.shared.all == other.shared.all
    }
}

impl Eq for Scope {}

impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.shared.all.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BTreeSet::deserialize(deserializer).map(Self::from)
    }
}

impl FromIterator<Pair> for Scope {
    /// Pairs that another pair covers are dropped.
    fn from_iter<I: IntoIterator<Item = Pair>>(pairs: I) -> Self {
        let all: BTreeSet<Pair> = pairs.into_iter().collect();
        let wider = |p: &Pair| {
            let by = |participant: &Option<ParticipantId>, program: &Option<String>| {
                let other = Pair { participant: participant.clone(), program: program.clone() };
                other != *p && all.contains(&other)
            };
            by(&None, &p.program) || by(&p.participant, &None) || by(&None, &None)
        };
        let kept: BTreeSet<Pair> = all.iter().filter(|p| !wider(p)).cloned().collect();
        Self::from(kept)
    }
}

impl Scope {
    /// Every participant and programme.
    pub fn everything() -> Self {
        Self::from_iter([Pair { participant: None, program: None }])
    }

    /// The pairs, sorted.
    pub fn pairs(&self) -> impl ExactSizeIterator<Item = &Pair> {
        self.shared.all.iter()
    }

    /// Whether nothing at all is granted.
    pub fn is_empty(&self) -> bool {
        self.shared.all.is_empty()
    }

    /// Whether every pair of `other` is covered by a pair of this scope.
    pub fn contains(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared) || other.shared.all.iter().all(|p| self.covers_pair(p))
    }

    fn covers_pair(&self, pair: &Pair) -> bool {
        let with = |participant: &Option<ParticipantId>, program: &Option<String>| {
            self.shared.all.contains(&Pair { participant: participant.clone(), program: program.clone() })
        };
        with(&pair.participant, &pair.program)
            || with(&None, &pair.program)
            || with(&pair.participant, &None)
            || with(&None, &None)
    }

    /// Whether a row of this participant and programme may be seen.
    pub fn allows(&self, participant: &str, program: &str) -> bool {
        self.covers_pair(&Pair {
            participant: Some(ParticipantId::new(participant)),
            program: Some(program.to_owned()),
        })
    }

    /// The part of this scope that concerns `participants`: pairs of those, and pairs of all
    /// participants turned into pairs of each of those.
    pub fn narrow(&self, participants: &BTreeSet<ParticipantId>) -> Self {
        let mut pairs = Vec::new();
        for pair in &self.shared.all {
            match &pair.participant {
                Some(p) if participants.contains(p) => pairs.push(pair.clone()),
                Some(_) => {}
                None => pairs.extend(
                    participants.iter().map(|p| Pair { participant: Some(p.clone()), program: pair.program.clone() }),
                ),
            }
        }
        pairs.into_iter().collect()
    }

    /// The participants it names, sorted; `None` if it has a pair of all participants.
    pub fn participants(&self) -> Option<BTreeSet<&ParticipantId>> {
        self.shared.all.iter().map(|p| p.participant.as_ref()).collect()
    }

    /// SHA-256 of the sorted pairs, as lower-case hex: equal scopes have equal digests.
    pub fn digest(&self) -> String {
        let made = || {
            let text = serde_json::to_string(self).expect("a set of texts is always JSON");
            Sha256::digest(text.as_bytes()).iter().map(|b| format!("{b:02x}")).collect()
        };
        self.shared.digest.get_or_init(made).clone()
    }
}

/// Somebody whose token was verified, with the grants in force at this moment.
///
/// Finders take a viewer, and a plan cannot be built without a [`Scope`]: what is not granted
/// cannot be asked for. Built anew for every request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Viewer {
    /// The tenant.
    pub tenant: TenantId,
    /// The principal.
    pub principal: PrincipalId,
    /// Admin of the tenant or viewer.
    pub role: Role,
    /// Union of the tenant's and the principal's unexpired pairs.
    pub scope: Scope,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(participant: Option<&str>, program: Option<&str>) -> Pair {
        Pair { participant: participant.map(ParticipantId::new), program: program.map(str::to_owned) }
    }
    fn scope(pairs: &[(Option<&str>, Option<&str>)]) -> Scope {
        pairs.iter().map(|&(a, b)| pair(a, b)).collect()
    }

    #[test]
    fn all_is_contained_only_in_all() {
        let wide = scope(&[(None, Some("P")), (None, Some("Q"))]);
        assert!(!wide.contains(&Scope::everything()));
        assert!(wide.contains(&scope(&[(Some("1"), Some("P"))])));
        assert!(!wide.contains(&scope(&[(Some("1"), None)])));
        assert!(Scope::everything().contains(&wide));
        assert!(!scope(&[(Some("1"), Some("P"))]).allows("1", "Q"));
        assert!(scope(&[(Some("001"), None)]).allows("1", "Q"));
    }

    #[test]
    fn narrowing_keeps_programmes() {
        let wide = scope(&[(None, Some("P")), (Some("2"), None)]);
        let to = BTreeSet::from([ParticipantId::new("1"), ParticipantId::new("2")]);
        assert_eq!(wide.narrow(&to), scope(&[(Some("1"), Some("P")), (Some("2"), None)]));
        assert!(wide.contains(&wide.narrow(&to)));
    }
}
