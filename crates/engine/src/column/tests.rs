//! Conversions are exact or refused.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, DictionaryArray, Float32Array, Float64Array, Int32Array, Int64Array, StringArray,
    TimestampMillisecondArray, UInt64Array,
};
use payouts_filter::ast::Value;
use payouts_model::FieldType;

use super::convert::round_text;
use super::{Coded, Column, FieldReader, How, Scratch};

fn read(array: ArrayRef, kind: FieldType, how: How) -> Result<Column, String> {
    FieldReader { name: "x".into(), kind, how }.read(&array)
}

#[test]
fn floats_round_half_away_from_zero_on_their_shortest_text() {
    for (text, scaled) in [
        ("1.00005", 10_001),
        ("-1.00005", -10_001),
        ("1.00004999", 10_000),
        ("2.675", 26_750),
        ("0.1", 1_000),
        ("-0.00004", 0),
        ("123", 1_230_000),
    ] {
        assert_eq!(round_text(text, 4), Some(scaled), "{text}");
    }
    assert_eq!(round_text("1e5", 4), None);
    let Ok(Column::Amount(values)) =
        read(Arc::new(Float64Array::from(vec![1.00005, 0.1 + 0.2, 1e13])), FieldType::Amount, How::RoundedFloat)
    else {
        panic!()
    };
    assert_eq!(values.values().to_vec(), [10_001, 3_000, 100_000_000_000_000_000]);
    let Ok(Column::Amount(values)) =
        read(Arc::new(Float32Array::from(vec![0.1_f32])), FieldType::Amount, How::RoundedFloat)
    else {
        panic!()
    };
    assert_eq!(values.value(0), 1_000);
    for bad in [f64::NAN, f64::INFINITY, 1e15] {
        assert!(read(Arc::new(Float64Array::from(vec![bad])), FieldType::Amount, How::RoundedFloat).is_err(), "{bad}");
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let refused = |array: ArrayRef, kind, how| read(array, kind, how).unwrap_err();
    assert!(refused(Arc::new(Float64Array::from(vec![1.0])), FieldType::Amount, How::Same).contains("float"));
    assert!(
        refused(Arc::new(UInt64Array::from(vec![u64::MAX])), FieldType::Integer, How::Same)
            .contains("18446744073709551615")
    );
    assert!(
        refused(Arc::new(Int64Array::from(vec![i64::MAX])), FieldType::Amount, How::Same).contains("decimal(18,4)")
    );
    assert!(refused(Arc::new(Int64Array::from(vec![1])), FieldType::Text, How::Same).contains("expected text"));
    assert!(
        refused(Arc::new(TimestampMillisecondArray::from(vec![1])), FieldType::Timestamp, How::Same).contains("zone")
    );
    let instants = read(Arc::new(TimestampMillisecondArray::from(vec![1])), FieldType::Timestamp, How::Utc).unwrap();
    assert_eq!(instants.value(0), Value::Instant(1000));
    let ids = read(Arc::new(Int64Array::from(vec![42])), FieldType::Id, How::Same).unwrap();
    assert_eq!(ids.text(0), Some("42"));
}

#[test]
fn codes_of_a_dictionary_are_those_of_its_texts() {
    let keys = Int32Array::from(vec![Some(2), None, Some(0), Some(1), Some(2), Some(0)]);
    // A null among the values, and one of them that no row has.
    let values = StringArray::from(vec![Some("b"), None, Some("a"), Some("unused")]);
    let array: ArrayRef = Arc::new(DictionaryArray::new(keys, Arc::new(values)));
    for (array, expected) in [
        (array.clone(), vec![Some("a"), None, Some("b"), None, Some("a"), Some("b")]),
        (array.slice(2, 1), vec![Some("b")]),
        (array.slice(2, 3), vec![Some("b"), None, Some("a")]),
    ] {
        let Ok(Column::Text(text)) = read(array, FieldType::Text, How::Same) else { panic!() };
        let coded = Coded::of(&text, &mut Scratch::default()).unwrap();
        let texts: Vec<Option<&str>> = coded.texts(&text).collect();
        let found: Vec<Option<&str>> = coded.codes.iter().map(|&code| texts[code as usize]).collect();
        assert_eq!(found, expected);
        assert!(texts.iter().all(|text| *text != Some("unused")));
    }
}

#[test]
fn a_small_dictionary_is_taken_as_it_is() {
    let values = Arc::new(StringArray::from(vec![Some("b"), None, Some("unused"), Some("a")]));
    let whole: Int32Array = (0..256).map(|row| Some([3, 0, 1][row % 3])).collect();
    let broken: Int32Array = (0..256).map(|row| [Some(3), None, Some(0), Some(1)][row % 4]).collect();
    for (keys, expected) in [
        (whole, &[Some("b"), None, Some("unused"), Some("a")][..]),
        (broken, &[None, Some("b"), None, Some("unused"), Some("a")]),
    ] {
        let array: ArrayRef = Arc::new(DictionaryArray::new(keys, values.clone()));
        let Ok(Column::Text(text)) = read(array.slice(1, 255), FieldType::Text, How::Same) else { panic!() };
        let coded = Coded::of(&text, &mut Scratch::default()).unwrap();
        let texts: Vec<Option<&str>> = coded.texts(&text).collect();
        assert_eq!(texts, expected);
        assert_eq!(coded.texts_len(&text), texts.len());
        for (row, &code) in coded.codes.iter().enumerate() {
            assert_eq!(texts[code as usize], text.get(row), "row {row}");
        }
    }
}

#[test]
fn one_column_after_another_is_coded_in_the_same_memory() {
    let mut scratch = Scratch::default();
    for (keys, values) in [
        (vec![Some(1), None, Some(0), Some(1)], vec!["a", "b"]),
        (vec![Some(0), Some(2), Some(1), None], vec!["c", "d", "e"]),
        (vec![Some(1), Some(1)], vec!["f", "g"]),
    ] {
        let expected: Vec<Option<&str>> = keys.iter().map(|key| key.map(|key: i32| values[key as usize])).collect();
        let array = DictionaryArray::new(Int32Array::from(keys), Arc::new(StringArray::from(values.clone())));
        let Ok(Column::Text(text)) = read(Arc::new(array), FieldType::Text, How::Same) else { panic!() };
        let coded = Coded::of(&text, &mut scratch).unwrap();
        let texts: Vec<Option<&str>> = coded.texts(&text).collect();
        let found: Vec<Option<&str>> = coded.codes.iter().map(|&code| texts[code as usize]).collect();
        assert_eq!(found, expected);
    }
}
