//! Exact decimals: equality, size, rounding, overflow.

use super::*;

fn d(text: &str) -> Decimal {
    Decimal::parse(text).unwrap_or_else(|| panic!("{text}"))
}

#[test]
fn equal_numbers_are_equal_values() {
    assert_eq!(d("1.50"), d("1.5"));
    assert_eq!(d("1500e-3"), d("1.5"));
    assert_eq!(d("0e99999999999999999999"), d("-0.000"));
    assert_eq!(Decimal::from_scaled(12_504_000, 4), d("1250.4"));
    for bad in ["", ".5", "1.", "1e", "1e+", "x", "1 ", "--1", "1.2.3"] {
        assert_eq!(Decimal::parse(bad), None, "{bad}");
    }
}

#[test]
fn huge_exponents_cost_nothing() {
    assert!(d("1e999999999") > d("9e999999998"));
    assert!(d("-1e999999999") < d("-9e999999998"));
    assert!(d("1e-999999999") > Decimal::ZERO);
    assert_eq!(d("1e999999999").scaled(4), Scaled::Above);
    assert_eq!(d("-1e-999999999").scaled(4), Scaled::Between(-1));
    assert_eq!(d("1e999999999").add(&d("1")), None);
    assert_eq!(d("1e-999999999").floor(), Some(Decimal::ZERO));
    assert_eq!(d("1e-999999999").ceiling(), Some(d("1")));
    assert_eq!(d("-1e-999999999").floor(), Some(d("-1")));
    assert_eq!(d("1e99999999999999999999999").to_string(), format!("1e{}", i64::MAX / 4));
}

#[test]
fn scaled_says_where_a_number_lies() {
    assert_eq!(d("1.5").scaled(4), Scaled::Exact(15_000));
    assert_eq!(d("1.00001").scaled(4), Scaled::Between(10_000));
    assert_eq!(d("-1.00001").scaled(4), Scaled::Between(-10_001));
    assert_eq!(d(&"9".repeat(60)).scaled(4), Scaled::Above);
    assert_eq!(d(&format!("-{}.5", "9".repeat(60))).scaled(0), Scaled::Below);
    assert_eq!(d("0.0000000000000000000000000000000000000000000000000000001").scaled(4), Scaled::Between(0));
    assert_eq!(d("-0.00001").scaled(4), Scaled::Between(-1));
    assert_eq!(d("0.5").scaled(0), Scaled::Between(0));
}

#[test]
fn quotients_round_half_away_from_zero_at_ten_decimals() {
    assert_eq!(d("1").div(&d("3")), Some(d("0.3333333333")));
    assert_eq!(d("2").div(&d("3")), Some(d("0.6666666667")));
    assert_eq!(d("-1").div(&d("20000000000")), Some(d("-0.0000000001")));
    assert_eq!(d("1").div(&d("0")), None);
    assert_eq!(d("-7").div_whole(&d("2")), Some(d("-3")));
    assert_eq!(d("-7.5").rem(&d("2")), Some(d("-1.5")));
    assert_eq!(d("7.5").rem(&d("-2")), Some(d("1.5")));
    assert_eq!(d("-2.5").round(), Some(d("-3")));
    assert_eq!(d("2.5").round(), Some(d("3")));
    assert_eq!(d("-2.1").floor(), Some(d("-3")));
    assert_eq!(d("-2.1").ceiling(), Some(d("-2")));
    assert_eq!(d("0.05").round(), Some(Decimal::ZERO));
}

#[test]
fn overflow_is_more_than_76_digits() {
    let nines = d(&"9".repeat(76));
    assert!(nines.add(&Decimal::ZERO).is_some());
    assert_eq!(nines.add(&d("0.5")), None);
    assert_eq!(nines.add(&d("1")), Some(d("1e76")));
    assert_eq!(nines.mul(&nines), None);
    assert_eq!(d("1e80").mul(&d("1e80")), Some(d("1e160")));
}

#[test]
fn texts_parse_back() {
    for text in ["0", "1250.4", "-0.0001", "1e100", "-123e-99", "100000", "170141183460469231731687303715884105728"] {
        assert_eq!(d(&d(text).to_string()), d(text), "{text}");
    }
    assert_eq!(d("1e3").to_string(), "1000");
    assert_eq!(d("-5e-4").to_string(), "-0.0005");
}

#[test]
fn order_agrees_with_the_difference() {
    let numbers = [
        "0",
        "1",
        "-1",
        "1.5",
        "1.499999999999999999999999",
        "1e40",
        "-1e40",
        "99999999999999999999999999999999999999999",
        "0.001",
    ];
    for a in numbers {
        for b in numbers {
            let difference = d(a).sub(&d(b)).unwrap();
            assert_eq!(d(a).cmp(&d(b)), difference.cmp(&Decimal::ZERO), "{a} {b}");
        }
    }
}
