//! Payments: each one a function of the seed, its participant and its number there.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Date32Array, Decimal128Array, RecordBatch, StringArray, TimestampMicrosecondArray, new_null_array,
};
use payouts_model::Report;

use super::BATCH_ROWS;
use super::random::Random;
use super::world::{CURRENCIES, DAY_US, METHODS, ORDER_TYPES, PROGRAMS, Participant, World};
use crate::Error;

/// Payments that always exist, of the largest participant: the ids of the documented examples.
pub(super) const KNOWN_PAYMENTS: [u64; 2] = [6_772_397_028, 123_456];
/// The largest prime below 10^10: a linear map modulo it gives every payment an id of its own.
const ID_PRIME: u64 = 9_999_999_967;
const ID_FACTOR: u64 = 6_364_136_223;
/// Days that the ledger goes back: three and a half years.
const DAYS: i64 = 1278;

/// A state of a payment: its text, whether a payment exists then, its share among recent and
/// among settled rows, and what explains it.
struct Status {
    text: &'static str,
    paid: bool,
    recent: u16,
    settled: u16,
    description: Option<&'static str>,
}

const fn status(
    text: &'static str,
    paid: bool,
    recent: u16,
    settled: u16,
    description: Option<&'static str>,
) -> Status {
    Status { text, paid, recent, settled, description }
}

const STATUSES: [Status; 15] = [
    status("UNPROCESSED", false, 200, 0, Some("The earning is not yet part of a payment.")),
    status("UPCOMING", false, 250, 0, Some("The payment will be made in the next cycle.")),
    status("IN PROGRESS", true, 150, 0, Some("The payment is being processed by the bank.")),
    status("SENT", true, 250, 900, None),
    status("FAILED", true, 20, 15, Some("The bank could not be reached; the payment will be tried again.")),
    status(
        "REJECTED",
        true,
        20,
        15,
        Some("The bank rejected the payment: check the account number, then the name on the account."),
    ),
    status("REPROCESSING", true, 20, 5, Some("The payment is being sent again.")),
    status("REVERSED", true, 10, 25, Some("The payment was taken back.")),
    status("PENDING TAX INVOICE", false, 30, 5, Some("Waiting for your tax invoice.")),
    status("TAX INVOICE UNDER REVIEW", false, 20, 3, Some("Your tax invoice is being reviewed.")),
    status("TAX INVOICE REJECTED", false, 10, 5, Some("The tax invoice was rejected: the amount, \"total\", differs.")),
    status("REJECTED DURING REVIEW", false, 10, 8, Some("The earning did not pass the review.")),
    status("INCORRECT PAYMENT", true, 5, 4, Some("The payment was incorrect and is being corrected.")),
    status("FORFEITED", false, 5, 10, Some("The earning was not claimed in time.")),
    status("ESCHEATED", true, 0, 5, Some("The amount was handed to the state as unclaimed property.")),
];

/// A payment. Amounts are in ten-thousandths; texts are indexes.
#[derive(Clone, Debug)]
pub(super) struct Payment {
    pub program: u8,
    pub order_type: u8,
    pub method: u8,
    pub payment_currency: u8,
    /// 0: there is no payment yet.
    pub id: u64,
    pub status_time: i64,
    pub earned: i64,
    pub earned_currency: u8,
    pub status: u8,
    pub earned_usd: i64,
    pub withheld: i64,
    pub sales_tax: Option<i64>,
    pub service_fee_tax: Option<i64>,
    pub total: i64,
    /// Days since 1970.
    pub date: Option<i32>,
    pub number: u64,
}

impl Payment {
    pub fn status_text(&self) -> &'static str {
        STATUSES[usize::from(self.status)].text
    }
    pub fn description(&self) -> Option<&'static str> {
        STATUSES[usize::from(self.status)].description
    }
    pub fn program(&self) -> &'static super::world::Program {
        &PROGRAMS[usize::from(self.program)]
    }
    /// Makes it one that is still to come.
    pub fn not_yet(&mut self) {
        (self.id, self.status, self.date) = (0, 0, None);
    }
    /// The id as stored: twelve digits.
    pub fn id_text(&self) -> Option<String> {
        (self.id != 0).then(|| format!("{:012}", self.id))
    }

    /// Ledger order within a participant. The canonical id orders as text: its digits from the
    /// left, the shorter first.
    fn key(&self) -> (u8, u8, u8, u8, u64, u32, i64, i64) {
        let digits = if self.id == 0 { 0 } else { self.id.ilog10() + 1 };
        let aligned = self.id * 10_u64.pow(12 - digits);
        (
            self.program,
            self.order_type,
            self.method,
            self.payment_currency,
            aligned,
            digits,
            self.status_time,
            self.earned,
        )
    }
}

/// The rate of a currency to US dollars in a month, in hundred-millionths.
pub(super) fn usd_rate(seed: u64, currency: u8, at: i64) -> i64 {
    let base = CURRENCIES[usize::from(currency)].usd_rate;
    if CURRENCIES[usize::from(currency)].code == "USD" {
        return base;
    }
    let month = at.div_euclid(DAY_US * 30);
    let drift = Random::at(&[seed, 4, u64::from(currency), month as u64]).between(-400, 400);
    base + base / 10_000 * drift
}

/// `value` * `numerator` / `denominator`, rounded half away from zero to a multiple of `unit`.
pub(super) fn scale(value: i64, numerator: i64, denominator: i64, unit: i64) -> i64 {
    let product = i128::from(value) * i128::from(numerator);
    let divisor = i128::from(denominator) * i128::from(unit);
    let half = divisor / 2 * product.signum();
    ((product + half) / divisor) as i64 * unit
}

/// The payment number `local` of a participant.
pub(super) fn payment(world: &World, participant: &Participant, local: u64) -> Payment {
    let number = participant.first_payment + local;
    let mut random = Random::at(&[world.seed, 2, participant.rank, local]);
    // The first rows of the largest participant show every state, type and method.
    let shown = participant.rank == 0 && local < 60;
    let program = if shown {
        participant.programs[local as usize % participant.programs.len()]
    } else {
        *random.pick(&participant.programs)
    };
    let store = PROGRAMS[usize::from(program)].store;
    let order_type = if store { 3 } else { [2, 0, 1][random.weighted(&[75, 15, 10])] };
    let method = if shown { (local / 15) as u8 } else { [1, 0, 3, 2][random.weighted(&[780, 120, 70, 30])] };
    let status_time = instant(world, &mut random);
    let recent = world.end - status_time < 45 * DAY_US;
    let weights: [u16; 15] = std::array::from_fn(|i| if recent { STATUSES[i].recent } else { STATUSES[i].settled });
    let status = if shown { local as u8 % 15 } else { random.weighted(&weights) as u8 };
    let id = if STATUSES[usize::from(status)].paid { payment_id(world.seed, number) } else { 0 };
    let mut row = Payment {
        program,
        order_type,
        method,
        payment_currency: participant.currency,
        id,
        status_time,
        earned: 0,
        earned_currency: participant.currency,
        status,
        earned_usd: 0,
        withheld: 0,
        sales_tax: None,
        service_fee_tax: None,
        total: 0,
        date: None,
        number,
    };
    if id != 0 && STATUSES[usize::from(status)].text != "IN PROGRESS" {
        row.date = Some((status_time.div_euclid(DAY_US) - random.between(0, 3)) as i32);
    }
    amounts(world, participant, &mut row, store, &mut random);
    if participant.rank == 0 && local < 2 {
        known(&mut row, local as usize);
    }
    row
}

/// Makes a row one of the documented examples.
fn known(row: &mut Payment, which: usize) {
    let day = row.status_time.div_euclid(DAY_US) as i32;
    let (program, order_type) =
        (PROGRAMS.iter().position(|p| p.name == "CSP Direct Bill Partner").unwrap_or_default() as u8, 2);
    *row = Payment {
        program,
        order_type,
        id: KNOWN_PAYMENTS[which],
        status: 3,
        date: Some(day),
        service_fee_tax: None,
        ..row.clone()
    };
}

fn payment_id(seed: u64, number: u64) -> u64 {
    let shift = Random::at(&[seed, 3]).below(ID_PRIME);
    let id = 1 + ((u128::from(number) * u128::from(ID_FACTOR) + u128::from(shift)) % u128::from(ID_PRIME)) as u64;
    // The ids of the examples belong to the examples alone; the map never reaches these instead.
    match KNOWN_PAYMENTS.iter().position(|&known| known == id) {
        Some(which) => ID_PRIME + 10 + which as u64,
        None => id,
    }
}

/// An instant of the last three and a half years, later ones likelier, with as many digits as
/// systems that write such data have.
fn instant(world: &World, random: &mut Random) -> i64 {
    let span = (DAYS * DAY_US) as u64;
    let mut back = random.below(span);
    if random.chance(300) {
        back = back.min(random.below(span));
    }
    let at = world.end - 1 - back as i64;
    match random.weighted(&[45, 35, 20]) {
        0 => at - at.rem_euclid(1000),
        1 => at,
        _ => at - at.rem_euclid(1_000_000),
    }
}

fn amounts(world: &World, participant: &Participant, row: &mut Payment, store: bool, random: &mut Random) {
    // Some are paid in another currency than they are earned in.
    let dollar = CURRENCIES.iter().position(|c| c.code == "USD").unwrap_or_default() as u8;
    if random.chance(80) {
        row.payment_currency = dollar;
    }
    let rate = usd_rate(world.seed, row.earned_currency, row.status_time);
    let payment_rate = usd_rate(world.seed, row.payment_currency, row.status_time);
    let digits = random.weighted(&[8, 20, 30, 28, 11, 3]) as u32;
    let cents = random.between(10_i64.pow(digits + 1), 10_i64.pow(digits + 2) - 1);
    let sign = if random.chance(45) { -1 } else { 1 };
    let unit = if store && random.chance(150) { 1 } else { CURRENCIES[usize::from(row.earned_currency)].unit };
    let payment_unit = CURRENCIES[usize::from(row.payment_currency)].unit.min(unit);
    row.earned = sign * scale(cents * 100, 100_000_000, rate, unit).max(unit);
    row.earned_usd = scale(row.earned, rate, 100_000_000, 100);
    if participant.country.withheld_per_mille > 0 && random.chance(700) {
        row.withheld = scale(row.earned, participant.country.withheld_per_mille, 1000, unit);
    }
    let same = row.payment_currency == row.earned_currency;
    let net = row.earned - row.withheld;
    let net = if same { net } else { scale(net, rate, payment_rate, payment_unit) };
    if store {
        row.service_fee_tax =
            random.chance(600).then(|| if random.chance(500) { 0 } else { scale(net, 30, 1000, payment_unit) });
    } else {
        let vat = participant.country.vat_per_mille;
        row.sales_tax = random
            .chance(700)
            .then(|| if vat > 0 && random.chance(350) { scale(net, vat, 1000, payment_unit) } else { 0 });
    }
    row.total = net + row.sales_tax.unwrap_or_default();
}

/// A participant's payments in ledger order.
fn sorted(world: &World, participant: &Participant) -> Vec<Payment> {
    let mut rows: Vec<Payment> = (0..participant.payments).map(|local| payment(world, participant, local)).collect();
    rows.sort_unstable_by_key(Payment::key);
    rows
}

/// Writes the payments of a run of participants, batch by batch.
pub(super) fn write(
    report: &Report,
    world: &World,
    chunk: &[Participant],
    write: &mut dyn FnMut(RecordBatch) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut held: Vec<(&Participant, Payment)> = Vec::with_capacity(BATCH_ROWS);
    for participant in chunk {
        for row in sorted(world, participant) {
            held.push((participant, row));
            if held.len() == BATCH_ROWS {
                write(batch(report, &held)?)?;
                held.clear();
            }
        }
    }
    if held.is_empty() { Ok(()) } else { write(batch(report, &held)?) }
}

fn batch(report: &Report, rows: &[(&Participant, Payment)]) -> Result<RecordBatch, Error> {
    let schema = crate::table::schema(report);
    let column = |field: &payouts_model::Field| {
        column(&field.name, rows).unwrap_or_else(|| new_null_array(&crate::table::data_type(field.kind), rows.len()))
    };
    Ok(RecordBatch::try_new(schema, report.fields.iter().map(column).collect())?)
}

/// A column of the built-in table; columns that a configuration appends stay empty.
fn column(name: &str, rows: &[(&Participant, Payment)]) -> Option<ArrayRef> {
    let borrowed = |of: &dyn for<'a> Fn(&'a (&'a Participant, Payment)) -> Option<&'a str>| {
        Some(Arc::new(rows.iter().map(of).collect::<StringArray>()) as ArrayRef)
    };
    let amount = |of: &dyn Fn(&Payment) -> Option<i64>| {
        let array: Decimal128Array = rows.iter().map(|(_, p)| of(p).map(i128::from)).collect();
        array.with_precision_and_scale(18, 4).ok().map(|a| Arc::new(a) as ArrayRef)
    };
    match name {
        "participantID" => borrowed(&|r| Some(&r.0.id)),
        "participantIDType" => borrowed(&|r| Some(r.0.id_type)),
        "participantName" => borrowed(&|r| Some(&r.0.name)),
        "programName" => borrowed(&|r| Some(r.1.program().name)),
        "earned" => amount(&|p| Some(p.earned)),
        "earnedUSD" => amount(&|p| Some(p.earned_usd)),
        "withheldTax" => amount(&|p| Some(p.withheld)),
        "salesTax" => amount(&|p| p.sales_tax),
        "serviceFeeTax" => amount(&|p| p.service_fee_tax),
        "totalPayment" => amount(&|p| Some(p.total)),
        "earnedCurrencyCode" => borrowed(&|r| Some(CURRENCIES[usize::from(r.1.earned_currency)].code)),
        "paymentCurrencyCode" => borrowed(&|r| Some(CURRENCIES[usize::from(r.1.payment_currency)].code)),
        "paymentMethod" => borrowed(&|r| Some(METHODS[usize::from(r.1.method)])),
        "paymentID" => Some(Arc::new(rows.iter().map(|(_, p)| p.id_text()).collect::<StringArray>())),
        "paymentStatus" => borrowed(&|r| Some(r.1.status_text())),
        "paymentStatusDescription" => borrowed(&|r| r.1.description()),
        "paymentDate" => Some(Arc::new(rows.iter().map(|(_, p)| p.date).collect::<Date32Array>())),
        "CIReferenceNumber" => Some(Arc::new(rows.iter().map(|(who, p)| reference(who, p)).collect::<StringArray>())),
        "payoutOrderType" => borrowed(&|r| Some(ORDER_TYPES[usize::from(r.1.order_type)])),
        "payoutStatusUpdateTS" => {
            let array: TimestampMicrosecondArray = rows.iter().map(|(_, p)| Some(p.status_time)).collect();
            Some(Arc::new(array.with_timezone("UTC")))
        }
        _ => None,
    }
}

/// The invoice reference, in countries that need a proof of tax.
fn reference(who: &Participant, payment: &Payment) -> Option<String> {
    (who.country.invoice && payment.id != 0)
        .then(|| format!("CI-{}-{:08}", who.country.code, payment.number % 100_000_000))
}
