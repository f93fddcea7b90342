//! Choices into filters and back.

use std::collections::HashMap;

use payouts_filter::eval::{Row, eval};
use payouts_filter::{Context, Filter};
use payouts_model::{Catalog, ReportName};
use proptest::prelude::*;

use super::*;

const ZONES: [chrono_tz::Tz; 4] =
    [chrono_tz::UTC, chrono_tz::Europe::Berlin, chrono_tz::America::Sao_Paulo, chrono_tz::Pacific::Auckland];

fn report(name: ReportName) -> std::sync::Arc<Report> {
    Catalog::builtin().report(name).clone()
}

fn parse(text: &str, report: &Report, calendar: &Calendar) -> Filter {
    let none = HashMap::new();
    let now = Timestamp::start_of(calendar.today);
    let context = Context { report, time_zone: calendar.zone, now, program_aliases: &none };
    Filter::parse(text, &context).unwrap_or_else(|e| panic!("{text}: {e}")).unwrap()
}

fn read(text: &str, name: ReportName) -> Option<Selection> {
    let report = report(name);
    let calendar =
        Calendar { today: "2026-11-27".parse().unwrap(), zone: chrono_tz::Europe::Berlin, fiscal_first_month: 7 };
    let predicate = parse(text, &report, &calendar).predicate;
    Selection::from_predicate(&predicate, &report, &Controls::of(&report), &calendar)
}

fn day() -> impl Strategy<Value = NaiveDate> {
    (0..30_000_i32).prop_map(|days| NaiveDate::from_epoch_days(days).unwrap())
}

fn period() -> impl Strategy<Value = Period> {
    prop_oneof![
        prop::sample::select(Period::NAMED.to_vec()),
        (day(), day()).prop_map(|(a, b)| Period::Between((Some(a.min(b)), Some(a.max(b))))),
        day().prop_map(|from| Period::Between((Some(from), None))),
        day().prop_map(|to| Period::Between((None, Some(to)))),
    ]
}

fn unique(texts: Vec<String>) -> Vec<String> {
    let mut seen = HashSet::new();
    texts.into_iter().filter(|t| seen.insert(canonical(t).to_owned())).collect()
}

fn id() -> impl Strategy<Value = String> {
    prop_oneof!["[1-9][0-9]{0,11}", "[a-z]{2}-[0-9]{1,4}"]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[A-Za-z0-9 ,&'\"’%+()]{1,20}", "\\PC{1,12}"]
}

/// Values of the choices of a report: of a list where there is one, else any text, or empty.
fn choices(report: &Report, controls: &Controls) -> BoxedStrategy<BTreeMap<usize, Vec<Option<String>>>> {
    let one = |field: usize| {
        let spec = &report.fields[field];
        let value: BoxedStrategy<Option<String>> = if spec.values.is_empty() {
            prop::option::weighted(0.9, text()).boxed()
        } else {
            let values: Vec<String> = spec.values.iter().map(ToString::to_string).collect();
            prop::sample::select(values).prop_map(Some).boxed()
        };
        let list = prop::collection::hash_set(value, 1..4).prop_map(|set| set.into_iter().collect::<Vec<_>>());
        prop::option::of(list).prop_map(move |values| values.map(|values| (field, values)))
    };
    let all: Vec<_> = controls.choices.iter().map(|&field| one(field)).collect();
    all.prop_map(|chosen| chosen.into_iter().flatten().collect()).boxed()
}

fn selection(name: ReportName) -> BoxedStrategy<(Selection, Calendar)> {
    let report = report(name);
    let controls = Controls::of(&report);
    let amounts = (prop::option::of(-10_000_000_i128..10_000_000), prop::option::of(-10_000_000_i128..10_000_000));
    let money = prop::option::of(("[A-Z]{3}", amounts));
    let calendar = (day(), prop::sample::select(ZONES.to_vec()), 1..=12_u32)
        .prop_map(|(today, zone, fiscal_first_month)| Calendar { today, zone, fiscal_first_month });
    let ids = |most| prop::collection::vec(id(), 0..most).prop_map(unique);
    let parts = (
        ids(4),
        prop::sample::select(controls.dates.clone()),
        period(),
        choices(&report, &controls),
        ids(30),
        money,
        calendar,
    );
    parts
        .prop_map(move |(participants, date, period, choices, payments, money, calendar)| {
            let (currency, (least, greatest)) = money.map_or((None, (None, None)), |(c, a)| (Some(c), a));
            // Days that have a name are told by it.
            let period = Period::of_days(period.days(&calendar), &calendar);
            let date = if period == Period::Any { controls.dates[0] } else { date };
            let amounts = match (least.map(Amount), greatest.map(Amount)) {
                (Some(a), Some(b)) => (Some(a.min(b)), Some(a.max(b))),
                amounts => amounts,
            };
            let selection = Selection {
                participants,
                date,
                period,
                choices,
                payments,
                currency,
                least: amounts.0,
                greatest: amounts.1,
            };
            (selection, calendar)
        })
        .boxed()
}

pub(in crate::page::form) fn any_report() -> impl Strategy<Value = (ReportName, Selection, Calendar)> {
    prop::sample::select(ReportName::ALL.to_vec())
        .prop_flat_map(|name| selection(name).prop_map(move |(selection, calendar)| (name, selection, calendar)))
}

/// A row that has a value in a few fields and null in all others.
struct Sparse(HashMap<usize, Value>);

impl Row for Sparse {
    fn value(&self, field: usize) -> Value {
        self.0.get(&field).cloned().unwrap_or(Value::Null)
    }
}

/// What the selection says of a row, in words of its own.
fn says(selection: &Selection, controls: &Controls, calendar: &Calendar, row: &Sparse) -> bool {
    let text = |field: usize| match row.value(field) {
        Value::Text(text) => Some(text),
        _ => None,
    };
    let id_in = |field: usize, ids: &[String]| {
        ids.is_empty() || text(field).is_some_and(|own| ids.iter().any(|id| canonical(id) == canonical(&own)))
    };
    let (from, to) = selection.period.days(calendar);
    let day = match row.value(selection.date) {
        Value::Date(days) => NaiveDate::from_epoch_days(days),
        Value::Instant(at) => Some(Timestamp(at).to_utc().with_timezone(&calendar.zone).date_naive()),
        _ => None,
    };
    let in_period = (from.is_none() || day.is_some_and(|d| Some(d) >= from))
        && (to.is_none() || day.is_some_and(|d| d <= to.unwrap()));
    let chosen = selection.choices.iter().all(|(&field, values)| values.contains(&text(field)));
    let (amount, currency) = controls.amount.unwrap();
    let scaled = match row.value(amount) {
        Value::Number(number) => match number.scaled(4) {
            Scaled::Exact(value) => Some(value),
            _ => None,
        },
        _ => None,
    };
    in_period
        && chosen
        && id_in(controls.participant, &selection.participants)
        && id_in(controls.payment.unwrap(), &selection.payments)
        && selection.currency.as_ref().is_none_or(|c| text(currency).as_ref() == Some(c))
        && selection.least.is_none_or(|least| scaled.is_some_and(|a| a >= least.0))
        && selection.greatest.is_none_or(|greatest| scaled.is_some_and(|a| a <= greatest.0))
}

/// Rows near what is selected: each value is out of the selection, or some other one.
fn rows_near(selection: &Selection, controls: &Controls, calendar: &Calendar, report: &Report, dice: &[u32]) -> Sparse {
    let mut dice = dice.iter().cycle().copied();
    let mut roll = |sides: usize| (dice.next().unwrap() as usize) % sides.max(1);
    let mut row = HashMap::new();
    let mut ids = |row: &mut HashMap<usize, Value>, field: usize, list: &[String]| {
        let at = roll(list.len() + 1);
        let id = list.get(at).map_or_else(|| "77".to_owned(), |id| format!("000{id}"));
        row.insert(field, Value::Text(id));
    };
    ids(&mut row, controls.participant, &selection.participants);
    ids(&mut row, controls.payment.unwrap(), &selection.payments);
    let (from, to) = selection.period.days(calendar);
    let near = from.or(to).unwrap_or(calendar.today);
    let edge = if roll(2) == 0 { near } else { to.unwrap_or(near) };
    let start = start_of_day(edge, calendar.zone).unwrap().0;
    let shift = [-1_i64, 0, 1, 43_200_000_000, 86_400_000_000][roll(5)];
    for &date in &controls.dates {
        let value = match report.fields[date].kind {
            FieldType::Date => Value::Date(edge.to_epoch_days() + [-1, 0, 1][roll(3)]),
            _ => Value::Instant(start + shift),
        };
        row.insert(date, value);
    }
    for &field in &controls.choices {
        let list = selection.choices.get(&field).map_or(&[][..], Vec::as_slice);
        match list.get(roll(list.len() + 1)) {
            Some(Some(value)) => drop(row.insert(field, Value::Text(value.clone()))),
            Some(None) => {}
            None => drop(row.insert(field, Value::Text("something else".into()))),
        }
    }
    let (amount, currency) = controls.amount.unwrap();
    let code = selection.currency.clone().filter(|_| roll(4) > 0).unwrap_or_else(|| "XXX".into());
    row.insert(currency, Value::Text(code));
    let base = [selection.least, selection.greatest][roll(2)].map_or(0, |a| a.0);
    let value = base + [-1_i128, 0, 1][roll(3)];
    row.insert(amount, Value::Number(payouts_filter::number::Decimal::from_scaled(value, 4)));
    Sparse(row)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_selection_comes_back_from_its_filter((name, selection, calendar) in any_report()) {
        let report = report(name);
        let controls = Controls::of(&report);
        let text = selection.to_filter(&report, &controls, &calendar);
        let filter = parse(&text, &report, &calendar);
        let again = Selection::from_predicate(&filter.predicate, &report, &controls, &calendar);
        prop_assert_eq!(again.as_ref(), Some(&selection), "{}", text);
        // The normal form, which lists of requests keep, says the same.
        let normal = Filter::parse_normal(&filter.normal_form, &report).unwrap().unwrap();
        let again = Selection::from_predicate(&normal.predicate, &report, &controls, &calendar);
        prop_assert_eq!(again, Some(selection), "{}", filter.normal_form);
    }

    #[test]
    fn the_filter_selects_what_the_selection_says(
        (name, selection, calendar) in any_report(),
        dice in prop::collection::vec(any::<u32>(), 40),
    ) {
        let report = report(name);
        let controls = Controls::of(&report);
        let text = selection.to_filter(&report, &controls, &calendar);
        let filter = parse(&text, &report, &calendar);
        for turn in 0..20 {
            let row = rows_near(&selection, &controls, &calendar, &report, &dice[turn..]);
            let expected = says(&selection, &controls, &calendar, &row);
            prop_assert_eq!(
                eval(&filter.predicate, &row, &report) == Value::Boolean(true), expected, "{} of {:?}", text, row.0
            );
        }
    }
}

#[test]
fn the_filter_is_one_that_people_would_write() {
    let report = report(ReportName::Payments);
    let controls = Controls::of(&report);
    let calendar = Calendar { today: "2026-11-27".parse().unwrap(), zone: chrono_tz::UTC, fiscal_first_month: 1 };
    let mut selection = Selection::within(Period::DEFAULT, &controls);
    let filter = |selection: &Selection| selection.to_filter(&report, &controls, &calendar);
    insta::assert_snapshot!(filter(&selection), @"payoutStatusUpdateTS ge 2025-11-28 and payoutStatusUpdateTS le 2026-11-27");
    selection.participants = vec!["1000042".into()];
    selection.choices.insert(report.index_of("programName").unwrap(), vec![Some("Partner's choice".into())]);
    selection
        .choices
        .insert(report.index_of("paymentStatus").unwrap(), vec![Some("SENT".into()), Some("FAILED".into())]);
    selection.currency = Some("EUR".into());
    selection.least = Some(Amount(20_000_000));
    insta::assert_snapshot!(filter(&selection), @"enrollmentParticipantId eq '1000042' and payoutStatusUpdateTS ge 2025-11-28 and payoutStatusUpdateTS le 2026-11-27 and programName eq 'Partner''s choice' and paymentStatus in ('SENT', 'FAILED') and paymentCurrencyCode eq 'EUR' and paymentAmount ge 2000.00");
    assert_eq!(filter(&Selection::within(Period::Any, &controls)), "true", "no filter would mean three years");
}

#[test]
fn typed_filters_are_read_as_far_as_the_form_can_say_them() {
    use ReportName::{Payments, TransactionHistory};
    for text in [
        "true",
        "paymentId=123456",
        "payoutOrderType='rebate'",
        "enrollmentParticipantId in (1000042, '12345') and payoutStatusUpdateTS ge 2023-01-01",
        "(paymentCurrencyCode eq 'EUR' and paymentAmount ge 2000) and paymentAmount le '5000'",
        "2000 le paymentAmount and paymentCurrencyCode eq 'EUR'",
        "payoutStatusUpdateTS eq 2023-05-31",
        "paymentDate eq 2023-05-31",
    ] {
        assert!(read(text, Payments).is_some(), "{text}");
    }
    assert!(read("leverCode in ('A', null) and earningForDate ge 2023-01-01", TransactionHistory).is_some());
    for text in [
        "paymentAmount ge 2000",
        "paymentId in ()",
        "paymentId eq null",
        "paymentId ne '1'",
        "earned ge 2000",
        "paymentCurrencyCode in ('EUR', 'USD')",
        "paymentStatus eq 'SENT' and paymentStatus eq 'FAILED'",
        "paymentStatus eq 'SENT' or payoutOrderType eq 'FEE'",
        "payoutStatusUpdateTS ge 2023-01-01T10:00:00Z",
        "payoutStatusUpdateTS ge 2023-01-01 and payoutStatusUpdateTS ge 2024-01-01",
        "payoutStatusUpdateTS ge 2023-01-01 and paymentDate le 2024-01-01",
        "paymentCurrencyCode eq 'EUR' and paymentAmount gt 2000",
        "paymentCurrencyCode eq 'EUR' and paymentAmount ge 0.00001",
        "not (paymentStatus eq 'SENT')",
        "paymentId eq '12 34'",
        "paymentCurrencyCode eq 'EUR' and paymentAmount ge 3 and paymentAmount le 2",
        "paymentDate ge 2026-02-01 and paymentDate le 2026-01-01",
        "false",
    ] {
        assert!(read(text, Payments).is_none(), "{text}");
    }
}
