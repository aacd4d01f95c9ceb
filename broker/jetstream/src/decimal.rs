//! Whole numbers of any size, as counters keep them.

use std::cmp::Ordering;
use std::fmt;

/// Most digits of a number that a message may carry; a header block can not hold many more.
pub const MAX_DIGITS: usize = 64 * 1024;

/// A whole number without a bound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Integer {
    /// False for zero.
    is_negative: bool,
    /// Decimal digits, the lowest first, without leading zeros; empty for zero.
    digits: Vec<u8>,
}

impl Integer {
    /// Reads digits with an optional sign; `None` for anything else.
    pub fn parse(text: &[u8]) -> Option<Integer> {
        let (is_negative, digits) = match text {
            [b'-', digits @ ..] => (true, digits),
            [b'+', digits @ ..] => (false, digits),
            digits => (false, digits),
        };
        if digits.is_empty() || digits.len() > MAX_DIGITS || !digits.iter().all(u8::is_ascii_digit)
        {
            return None;
        }
        let digits = digits.iter().rev().map(|digit| digit - b'0').collect();
        Some(Integer::of(is_negative, digits))
    }

    fn of(is_negative: bool, mut digits: Vec<u8>) -> Integer {
        let length = digits
            .iter()
            .rposition(|digit| *digit != 0)
            .map_or(0, |last| last + 1);
        digits.truncate(length);
        Integer {
            is_negative: is_negative && length > 0,
            digits,
        }
    }

    pub fn plus(&self, other: &Integer) -> Integer {
        if self.is_negative == other.is_negative {
            return Integer::of(self.is_negative, sum(&self.digits, &other.digits));
        }
        match compare(&self.digits, &other.digits) {
            Ordering::Less => {
                Integer::of(other.is_negative, difference(&other.digits, &self.digits))
            }
            _ => Integer::of(self.is_negative, difference(&self.digits, &other.digits)),
        }
    }

    pub fn minus(&self, other: &Integer) -> Integer {
        self.plus(&Integer::of(!other.is_negative, other.digits.clone()))
    }
}

impl fmt::Display for Integer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.digits.iter().rev();
        let text: String = digits.map(|digit| char::from(b'0' + digit)).collect();
        f.pad_integral(
            !self.is_negative,
            "",
            if text.is_empty() { "0" } else { &text },
        )
    }
}

fn compare(a: &[u8], b: &[u8]) -> Ordering {
    a.len()
        .cmp(&b.len())
        .then_with(|| a.iter().rev().cmp(b.iter().rev()))
}

fn sum(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut carry = 0;
    let mut digits: Vec<u8> = (0..a.len().max(b.len()))
        .map(|at| {
            let digit = digit_at(a, at) + digit_at(b, at) + carry;
            carry = digit / 10;
            digit % 10
        })
        .collect();
    digits.push(carry);
    digits
}

/// `a - b`, where `a` is not the smaller one.
fn difference(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut borrow = 0;
    (0..a.len())
        .map(|at| {
            let (digit, taken) = (digit_at(a, at), digit_at(b, at) + borrow);
            borrow = u8::from(digit < taken);
            digit + 10 * borrow - taken
        })
        .collect()
}

fn digit_at(digits: &[u8], at: usize) -> u8 {
    digits.get(at).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn integer(text: &str) -> Integer {
        Integer::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn numbers_come_with_an_optional_sign() {
        for (text, expected) in [("5", "5"), ("+05", "5"), ("-0001", "-1"), ("-0", "0")] {
            assert_eq!(integer(text).to_string(), expected);
        }
        for text in ["", "-", "+", " 7", "1.5", "abc", "--1"] {
            assert_eq!(Integer::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn they_have_no_bound() {
        let nines = integer(&"9".repeat(40));
        assert_eq!(
            nines.plus(&integer("1")).to_string(),
            format!("1{}", "0".repeat(40))
        );
    }

    proptest! {
        #[test]
        fn they_add_and_subtract(a in any::<i64>(), b in any::<i64>()) {
            let (x, y) = (integer(&a.to_string()), integer(&b.to_string()));
            let (a, b) = (i128::from(a), i128::from(b));
            prop_assert_eq!(x.plus(&y).to_string(), (a + b).to_string());
            prop_assert_eq!(x.minus(&y).to_string(), (a - b).to_string());
        }
    }
}
