//! Plain names of reports, fields and values, for people who never see a column's name elsewhere.
//!
//! A field that is not in the list (an appended column, say) is named by its column, taken apart:
//! `costCentre` is "cost centre".

use payouts_model::{Field, ReportName};

/// Columns whose own words would not do.
const FIELDS: [(&str, &str); 26] = [
    ("participantID", "participant"),
    ("participantIDType", "kind of participant id"),
    ("participantName", "participant name"),
    ("programName", "program"),
    ("earnedUSD", "earned in US dollars"),
    ("withheldTax", "withheld tax"),
    ("totalPayment", "payment amount"),
    ("earnedCurrencyCode", "currency earned in"),
    ("paymentCurrencyCode", "payment currency"),
    ("paymentID", "payment id"),
    ("paymentStatus", "payment status"),
    ("paymentStatusDescription", "explanation of the payment status"),
    ("CIReferenceNumber", "invoice reference"),
    ("payoutOrderType", "order type"),
    ("payoutStatusUpdateTS", "last status change"),
    ("earningId", "earning id"),
    ("transactionExchangeRate", "exchange rate of the transaction"),
    ("transactionAmountUSD", "transaction amount in US dollars"),
    ("lever", "lever"),
    ("earningAmountUSD", "earning amount in US dollars"),
    ("earningExchangeRate", "exchange rate of the earning"),
    ("exchangeRateDate", "day of the exchange rate"),
    ("partnerCountryCode", "partner country"),
    ("calculationDate", "day of calculation"),
    ("engagementName", "engagement"),
    ("isPrivateOffer", "private offer"),
];

/// A field, in lower case as it stands inside a sentence.
pub fn field(field: &Field) -> String {
    let known = FIELDS.iter().find(|(column, _)| column.eq_ignore_ascii_case(&field.name));
    known.map_or_else(|| words(&field.name), |(_, label)| (*label).to_owned())
}

/// A report.
pub fn report(report: ReportName) -> &'static str {
    match report {
        ReportName::Payments => "Payments",
        ReportName::TransactionHistory => "Earnings",
    }
}

/// A text with a capital at its front.
pub fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// A count with commas.
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A size in bytes, with a unit that keeps it short.
pub fn size(bytes: u64) -> String {
    let mut unit = 1_000_u64;
    for name in ["kB", "MB", "GB", "TB"] {
        // Rounded up, so that no file is said to be smaller than it is.
        let tenths = bytes.saturating_mul(10).div_ceil(unit);
        if bytes < 1_000 {
            break;
        }
        if tenths < 10_000 || name == "TB" {
            return format!("{}.{} {name}", grouped(tenths / 10), tenths % 10);
        }
        unit *= 1_000;
    }
    format!("{bytes} bytes")
}

/// `costCentreUSD` as "cost centre USD".
fn words(column: &str) -> String {
    let mut text = String::new();
    let chars: Vec<char> = column.chars().map(|c| if c == '_' { ' ' } else { c }).collect();
    for (i, &c) in chars.iter().enumerate() {
        let upper_next = chars.get(i + 1).is_none_or(|n| n.is_uppercase() || *n == ' ');
        let lower_before = i > 0 && (chars[i - 1].is_lowercase() || chars[i - 1].is_ascii_digit());
        let begins = c.is_uppercase() && (lower_before || (i > 0 && chars[i - 1].is_uppercase() && !upper_next));
        if begins {
            text.push(' ');
        }
        // Abbreviations stay as they are.
        let abbreviation = c.is_uppercase() && upper_next && (i == 0 || begins || chars[i - 1].is_uppercase());
        if abbreviation { text.push(c) } else { text.extend(c.to_lowercase()) }
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use payouts_model::Catalog;

    use super::*;

    #[test]
    fn columns_are_taken_apart_into_words() {
        for (column, wanted) in [
            ("costCentre", "cost centre"),
            ("invoiceNumber", "invoice number"),
            ("subscriptionStartDate", "subscription start date"),
            ("amountUSD", "amount USD"),
            ("USDAmount", "USD amount"),
            ("cost_centre", "cost centre"),
            ("a1Code", "a1 code"),
            ("x", "x"),
        ] {
            assert_eq!(words(column), wanted);
        }
    }

    #[test]
    fn counts_and_sizes_are_short() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        let sizes = [0, 999, 1_000, 39_101, 999_999, 1_000_000, 1_099_511_627_776, 5_000_000_000_000_000];
        let wanted = ["0 bytes", "999 bytes", "1.0 kB", "39.2 kB", "1.0 MB", "1.0 MB", "1.1 TB", "5,000.0 TB"];
        assert_eq!(sizes.map(size), wanted);
    }

    #[test]
    fn no_two_fields_of_a_report_have_one_name() {
        let catalog = Catalog::builtin();
        for name in ReportName::ALL {
            let mut labels: Vec<String> = catalog.report(name).fields.iter().map(field).collect();
            let all = labels.len();
            labels.sort();
            labels.dedup();
            assert_eq!(labels.len(), all, "{name}");
        }
    }
}
