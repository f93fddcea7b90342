//! Literals of dates, times and durations.

use super::*;

fn instant(text: &str) -> (Fine, i32) {
    match whole(text) {
        Some(Lit::Instant { at, offset_min }) => (at, offset_min),
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn instants_with_offsets_are_one_instant() {
    let z = instant("2023-01-01T00:00:00Z").0;
    assert_eq!(instant("2023-01-01T02:00:00+02:00"), (z, 120));
    assert_eq!(instant("2023-01-01T02:00:00 02:00"), (z, 120), "a blank was a +");
    assert_eq!(instant("2022-12-31t19:00-05:00"), (z, -300));
    assert_eq!(instant("2022-12-31T23:59:60Z").0, z, "a leap second");
    assert_eq!(instant("2023-01-01T00:00:00.1234567Z").0, Fine { micros: z.micros + 123_456, tail_picos: 700_000 });
    assert_eq!(instant("2023-01-01T00:00:00.1234560Z").0.tail_picos, 0);
}

#[test]
fn what_is_no_date_is_malformed() {
    for text in [
        "2023-02-29",
        "2023-13-01",
        "2023-01-01T24:00Z",
        "2023-01-01T00:00",
        "2023-01-01T00:00:61Z",
        "24:00",
        "2023-01-01T00:00:00+2:00",
        "0000-01-01T00:00+01:00",
    ] {
        assert!(matches!(scan(text), Some(Err(_))), "{text}: {:?}", scan(text));
    }
    for text in ["2023", "2023-1-1", "20230101", "123456-01-01"] {
        assert_eq!(scan(text), None, "{text}");
    }
    assert_eq!(whole("2023-01-01x"), None);
}

#[test]
fn durations_read_back() {
    for (text, printed) in [
        ("P1D", "P1D"),
        ("PT90M", "PT1H30M"),
        ("-P1DT0.5S", "-P1DT0.5S"),
        ("PT0S", "PT0S"),
        ("p1dt2h3m4.000001s", "P1DT2H3M4.000001S"),
        ("P365D", "P365D"),
    ] {
        let read = duration(text).unwrap();
        assert_eq!(print_duration(read.micros), printed);
        assert_eq!(duration(printed).unwrap(), read);
    }
    for text in [
        "",
        "P",
        "PT",
        "P1Y",
        "P1M",
        "P1DT",
        "PT1S1M",
        "1D",
        "PT1.S",
        "PT1.5M",
        "P1H",
        "P99999999999999999999D",
        "P999999999999D",
    ] {
        assert!(duration(text).is_err(), "{text}");
    }
    assert_eq!(duration("-PT0.0000001S").unwrap(), Fine { micros: -1, tail_picos: 900_000 });
}

#[test]
fn prints_read_back() {
    for text in
        ["2023-05-15T04:11:55.647Z", "0000-01-01T00:00:00Z", "10000-01-01T00:00:00Z", "1969-12-31T23:59:59.999999Z"]
    {
        assert_eq!(print_instant(instant(text).0.micros), text);
    }
    assert_eq!(print_instant(MIN_DATETIME_MICROS), "0001-01-01T00:00:00Z");
    assert_eq!(print_instant(MAX_DATETIME_MICROS), "9999-12-31T23:59:59.999999Z");
    assert_eq!(print_date(0), "1970-01-01");
    let Some(Lit::Time(leap)) = whole("23:59:60.5") else { panic!() };
    assert_eq!(print_time(leap.micros), "23:59:60.5");
}

#[test]
fn days_begin_where_the_zone_says() {
    let start = |text: &str, zone: Tz| {
        let Some(Lit::Date(days)) = whole(text) else { panic!() };
        start_of_day(days, zone).map(print_instant)
    };
    use chrono_tz::{America, Europe, Pacific, Tz, UTC};
    assert_eq!(start("2023-06-01", UTC).unwrap(), "2023-06-01T00:00:00Z");
    assert_eq!(start("2023-06-01", Europe::Berlin).unwrap(), "2023-05-31T22:00:00Z");
    assert_eq!(start("2018-11-04", America::Sao_Paulo).unwrap(), "2018-11-04T03:00:00Z", "midnight is skipped");
    assert_eq!(start("2022-11-06", America::Havana).unwrap(), "2022-11-06T04:00:00Z", "midnight comes twice");
    assert_eq!(start("2011-12-30", Pacific::Apia), start("2011-12-31", Pacific::Apia), "a day that was skipped");
    assert_eq!(start("9999-12-31", UTC).unwrap(), "9999-12-31T00:00:00Z");
    assert_eq!(start("0000-01-01", Europe::Berlin), Err(Outside));
}
