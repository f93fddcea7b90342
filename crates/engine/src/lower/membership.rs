//! A set of texts, asked by their canonical id or ignoring ASCII case: one hash per row.

use std::collections::{BTreeSet, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray};
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr as Plan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use payouts_filter::ast::Collation;
use payouts_model::FieldType;
use payouts_model::id::canonical;

use super::{BadDataSlot, Stored};
use crate::column::{Column, FieldReader, How};

/// `column` is one of `texts` under a collation; null where the column is null. The texts are
/// canonical ids or in small letters already.
pub(super) fn call(stored: &Stored, collation: Collation, texts: BTreeSet<String>, bad_data: &BadDataSlot) -> Plan {
    let lookup = texts.iter().cloned().collect();
    let signature = Signature::any(1, Volatility::Immutable);
    ScalarUDF::from(Membership { collation, texts, lookup, signature, bad_data: bad_data.clone() })
        .call(vec![stored.column.clone()])
}

#[derive(Debug)]
struct Membership {
    collation: Collation,
    texts: BTreeSet<String>,
    lookup: HashSet<String>,
    signature: Signature,
    bad_data: BadDataSlot,
}

impl PartialEq for Membership {
    fn eq(&self, other: &Self) -> bool {
        self.collation == other.collation && self.texts == other.texts
    }
}

impl Eq for Membership {}

impl Hash for Membership {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.texts.hash(state);
    }
}

impl Membership {
    fn holds(&self, text: &str) -> bool {
        match self.collation {
            Collation::Exact => self.lookup.contains(text),
            Collation::Id => self.lookup.contains(canonical(text)),
            Collation::IgnoreCase => {
                if text.bytes().any(|b| b.is_ascii_uppercase()) {
                    self.lookup.contains(&text.to_ascii_lowercase())
                } else {
                    self.lookup.contains(text)
                }
            }
        }
    }
}

impl ScalarUDFImpl for Membership {
    fn name(&self) -> &'static str {
        match self.collation {
            Collation::Exact => "odata_in",
            Collation::Id => "odata_in_ids",
            Collation::IgnoreCase => "odata_in_ignoring_case",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let reader = FieldReader { name: self.name().into(), kind: FieldType::Text, how: How::Same };
        let array = args.args[0].to_array(args.number_rows)?;
        let column = reader.read(&array).map_err(|text| super::residual::bad_data(&self.bad_data, &text))?;
        // Sorted tables repeat their ids: the last answer is often the next one.
        let mut last: Option<(&str, bool)> = None;
        let mut test = |text| match last {
            Some((known, answer)) if known == text => answer,
            _ => {
                let answer = self.holds(text);
                last = Some((text, answer));
                answer
            }
        };
        let found: BooleanArray = match &column {
            Column::Text(texts) => (0..texts.len()).map(|row| texts.get(row).map(&mut test)).collect(),
            _ => BooleanArray::new_null(args.number_rows),
        };
        Ok(ColumnarValue::Array(Arc::new(found) as ArrayRef))
    }
}
