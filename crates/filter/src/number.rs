//! Exact decimals of any size: literals and arithmetic.

/// An exact decimal number, normalised: equal numbers are equal values.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Decimal;

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

impl Decimal {
    /// The number times 10^`scale`, compared with the integers.
    pub fn scaled(&self, _scale: u32) -> Scaled {
        todo!()
    }
    /// The number `value` / 10^`scale`.
    pub fn from_scaled(_value: i128, _scale: u32) -> Self {
        todo!()
    }
}
