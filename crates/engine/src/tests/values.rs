//! What one may choose from is what stands in granted rows.

use std::collections::BTreeSet;

use payouts_filter::ast::Value;
use payouts_model::access::Pair;
use payouts_model::{ParticipantId, Scope};

use super::fixture::{NAMES, PROGRAMS, engine, field, participant, table, value};
use crate::values::{Values, Wanted};

const ROWS: usize = 3_000;
const FIELDS: [&str; 5] =
    ["programName", "paymentStatus", "paymentStatusDescription", "CIReferenceNumber", "paymentID"];

fn pair(participant: Option<&str>, program: Option<&str>) -> Pair {
    Pair { participant: participant.map(ParticipantId::new), program: program.map(str::to_owned) }
}

fn wanted(participants_max: usize) -> Wanted {
    Wanted {
        fields: FIELDS.map(field).to_vec(),
        values_max: 20,
        participant_name: Some(field("participantName")),
        participants_max,
    }
}

/// The same, row by row.
fn expected(scope: &Scope) -> Values {
    let rows: Vec<usize> = (0..ROWS).filter(|&r| scope.allows(&participant(r), PROGRAMS[r % 4])).collect();
    let of = |name: &str| -> BTreeSet<Option<String>> {
        let text = |row: usize| if let Value::Text(text) = value(name, row) { Some(text) } else { None };
        rows.iter().map(|&row| text(row)).collect()
    };
    let mut participants: Vec<(String, String)> = Vec::new();
    for &row in &rows {
        if participants.last().is_none_or(|(last, _)| *last != participant(row)) {
            participants.push((participant(row), NAMES[row / 10 % NAMES.len()].to_owned()));
        }
    }
    let few = |values: BTreeSet<Option<String>>| (values.len() <= 20).then_some(values);
    Values { fields: FIELDS.map(of).into_iter().map(few).collect(), participants, more_participants: false }
}

#[tokio::test]
async fn only_granted_values_are_offered() {
    let table = table(ROWS, 800, 250);
    let engine = engine(2);
    let of_two = [pair(Some(&participant(30)), Some(PROGRAMS[1])), pair(Some("1000000"), None)];
    let of_all = [pair(None, Some(PROGRAMS[3]))];
    for scope in [Scope::everything(), of_two.into_iter().collect(), of_all.into_iter().collect(), Scope::default()] {
        let found = engine.values(&table.snapshot, &scope, &wanted(1_000)).await.unwrap();
        assert_eq!(found, expected(&scope), "{:?}", scope.pairs().collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn what_is_too_long_to_offer_says_so() {
    let table = table(ROWS, 800, 250);
    let found = engine(1).values(&table.snapshot, &Scope::everything(), &wanted(7)).await.unwrap();
    assert_eq!(found.fields[4], None, "thousands of payment ids are not a choice");
    assert_eq!(found.fields[0].as_ref().map(BTreeSet::len), Some(4));
    assert_eq!((found.participants.len(), found.more_participants), (7, true));
}
