//! What one may choose by: the distinct values of columns that have few, and the participants with
//! their names, as far as a scope lets them be seen.
//!
//! Invariant: everything given out stands in a row that the scope allows, which is checked for each
//! pair of participant and programme besides the scan's own filter. Bounded: a column with more
//! values than asked for gives none at all, since a part of a list would look like all of it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use futures::StreamExt;
use payouts_ledger::Snapshot;
use payouts_model::report::FieldRole;
use payouts_model::{Packaging, Scope, TextFormat};

use crate::batch::Batch;
use crate::layout::Layout;
use crate::pipeline::{Part, Pipeline};
use crate::totals::codes::Codes;
use crate::{Error, Plan};

/// Rows that are looked at by one job.
const ROWS_PER_JOB: usize = 65_536;

/// What is looked for.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The fields whose values are wanted, as indexes.
    pub fields: Vec<usize>,
    /// The most values of a field.
    pub values_max: usize,
    /// The field that names a participant.
    pub participant_name: Option<usize>,
    /// The most participants.
    pub participants_max: usize,
}

/// What there is to choose from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values {
    /// For each wanted field its values in order, `None` among them for empty; nothing at all for
    /// a field that has more than asked for.
    pub fields: Vec<Option<BTreeSet<Option<String>>>>,
    /// The participants as stored, and their latest names, in ledger order.
    pub participants: Vec<(String, String)>,
    /// Whether there are more participants than those.
    pub more_participants: bool,
}

/// The values of a field that were found; nothing once they are too many.
type Distinct = Option<HashSet<Option<Arc<str>>>>;

/// What one job found.
struct Found {
    fields: Vec<Distinct>,
    participants: Vec<(Arc<str>, Arc<str>)>,
}

pub(crate) async fn run(
    pipeline: &Pipeline,
    snapshot: &Arc<Snapshot>,
    scope: &Scope,
    wanted: &Wanted,
) -> Result<Values, Error> {
    let plan = Plan {
        snapshot: snapshot.clone(),
        predicate: None,
        scope: scope.clone(),
        columns: Vec::new(),
        text: TextFormat::Csv,
        packaging: Packaging::Plain,
    };
    let report = &snapshot.report;
    let (participant, program) = (report.role(FieldRole::Participant), report.role(FieldRole::Program));
    let mut fields = vec![participant, program];
    fields.extend(wanted.participant_name);
    fields.extend(&wanted.fields);
    let layout = Layout::new(snapshot, &[], &fields);
    let scan = pipeline.plan(&plan, &layout).await?;
    let at = |field: usize| layout.position(field).expect("the layout reads them");
    let look = Look {
        pair: (at(participant), at(program)),
        name: wanted.participant_name.map(at),
        fields: wanted.fields.iter().map(|&field| at(field)).collect(),
        values_max: wanted.values_max,
        scope: scope.clone(),
        layout: layout.clone(),
    };
    let mut all = Gathered::new(wanted);
    let mut parts = pipeline.run(scan, ROWS_PER_JOB, move |part| look.at(&part)).boxed();
    while let Some(found) = parts.next().await {
        all.add(found?);
    }
    Ok(all.values)
}

/// How a job looks at its rows; positions in `layout`.
struct Look {
    pair: (usize, usize),
    name: Option<usize>,
    fields: Vec<usize>,
    values_max: usize,
    scope: Scope,
    layout: Layout,
}

impl Look {
    fn at(&self, part: &Part) -> Result<Found, Error> {
        let mut texts = Codes::default();
        let mut fields: Vec<Distinct> = vec![Some(HashSet::new()); self.fields.len()];
        let mut pairs = HashSet::new();
        let mut named = HashSet::new();
        let mut participants = Vec::new();
        for batch in &part.batches {
            let batch = self.layout.read(batch)?;
            let owners = texts.of(&batch, self.pair.0);
            let programs = texts.of(&batch, self.pair.1);
            let new = |pair: &(u32, u32)| pairs.insert(*pair);
            for (owner, program) in runs(&owners, &programs).filter(new).collect::<Vec<_>>() {
                self.check(texts.name(owner), texts.name(program))?;
            }
            let names = match self.name {
                Some(at) => texts.of(&batch, at),
                None => vec![texts.code(""); batch.rows()],
            };
            for pair in runs(&owners, &names).filter(|pair| named.insert(*pair)).collect::<Vec<_>>() {
                participants.push((texts.name(pair.0).clone(), texts.name(pair.1).clone()));
            }
            for (values, &at) in fields.iter_mut().zip(&self.fields) {
                if let Some(found) = values {
                    distinct(&batch, at, &mut texts, found);
                    if found.len() > self.values_max {
                        *values = None;
                    }
                }
            }
        }
        Ok(Found { fields, participants })
    }

    fn check(&self, participant: &str, program: &str) -> Result<(), Error> {
        if self.scope.allows(participant, program) {
            return Ok(());
        }
        Err(Error::Query("a row outside the granted pairs passed the filter: nothing of it is offered".into()))
    }
}

/// The pairs of two columns, without those that repeat the row before.
fn runs<'c>(a: &'c [u32], b: &'c [u32]) -> impl Iterator<Item = (u32, u32)> + 'c {
    let mut last = None;
    let pairs = a.iter().copied().zip(b.iter().copied());
    pairs.filter(move |&pair| last.replace(pair) != Some(pair))
}

/// Adds the values of a column; null and the empty text are two.
fn distinct(batch: &Batch, at: usize, texts: &mut Codes, found: &mut HashSet<Option<Arc<str>>>) {
    let empty = texts.code("");
    let codes = texts.of(batch, at);
    let mut seen = HashSet::new();
    let (mut null, mut blank) = (false, false);
    for (row, &code) in codes.iter().enumerate() {
        if code != empty {
            seen.insert(code);
        } else if !(null && blank) {
            match batch.column(at).text(row) {
                None => null = true,
                Some(_) => blank = true,
            }
        }
    }
    found.extend(seen.into_iter().map(|code| Some(texts.name(code).clone())));
    found.extend(null.then_some(None));
    found.extend(blank.then(|| Some(Arc::from(""))));
}

/// What all jobs found.
struct Gathered {
    values: Values,
    values_max: usize,
    participants_max: usize,
    places: HashMap<String, usize>,
}

impl Gathered {
    fn new(wanted: &Wanted) -> Self {
        let fields = vec![Some(BTreeSet::new()); wanted.fields.len()];
        Self {
            values: Values { fields, ..Values::default() },
            values_max: wanted.values_max,
            participants_max: wanted.participants_max,
            places: HashMap::new(),
        }
    }

    fn add(&mut self, found: Found) {
        for (all, some) in self.values.fields.iter_mut().zip(found.fields) {
            match (&mut *all, some) {
                (Some(known), Some(more)) => {
                    for value in more {
                        let value = value.map(|text| text.to_string());
                        if !known.contains(&value) {
                            known.insert(value);
                        }
                    }
                    if known.len() > self.values_max {
                        *all = None;
                    }
                }
                _ => *all = None,
            }
        }
        for (participant, name) in found.participants {
            let key = payouts_model::id::canonical(&participant);
            match self.places.get(key) {
                Some(&place) => self.values.participants[place].1 = name.to_string(),
                None if self.places.len() < self.participants_max => {
                    self.places.insert(key.to_owned(), self.values.participants.len());
                    self.values.participants.push((participant.to_string(), name.to_string()));
                }
                None => self.values.more_participants = true,
            }
        }
    }
}
