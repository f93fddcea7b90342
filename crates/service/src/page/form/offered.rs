//! What the form offers: the values of fields that have few, and the participants, as far as the
//! viewer's grants go.
//!
//! Invariant: what is kept ([`crate::page::kept`]) is kept by the digest of the scope that it was found
//! under, and given to nobody with another one.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use payouts_engine::values::{Values, Wanted};
use payouts_model::id::canonical;
use payouts_model::{ReportName, Viewer};

use super::controls::Controls;
use crate::app::App;
use crate::http::Error;
use crate::page::kept::Kept;

/// The most values that a field offers; beyond it one writes them.
const VALUES_MAX: usize = 150;
/// The most participants that are kept of one scope; beyond it one writes their ids.
const PARTICIPANTS_MAX: usize = 50_000;
/// What all of it may take.
const KEPT_BYTES: usize = 32 << 20;

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

/// What was found, for all who ask again.
#[derive(Debug, Default)]
pub struct Offers {
    kept: Kept<Offered>,
}

impl Offers {
    /// What is offered to a viewer.
    pub async fn to(&self, app: &App, report: ReportName, viewer: &Viewer) -> Result<Arc<Offered>, Error> {
        let snapshot = app.ledger.snapshot(report, None).await?;
        let cell = self.kept.cell((report, snapshot.version, viewer.scope.digest()));
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
        self.kept.bound(KEPT_BYTES, Offered::bytes);
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_whatever_the_zeros() {
        let offered = Offered { participants: vec![("0012".into(), "Fabrikam".into())], ..Offered::default() };
        assert_eq!(offered.name_of("12"), Some("Fabrikam"));
        assert_eq!(offered.name_of("13"), None);
    }
}
