//! What the form offers: the values of fields that have few, and the participants, as far as the
//! viewer's grants go.
//!
//! Invariant: what is kept ([`crate::page::kept`]) is kept by the digest of the scope that it was found
//! under, and given to nobody with another one. Finding it out is a task of its own, of which few run at
//! a time: no page waits long for it ([`Patience`]), and it goes on when whoever asked has gone.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use payouts_engine::values::{Values, Wanted};
use payouts_faults::{Point, pass};
use payouts_ledger::Snapshot;
use payouts_model::id::canonical;
use payouts_model::{ReportName, Scope, Viewer};
use tokio::sync::{OnceCell, Semaphore};
use tokio::task::JoinHandle;

use super::controls::Controls;
use crate::app::App;
use crate::http::{Error, envelope};
use crate::page::kept::{Kept, Key};

/// The most values that a field offers; beyond it one writes them.
const VALUES_MAX: usize = 150;
/// The most participants that are kept of one scope; beyond it one writes their ids.
const PARTICIPANTS_MAX: usize = 50_000;
/// What all of it may take.
const KEPT_BYTES: usize = 32 << 20;
/// How long a page waits for what is not known yet: it is there without.
const LITTLE: Duration = Duration::from_millis(100);
/// Scopes that are looked at together: one that takes long does not keep all others waiting.
const LOOKS_MAX: usize = 2;

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

/// What is known of what there is to choose from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Offer {
    /// This.
    Known(Arc<Offered>),
    /// It is being found out.
    Looking,
    /// It cannot be found out; why, for people.
    Failed(String),
}

/// How long whoever asks waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Not so that anybody notices.
    Little,
    /// Until it is known.
    Full,
}

type Found = Result<Arc<Offered>, String>;

/// What was found, for all who ask again.
#[derive(Debug)]
pub struct Offers {
    kept: Kept<Found>,
    places: Semaphore,
    /// The versions that were looked at before anybody asked.
    ahead: Mutex<HashMap<ReportName, u64>>,
}

impl Default for Offers {
    fn default() -> Self {
        Self { kept: Kept::default(), places: Semaphore::new(LOOKS_MAX), ahead: Mutex::default() }
    }
}

impl Offers {
    /// What is offered to a viewer.
    pub async fn to(app: &Arc<App>, report: ReportName, viewer: &Viewer, patience: Patience) -> Offer {
        let snapshot = match app.ledger.snapshot(report, None).await {
            Ok(snapshot) => snapshot,
            Err(error) => return Offer::of(&Err(failed(&error.into()))),
        };
        let key = (report, snapshot.version, viewer.scope.digest());
        let cell = app.page.offers.kept.cell(key.clone());
        if let Some(found) = cell.get() {
            return Offer::of(found);
        }
        let look = look(app.clone(), snapshot, viewer.scope.clone(), (key, cell));
        let looked = async { look.await.unwrap_or_else(|_| Offer::Failed("The search was interrupted.".into())) };
        match patience {
            Patience::Full => looked.await,
            Patience::Little => tokio::time::timeout(LITTLE, looked).await.unwrap_or(Offer::Looking),
        }
    }

    /// Begins to look at what takes longest, everything, if anybody may see that: somebody is about to
    /// sign in. Once for a version of the data, and never for a service whose page nobody opens.
    pub fn ahead(app: &Arc<App>) {
        let app = app.clone();
        tokio::spawn(async move {
            for report in ReportName::ALL {
                let Ok(snapshot) = app.ledger.snapshot(report, None).await else { continue };
                if !app.page.offers.is_new(report, snapshot.version) {
                    continue;
                }
                let Ok(grants) = app.store.grants().await else { return };
                if grants.iter().any(|grant| grant.pair.participant.is_none() && grant.pair.program.is_none()) {
                    let scope = Scope::everything();
                    let key = (report, snapshot.version, scope.digest());
                    let cell = app.page.offers.kept.cell(key.clone());
                    // One after the other; what it comes to is kept, or told to whoever asks again.
                    let _ = look(app.clone(), snapshot, scope, (key, cell)).await;
                }
            }
        });
    }

    /// Whether nobody looked ahead at this version; from now on somebody has.
    fn is_new(&self, report: ReportName, version: u64) -> bool {
        let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        ahead.insert(report, version) != Some(version)
    }
}

impl Offer {
    fn of(found: &Found) -> Self {
        found.clone().map_or_else(Self::Failed, Self::Known)
    }
}

/// Why nothing is offered, for people.
fn failed(error: &Error) -> String {
    match error.context() {
        Some(context) => {
            let chain = envelope::chain(context);
            tracing::error!(error.code = %error.code(), error.chain = %chain, "the form offers nothing");
        }
        None => tracing::debug!(error.code = %error.code(), "the form offers nothing"),
    }
    error.message().to_owned()
}

/// Looks, or waits for whoever looks at the same already.
fn look(
    app: Arc<App>,
    snapshot: Arc<Snapshot>,
    scope: Scope,
    (key, cell): (Key, Arc<OnceCell<Arc<Found>>>),
) -> JoinHandle<Offer> {
    tokio::spawn(async move {
        let offers = &app.page.offers;
        let find = cell.get_or_init(|| async {
            let _place = offers.places.acquire().await;
            let limit = Duration::from_secs(app.config.limits.preview_seconds);
            let found = tokio::time::timeout(limit, find(&app, &snapshot, &scope)).await;
            let found = found
                .unwrap_or_else(|_| Err(Error::unavailable("Looking for what there is to choose from took too long.")));
            Arc::new(found.map(Arc::new).map_err(|error| failed(&error)))
        });
        let Some(found) = app.stop.run_until_cancelled(find).await else {
            return Offer::Failed("The service is stopping.".into());
        };
        if found.is_err() {
            // All who waited are told; whoever comes now tries again.
            offers.kept.forget(&key, &cell);
        }
        offers.kept.bound(KEPT_BYTES, |found| found.as_ref().map_or(0, |offered| offered.bytes()));
        Offer::of(found)
    })
}

async fn find(app: &App, snapshot: &Arc<Snapshot>, scope: &Scope) -> Result<Offered, Error> {
    pass(Point::PageValues).await.map_err(Error::internal)?;
    let controls = Controls::of(&snapshot.report);
    let mut fields = controls.choices.clone();
    fields.extend(controls.amount.map(|(_, currency)| currency));
    let wanted = Wanted {
        fields,
        values_max: VALUES_MAX,
        participant_name: snapshot.report.index_of("participantName"),
        participants_max: PARTICIPANTS_MAX,
    };
    let values = app.engine.values(snapshot, scope, &wanted).await?;
    Ok(Offered::of(values, &wanted.fields))
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
