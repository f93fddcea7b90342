//! payouts
fn main(){}
