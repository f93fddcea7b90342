//! What the rows add up to, batch by batch: exact sums per currency, status, programme and order
//! type, and the last check that every row lies within the scope.
//!
//! Every row is mapped to the number of its group once; sums then run over plain arrays.

pub(crate) mod codes;
mod months;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::Array;
use arrow::compute::{max, min};
use payouts_model::money::Amount;
use payouts_model::report::{Currency, FieldRole};
use payouts_model::totals::{Moment, Sum, TotalKey};
use payouts_model::{FieldType, Scope, Timestamp, Totals};

use crate::Error;
use crate::batch::Batch;
use crate::column::Column;
use crate::layout::Layout;
use codes::{Codes, Dense};
use months::Months;

/// An amount column.
#[derive(Clone, Debug)]
struct AmountColumn {
    name: Arc<str>,
    position: usize,
    /// Which of the plan's currency sources it uses.
    source: usize,
}

/// Where a currency comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum CurrencySource {
    Column(usize),
    Constant(Arc<str>),
}

/// What to add up, by positions in a [`Layout`].
#[derive(Clone, Debug)]
pub(crate) struct TotalsPlan {
    amounts: Vec<AmountColumn>,
    sources: Vec<CurrencySource>,
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
            sources: Vec::new(),
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
                let source = match currency {
                    Currency::Field(f) => CurrencySource::Column(at(*f)),
                    Currency::Constant(code) => CurrencySource::Constant(code.clone()),
                };
                let source = plan.sources.iter().position(|s| *s == source).unwrap_or_else(|| {
                    plan.sources.push(source);
                    plan.sources.len() - 1
                });
                plan.amounts.push(AmountColumn { name: field.name.clone(), position: at(column), source });
            }
        }
        plan
    }
}

/// The adders of a plan's jobs: as many as are at work at a time, and what they added is given out at
/// the end, since it is merged by what the numbers of each stand for.
#[derive(Debug)]
pub(crate) struct Adders {
    plan: Arc<TotalsPlan>,
    idle: Mutex<Vec<Adder>>,
}

impl Adders {
    /// None yet.
    pub fn new(plan: TotalsPlan) -> Self {
        Self { plan: Arc::new(plan), idle: Mutex::default() }
    }

    /// An adder for a job, to be put back.
    pub fn take(&self) -> Adder {
        self.idle().pop().unwrap_or_else(|| Adder::new(&self.plan))
    }

    /// An adder of a job that is done.
    pub fn put(&self, adder: Adder) {
        self.idle().push(adder);
    }

    /// What all that were put back have added; `None` if there was none.
    pub fn sum(&self) -> Option<Adder> {
        let mut adders = std::mem::take(&mut *self.idle()).into_iter();
        let mut all = adders.next()?;
        adders.for_each(|adder| all.absorb(&adder));
        Some(all)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Adder>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Adds up batches.
#[derive(Debug)]
pub(crate) struct Adder {
    plan: Arc<TotalsPlan>,
    rows: u64,
    texts: Codes,
    /// Groups: status, programme, order type.
    groups: Dense<3>,
    of_groups: Sums,
    months: Option<Months>,
    rows_of_month: Vec<u64>,
    of_months: Sums,
    spans: Vec<Option<(Moment, Moment)>>,
    allowed: HashMap<(u32, u32), bool>,
}

impl Adder {
    /// Nothing added yet.
    pub fn new(plan: &Arc<TotalsPlan>) -> Self {
        Self {
            plan: plan.clone(),
            rows: 0,
            texts: Codes::default(),
            groups: Dense::default(),
            of_groups: Sums::new(plan),
            months: plan.months.map(|(_, zone)| Months::new(zone)),
            rows_of_month: Vec::new(),
            of_months: Sums::new(plan),
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
        let programs = self.texts.of(batch, plan.program);
        if let Some(scope) = &plan.scope {
            let participants = self.texts.of(batch, plan.participant);
            self.check(scope, &participants, &programs)?;
        }
        let statuses = self.texts.of(batch, plan.status);
        let order_types = self.texts.of(batch, plan.order_type);
        let groups: Vec<u32> =
            (0..rows).map(|r| self.groups.number([statuses[r], programs[r], order_types[r]])).collect();
        let currencies: Vec<Vec<u32>> = plan.sources.iter().map(|source| self.currencies(source, batch)).collect();
        self.of_groups.add(&plan, batch, &groups, &currencies);
        if let (Some(months), Some((position, _))) = (&mut self.months, plan.months) {
            let months_of_rows = months.of(batch.column(position), rows);
            self.rows_of_month.resize(months.len(), 0);
            for &month in &months_of_rows {
                self.rows_of_month[month as usize] += 1;
            }
            self.of_months.add(&plan, batch, &months_of_rows, &currencies);
        }
        for ((_, position), span) in plan.spans.iter().zip(&mut self.spans) {
            widen(span, batch.column(*position));
        }
        Ok(())
    }

    fn currencies(&mut self, source: &CurrencySource, batch: &Batch) -> Vec<u32> {
        match source {
            CurrencySource::Column(at) => self.texts.of(batch, *at),
            CurrencySource::Constant(code) => vec![self.texts.code(code); batch.rows()],
        }
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
        let own = |key: &[u32; 3]| key.map(|code| texts[code as usize]);
        let groups: Vec<u32> = other.groups.keys().iter().map(|key| self.groups.number(own(key))).collect();
        self.of_groups.absorb(&other.of_groups, &self.plan, &groups, &texts);
        if let (Some(months), Some(others)) = (&mut self.months, &other.months) {
            let numbers = months.absorb(others);
            self.rows_of_month.resize(months.len(), 0);
            for (&number, rows) in numbers.iter().zip(&other.rows_of_month) {
                self.rows_of_month[number as usize] += rows;
            }
            self.of_months.absorb(&other.of_months, &self.plan, &numbers, &texts);
        }
        for (own, other) in self.spans.iter_mut().zip(&other.spans) {
            merge_span(own, *other);
        }
    }

    /// What was added.
    pub fn finish(self) -> Totals {
        let mut totals = Totals { rows: self.rows, ..Totals::default() };
        self.of_groups.each(&self.plan, |column, group, currency, sum| {
            let [status, program, order_type] = *self.groups.key(group as usize);
            let name = |code: u32| self.texts.name(code).clone();
            let key = TotalKey {
                column: column.clone(),
                currency: name(currency),
                status: name(status),
                program: name(program),
                order_type: name(order_type),
            };
            totals.sums.entry(key).or_default().merge(sum);
        });
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
        self.of_months.each(&self.plan, |column, month, currency, sum| {
            let empty = || Arc::from("");
            let key = TotalKey {
                column: column.clone(),
                currency: self.texts.name(currency).clone(),
                status: empty(),
                program: empty(),
                order_type: empty(),
            };
            totals[month as usize].sums.entry(key).or_default().merge(sum);
        });
        let named = totals.into_iter().enumerate().filter(|(_, totals)| totals.rows > 0);
        let named = named.map(|(month, totals)| (months.name(month as u32).to_owned(), totals));
        named.filter(|(name, _)| !name.is_empty()).collect()
    }
}

/// Sums of every amount column by something and currency.
#[derive(Debug)]
struct Sums {
    /// Per currency source, pairs of what it is by and currency.
    pairs: Vec<Dense<2>>,
    /// Per amount column and pair.
    sums: Vec<Vec<Sum>>,
}

impl Sums {
    fn new(plan: &TotalsPlan) -> Self {
        Self {
            pairs: plan.sources.iter().map(|_| Dense::default()).collect(),
            sums: vec![Vec::new(); plan.amounts.len()],
        }
    }

    /// Adds rows by what `by` says of each, and its currencies by the plan's sources.
    fn add(&mut self, plan: &TotalsPlan, batch: &Batch, by: &[u32], currencies: &[Vec<u32>]) {
        let pairs = currencies.iter().zip(&mut self.pairs).map(|(currencies, known)| {
            by.iter().zip(currencies).map(|(&by, &currency)| known.number([by, currency])).collect()
        });
        let pairs: Vec<Vec<u32>> = pairs.collect();
        for (amount, sums) in plan.amounts.iter().zip(&mut self.sums) {
            sums.resize(self.pairs[amount.source].len(), Sum::default());
            add_amounts(sums, batch.column(amount.position), &pairs[amount.source]);
        }
    }

    /// Adds other sums, whose numbers are these here.
    fn absorb(&mut self, other: &Self, plan: &TotalsPlan, by: &[u32], currencies: &[u32]) {
        let own = |&[of, currency]: &[u32; 2]| [by[of as usize], currencies[currency as usize]];
        let numbers = self.pairs.iter_mut().zip(&other.pairs).map(|(pairs, others)| -> Vec<u32> {
            others.keys().iter().map(|key| pairs.number(own(key))).collect()
        });
        let numbers: Vec<Vec<u32>> = numbers.collect();
        for (amount, (sums, others)) in plan.amounts.iter().zip(self.sums.iter_mut().zip(&other.sums)) {
            sums.resize(self.pairs[amount.source].len(), Sum::default());
            for (&number, sum) in numbers[amount.source].iter().zip(others) {
                sums[number as usize].merge(*sum);
            }
        }
    }

    /// Every sum that something was added to: its column, what it is by, its currency.
    fn each(&self, plan: &TotalsPlan, mut visit: impl FnMut(&Arc<str>, u32, u32, Sum)) {
        for (amount, sums) in plan.amounts.iter().zip(&self.sums) {
            for (pair, sum) in sums.iter().enumerate().filter(|(_, s)| s.rows > 0) {
                let [by, currency] = *self.pairs[amount.source].key(pair);
                visit(&amount.name, by, currency, *sum);
            }
        }
    }
}

fn add_amounts(sums: &mut [Sum], column: &Column, pairs: &[u32]) {
    let Column::Amount(amounts) = column else {
        return;
    };
    if amounts.null_count() == 0 {
        for (value, &pair) in amounts.values().iter().zip(pairs) {
            sums[pair as usize].add(Amount((*value).into()));
        }
    } else {
        for (value, &pair) in amounts.iter().zip(pairs) {
            if let Some(value) = value {
                sums[pair as usize].add(Amount(value.into()));
            }
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
