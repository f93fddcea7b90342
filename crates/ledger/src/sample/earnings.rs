//! Earnings: every column of the report, each row tied to a payment of the same participant.
//!
//! Earning ids grow with the row's number and have one length, so rows are made in ledger order.

mod texts;

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray, new_null_array,
};
use payouts_model::{Field, FieldType, Report};

use super::payments::{Payment, payment, scale, usd_rate};
use super::random::Random;
use super::world::{CURRENCIES, DAY_US, Participant, World};
use super::{BATCH_ROWS, FIRST_EARNING_ID};
use crate::Error;

/// An earning; what is not here is a function of `seed` and the column.
struct Earning<'a> {
    who: &'a Participant,
    payment: Payment,
    id: u64,
    seed: u64,
    /// Days since 1970.
    date: i32,
    amount: i64,
    amount_usd: i64,
    /// Percent, in hundred-millionths.
    rate: i64,
    transaction_amount: i64,
    exchange_rate: i64,
}

fn earning<'a>(world: &World, who: &'a Participant, local: u64) -> Earning<'a> {
    let mut random = Random::at(&[world.seed, 5, who.rank, local]);
    let mut payment = payment(world, who, random.below(who.payments));
    if who.payments == 0 {
        payment.not_yet();
    }
    let unit = CURRENCIES[usize::from(payment.earned_currency)].unit;
    let amount = scale(payment.earned, random.between(5, 60), 100, unit);
    let rate = *random.pick(&[100_000_000, 250_000_000, 375_000_000, 500_000_000, 1_000_000_000, 1_250_000_000]);
    let status_day = payment.status_time.div_euclid(DAY_US) as i32;
    let exchange_rate = usd_rate(world.seed, payment.earned_currency, payment.status_time);
    Earning {
        who,
        id: FIRST_EARNING_ID + (who.first_earning + local) * 3,
        seed: random.bits(),
        date: status_day - random.between(1, 70) as i32,
        amount,
        amount_usd: scale(amount, exchange_rate, 100_000_000, 100),
        rate,
        transaction_amount: scale(amount, 10_000_000_000, rate, unit),
        exchange_rate,
        payment,
    }
}

/// Writes the earnings of a run of participants, batch by batch.
pub(super) fn write(
    report: &Report,
    world: &World,
    chunk: &[Participant],
    write: &mut dyn FnMut(RecordBatch) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut held = Vec::with_capacity(BATCH_ROWS);
    for who in chunk {
        for local in 0..who.earnings {
            held.push(earning(world, who, local));
            if held.len() == BATCH_ROWS {
                write(batch(report, &held)?)?;
                held.clear();
            }
        }
    }
    if held.is_empty() { Ok(()) } else { write(batch(report, &held)?) }
}

fn batch(report: &Report, rows: &[Earning]) -> Result<RecordBatch, Error> {
    let columns = report.fields.iter().enumerate().map(|(i, field)| column(field, i as u64, rows)).collect();
    Ok(RecordBatch::try_new(crate::table::schema(report), columns)?)
}

/// A column of the built-in table; columns that a configuration appends stay empty.
fn column(field: &Field, index: u64, rows: &[Earning]) -> ArrayRef {
    let name = &*field.name;
    let random = |e: &Earning| Random::at(&[e.seed, index]);
    match field.kind {
        FieldType::Amount | FieldType::Number => {
            let of: fn(&str, &Earning, Random) -> Option<i64> =
                if field.kind == FieldType::Amount { amount } else { number };
            let precision = if field.kind == FieldType::Amount { 4 } else { 8 };
            let array: Decimal128Array = rows.iter().map(|e| of(name, e, random(e)).map(i128::from)).collect();
            let array =
                array.with_precision_and_scale(18, precision).expect("18 digits with 4 or 8 decimals are valid");
            Arc::new(array)
        }
        FieldType::Integer => Arc::new(rows.iter().map(|e| integer(name, random(e))).collect::<Int64Array>()),
        FieldType::Date => Arc::new(rows.iter().map(|e| date(name, e, random(e))).collect::<Date32Array>()),
        FieldType::Timestamp if name == "payoutStatusUpdateTS" => {
            let array: TimestampMicrosecondArray = rows.iter().map(|e| Some(e.payment.status_time)).collect();
            Arc::new(array.with_timezone("UTC"))
        }
        FieldType::Boolean if name == "isPrivateOffer" => Arc::new(
            rows.iter().map(|e| random(e).chance(800).then(|| random(e).chance(100))).collect::<BooleanArray>(),
        ),
        FieldType::Timestamp | FieldType::Boolean => new_null_array(&crate::table::data_type(field.kind), rows.len()),
        FieldType::Id | FieldType::Text | FieldType::Enum | FieldType::Guid => {
            Arc::new(rows.iter().map(|e| texts::text(name, e, random(e))).collect::<StringArray>())
        }
    }
}

fn amount(name: &str, e: &Earning, mut random: Random) -> Option<i64> {
    match name {
        "earningAmount" => Some(e.amount),
        "earningAmountUSD" => Some(e.amount_usd),
        "transactionAmount" => Some(e.transaction_amount),
        "transactionAmountUSD" => Some(scale(e.transaction_amount, e.exchange_rate, 100_000_000, 100)),
        "earningAmountInLastPaymentCurrency" => (e.payment.id != 0)
            .then_some(if e.payment.payment_currency == e.payment.earned_currency { e.amount } else { e.amount_usd }),
        "storeFee" => e.payment.program().store.then(|| scale(e.transaction_amount, 3, 100, 100)),
        "instantRebateAmount" => random.chance(60).then(|| scale(e.amount, 1, 10, 100)),
        _ => None,
    }
}

fn number(name: &str, e: &Earning, mut random: Random) -> Option<i64> {
    let one = 100_000_000;
    match name {
        "transactionExchangeRate" | "earningExchangeRate" => Some(e.exchange_rate),
        "earningRate" => random.chance(950).then_some(e.rate),
        "quantity" => Some(random.between(1, 500) * one),
        "bucketSize" => random.chance(100).then(|| *random.pick(&[10, 50, 100, 500]) * one),
        "baseline" => random.chance(150).then(|| random.between(0, 900_000) * one / 100),
        "compensableUnits" => random.chance(200).then(|| random.between(1, 40_000) * one / 8),
        "quantityAlt" => random.chance(120).then(|| random.between(1, 90_000) * one / 1000),
        _ => None,
    }
}

fn integer(name: &str, mut random: Random) -> Option<i64> {
    match name {
        "desktopCount" => random.chance(100).then(|| random.between(0, 400)),
        "userCount" => random.chance(250).then(|| random.between(1, 25_000)),
        _ => None,
    }
}

fn date(name: &str, e: &Earning, mut random: Random) -> Option<i32> {
    // Spans of a year begin on the first of the earning's quarter, more or less.
    let quarter = e.date - e.date.rem_euclid(91);
    let store = e.payment.program().store;
    match name {
        "earningDate" => Some(e.date),
        "transactionDate" => Some(e.date - random.between(0, 30) as i32),
        "calculationDate" => random.chance(970).then(|| e.date + random.between(0, 5) as i32),
        "exchangeRateDate" => Some(e.date),
        "subscriptionStartDate" => (!store || random.chance(500)).then_some(quarter),
        "subscriptionEndDate" => (!store || random.chance(500)).then_some(quarter + 364),
        "agreementStartDate" => (!store && random.chance(700)).then_some(quarter - 182),
        "agreementEndDate" => (!store && random.chance(700)).then_some(quarter + 913),
        "purchaseOrderCoverageStartDate" => (!store && random.chance(300)).then_some(quarter),
        "purchaseOrderCoverageEndDate" => (!store && random.chance(300)).then_some(quarter + 29),
        "invoiceDate" => random.chance(600).then(|| e.date + random.between(0, 20) as i32),
        _ => None,
    }
}
