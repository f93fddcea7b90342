//! The lowered expression selects exactly the rows that the reference interpreter does: over one
//! batch by itself, and through the scan with all its pruning.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Schema};
use datafusion::common::DFSchema;
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::physical_expr::create_physical_expr;
use payouts_filter::Expr;
use payouts_filter::ast::{ArithmeticOp, Collation, CompareOp, Function, Value};
use payouts_filter::eval::{Row, eval};
use payouts_filter::number::Decimal;
use payouts_model::{FieldType, Scope};

use super::{BadDataSlot, Lowering, Want, text::after_prefix};
use crate::tests::fixture::{self, field, report};

struct FixtureRow(usize);

impl Row for FixtureRow {
    fn value(&self, field: usize) -> Value {
        fixture::value(&report().fields[field].name, self.0)
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    }
    fn of<T: Clone>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())].clone()
    }
}

const ROWS: usize = 350;
const OPS: [CompareOp; 6] = [CompareOp::Eq, CompareOp::Ne, CompareOp::Gt, CompareOp::Ge, CompareOp::Lt, CompareOp::Le];

fn literal(random: &mut Random, index: usize) -> Value {
    let spec = &report().fields[index];
    let near = fixture::value(&spec.name, random.below(ROWS));
    match (spec.kind, random.below(12)) {
        (_, 0) => Value::Null,
        (FieldType::Amount, 1) => Value::Infinity(random.below(2) == 0),
        (FieldType::Amount, 2) => Value::NaN,
        (FieldType::Amount, 3) => Value::Number(
            Decimal::parse(random.of(&["0.00001", "-0.5000000001", "1e30", "-1e400", "99999999999999.99995", "3"]))
                .unwrap(),
        ),
        (FieldType::Date, 1..=4) => {
            Value::Instant((19_400 + random.below(97) as i64) * 86_400_000_000 + random.of(&[0, 1, -1]))
        }
        (FieldType::Timestamp, 1) => Value::Instant(random.of(&[i64::MIN, 0, i64::MAX])),
        (FieldType::Id, 1..=3) => match near {
            Value::Text(t) => Value::Text(payouts_model::id::canonical(&t).to_owned()),
            other => other,
        },
        (FieldType::Id, 4) => Value::Text(random.of(&["0", "nobody", "1000003", "P-1000006"]).to_owned()),
        (kind, 1..=3) if kind.stored_as_text() => match near {
            Value::Text(t) => Value::Text(random.of(&[
                t.to_ascii_lowercase(),
                t.to_ascii_uppercase(),
                String::new(),
                t.chars().take(3).collect(),
            ])),
            other => other,
        },
        _ => near,
    }
}

fn collation(kind: FieldType) -> Collation {
    match kind {
        FieldType::Id => Collation::Id,
        FieldType::Enum | FieldType::Guid => Collation::IgnoreCase,
        _ => Collation::Exact,
    }
}

fn canonical(kind: FieldType, value: Value) -> Value {
    match (kind, value) {
        (FieldType::Id, Value::Text(t)) => Value::Text(payouts_model::id::canonical(&t).to_owned()),
        (_, value) => value,
    }
}

fn boxed(expr: Expr) -> Box<Expr> {
    Box::new(expr)
}

fn leaf(random: &mut Random) -> Expr {
    let index = random.below(report().fields.len());
    let kind = report().fields[index].kind;
    let call = |function, args| Expr::Call { function, args };
    let compare = |op, collation, left, right| Expr::Compare { op, collation, left: boxed(left), right: boxed(right) };
    let op = random.of(&OPS);
    match random.below(10) {
        0 | 1 => {
            let list = (0..random.of(&[0, 1, 2, 5, 12])).map(|_| canonical(kind, literal(random, index))).collect();
            Expr::In { operand: boxed(Expr::Field(index)), collation: collation(kind), list }
        }
        2 if kind.stored_as_text() => {
            let text = match literal(random, index) {
                Value::Text(t) => t,
                _ => "IN".to_owned(),
            };
            let function = random.of(&[Function::StartsWith, Function::Contains, Function::EndsWith]);
            call(function, vec![Expr::Field(index), Expr::Literal(Value::Text(text))])
        }
        3 if kind.stored_as_text() => {
            let length = call(Function::Length, vec![Expr::Field(index)]);
            compare(
                op,
                Collation::Exact,
                length,
                Expr::Literal(Value::Number(Decimal::from_integer(random.below(15) as i64))),
            )
        }
        4 => compare(op, Collation::Exact, Expr::Field(field("earned")), Expr::Field(field("salesTax"))),
        5 => {
            let sum = Expr::Arithmetic {
                op: random.of(&[ArithmeticOp::Add, ArithmeticOp::DivBy]),
                left: boxed(Expr::Field(field("earned"))),
                right: boxed(Expr::Field(field("totalPayment"))),
            };
            compare(
                op,
                Collation::Exact,
                sum,
                Expr::Literal(Value::Number(Decimal::from_integer(random.below(90) as i64 - 30))),
            )
        }
        6 => {
            let month = call(Function::Month, vec![Expr::Field(field("payoutStatusUpdateTS"))]);
            compare(
                op,
                Collation::Exact,
                month,
                Expr::Literal(Value::Number(Decimal::from_integer(random.below(13) as i64))),
            )
        }
        7 => {
            let value = canonical(kind, literal(random, index));
            compare(op, collation(kind), Expr::Literal(value), Expr::Field(index))
        }
        _ => {
            let value = canonical(kind, literal(random, index));
            compare(op, collation(kind), Expr::Field(index), Expr::Literal(value))
        }
    }
}

fn expression(random: &mut Random, depth: usize) -> Expr {
    match random.below(if depth == 0 { 1 } else { 5 }) {
        1 => Expr::And((0..2 + random.below(2)).map(|_| expression(random, depth - 1)).collect()),
        2 => Expr::Or((0..2 + random.below(2)).map(|_| expression(random, depth - 1)).collect()),
        3 => Expr::Not(boxed(expression(random, depth - 1))),
        _ => leaf(random),
    }
}

fn batch(table: &fixture::Table) -> RecordBatch {
    let file = std::fs::File::open(&table.snapshot.files[0].path).unwrap();
    let mut reader =
        parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let batches: Vec<RecordBatch> = reader.by_ref().collect::<Result<_, _>>().unwrap();
    let batch = arrow::compute::concat_batches(&batches[0].schema(), &batches).unwrap();
    let view =
        |a: &ArrayRef| if *a.data_type() == DataType::Utf8 { cast(a, &DataType::Utf8View).unwrap() } else { a.clone() };
    let columns: Vec<(String, ArrayRef, bool)> =
        batch.schema().fields().iter().zip(batch.columns()).map(|(f, a)| (f.name().clone(), view(a), true)).collect();
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

fn selected(lowering: &Lowering, batch: &RecordBatch, expr: &Expr, want: Want) -> Vec<usize> {
    let schema: Arc<Schema> = batch.schema();
    let plan = lowering.lower(expr, want);
    let physical = create_physical_expr(
        &plan,
        &DFSchema::try_from(schema).unwrap(),
        &ExecutionProps::new(),
        &PhysicalPlanningContext::default(),
    )
    .unwrap();
    let array = physical.evaluate(batch).unwrap().into_array(batch.num_rows()).unwrap();
    let found = array.as_boolean();
    (0..batch.num_rows()).filter(|&r| found.is_valid(r) && found.value(r)).collect()
}

#[test]
fn every_expression_selects_what_the_interpreter_does() {
    let table = fixture::table(ROWS, ROWS, 100);
    let batch = batch(&table);
    let lowering = Lowering::new(&report(), &table.snapshot.columns, &batch.schema(), BadDataSlot::default());
    let mut random = Random(7);
    for _ in 0..4_000 {
        let expr = expression(&mut random, 3);
        let answers: Vec<Value> = (0..ROWS).map(|row| eval(&expr, &FixtureRow(row), &report())).collect();
        for (want, value) in [(Want::True, true), (Want::False, false)] {
            let expected: Vec<usize> = (0..ROWS).filter(|&r| answers[r] == Value::Boolean(value)).collect();
            assert_eq!(selected(&lowering, &batch, &expr, want), expected, "{want:?} of {expr:#?}");
        }
    }
}

#[tokio::test]
async fn pruning_loses_no_row() {
    let table = fixture::table(ROWS, 120, 25);
    let engine = fixture::engine(2);
    let mut random = Random(11);
    for _ in 0..400 {
        let expr = expression(&mut random, 2);
        let expected = (0..ROWS).filter(|&r| eval(&expr, &FixtureRow(r), &report()) == Value::Boolean(true)).count();
        let plan = fixture::plan(&table.snapshot, Some(expr), Scope::everything());
        assert_eq!(engine.count(&plan).await.unwrap(), expected as u64, "{:#?}", plan.predicate);
    }
}

#[test]
fn prefixes_end_where_the_next_text_begins() {
    assert_eq!(after_prefix("ab").as_deref(), Some("ac"));
    assert_eq!(after_prefix("a\u{10ffff}").as_deref(), Some("b"));
    assert_eq!(after_prefix("\u{d7ff}").as_deref(), Some("\u{e000}"));
    assert_eq!(after_prefix("\u{10ffff}"), None);
}
