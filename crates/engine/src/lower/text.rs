//! Comparisons of stored text with literals: to the letter, as ids, ignoring ASCII case, and by
//! prefix. Each is an exact test, joined to ranges of text that statistics can prune by.

use std::collections::BTreeSet;

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr as Plan, lit};
use payouts_filter::ast::{Collation, CompareOp, Function, Value};
use payouts_ledger::Lengths;
use payouts_model::id::canonical;

use super::{BadDataSlot, Stored, Want, and, membership, native, not, null_test, or};

/// Ids up to this many get every zero-padded form up to [`PADDED_MAX`] characters as a literal.
const PADDED_IDS_MAX: usize = 8;

/// Zero-padded forms up to this length are literals; longer ones are tested one by one.
///
/// Few enough forms of one id for a list that prunes pages, see [`native::in_list`].
const PADDED_MAX: usize = 20;

/// Spellings of ids of known lengths that become literals.
const FORMS_MAX: usize = 65_536;

/// Whether text of this type can be compared as it is.
fn plain(stored: &Stored) -> bool {
    matches!(stored.data_type, DataType::Utf8View | DataType::Utf8 | DataType::LargeUtf8)
}

fn literal(stored: &Stored, text: &str) -> Plan {
    let text = Some(text.to_owned());
    lit(match stored.data_type {
        DataType::Utf8 => ScalarValue::Utf8(text),
        DataType::LargeUtf8 => ScalarValue::LargeUtf8(text),
        _ => ScalarValue::Utf8View(text),
    })
}

/// A comparison with a literal that is not null.
pub(super) fn compare(
    stored: &Stored,
    op: CompareOp,
    collation: Collation,
    value: &Value,
    want: Want,
    bad_data: &BadDataSlot,
) -> Option<Plan> {
    let Value::Text(text) = value else { return None };
    let equal = |yes: bool| {
        let found = contained(stored, collation, &[value], bad_data)?;
        Some(if yes { found } else { or(not(found), null_test(stored, true)) })
    };
    if matches!(op, CompareOp::Eq | CompareOp::Ne) {
        return equal((op == CompareOp::Eq) == (want == Want::True));
    }
    // Order knows no collation.
    if !plain(stored) {
        return None;
    }
    // Bytes of UTF-8 sort as code points do.
    let (column, bound) = (stored.column.clone(), literal(stored, text));
    Some(match (op, want) {
        (CompareOp::Gt, Want::True) => column.gt(bound),
        (CompareOp::Ge, Want::True) => column.gt_eq(bound),
        (CompareOp::Lt, Want::True) => column.lt(bound),
        (CompareOp::Le, Want::True) => column.lt_eq(bound),
        (CompareOp::Gt, Want::False) => or(column.lt_eq(bound), null_test(stored, true)),
        (CompareOp::Ge, Want::False) => or(column.lt(bound), null_test(stored, true)),
        (CompareOp::Lt, Want::False) => or(column.gt_eq(bound), null_test(stored, true)),
        (CompareOp::Le, Want::False) => or(column.gt(bound), null_test(stored, true)),
        (CompareOp::Eq | CompareOp::Ne, _) => return None,
    })
}

/// Whether the column is one of `values`; null where the column is null.
pub(super) fn contained(
    stored: &Stored,
    collation: Collation,
    values: &[&Value],
    bad_data: &BadDataSlot,
) -> Option<Plan> {
    if !plain(stored) {
        return None;
    }
    let text = |v: &&Value| match v {
        Value::Text(text) => Some(text.clone()),
        _ => None,
    };
    let texts: BTreeSet<String> = values.iter().map(text).collect::<Option<_>>()?;
    Some(match collation {
        Collation::Exact => exact(stored, &texts),
        Collation::Id => ids(stored, texts, bad_data),
        Collation::IgnoreCase => ignoring_case(stored, &texts, bad_data),
    })
}

fn exact<'a>(stored: &Stored, texts: impl IntoIterator<Item = &'a String>) -> Plan {
    native::in_list(stored, texts.into_iter().map(|t| literal(stored, t)).collect())
}

/// Ids of digits match whatever the leading zeros of the stored text: every padded form up to a
/// length is a literal, and what is longer begins with so many zeros that it lies in one narrow
/// range of text, where each value is tested by its canonical form.
fn ids(stored: &Stored, texts: BTreeSet<String>, bad_data: &BadDataSlot) -> Plan {
    let texts: BTreeSet<String> = texts.iter().map(|t| canonical(t).to_owned()).collect();
    let digits: Vec<&String> =
        texts.iter().filter(|t| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit())).collect();
    if let Some(forms) = stored.lengths.and_then(|lengths| forms_of(&texts, lengths)) {
        return exact(stored, &forms);
    }
    let Some(longest) = digits.iter().map(|t| t.len()).max() else {
        return exact(stored, &texts);
    };
    let padded_max = if digits.len() <= PADDED_IDS_MAX && longest <= PADDED_MAX { PADDED_MAX } else { longest };
    let mut forms = texts.clone();
    if padded_max == PADDED_MAX {
        for id in &digits {
            forms.extend((id.len() + 1..=PADDED_MAX).map(|width| format!("{id:0>width$}")));
        }
    }
    // A text that is not a literal above has more zeros in front than this; with few ids that
    // takes more than `padded_max` characters, with many it takes one zero.
    let zeros = if padded_max == PADDED_MAX { PADDED_MAX + 1 - longest } else { 1 };
    let from = "0".repeat(zeros);
    let to = format!("{}1", "0".repeat(zeros - 1));
    let column = || stored.column.clone();
    let range = column().gt_eq(literal(stored, &from)).and(column().lt(literal(stored, &to)));
    let longer = and(range, membership::call(stored, Collation::Id, texts.clone(), bad_data));
    or(exact(stored, &forms), longer)
}

/// Every spelling of these ids that is as long as texts of the column are; `None` if there are too
/// many of them.
fn forms_of(texts: &BTreeSet<String>, lengths: Lengths) -> Option<BTreeSet<String>> {
    let Some((shortest, longest)) = lengths else { return Some(BTreeSet::new()) };
    let mut forms = BTreeSet::new();
    for id in texts {
        let length = id.len() as u64;
        let digits = !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit());
        let widths = if digits { shortest.max(length)..=longest } else { length..=length.min(longest) };
        for width in widths {
            if forms.len() >= FORMS_MAX {
                return None;
            }
            forms.insert(format!("{id:0>width$}", width = usize::try_from(width).ok()?));
        }
    }
    Some(forms)
}

/// Every spelling of an ASCII word lies between its capitals and its small letters.
fn ignoring_case(stored: &Stored, texts: &BTreeSet<String>, bad_data: &BadDataSlot) -> Plan {
    let texts: BTreeSet<String> = texts.iter().map(|t| t.to_ascii_lowercase()).collect();
    let column = || stored.column.clone();
    let ranges = texts
        .iter()
        .map(|t| column().gt_eq(literal(stored, &t.to_ascii_uppercase())).and(column().lt_eq(literal(stored, t))));
    let member = membership::call(stored, Collation::IgnoreCase, texts.clone(), bad_data);
    if texts.len() > 64 {
        return member;
    }
    match super::balanced(ranges.collect(), or) {
        Some(ranges) => and(ranges, member),
        None => lit(false),
    }
}

/// `startswith`, `contains` and `endswith` of the column and a literal; null where it is null.
pub(super) fn search(stored: &Stored, function: Function, text: &str, want: Want) -> Option<Plan> {
    if !plain(stored) {
        return None;
    }
    if text.is_empty() {
        return Some(if want == Want::True { null_test(stored, false) } else { lit(false) });
    }
    let (column, bound) = (stored.column.clone(), literal(stored, text));
    let found = match function {
        Function::StartsWith => {
            let from = column.clone().gt_eq(bound.clone());
            match after_prefix(text) {
                Some(end) => from.and(column.lt(literal(stored, &end))),
                None => from,
            }
        }
        Function::Contains => datafusion::functions::string::contains().call(vec![column, bound]),
        Function::EndsWith => datafusion::functions::string::ends_with().call(vec![column, bound]),
        _ => return None,
    };
    Some(if want == Want::True { found } else { not(found) })
}

/// The least text that is greater than every text with this prefix; `None` if there is none.
pub(super) fn after_prefix(prefix: &str) -> Option<String> {
    let mut head = prefix.to_owned();
    while let Some(last) = head.pop() {
        let next = if last == '\u{d7ff}' { Some('\u{e000}') } else { char::from_u32(last as u32 + 1) };
        if let Some(next) = next {
            head.push(next);
            return Some(head);
        }
    }
    None
}
