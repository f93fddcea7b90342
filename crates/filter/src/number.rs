//! Exact decimals of any size: literals and arithmetic.
//!
//! A number is an integer times a power of ten, kept without trailing zeros, so that equal numbers
//! are equal values. Nothing is ever rounded but where an operation says so, and nothing is
//! expanded that the result does not need: `1e999999999` costs as much as `1`.
//!
//! Arithmetic answers `None` on overflow: a result that needs more than [`DIGITS_MAX`] significant
//! digits, or lies beyond [`EXPONENT_MAX`].

use std::cmp::Ordering;
use std::fmt;

use num_bigint::BigInt;
use num_integer::Integer;
use num_traits::{Signed, ToPrimitive, Zero};

/// Significant digits that the result of an operation may need.
pub const DIGITS_MAX: u64 = 76;
/// The greatest power of ten that a result may be multiplied by, either way.
pub const EXPONENT_MAX: i64 = 1_000_000;
/// Decimals of a quotient.
pub const QUOTIENT_DECIMALS: i64 = 10;
/// Where the exponent of a literal is cut: far beyond every column and every result.
const EXPONENT_CUT: i64 = i64::MAX / 4;
/// Powers of ten that are ever written out: a literal has at most 1,024 digits.
const SHIFT_MAX: i64 = 2_200;

/// An exact decimal number, normalised: equal numbers are equal values.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Decimal {
    digits: Digits,
    exponent: i64,
}

/// The integer; `Big` only for what does not fit into `Small`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Digits {
    Small(i128),
    Big(Box<BigInt>),
}

/// A decimal as an integer scaled by 10^scale, as far as that goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scaled {
    /// Exactly this.
    Exact(i128),
    /// Strictly between this and the next integer.
    Between(i128),
    /// Greater than every i128.
    Above,
    /// Less than every i128.
    Below,
}

fn power(exponent: i64) -> BigInt {
    BigInt::from(10).pow(u32::try_from(exponent).expect("powers written out are small and not negative"))
}

fn small_power(exponent: i64) -> Option<i128> {
    (0..=38).contains(&exponent).then(|| 10_i128.pow(exponent as u32))
}

fn digit_count(value: &BigInt) -> u64 {
    if value.is_zero() { 1 } else { value.abs().to_string().len() as u64 }
}

/// `a / b` rounded to an integer, halves away from zero.
fn half_up(a: &BigInt, b: &BigInt) -> BigInt {
    let (quotient, remainder) = (a.abs()).div_rem(&b.abs());
    let up = BigInt::from(u8::from(remainder * 2 >= b.abs()));
    let magnitude = quotient + up;
    if a.is_negative() == b.is_negative() { magnitude } else { -magnitude }
}

impl Decimal {
    /// Zero.
    pub const ZERO: Self = Self { digits: Digits::Small(0), exponent: 0 };

    /// The number that `digits[.digits][e[+|-]digits]` writes, with an optional sign. An exponent
    /// beyond every use is cut. `None` if the text is not of that form.
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, text) = match text.as_bytes() {
            [b'-', ..] => (true, &text[1..]),
            [b'+', ..] => (false, &text[1..]),
            _ => (false, text),
        };
        let (mantissa, exponent) = match text.find(['e', 'E']) {
            Some(at) => (&text[..at], parse_exponent(&text[at + 1..])?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let plain = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !plain(whole) || !plain(fraction) || (mantissa.contains('.') && fraction.is_empty()) {
            return None;
        }
        let digits = [whole, fraction].concat();
        let digits = digits.trim_start_matches('0');
        let exponent = exponent.saturating_sub(fraction.len() as i64);
        let trimmed = digits.trim_end_matches('0');
        if trimmed.is_empty() {
            return Some(Self::ZERO);
        }
        // Cut again, so that what is printed reads back as the same number.
        let exponent =
            exponent.saturating_add((digits.len() - trimmed.len()) as i64).clamp(-EXPONENT_CUT, EXPONENT_CUT);
        let digits = match trimmed.parse::<i128>() {
            Ok(small) => Digits::Small(if negative { -small } else { small }),
            Err(_) => {
                let big: BigInt = trimmed.parse().ok()?;
                return Some(Self::from_big(if negative { -big } else { big }, exponent));
            }
        };
        Some(Self { digits, exponent })
    }

    /// The number `value` / 10^`scale`.
    pub fn from_scaled(value: i128, scale: u32) -> Self {
        Self::from_small(value, -i64::from(scale))
    }

    /// The integer `value`.
    pub fn from_integer(value: i64) -> Self {
        Self::from_small(i128::from(value), 0)
    }

    fn from_small(mut value: i128, mut exponent: i64) -> Self {
        if value == 0 {
            return Self::ZERO;
        }
        // Division of 64 bits is far cheaper, and nearly every amount fits.
        if let Ok(mut word) = i64::try_from(value) {
            while word % 10 == 0 {
                word /= 10;
                exponent += 1;
            }
            value = i128::from(word);
        } else {
            while value % 10 == 0 {
                value /= 10;
                exponent += 1;
            }
        }
        Self { digits: Digits::Small(value), exponent }
    }

    fn from_big(value: BigInt, exponent: i64) -> Self {
        if let Some(small) = value.to_i128() {
            return Self::from_small(small, exponent);
        }
        let text = value.to_string();
        let zeros = (text.len() - text.trim_end_matches('0').len()) as i64;
        let value = if zeros > 0 { value / power(zeros) } else { value };
        let exponent = exponent.saturating_add(zeros);
        match value.to_i128() {
            Some(small) => Self { digits: Digits::Small(small), exponent },
            None => Self { digits: Digits::Big(Box::new(value)), exponent },
        }
    }

    fn big(&self) -> BigInt {
        match &self.digits {
            Digits::Small(small) => BigInt::from(*small),
            Digits::Big(big) => (**big).clone(),
        }
    }

    fn significant_digits(&self) -> u64 {
        match &self.digits {
            Digits::Small(small) => u64::from(small.unsigned_abs().checked_ilog10().unwrap_or(0)) + 1,
            Digits::Big(big) => digit_count(big),
        }
    }

    /// Itself, unless it is an overflow.
    fn checked(self) -> Option<Self> {
        let fits = match &self.digits {
            Digits::Small(_) => true,
            Digits::Big(big) => digit_count(big) <= DIGITS_MAX,
        };
        (fits && self.exponent.abs() <= EXPONENT_MAX).then_some(self)
    }

    /// Whether it is zero.
    pub fn is_zero(&self) -> bool {
        self.digits == Digits::Small(0)
    }

    /// Whether it is below zero.
    pub fn is_negative(&self) -> bool {
        match &self.digits {
            Digits::Small(small) => *small < 0,
            Digits::Big(big) => big.is_negative(),
        }
    }

    /// Whether it is a whole number.
    pub fn is_whole(&self) -> bool {
        self.exponent >= 0
    }

    /// Its value, if it is a whole number that fits.
    pub fn to_i64(&self) -> Option<i64> {
        match self.scaled(0) {
            Scaled::Exact(value) => i64::try_from(value).ok(),
            _ => None,
        }
    }

    /// The number times 10^`scale`, compared with the integers.
    pub fn scaled(&self, scale: u32) -> Scaled {
        let beyond = if self.is_negative() { Scaled::Below } else { Scaled::Above };
        let shift = self.exponent.saturating_add(i64::from(scale));
        if self.is_zero() {
            return Scaled::Exact(0);
        }
        if shift >= 0 {
            return match &self.digits {
                Digits::Small(small) => {
                    small_power(shift).and_then(|p| small.checked_mul(p)).map_or(beyond, Scaled::Exact)
                }
                Digits::Big(_) => beyond,
            };
        }
        if shift.unsigned_abs() > self.significant_digits() {
            return Scaled::Between(if self.is_negative() { -1 } else { 0 });
        }
        // Without trailing zeros, so a division that shifts out digits always leaves a rest.
        let floor = self.big().div_floor(&power(-shift));
        floor.to_i128().map_or(beyond, Scaled::Between)
    }

    /// The number with the other sign.
    pub fn negate(&self) -> Self {
        match &self.digits {
            Digits::Small(small) => match small.checked_neg() {
                Some(small) => Self { digits: Digits::Small(small), exponent: self.exponent },
                None => Self::from_big(-self.big(), self.exponent),
            },
            Digits::Big(big) => Self::from_big(-(**big).clone(), self.exponent),
        }
    }

    /// The sum.
    pub fn add(&self, other: &Self) -> Option<Self> {
        if self.is_zero() {
            return other.clone().checked();
        }
        if other.is_zero() {
            return self.clone().checked();
        }
        let (high, low) = if self.exponent >= other.exponent { (self, other) } else { (other, self) };
        let shift = high.exponent.saturating_sub(low.exponent);
        if let (Digits::Small(a), Digits::Small(b), Some(p)) = (&high.digits, &low.digits, small_power(shift))
            && let Some(sum) = a.checked_mul(p).and_then(|a| a.checked_add(*b))
        {
            return Self::from_small(sum, low.exponent).checked();
        }
        // Far apart, both ends stay in the sum: more digits than any result may have.
        if shift > SHIFT_MAX {
            return None;
        }
        Self::from_big(high.big() * power(shift) + low.big(), low.exponent).checked()
    }

    /// The difference.
    pub fn sub(&self, other: &Self) -> Option<Self> {
        self.add(&other.negate())
    }

    /// The product.
    pub fn mul(&self, other: &Self) -> Option<Self> {
        let exponent = self.exponent.saturating_add(other.exponent);
        if let (Digits::Small(a), Digits::Small(b)) = (&self.digits, &other.digits)
            && let Some(product) = a.checked_mul(*b)
        {
            return Self::from_small(product, exponent).checked();
        }
        Self::from_big(self.big() * other.big(), exponent).checked()
    }

    /// The quotient, rounded at [`QUOTIENT_DECIMALS`] decimals, halves away from zero. `None` also
    /// for a division by zero.
    pub fn div(&self, other: &Self) -> Option<Self> {
        if other.is_zero() {
            return None;
        }
        let shift = self.exponent.saturating_sub(other.exponent).saturating_add(QUOTIENT_DECIMALS);
        let (mut a, mut b) = (self.big(), other.big());
        if shift > SHIFT_MAX {
            return if self.is_zero() { Some(Self::ZERO) } else { None };
        }
        if shift < -SHIFT_MAX {
            return Some(Self::ZERO);
        }
        if shift >= 0 {
            a *= power(shift);
        } else {
            b *= power(-shift);
        }
        Self::from_big(half_up(&a, &b), -QUOTIENT_DECIMALS).checked()
    }

    /// The quotient cut towards zero. `None` also for a division by zero.
    pub fn div_whole(&self, other: &Self) -> Option<Self> {
        let (a, b, _) = self.aligned(other)?;
        Self::from_big(a / b, 0).checked()
    }

    /// What is left of a division cut towards zero; it has the sign of `self`. `None` also for a
    /// division by zero.
    pub fn rem(&self, other: &Self) -> Option<Self> {
        let (a, b, exponent) = self.aligned(other)?;
        Self::from_big(a % b, exponent).checked()
    }

    /// Both as integers times the same power of ten; `None` if `other` is zero or they are too far
    /// apart.
    fn aligned(&self, other: &Self) -> Option<(BigInt, BigInt, i64)> {
        if other.is_zero() {
            return None;
        }
        if self.is_zero() {
            return Some((BigInt::zero(), other.big(), 0));
        }
        let exponent = self.exponent.min(other.exponent);
        let (up, down) = (self.exponent.saturating_sub(exponent), other.exponent.saturating_sub(exponent));
        if up > SHIFT_MAX || down > SHIFT_MAX {
            return None;
        }
        Some((self.big() * power(up), other.big() * power(down), exponent))
    }

    /// The nearest whole number, halves away from zero.
    pub fn round(&self) -> Option<Self> {
        self.whole(half_up)
    }

    /// The greatest whole number that is not above it.
    pub fn floor(&self) -> Option<Self> {
        self.whole(|a, b| a.div_floor(b))
    }

    /// The least whole number that is not below it.
    pub fn ceiling(&self) -> Option<Self> {
        self.whole(|a, b| -((-a).div_floor(b)))
    }

    fn whole(&self, divide: impl Fn(&BigInt, &BigInt) -> BigInt) -> Option<Self> {
        if self.is_whole() {
            return self.clone().checked();
        }
        // Below this a number is between -0.1 and 0.1 all the same.
        let shift = self.exponent.max(-(self.significant_digits() as i64) - 2);
        let value =
            if shift == self.exponent { self.big() } else { BigInt::from(if self.is_negative() { -1 } else { 1 }) };
        Self::from_big(divide(&value, &power(-shift)), 0).checked()
    }
}

fn parse_exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let magnitude = digits.parse::<i64>().unwrap_or(EXPONENT_CUT).min(EXPONENT_CUT);
    Some(if text.starts_with('-') { -magnitude } else { magnitude })
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let sign = |d: &Self| i8::from(!d.is_zero() && !d.is_negative()) - i8::from(d.is_negative());
        match sign(self).cmp(&sign(other)) {
            Ordering::Equal if self.is_zero() => return Ordering::Equal,
            Ordering::Equal => {}
            different => return different,
        }
        // Where the first digit stands decides before anything is written out.
        let top = |d: &Self| d.exponent.saturating_add(d.significant_digits() as i64);
        let by_top = top(self).cmp(&top(other));
        if by_top != Ordering::Equal {
            return if self.is_negative() { by_top.reverse() } else { by_top };
        }
        let low = self.exponent.min(other.exponent);
        let shift = |d: &Self| d.exponent - low;
        let small = |d: &Self| match &d.digits {
            Digits::Small(v) => small_power(shift(d)).and_then(|p| v.checked_mul(p)),
            Digits::Big(_) => None,
        };
        match (small(self), small(other)) {
            (Some(a), Some(b)) => a.cmp(&b),
            // Equal tops: the shift is at most the other's number of digits.
            _ => (self.big() * power(shift(self))).cmp(&(other.big() * power(shift(other)))),
        }
    }
}

/// Plain digits where they are few, otherwise with an exponent; parses back to the same number.
impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = match &self.digits {
            Digits::Small(small) => small.unsigned_abs().to_string(),
            Digits::Big(big) => big.abs().to_string(),
        };
        let sign = if self.is_negative() { "-" } else { "" };
        match self.exponent {
            0 => write!(f, "{sign}{digits}"),
            1..=40 => write!(f, "{sign}{digits}{}", "0".repeat(self.exponent as usize)),
            -40..0 => {
                let decimals = self.exponent.unsigned_abs() as usize;
                let digits = format!("{digits:0>width$}", width = decimals + 1);
                let (whole, fraction) = digits.split_at(digits.len() - decimals);
                write!(f, "{sign}{whole}.{fraction}")
            }
            exponent => write!(f, "{sign}{digits}e{exponent}"),
        }
    }
}

#[cfg(test)]
mod tests;
