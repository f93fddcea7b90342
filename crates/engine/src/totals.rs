//! What the rows add up to, batch by batch: exact sums per currency, status, programme and order
//! type, and the last check that every row lies within the scope.
//!
//! Every row is mapped to the number of its group once; sums then run over plain arrays.

pub(crate) mod codes;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

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
use codes::{Codes, Dense, months};

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

/// Adds up batches.
#[derive(Debug)]
pub(crate) struct Adder {
    plan: Arc<TotalsPlan>,
    rows: u64,
    texts: Codes,
    /// Groups: status, programme, order type, month.
    groups: Dense<4>,
    rows_of_group: Vec<u64>,
    /// Per currency source, pairs of group and currency.
    pairs: Vec<Dense<2>>,
    /// Per amount column and pair.
    sums: Vec<Vec<Sum>>,
    spans: Vec<Option<(Moment, Moment)>>,
    allowed: HashMap<(u32, u32), bool>,
    month_names: Codes,
}

impl Adder {
    /// Nothing added yet.
    pub fn new(plan: &Arc<TotalsPlan>) -> Self {
        Self {
            plan: plan.clone(),
            rows: 0,
            texts: Codes::default(),
            groups: Dense::default(),
            rows_of_group: Vec::new(),
            pairs: plan.sources.iter().map(|_| Dense::default()).collect(),
            sums: vec![Vec::new(); plan.amounts.len()],
            spans: vec![None; plan.spans.len()],
            allowed: HashMap::new(),
            month_names: Codes::default(),
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
        let months = match plan.months {
            Some((position, zone)) => months(batch.column(position), zone, rows, &mut self.month_names),
            None => vec![0; rows],
        };
        let groups: Vec<u32> =
            (0..rows).map(|r| self.groups.number([statuses[r], programs[r], order_types[r], months[r]])).collect();
        self.rows_of_group.resize(self.groups.len(), 0);
        for &group in &groups {
            self.rows_of_group[group as usize] += 1;
        }
        let mut pairs = Vec::with_capacity(plan.sources.len());
        for (source, known) in plan.sources.iter().zip(&mut self.pairs) {
            pairs.push(match source {
                CurrencySource::Column(at) => {
                    let currencies = self.texts.of(batch, *at);
                    (0..rows).map(|r| known.number([groups[r], currencies[r]])).collect()
                }
                CurrencySource::Constant(code) => {
                    let code = self.texts.code(code);
                    groups.iter().map(|&group| known.number([group, code])).collect::<Vec<u32>>()
                }
            });
        }
        for (amount, sums) in plan.amounts.iter().zip(&mut self.sums) {
            sums.resize(self.pairs[amount.source].len(), Sum::default());
            add_amounts(sums, batch.column(amount.position), &pairs[amount.source]);
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

    /// What was added.
    pub fn finish(self) -> Totals {
        let mut totals = Totals { rows: self.rows, ..Totals::default() };
        self.each_sum(|key, sum| totals.sums.entry(key).or_default().merge(sum));
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
        let mut months: Vec<Totals> = vec![Totals::default(); self.month_names.len()];
        let month = |group: usize| self.groups.key(group)[3];
        for (group, rows) in self.rows_of_group.iter().enumerate() {
            months[month(group) as usize].rows += rows;
        }
        for (amount, sums) in self.plan.amounts.iter().zip(&self.sums) {
            let mut coarse: HashMap<[u32; 2], Sum> = HashMap::new();
            for (pair, sum) in sums.iter().enumerate().filter(|(_, s)| s.rows > 0) {
                let [group, currency] = *self.pairs[amount.source].key(pair);
                coarse.entry([month(group as usize), currency]).or_default().merge(*sum);
            }
            for ([month, currency], sum) in coarse {
                let currency = self.texts.name(currency).clone();
                let empty = || Arc::from("");
                let key = TotalKey {
                    column: amount.name.clone(),
                    currency,
                    status: empty(),
                    program: empty(),
                    order_type: empty(),
                };
                months[month as usize].sums.insert(key, sum);
            }
        }
        let named = months.into_iter().enumerate().filter(|(_, totals)| totals.rows > 0);
        let named = named.map(|(code, totals)| (self.month_names.name(code as u32).to_string(), totals));
        named.filter(|(name, _)| !name.is_empty()).collect()
    }

    fn each_sum(&self, mut visit: impl FnMut(TotalKey, Sum)) {
        for (amount, sums) in self.plan.amounts.iter().zip(&self.sums) {
            for (pair, sum) in sums.iter().enumerate().filter(|(_, s)| s.rows > 0) {
                let [group, currency] = *self.pairs[amount.source].key(pair);
                let [status, program, order_type, _] = *self.groups.key(group as usize);
                let name = |code: u32| self.texts.name(code).clone();
                let key = TotalKey {
                    column: amount.name.clone(),
                    currency: name(currency),
                    status: name(status),
                    program: name(program),
                    order_type: name(order_type),
                };
                visit(key, *sum);
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
            sums[pair as usize].add(Amount(*value));
        }
    } else {
        for (value, &pair) in amounts.iter().zip(pairs) {
            if let Some(value) = value {
                sums[pair as usize].add(Amount(value));
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
    if let Some((least, greatest)) = found {
        *span = Some(span.map_or((least, greatest), |(a, b)| (a.min(least), b.max(greatest))));
    }
}
