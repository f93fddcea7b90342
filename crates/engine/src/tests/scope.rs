//! Whatever is asked, no row outside the granted pairs comes out.

use payouts_filter::Expr;
use payouts_filter::ast::{Collation, CompareOp, Value};
use payouts_model::access::Pair;
use payouts_model::{ParticipantId, Scope};

use super::fixture::{PROGRAMS, collect, collect_every_way, engine, field, participant, plan, records, table};

fn pair(participant: Option<&str>, program: Option<&str>) -> Pair {
    Pair { participant: participant.map(ParticipantId::new), program: program.map(str::to_owned) }
}

fn compare(op: CompareOp, left: Expr, right: Expr) -> Expr {
    Expr::Compare { op, collation: Collation::Exact, left: Box::new(left), right: Box::new(right) }
}

fn text(t: &str) -> Expr {
    Expr::Literal(Value::Text(t.into()))
}

/// Ways to say "or true".
fn wide_open() -> Vec<Expr> {
    let yes = || Expr::Literal(Value::Boolean(true));
    let status = || Expr::Field(field("paymentStatus"));
    let nothing = compare(CompareOp::Eq, status(), text("no such"));
    vec![
        yes(),
        Expr::Or(vec![nothing.clone(), yes()]),
        Expr::Not(Box::new(nothing.clone())),
        Expr::Or(vec![compare(CompareOp::Eq, status(), text("SENT")), compare(CompareOp::Ne, status(), text("SENT"))]),
        compare(CompareOp::Ne, Expr::Field(field("participantID")), Expr::Literal(Value::Null)),
        Expr::Not(Box::new(Expr::And(vec![nothing, yes()]))),
        Expr::Not(Box::new(Expr::In {
            operand: Box::new(Expr::Field(field("participantID"))),
            collation: Collation::Id,
            list: vec![],
        })),
    ]
}

#[tokio::test]
async fn nothing_widens_the_scope() {
    let rows = 2_000;
    let table = table(rows, 700, 200);
    let (zeros, long, word) = (participant(30), participant(50), participant(60));
    let scopes: Vec<Scope> = vec![
        [pair(Some("1000000"), None)].into_iter().collect(),
        [pair(Some(&zeros), Some(PROGRAMS[1])), pair(Some(&long), Some(PROGRAMS[2])), pair(Some(&word), None)]
            .into_iter()
            .collect(),
        [pair(None, Some(PROGRAMS[3])), pair(Some("1000001"), None)].into_iter().collect(),
        (0..120).map(|i| pair(Some(&participant(i * 10)), Some(PROGRAMS[i % 4]))).collect(),
    ];
    let engine = engine(2);
    for scope in scopes {
        let allowed: Vec<usize> = (0..rows).filter(|&r| scope.allows(&participant(r), PROGRAMS[r % 4])).collect();
        assert!(!allowed.is_empty());
        for predicate in std::iter::once(None).chain(wide_open().into_iter().map(Some)) {
            let shown = format!("{predicate:?}");
            let plan = plan(&table.snapshot, predicate, scope.clone());
            let records = records(&collect_every_way(&engine, &plan).await.unwrap());
            let found: Vec<String> = records.iter().map(|r| format!("{} {}", r[0], r[3])).collect();
            let expected: Vec<String> =
                allowed.iter().map(|&r| format!("{} {}", participant(r), PROGRAMS[r % 4])).collect();
            assert_eq!(found, expected, "{shown}");
            assert_eq!(engine.count(&plan).await.unwrap(), allowed.len() as u64);
            let preview = engine.preview(&plan, chrono_tz::UTC, &[], 5).await.unwrap();
            assert_eq!(preview.totals.rows, allowed.len() as u64);
            assert_eq!(preview.first_rows.len(), allowed.len().min(5));
        }
    }
}

#[tokio::test]
async fn an_empty_scope_selects_nothing() {
    let table = table(100, 100, 100);
    for predicate in wide_open() {
        let plan = plan(&table.snapshot, Some(predicate), Scope::default());
        assert!(collect(&engine(1), &plan).await.unwrap().is_empty());
        assert_eq!(engine(1).count(&plan).await.unwrap(), 0);
        assert_eq!(engine(1).preview(&plan, chrono_tz::UTC, &[], 5).await.unwrap(), crate::Preview::default());
    }
}
