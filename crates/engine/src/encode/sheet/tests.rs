//! Cells as spreadsheets read them.

use arrow::array::{Date32Array, Decimal64Array, Int64Array, StringViewArray, TimestampMicrosecondArray};
use chrono::NaiveDate;
use proptest::prelude::*;

use super::*;

fn text(columns: &[&Column], rows: usize) -> (String, Beyond) {
    let (mut out, mut starts) = (Vec::new(), Vec::new());
    let beyond = write_rows(&mut out, &mut starts, columns, rows);
    assert_eq!(starts.len(), rows * columns.len() * STARTS_PER_CELL);
    assert!(starts.is_sorted() && starts.iter().all(|&start| (start as usize) < out.len()));
    (String::from_utf8(out).unwrap(), beyond)
}

/// The one column as cells, without the elements that stand around every row.
fn cells(column: &Column, rows: usize) -> (Vec<String>, Beyond) {
    let (text, beyond) = text(&[column], rows);
    let inner = text.strip_prefix("<row>").unwrap().strip_suffix("</row>").unwrap();
    (inner.split("</row><row>").map(str::to_owned).collect(), beyond)
}

fn decimals(values: &[Option<i64>], scale: i8) -> Decimal64Array {
    Decimal64Array::from(values.to_vec()).with_precision_and_scale(18, scale).unwrap()
}

#[test]
fn values_have_their_types_and_styles() {
    let amounts = Column::Amount(decimals(&[Some(-12_504_000), None], 4));
    let numbers = Column::Number(decimals(&[Some(1_050_000_000), Some(1)], 8));
    let integers = Column::Integer(Int64Array::from(vec![123, -4]));
    let texts = Column::Text(TextColumn::View(StringViewArray::from(vec!["=1+1", ""])));
    let flags = Column::Boolean(BooleanArray::from(vec![Some(true), None]));
    let (text, beyond) = text(&[&amounts, &numbers, &integers, &texts, &flags, &Column::Null], 2);
    assert_eq!(
        text,
        "<row><c s=\"2\"><v>-1250.40</v></c><c><v>10.5</v></c><c s=\"3\"><v>123</v></c>\
         <c s=\"1\" t=\"inlineStr\"><is><t>=1+1</t></is></c><c t=\"b\"><v>1</v></c><c/></row>\
         <row><c/><c><v>0.00000001</v></c><c s=\"3\"><v>-4</v></c>\
         <c s=\"1\" t=\"inlineStr\"><is><t></t></is></c><c/><c/></row>"
    );
    assert_eq!(beyond, Beyond::default());
}

#[test]
fn blanks_at_the_ends_are_kept() {
    let texts = Column::Text(TextColumn::View(StringViewArray::from(vec![" a", "a b", "a\n"])));
    let (cells, _) = cells(&texts, 3);
    let preserved: Vec<bool> = cells.iter().map(|cell| cell.contains("xml:space=\"preserve\"")).collect();
    assert_eq!(preserved, [true, false, true]);
}

#[test]
fn numbers_that_a_spreadsheet_would_round_are_text() {
    let values = [
        999_999_999_999_999,
        -999_999_999_999_999,
        1_000_000_000_000_000,
        999_999_999_999_999_000,
        100_000_000_000_000_010,
        1_000_000_000_000_001,
        -999_999_999_999_999_999,
    ];
    let (cells, beyond) = cells(&Column::Amount(decimals(&values.map(Some), 4)), values.len());
    let exact = |text: &str| format!("<c s=\"6\" t=\"inlineStr\"><is><t>{text}</t></is></c>");
    let number = |text: &str| format!("<c s=\"2\"><v>{text}</v></c>");
    assert_eq!(
        cells,
        [
            number("99999999999.9999"),
            number("-99999999999.9999"),
            number("100000000000.00"),
            number("99999999999999.90"),
            exact("10000000000000.001"),
            exact("100000000000.0001"),
            exact("-99999999999999.9999"),
        ]
    );
    assert_eq!(beyond, Beyond { as_text: 3, cut: 0 });
    let (_, beyond) = self::cells(&Column::Integer(Int64Array::from(vec![i64::MIN, i64::MAX, 1 << 49])), 3);
    assert_eq!(beyond.as_text, 2);
}

#[test]
fn days_without_a_number_are_text() {
    let day = |y, m, d| NaiveDate::from_ymd_opt(y, m, d).unwrap().to_epoch_days();
    let days = [day(1900, 2, 28), day(1900, 3, 1), day(2023, 5, 15), day(9999, 12, 31), day(9999, 12, 31) + 1];
    let (cells, beyond) = cells(&Column::Date(Date32Array::from(days.to_vec())), 5);
    assert!(cells[0].contains("<t>1900-02-28</t>") && cells[4].contains("<t>+10000-01-01</t>"), "{cells:?}");
    assert_eq!(cells[1..4], ["61", "45061", "2958465"].map(|v| format!("<c s=\"4\"><v>{v}</v></c>")));
    assert_eq!(beyond.as_text, 2);
}

#[test]
fn texts_longer_than_a_cell_are_cut_between_characters() {
    for (text, units) in [
        ("x".repeat(TEXT_UNITS_MAX), None),
        ("é".repeat(TEXT_UNITS_MAX), None),
        ("x".repeat(TEXT_UNITS_MAX + 1), Some(TEXT_UNITS_MAX)),
        // A pair of units is not torn apart.
        ("🎉".repeat(TEXT_UNITS_MAX / 2 + 1), Some(TEXT_UNITS_MAX)),
        (format!("x{}", "🎉".repeat(TEXT_UNITS_MAX / 2)), None),
        (format!("x{}", "🎉".repeat(TEXT_UNITS_MAX)), Some(TEXT_UNITS_MAX - 1)),
    ] {
        let (cells, beyond) = cells(&Column::Text(TextColumn::View(StringViewArray::from(vec![text.as_str()]))), 1);
        let inner = cells[0].split_once("<t>").unwrap().1.split_once("</t>").unwrap().0;
        match units {
            None => assert_eq!((inner, beyond.cut), (text.as_str(), 0)),
            Some(units) => {
                assert_eq!((inner.encode_utf16().count(), beyond.cut), (units, 1));
                assert!(text.starts_with(inner.strip_suffix(CUT_MARK).unwrap()));
            }
        }
    }
}

proptest! {
    /// What a reader of binary numbers makes of an instant, to the microsecond while it is fine
    /// enough, and to the millisecond after that.
    #[test]
    fn instants_come_back(micros in -2_000_000_000_000_000_i64..6_000_000_000_000_000, milliseconds in any::<bool>()) {
        let micros = if milliseconds { micros / 1000 * 1000 } else { micros };
        let (cells, beyond) = cells(&Column::Instant(TimestampMicrosecondArray::from(vec![micros])), 1);
        if beyond.as_text == 0 {
            let serial = cells[0].strip_prefix("<c s=\"5\"><v>").unwrap().strip_suffix("</v></c>").unwrap();
            let number: f64 = serial.parse().unwrap();
            let time = (number.fract() * DAY_MICROS as f64).round() as i64;
            let grain = if number < MICROSECONDS_BELOW as f64 { 1 } else { 1000 };
            let read = (number as i64 - EPOCH_SERIAL) * DAY_MICROS + (time + grain / 2) / grain * grain;
            prop_assert_eq!(read, micros);
        } else {
            let serial = micros.div_euclid(DAY_MICROS) + EPOCH_SERIAL;
            prop_assert!(serial < SERIAL_MIN || serial >= MICROSECONDS_BELOW && micros % 1000 != 0);
        }
    }

    /// Every number that is a number in the sheet is, as a binary one, the same decimal.
    #[test]
    fn numbers_come_back(value in -999_999_999_999_999_999_i64..1_000_000_000_000_000_000) {
        let (cells, beyond) = cells(&Column::Amount(decimals(&[Some(value)], 4)), 1);
        if beyond.as_text == 0 {
            let text = cells[0].strip_prefix("<c s=\"2\"><v>").unwrap().strip_suffix("</v></c>").unwrap();
            // Printed with as few digits as tell it from its neighbours.
            let read: payouts_model::Amount = text.parse::<f64>().unwrap().to_string().parse().unwrap();
            prop_assert_eq!(read.0, i128::from(value));
        }
    }
}
