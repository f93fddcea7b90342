//! The evaluation's corner cases, on expressions made by hand.

use payouts_model::{Catalog, ReportName};

use super::*;
use crate::ast::Function;

struct Fields(Vec<(usize, Value)>);

impl Row for Fields {
    fn value(&self, field: usize) -> Value {
        self.0.iter().find(|(i, _)| *i == field).map_or(Value::Null, |(_, v)| v.clone())
    }
}

fn number(text: &str) -> Value {
    Value::Number(Decimal::parse(text).expect("a number"))
}

fn literal(value: Value) -> Box<Expr> {
    Box::new(Expr::Literal(value))
}

fn answer(expr: &Expr) -> Value {
    let catalog = Catalog::builtin();
    let report = catalog.report(ReportName::Payments);
    let amount = report.index_of("totalPayment").expect("a field");
    eval(expr, &Fields(vec![(amount, number("7.5"))]), report)
}

fn compare_values(op: CompareOp, left: Value, right: Value) -> Value {
    answer(&Expr::Compare { op, collation: Collation::Exact, left: literal(left), right: literal(right) })
}

#[test]
fn comparisons_are_never_null() {
    use CompareOp::{Eq, Ge, Gt, Le, Lt, Ne};
    for op in [Gt, Ge, Lt, Le] {
        assert_eq!(compare_values(op, Value::Null, number("0")), Value::Boolean(false));
        assert_eq!(compare_values(op, Value::Null, Value::Null), Value::Boolean(false));
        assert_eq!(compare_values(op, Value::NaN, Value::NaN), Value::Boolean(false));
    }
    assert_eq!(compare_values(Ne, Value::Null, number("0")), Value::Boolean(true));
    assert_eq!(compare_values(Eq, Value::Null, Value::Null), Value::Boolean(true));
    assert_eq!(compare_values(Eq, Value::NaN, Value::NaN), Value::Boolean(false));
    assert_eq!(compare_values(Lt, number("1e300"), Value::Infinity(true)), Value::Boolean(true));
    assert_eq!(compare_values(Gt, Value::Infinity(false), number("-1e300")), Value::Boolean(false));
    assert_eq!(compare_values(Ge, Value::Date(1), Value::Instant(DAY_US)), Value::Boolean(true));
    assert_eq!(compare_values(Gt, Value::Date(1), Value::Instant(DAY_US)), Value::Boolean(false));
}

#[test]
fn logic_is_three_valued() {
    let (yes, no, null) =
        (Expr::Literal(Value::Boolean(true)), Expr::Literal(Value::Boolean(false)), Expr::Literal(Value::Null));
    assert_eq!(answer(&Expr::And(vec![yes.clone(), null.clone()])), Value::Null);
    assert_eq!(answer(&Expr::And(vec![null.clone(), no.clone()])), Value::Boolean(false));
    assert_eq!(answer(&Expr::Or(vec![null.clone(), yes.clone()])), Value::Boolean(true));
    assert_eq!(answer(&Expr::Or(vec![null.clone(), no])), Value::Null);
    assert_eq!(answer(&Expr::Not(Box::new(null))), Value::Null);
    assert_eq!(answer(&Expr::Not(Box::new(yes))), Value::Boolean(false));
}

#[test]
fn ids_are_equal_whatever_their_zeros() {
    let text = |t: &str| Value::Text(t.into());
    assert!(equal(Collation::Id, &text("006772397028"), &text("6772397028")));
    assert!(!equal(Collation::Id, &text("00A"), &text("A")));
    assert!(!equal(Collation::Exact, &text("007"), &text("7")));
    assert!(equal(Collation::IgnoreCase, &text("Rebate"), &text("REBATE")));
}

#[test]
fn division_of_whole_numbers_cuts() {
    let arithmetic =
        |op, a: &str, b: &str| answer(&Expr::Arithmetic { op, left: literal(number(a)), right: literal(number(b)) });
    assert_eq!(arithmetic(ArithmeticOp::Div, "7", "2"), number("3"));
    assert_eq!(arithmetic(ArithmeticOp::DivBy, "7", "2"), number("3.5"));
    assert_eq!(arithmetic(ArithmeticOp::Div, "7.5", "2"), number("3.75"));
    assert_eq!(arithmetic(ArithmeticOp::Div, "7", "0"), Value::Null);
    assert_eq!(arithmetic(ArithmeticOp::Mod, "-7", "4"), number("-3"));
}

#[test]
fn chains_of_thousands_need_no_stack() {
    let mut expr = Expr::Literal(number("0"));
    for _ in 0..4000 {
        expr = Expr::Arithmetic { op: ArithmeticOp::Add, left: Box::new(expr), right: literal(number("0.25")) };
    }
    let run = move || answer(&expr);
    let thread = std::thread::Builder::new().stack_size(1 << 20).spawn(run).expect("a thread");
    assert_eq!(thread.join().expect("no overflow"), number("1000"));
}

#[test]
fn functions_count_code_points() {
    let call = |function, args: Vec<Value>| {
        answer(&Expr::Call { function, args: args.into_iter().map(Expr::Literal).collect() })
    };
    let text = |t: &str| Value::Text(t.into());
    assert_eq!(call(Function::Length, vec![text("Zürich€")]), number("7"));
    assert_eq!(call(Function::IndexOf, vec![text("Zürich"), text("ich")]), number("3"));
    assert_eq!(call(Function::IndexOf, vec![text("Zürich"), text("x")]), number("-1"));
    assert_eq!(call(Function::Substring, vec![text("Zürich"), number("1"), number("2")]), text("ür"));
    assert_eq!(call(Function::Substring, vec![text("Zürich"), number("9")]), text(""));
    assert_eq!(call(Function::Substring, vec![text("Zürich"), number("-1")]), Value::Null);
    assert_eq!(call(Function::Contains, vec![Value::Null, text("x")]), Value::Null);
    assert_eq!(call(Function::Year, vec![Value::Date(-1)]), number("1969"));
    assert_eq!(call(Function::Hour, vec![Value::Instant(-1)]), number("23"));
    assert_eq!(call(Function::FractionalSeconds, vec![Value::Instant(1_647_000)]), number("0.647"));
    assert_eq!(call(Function::Date, vec![Value::Instant(-1)]), Value::Date(-1));
}

#[test]
fn days_move_by_durations() {
    let arithmetic = |op, a: Value, b: Value| answer(&Expr::Arithmetic { op, left: literal(a), right: literal(b) });
    assert_eq!(arithmetic(ArithmeticOp::Add, Value::Date(10), Value::Duration(DAY_US * 3 / 2)), Value::Date(11));
    assert_eq!(arithmetic(ArithmeticOp::Sub, Value::Date(10), Value::Date(8)), Value::Duration(2 * DAY_US));
    assert_eq!(arithmetic(ArithmeticOp::Mul, Value::Duration(10), number("1.5")), Value::Duration(15));
    assert_eq!(arithmetic(ArithmeticOp::Add, Value::Null, Value::Duration(1)), Value::Null);
}
