//! Whatever the counts, the codes are complete and within the limit: decoders refuse tables that
//! are not, and not all of them alike.

use proptest::prelude::*;

use super::*;

/// Sum of the shares of the code space that codes take; complete at `1 << 15`.
fn space<const N: usize>(codes: &Codes<N>) -> u32 {
    codes.entries.iter().filter(|e| e.length > 0).map(|e| 1 << (15 - e.length)).sum()
}

fn check<const N: usize>(counts: &[u32; N], length_max: u8) -> Codes<N> {
    let codes = Codes::of(counts, length_max);
    assert_eq!(space(&codes), 1 << 15, "complete: {counts:?}");
    for (symbol, (entry, &count)) in codes.entries.iter().zip(counts).enumerate() {
        assert!(entry.length <= length_max, "{symbol} has {} bits", entry.length);
        assert!(count == 0 || entry.length > 0, "{symbol} has no code");
    }
    for (a, entry) in codes.entries.iter().enumerate().filter(|(_, e)| e.length > 0) {
        let clash = codes.entries.iter().enumerate().find(|(b, other)| {
            let mask = ((1_u32 << entry.length) - 1) as u16;
            *b != a && other.length >= entry.length && other.code & mask == entry.code
        });
        assert_eq!(clash, None, "begins with the code of {a}");
    }
    codes
}

fn bits<const N: usize>(codes: &Codes<N>, counts: &[u32; N]) -> u64 {
    codes.entries.iter().zip(counts).map(|(e, &c)| u64::from(e.length) * u64::from(c)).sum()
}

/// Counts of every shape: many zeros, equal ones, ones that double, ones as large as they get.
fn counts<const N: usize>() -> impl Strategy<Value = [u32; N]> {
    let count = prop_oneof![
        3 => Just(0_u32),
        2 => 1..4_u32,
        2 => (0..31_u32).prop_map(|shift| 1 << shift),
        1 => 0..5000_u32,
    ];
    let any = prop::collection::vec(count, N).prop_map(|counts| counts.try_into().expect("N of them"));
    let few = (0..=N, 1..100_u32, 100..300_u32).prop_map(|(used, first, percent)| {
        let mut count = u64::from(first);
        std::array::from_fn(|symbol| {
            count = (count * u64::from(percent) / 100 + 1).min(u64::from(u32::MAX / 300));
            if symbol < used { count as u32 } else { 0 }
        })
    });
    prop_oneof![any, few]
}

proptest! {
    #[test]
    fn literal_codes_are_complete(counts in counts::<LITERAL_CODES>(), length_max in 9..=15_u8) {
        check(&counts, length_max);
    }

    #[test]
    fn distance_codes_are_complete(counts in counts::<DISTANCE_CODES>()) {
        check(&counts, 15);
    }

    #[test]
    fn codes_of_code_lengths_are_complete(counts in counts::<19>()) {
        check(&counts, 7);
    }

    /// The codes without a limit are the best ones; a limit of 14 costs next to nothing.
    #[test]
    fn a_limit_costs_little(counts in counts::<LITERAL_CODES>()) {
        let mut symbols: Vec<(u32, u16)> = (0..LITERAL_CODES as u16).map(|s| (counts[usize::from(s)], s)).filter(|(c, _)| *c > 0).collect();
        prop_assume!(symbols.len() >= 2);
        symbols.sort_unstable();
        let best: u64 = tree_lengths(&symbols).iter().zip(&symbols).map(|(l, (c, _))| u64::from(*l) * u64::from(*c)).sum();
        let limited = bits(&check(&counts, 14), &counts);
        prop_assert!(limited >= best && limited <= best + best / 20, "{limited} bits, {best} without a limit");
    }

    /// What a decoder makes of the runs is what went in.
    #[test]
    fn run_lengths_go_round(lengths in prop::collection::vec(prop_oneof![4 => Just(0_u8), 2 => Just(8), 1 => 0..16_u8], 0..320)) {
        let mut again: Vec<u8> = Vec::new();
        for (symbol, extra, extra_bits) in run_lengths(&lengths) {
            prop_assert!(u32::from(extra) < 1 << extra_bits);
            match (symbol, extra_bits) {
                (16, 2) => again.extend(vec![*again.last().expect("one to repeat"); usize::from(extra) + 3]),
                (17, 3) => again.extend(vec![0; usize::from(extra) + 3]),
                (18, 7) => again.extend(vec![0; usize::from(extra) + 11]),
                (length, 0) => again.push(length),
                other => prop_assert!(false, "{other:?}"),
            }
        }
        prop_assert_eq!(again, lengths);
    }
}
