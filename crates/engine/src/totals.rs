//! What the rows add up to, batch by batch: exact sums per currency, status, programme and order
//! type, and the last check that every row lies within the scope.

mod cells;
pub(crate) mod codes;
mod months;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::compute::{max, min};
use foldhash::fast::FixedState;
use payouts_model::report::{Currency, FieldRole};
use payouts_model::totals::{Moment, Sum, TotalKey};
use payouts_model::{FieldType, Scope, Timestamp, Totals};

use crate::Error;
use crate::batch::Batch;
use crate::column::Column;
use crate::layout::Layout;
use cells::{Cells, Numbered};
use codes::Codes;
use months::Months;

/// An amount column.
#[derive(Clone, Debug)]
struct AmountColumn {
    name: Arc<str>,
    position: usize,
    currency: CurrencySource,
}

/// Where a currency comes from.
#[derive(Clone, Debug)]
enum CurrencySource {
    /// One of the plan's currency columns.
    Column(usize),
    Constant(Arc<str>),
}

/// What to add up, by positions in a [`Layout`].
#[derive(Clone, Debug)]
pub(crate) struct TotalsPlan {
    amounts: Vec<AmountColumn>,
    /// Columns of currencies, by their positions.
    currencies: Vec<usize>,
    spans: Vec<(Arc<str>, usize)>,
    participant: usize,
    program: usize,
    status: usize,
    order_type: usize,
    /// `None`: everything is allowed.
    scope: Option<Scope>,
    /// The column whose months are kept apart, and in which zone.
    months: Option<(usize, chrono_tz::Tz)>,
}

impl TotalsPlan {
    /// The totals of these columns; the layout reads what they need.
    pub fn new(layout: &Layout, columns: &[usize], scope: &Scope, months: Option<(usize, chrono_tz::Tz)>) -> Self {
        let report = layout.report();
        let at = |field: usize| layout.position(field).expect("the layout reads what totals need");
        let role = |role| at(report.role(role));
        let mut plan = Self {
            amounts: Vec::new(),
            currencies: Vec::new(),
            spans: Vec::new(),
            participant: role(FieldRole::Participant),
            program: role(FieldRole::Program),
            status: role(FieldRole::Status),
            order_type: role(FieldRole::OrderType),
            scope: crate::lower::scope_predicate(report, scope).map(|_| scope.clone()),
            months: months.map(|(field, zone)| (at(field), zone)),
        };
        let mut seen = Vec::new();
        for &column in columns {
            if seen.contains(&column) {
                continue;
            }
            seen.push(column);
            let field = &report.fields[column];
            if matches!(field.kind, FieldType::Date | FieldType::Timestamp) {
                plan.spans.push((field.name.clone(), at(column)));
            }
            if let (FieldType::Amount, Some(currency)) = (field.kind, &field.currency) {
                let currency = match currency {
                    Currency::Field(f) => CurrencySource::Column(plan.currency_column(at(*f))),
                    Currency::Constant(code) => CurrencySource::Constant(code.clone()),
                };
                plan.amounts.push(AmountColumn { name: field.name.clone(), position: at(column), currency });
            }
        }
        plan
    }

    fn currency_column(&mut self, position: usize) -> usize {
        self.currencies.iter().position(|&p| p == position).unwrap_or_else(|| {
            self.currencies.push(position);
            self.currencies.len() - 1
        })
    }
}

/// The adders of a plan's jobs. What they added is given out at the end, since it is merged by what
/// the numbers of each stand for.
#[derive(Debug)]
pub(crate) struct Adders {
    plan: Arc<TotalsPlan>,
    adders: Vec<Mutex<Option<Adder>>>,
    next: AtomicUsize,
}

impl Adders {
    /// So many at most, each made when it is first needed. With fewer than threads, a job may have to
    /// wait for another one's batch; each keeps sums of its own, some megabytes of them.
    pub fn new(plan: TotalsPlan, count: usize) -> Self {
        let adders = (0..count.max(1)).map(|_| Mutex::default()).collect();
        Self { plan: Arc::new(plan), adders, next: AtomicUsize::new(0) }
    }

    /// Adds the rows of a batch; see [`Adder::add`].
    pub fn add(&self, batch: &Batch) -> Result<(), Error> {
        let free = self.adders.iter().find_map(|adder| adder.try_lock().ok());
        let mut adder = free.unwrap_or_else(|| {
            let next = self.next.fetch_add(1, Ordering::Relaxed) % self.adders.len();
            lock(&self.adders[next])
        });
        adder.get_or_insert_with(|| Adder::new(&self.plan)).add(batch)
    }

    /// What all have added since they were last asked; `None` if that was nothing.
    pub fn sum(&self) -> Option<Adder> {
        let mut adders = self.adders.iter().filter_map(|adder| lock(adder).take());
        let mut all = adders.next()?;
        adders.for_each(|adder| all.absorb(&adder));
        Some(all)
    }
}

fn lock(adder: &Mutex<Option<Adder>>) -> MutexGuard<'_, Option<Adder>> {
    adder.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Adds up batches.
#[derive(Debug)]
pub(crate) struct Adder {
    plan: Arc<TotalsPlan>,
    rows: u64,
    texts: Codes,
    /// By status, programme, order type, then the currency columns.
    of_groups: Cells,
    months: Option<Months>,
    rows_of_month: Vec<u64>,
    /// By month, then the currency columns.
    of_months: Cells,
    spans: Vec<Option<(Moment, Moment)>>,
    allowed: HashMap<(u32, u32), bool>,
}

/// Columns of a group before those of currencies.
const GROUP_COLUMNS: usize = 3;

/// Groups that there is room for from the start: those of some twenty million payments.
const GROUPS_ROOM: usize = 1 << 15;

impl Adder {
    /// Nothing added yet.
    pub fn new(plan: &Arc<TotalsPlan>) -> Self {
        let (currencies, amounts) = (plan.currencies.len(), plan.amounts.len());
        Self {
            plan: plan.clone(),
            rows: 0,
            texts: Codes::default(),
            of_groups: Cells::new(GROUP_COLUMNS + currencies, amounts, GROUPS_ROOM),
            months: plan.months.map(|(_, zone)| Months::new(zone)),
            rows_of_month: Vec::new(),
            of_months: Cells::new(1 + currencies, amounts, 0),
            spans: vec![None; plan.spans.len()],
            allowed: HashMap::new(),
        }
    }

    /// Adds the rows of a batch. A row outside the scope is an error: the filter has let it pass
    /// and must not have.
    pub fn add(&mut self, batch: &Batch) -> Result<(), Error> {
        let rows = batch.rows();
        self.rows += rows as u64;
        let plan = self.plan.clone();
        if let Some(scope) = &plan.scope {
            let [participants, programs] = [plan.participant, plan.program].map(|at| self.texts.of(batch, at));
            self.check(scope, &participants, &programs)?;
        }
        let amounts = || plan.amounts.iter().map(|amount| batch.column(amount.position));
        let groups = [plan.status, plan.program, plan.order_type];
        let by = groups.iter().chain(&plan.currencies).map(|&at| self.texts.numbered(batch, at));
        let mut by: Vec<Numbered<'_>> = by.collect();
        self.of_groups.add(&by, amounts(), rows);
        if let (Some(months), Some((position, _))) = (&mut self.months, plan.months) {
            let months_of_rows = months.of(batch.column(position), rows);
            self.rows_of_month.resize(months.len(), 0);
            for &month in &months_of_rows {
                self.rows_of_month[month as usize] += 1;
            }
            let months = Numbered { codes: months_of_rows.into(), numbers: None, codes_end: months.len() };
            by.splice(..GROUP_COLUMNS, [months]);
            self.of_months.add(&by, amounts(), rows);
        }
        for ((_, position), span) in plan.spans.iter().zip(&mut self.spans) {
            widen(span, batch.column(*position));
        }
        Ok(())
    }

    fn check(&mut self, scope: &Scope, participants: &[u32], programs: &[u32]) -> Result<(), Error> {
        let mut last = None;
        for pair in participants.iter().copied().zip(programs.iter().copied()) {
            if last == Some(pair) {
                continue;
            }
            last = Some(pair);
            let texts = &self.texts;
            if !*self.allowed.entry(pair).or_insert_with(|| scope.allows(texts.name(pair.0), texts.name(pair.1))) {
                return Err(Error::Query(
                    "a row outside the granted pairs passed the filter: nothing of it is given out".into(),
                ));
            }
        }
        Ok(())
    }

    /// Adds what another one of the same plan has added.
    fn absorb(&mut self, other: &Self) {
        self.rows += other.rows;
        let texts = self.texts.absorb(&other.texts);
        self.of_groups.absorb(&other.of_groups, |_, text| texts[text as usize]);
        if let (Some(months), Some(others)) = (&mut self.months, &other.months) {
            let numbers = months.absorb(others);
            self.rows_of_month.resize(months.len(), 0);
            for (&number, rows) in numbers.iter().zip(&other.rows_of_month) {
                self.rows_of_month[number as usize] += rows;
            }
            let own = |at: usize, number: u32| if at == 0 { numbers[number as usize] } else { texts[number as usize] };
            self.of_months.absorb(&other.of_months, own);
        }
        for (own, other) in self.spans.iter_mut().zip(&other.spans) {
            merge_span(own, *other);
        }
    }

    /// What was added.
    pub fn finish(self) -> Totals {
        let mut totals = Totals { rows: self.rows, ..Totals::default() };
        for (at, amount) in self.plan.amounts.iter().enumerate() {
            // Rows that differ in the currency of another column are added by numbers.
            let mut sums: HashMap<([u32; GROUP_COLUMNS], Option<u32>), Sum, FixedState> =
                HashMap::with_capacity_and_hasher(self.of_groups.len(), FixedState::default());
            for (key, sum) in self.of_groups.of_amount(at) {
                let group = [key[0], key[1], key[2]];
                sums.entry((group, amount.currency.number(&key[GROUP_COLUMNS..]))).or_default().merge(sum);
            }
            let name = |code: u32| self.texts.name(code).clone();
            let keyed = sums.into_iter().map(|((group, currency), sum)| {
                let [status, program, order_type] = group.map(name);
                let currency = amount.currency.name(currency, &self.texts);
                (TotalKey { column: amount.name.clone(), currency, status, program, order_type }, sum)
            });
            totals.sums.extend(keyed);
        }
        for ((name, _), span) in self.plan.spans.iter().zip(&self.spans) {
            if let Some(span) = *span {
                totals.spans.insert(name.clone(), span);
            }
        }
        totals
    }

    /// What was added, by month as `2023-05`: rows, and sums per amount column and currency alone
    /// (the rest of each key is empty; months times every group would be too many). Rows without a
    /// month are in none.
    pub fn by_month(&self) -> BTreeMap<String, Totals> {
        let Some(months) = &self.months else { return BTreeMap::new() };
        let with_rows = |rows: &u64| Totals { rows: *rows, ..Totals::default() };
        let mut totals: Vec<Totals> = self.rows_of_month.iter().map(with_rows).collect();
        for (at, amount) in self.plan.amounts.iter().enumerate() {
            for (numbers, sum) in self.of_months.of_amount(at) {
                let empty = || Arc::from("");
                let currency = amount.currency.name(amount.currency.number(&numbers[1..]), &self.texts);
                let key = TotalKey {
                    column: amount.name.clone(),
                    currency,
                    status: empty(),
                    program: empty(),
                    order_type: empty(),
                };
                totals[numbers[0] as usize].sums.entry(key).or_default().merge(sum);
            }
        }
        let named = totals.into_iter().enumerate().filter(|(_, totals)| totals.rows > 0);
        let named = named.map(|(month, totals)| (months.name(month as u32).to_owned(), totals));
        named.filter(|(name, _)| !name.is_empty()).collect()
    }
}

impl CurrencySource {
    /// The number of the currency, of those of the currency columns; `None` if it is always the same.
    fn number(&self, currencies: &[u32]) -> Option<u32> {
        match self {
            Self::Column(at) => Some(currencies[*at]),
            Self::Constant(_) => None,
        }
    }

    /// The name of a currency that [`Self::number`] told of.
    fn name(&self, number: Option<u32>, texts: &Codes) -> Arc<str> {
        match (self, number) {
            (Self::Constant(code), _) => code.clone(),
            (Self::Column(_), number) => texts.name(number.unwrap_or_default()).clone(),
        }
    }
}

fn widen(span: &mut Option<(Moment, Moment)>, column: &Column) {
    let found = match column {
        Column::Date(days) => min(days).zip(max(days)).map(|(a, b)| (Moment::Date(a), Moment::Date(b))),
        Column::Instant(at) => {
            min(at).zip(max(at)).map(|(a, b)| (Moment::Instant(Timestamp(a)), Moment::Instant(Timestamp(b))))
        }
        _ => None,
    };
    merge_span(span, found);
}

fn merge_span(span: &mut Option<(Moment, Moment)>, other: Option<(Moment, Moment)>) {
    if let Some((least, greatest)) = other {
        *span = Some(span.map_or((least, greatest), |(a, b)| (a.min(least), b.max(greatest))));
    }
}
