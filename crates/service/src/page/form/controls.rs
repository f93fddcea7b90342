//! Which controls the form has, read from the table of fields: what is marked there has a
//! control, and its type and role say how one chooses by it.

use payouts_model::report::{Currency, FieldRole};
use payouts_model::{Field, FieldType, Report};

/// The controls of a report, as indexes into its fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Controls {
    /// Who is paid.
    pub participant: usize,
    /// What a period may be about; the report's own window first.
    pub dates: Vec<usize>,
    /// What is chosen out of a few values, in the order of the table.
    pub choices: Vec<usize>,
    /// What is found by a list of ids.
    pub payment: Option<usize>,
    /// The amount, and the currency that it is in.
    pub amount: Option<(usize, usize)>,
}

impl Controls {
    /// Those of `report`.
    pub fn of(report: &Report) -> Self {
        let shown = |i: &usize| report.fields[*i].in_form;
        let all = || (0..report.fields.len()).filter(shown);
        let with_role = |role| all().find(|&i| report.fields[i].roles.contains(&role));
        let amount = with_role(FieldRole::Headline).and_then(|amount| match report.fields[amount].currency {
            Some(Currency::Field(currency)) => Some((amount, currency)),
            _ => None,
        });
        let window = report.role(FieldRole::Window);
        let of_days = |i: &usize| matches!(report.fields[*i].kind, FieldType::Date | FieldType::Timestamp);
        let currency = amount.map(|(_, currency)| currency);
        let few = |i: &usize| matches!(report.fields[*i].kind, FieldType::Text | FieldType::Enum);
        Self {
            participant: report.role(FieldRole::Participant),
            dates: std::iter::once(window).chain(all().filter(|&i| of_days(&i) && i != window)).collect(),
            choices: all().filter(|&i| few(&i) && Some(i) != currency).collect(),
            payment: with_role(FieldRole::Payment),
            amount,
        }
    }
}

/// What a filter calls a field: the documented name, where it has one.
pub fn filter_name(field: &Field) -> &str {
    field.filter_name.as_deref().unwrap_or(&field.name)
}

/// The column that says an amount in US dollars: the first that always is.
pub fn us_dollars(report: &Report) -> Option<usize> {
    let always = |field: &Field| matches!(&field.currency, Some(Currency::Constant(code)) if &**code == "USD");
    let earned = |field: &Field| field.name.to_ascii_lowercase().starts_with("earn");
    let found = |wanted: &dyn Fn(&Field) -> bool| report.fields.iter().position(|f| always(f) && wanted(f));
    found(&earned).or_else(|| found(&|_| true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use payouts_model::{Catalog, ReportName};

    fn named(report: ReportName) -> (Vec<String>, Vec<String>, Vec<Option<String>>) {
        let catalog = Catalog::builtin();
        let report = catalog.report(report);
        let controls = Controls::of(report);
        let name = |i: usize| report.fields[i].name.to_string();
        let names = |list: &[usize]| list.iter().map(|&i| name(i)).collect();
        let (amount, currency) = controls.amount.unzip();
        let single = [controls.payment, amount, currency, us_dollars(report)];
        (names(&controls.dates), names(&controls.choices), single.map(|i| i.map(name)).to_vec())
    }

    #[test]
    fn both_reports_have_the_controls_that_people_choose_by() {
        let some = |names: &[&str]| names.iter().map(|n| Some((*n).to_owned())).collect::<Vec<_>>();
        let (dates, choices, single) = named(ReportName::Payments);
        assert_eq!(dates, ["payoutStatusUpdateTS", "paymentDate"]);
        assert_eq!(choices, ["programName", "paymentStatus", "payoutOrderType"]);
        assert_eq!(single, some(&["paymentID", "totalPayment", "paymentCurrencyCode", "earnedUSD"]));
        let (dates, choices, single) = named(ReportName::TransactionHistory);
        assert_eq!(dates, ["earningDate", "payoutStatusUpdateTS"]);
        assert_eq!(choices, ["programName", "lever", "earningType", "paymentStatus", "engagementName"]);
        assert_eq!(single, some(&["paymentId", "earningAmount", "transactionCurrency", "earningAmountUSD"]));
    }
}
