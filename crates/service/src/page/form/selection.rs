//! Which rows the form asks for, and the `$filter` that says so, both ways.
//!
//! Invariants: the filter selects exactly what the selection says, and reading it back gives the
//! same selection. A filter that says anything that the form has no control for is not read at
//! all: half of a filter would be another one.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write;

use chrono::NaiveDate;
use payouts_filter::ast::{CompareOp, Expr, Value};
use payouts_filter::number::Scaled;
use payouts_filter::start_of_day;
use payouts_model::id::canonical;
use payouts_model::{Amount, FieldType, Report, Timestamp};

use super::controls::{Controls, filter_name};
use super::period::{Calendar, Days, Period};

/// The filter that selects every row; an empty one would mean the last three years.
const EVERYTHING: &str = "true";

/// Which rows are asked for. What is empty says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Ids of participants.
    pub participants: Vec<String>,
    /// Which date the period is about, as an index.
    pub date: usize,
    /// Which days.
    pub period: Period,
    /// Values by field; `None` is an empty field.
    pub choices: BTreeMap<usize, Vec<Option<String>>>,
    /// Ids of payments, as they were typed.
    pub payments: Vec<String>,
    /// The currency.
    pub currency: Option<String>,
    /// The least amount.
    pub least: Option<Amount>,
    /// The greatest amount.
    pub greatest: Option<Amount>,
}

impl Selection {
    /// Nothing but a period.
    pub fn within(period: Period, controls: &Controls) -> Self {
        Self {
            participants: Vec::new(),
            date: controls.dates[0],
            period,
            choices: BTreeMap::new(),
            payments: Vec::new(),
            currency: None,
            least: None,
            greatest: None,
        }
    }

    /// The filter, for a request in the time zone of `calendar`.
    pub fn to_filter(&self, report: &Report, controls: &Controls, calendar: &Calendar) -> String {
        let name = |field: usize| filter_name(&report.fields[field]);
        let texts = |list: &[String]| list.iter().map(|t| Some(t.clone())).collect::<Vec<_>>();
        let mut parts = vec![one_of(name(controls.participant), &texts(&self.participants))];
        let (from, to) = self.period.days(calendar);
        parts.push(from.map(|day| format!("{} ge {day}", name(self.date))));
        parts.push(to.map(|day| format!("{} le {day}", name(self.date))));
        parts.extend(self.choices.iter().map(|(&field, values)| one_of(name(field), values)));
        if let Some(payment) = controls.payment {
            parts.push(one_of(name(payment), &texts(&self.payments)));
        }
        if let Some((amount, currency)) = controls.amount {
            parts.push(one_of(name(currency), &self.currency.iter().map(|c| Some(c.clone())).collect::<Vec<_>>()));
            parts.push(self.least.map(|least| format!("{} ge {least}", name(amount))));
            parts.push(self.greatest.map(|greatest| format!("{} le {greatest}", name(amount))));
        }
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        if parts.is_empty() { EVERYTHING.to_owned() } else { parts.join(" and ") }
    }

    /// The selection that a filter's predicate is; `None` if it says what the form cannot.
    pub fn from_predicate(predicate: &Expr, report: &Report, controls: &Controls, calendar: &Calendar) -> Option<Self> {
        let mut reader = Reader {
            report,
            controls,
            calendar,
            said: HashSet::new(),
            days: None,
            selection: Self::within(Period::Any, controls),
        };
        let mut rest = vec![predicate];
        while let Some(part) = rest.pop() {
            match part {
                Expr::And(parts) => rest.extend(parts.iter().rev()),
                part => reader.take(part)?,
            }
        }
        let mut selection = reader.selection;
        if let Some((date, days)) = reader.days {
            selection.date = date;
            selection.period = Period::of_days(days, calendar);
        }
        // Amounts of several currencies are not compared.
        let amounts = selection.least.is_some() || selection.greatest.is_some();
        (selection.currency.is_some() || !amounts).then_some(selection)
    }
}

/// `name eq 'a'` or `name in ('a', 'b')`; nothing for no values.
fn one_of(name: &str, values: &[Option<String>]) -> Option<String> {
    let literal = |value: &Option<String>| match value {
        Some(text) => format!("'{}'", text.replace('\'', "''")),
        None => "null".to_owned(),
    };
    match values {
        [] => None,
        [one] => Some(format!("{name} eq {}", literal(one))),
        several => {
            let mut text = format!("{name} in (");
            for (i, value) in several.iter().enumerate() {
                let _ = write!(text, "{}{}", if i > 0 { ", " } else { "" }, literal(value));
            }
            Some(text + ")")
        }
    }
}

/// What the parts of a filter have said so far.
struct Reader<'a> {
    report: &'a Report,
    controls: &'a Controls,
    calendar: &'a Calendar,
    /// What may be said once: a field, and whether it is a bound from above.
    said: HashSet<(usize, bool)>,
    days: Option<(usize, Days)>,
    selection: Selection,
}

impl Reader<'_> {
    fn take(&mut self, part: &Expr) -> Option<()> {
        match part {
            Expr::Literal(Value::Boolean(true)) => Some(()),
            Expr::Compare { op: CompareOp::Eq, left, right, .. } => match (&**left, &**right) {
                (Expr::Field(field), Expr::Literal(Value::Date(day))) => self.on(*field, *day),
                (Expr::Field(field), Expr::Literal(value)) => self.values(*field, std::slice::from_ref(value)),
                _ => None,
            },
            Expr::In { operand, list, .. } => match &**operand {
                Expr::Field(field) => self.values(*field, list),
                _ => None,
            },
            Expr::Compare { op, left, right, .. } => match (&**left, &**right) {
                (Expr::Field(field), Expr::Literal(value)) => self.bound(*field, *op, value),
                _ => None,
            },
            _ => None,
        }
    }

    /// What is said twice is more than the form can say.
    fn once(&mut self, field: usize, from_above: bool) -> Option<()> {
        self.said.insert((field, from_above)).then_some(())
    }

    fn values(&mut self, field: usize, list: &[Value]) -> Option<()> {
        self.once(field, false)?;
        if list.is_empty() {
            return None;
        }
        let mut seen = HashSet::new();
        let own = |text: &str| match self.report.fields[field].kind {
            FieldType::Id => canonical(text).to_owned(),
            FieldType::Enum => text.to_ascii_uppercase(),
            _ => text.to_owned(),
        };
        let mut values = Vec::with_capacity(list.len());
        for value in list {
            let value = match value {
                Value::Null => None,
                Value::Text(text) => Some(text.clone()),
                _ => return None,
            };
            if seen.insert(value.as_deref().map(own)) {
                values.push(value);
            }
        }
        if self.controls.choices.contains(&field) {
            self.selection.choices.insert(field, values);
            return Some(());
        }
        let mut texts = values.into_iter().collect::<Option<Vec<String>>>()?;
        if field == self.controls.participant {
            self.selection.participants = texts;
        } else if Some(field) == self.controls.payment {
            self.selection.payments = texts;
        } else if Some(field) == self.controls.amount.map(|(_, currency)| currency) && texts.len() == 1 {
            self.selection.currency = texts.pop();
        } else {
            return None;
        }
        Some(())
    }

    fn bound(&mut self, field: usize, op: CompareOp, value: &Value) -> Option<()> {
        match (op, value) {
            (CompareOp::Ge, Value::Number(number)) => {
                self.once(field, false)?;
                self.selection.least = Some(self.amount(field, number)?);
            }
            (CompareOp::Le, Value::Number(number)) => {
                self.once(field, true)?;
                self.selection.greatest = Some(self.amount(field, number)?);
            }
            (CompareOp::Ge, Value::Date(day)) => self.from(field, NaiveDate::from_epoch_days(*day)?)?,
            (CompareOp::Le, Value::Date(day)) => self.to(field, NaiveDate::from_epoch_days(*day)?)?,
            (CompareOp::Ge, Value::Instant(at)) => self.from(field, self.day_that_begins(*at)?)?,
            (CompareOp::Lt, Value::Instant(at)) => self.to(field, self.day_that_begins(*at)?.pred_opt()?)?,
            _ => return None,
        }
        Some(())
    }

    fn amount(&self, field: usize, number: &payouts_filter::number::Decimal) -> Option<Amount> {
        let (amount, _) = self.controls.amount?;
        match number.scaled(Amount::SCALE) {
            Scaled::Exact(value) if field == amount => Some(Amount(value)),
            _ => None,
        }
    }

    fn on(&mut self, field: usize, day: i32) -> Option<()> {
        let day = NaiveDate::from_epoch_days(day)?;
        self.from(field, day)?;
        self.to(field, day)
    }

    fn from(&mut self, field: usize, day: NaiveDate) -> Option<()> {
        self.once(field, false)?;
        self.days_of(field)?.0 = Some(day);
        Some(())
    }

    fn to(&mut self, field: usize, day: NaiveDate) -> Option<()> {
        self.once(field, true)?;
        self.days_of(field)?.1 = Some(day);
        Some(())
    }

    /// The days so far, if they are about this date alone.
    fn days_of(&mut self, field: usize) -> Option<&mut Days> {
        let (of, days) = self.days.get_or_insert((field, (None, None)));
        (*of == field && self.controls.dates.contains(&field)).then_some(days)
    }

    /// The day of the time zone that begins at this very instant, and not within it.
    fn day_that_begins(&self, micros: i64) -> Option<NaiveDate> {
        let at = Timestamp(micros);
        let day = at.to_utc().with_timezone(&self.calendar.zone).date_naive();
        (start_of_day(day, self.calendar.zone)? == at).then_some(day)
    }
}

#[cfg(test)]
pub(super) mod tests;
