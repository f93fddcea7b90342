//! What the form offers: the values of fields that have few, and the participants, as far as the
//! viewer's grants go.
//!
//! Invariants: what is kept is kept by the digest of the scope that it was found under, and given
//! to nobody with another one; a newer version of the data is looked at anew; all that is kept
//! together is bounded, and goes when it has not been used for longest.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use payouts_engine::values::{Values, Wanted};
use payouts_model::id::canonical;
use payouts_model::{ReportName, Viewer};
use tokio::sync::OnceCell;

use super::controls::Controls;
use crate::app::App;
use crate::http::Error;

/// The most values that a field offers; beyond it one writes them.
const VALUES_MAX: usize = 150;
/// The most participants that are kept of one scope; beyond it one writes their ids.
const PARTICIPANTS_MAX: usize = 50_000;
/// What all of it may take.
const KEPT_BYTES: usize = 32 << 20;
/// The most scopes that are kept, whatever they take.
const KEPT_MAX: usize = 256;

type Key = (ReportName, u64, String);

/// What is offered to whoever has one scope, of one version of a report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offered {
    /// By field; a field that has too many values is not among them.
    pub values: HashMap<usize, BTreeSet<Option<String>>>,
    /// Ids as stored, and names, in ledger order.
    pub participants: Vec<(String, String)>,
    /// Whether there are more participants.
    pub more_participants: bool,
}

impl Offered {
    fn of(values: Values, fields: &[usize]) -> Self {
        let Values { fields: found, participants, more_participants } = values;
        let values = fields.iter().copied().zip(found).filter_map(|(field, values)| Some((field, values?))).collect();
        Self { values, participants, more_participants }
    }

    /// The name of a participant, if it has rows.
    pub fn name_of(&self, id: &str) -> Option<&str> {
        let found = self.participants.iter().find(|(stored, _)| canonical(stored) == canonical(id));
        found.map(|(_, name)| name.as_str())
    }

    fn bytes(&self) -> usize {
        let values = self.values.values().flatten().map(|v| 64 + v.as_ref().map_or(0, String::len)).sum::<usize>();
        let participants = self.participants.iter().map(|(id, name)| 64 + id.len() + name.len()).sum::<usize>();
        values + participants
    }
}

#[derive(Debug)]
struct Kept {
    /// Filled by whoever asks first; others wait for it.
    cell: Arc<OnceCell<Arc<Offered>>>,
    used: u64,
}

/// What was found, for all who ask again.
#[derive(Debug, Default)]
pub struct Offers {
    kept: Mutex<(HashMap<Key, Kept>, u64)>,
}

impl Offers {
    /// What is offered to a viewer.
    pub async fn to(&self, app: &App, report: ReportName, viewer: &Viewer) -> Result<Arc<Offered>, Error> {
        let snapshot = app.ledger.snapshot(report, None).await?;
        let cell = self.cell((report, snapshot.version, viewer.scope.digest()));
        let found = cell.get_or_try_init(|| async {
            let controls = Controls::of(&snapshot.report);
            let mut fields = controls.choices.clone();
            fields.extend(controls.amount.map(|(_, currency)| currency));
            let wanted = Wanted {
                fields,
                values_max: VALUES_MAX,
                participant_name: snapshot.report.index_of("participantName"),
                participants_max: PARTICIPANTS_MAX,
            };
            let limit = Duration::from_secs(app.config.limits.preview_seconds);
            let values = tokio::time::timeout(limit, app.engine.values(&snapshot, &viewer.scope, &wanted)).await;
            let values =
                values.map_err(|_| Error::unavailable("Looking for what there is to choose from took too long."))??;
            Ok::<_, Error>(Arc::new(Offered::of(values, &wanted.fields)))
        });
        let found = found.await?.clone();
        self.bound();
        Ok(found)
    }

    fn cell(&self, key: Key) -> Arc<OnceCell<Arc<Offered>>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (entries, uses) = &mut *kept;
        *uses += 1;
        // Of older data nothing is asked any more.
        entries.retain(|(report, version, _), _| *report != key.0 || *version >= key.1);
        let entry = entries.entry(key).or_insert_with(|| Kept { cell: Arc::default(), used: 0 });
        entry.used = *uses;
        entry.cell.clone()
    }

    /// Lets go of what was not used for longest, until the rest fits.
    fn bound(&self) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let size = |kept: &Kept| kept.cell.get().map_or(0, |offered| offered.bytes());
        let mut bytes: usize = kept.0.values().map(size).sum();
        while bytes > KEPT_BYTES || kept.0.len() > KEPT_MAX {
            let Some(oldest) = kept.0.iter().min_by_key(|(_, k)| k.used).map(|(key, _)| key.clone()) else { break };
            bytes -= kept.0.remove(&oldest).as_ref().map_or(0, size);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offers_with(versions: &[(u64, &str, usize)]) -> Offers {
        let offers = Offers::default();
        for (version, digest, participants) in versions {
            let cell = offers.cell((ReportName::Payments, *version, (*digest).to_owned()));
            let participants = (0..*participants).map(|n| (n.to_string(), "x".repeat(1000))).collect();
            cell.set(Arc::new(Offered { participants, ..Offered::default() })).unwrap();
            offers.bound();
        }
        offers
    }

    fn keys(offers: &Offers) -> Vec<(u64, String)> {
        let kept = offers.kept.lock().unwrap();
        let mut keys: Vec<_> = kept.0.keys().map(|(_, version, digest)| (*version, digest.clone())).collect();
        keys.sort();
        keys
    }

    #[test]
    fn newer_data_and_lack_of_room_let_go_of_what_is_old() {
        let offers = offers_with(&[(1, "a", 1), (1, "b", 1), (2, "a", 1)]);
        assert_eq!(keys(&offers), [(2, "a".to_owned())]);
        let offers = offers_with(&[(1, "a", 15_000), (1, "b", 15_000), (1, "c", 15_000)]);
        assert_eq!(keys(&offers), [(1, "b".to_owned()), (1, "c".to_owned())], "the oldest makes room");
    }

    #[test]
    fn names_are_found_whatever_the_zeros() {
        let offered = Offered { participants: vec![("0012".into(), "Fabrikam".into())], ..Offered::default() };
        assert_eq!(offered.name_of("12"), Some("Fabrikam"));
        assert_eq!(offered.name_of("13"), None);
    }
}
