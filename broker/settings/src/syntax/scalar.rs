//! Values that are neither blocks nor arrays.

use super::{Parser, is_blank};
use crate::Problem;
use crate::value::Value;

impl Parser<'_, '_> {
    pub(super) fn scalar(&mut self) -> Result<Value, Problem> {
        match self.cursor.peek() {
            Some('\'') => self.raw_string(),
            Some('"') => self.escaped_string(),
            Some('(') => self.block_string(),
            Some('.') => Err(self.problem("floats must start with a digit")),
            Some('-') => self.negative_number(),
            Some(c) if c.is_ascii_digit() => self.digits_first(),
            _ => self.bare_word(),
        }
    }

    /// A number, or a date, an address or a word that starts as one.
    fn digits_first(&mut self) -> Result<Value, Problem> {
        let position = self.position();
        let rest = self.cursor.rest();
        let digits = leading(rest, |c| c.is_ascii_digit());
        match rest.get(digits..).and_then(|rest| rest.chars().next()) {
            Some('-') => self.datetime(),
            Some('.') => self.float_or_address(),
            Some(c) if is_size_suffix(c) && !self.whole_token_is_size(digits) => {
                self.word_after_digits()
            }
            Some(c) if !ends_number(c) && !is_size_suffix(c) => self.word_after_digits(),
            _ => {
                let token = self.cursor.take_while(|c| c.is_ascii_alphanumeric());
                integer(token)
                    .map(Value::Integer)
                    .map_err(|reason| Problem::at(&position, reason))
            }
        }
    }

    /// Whether digits, a size letter and any of `b` and `i` make up the whole token.
    fn whole_token_is_size(&self, digits: usize) -> bool {
        let rest = self.cursor.rest();
        let letters = rest.get(digits + 1..).unwrap_or_default();
        let length = leading(letters, |c| matches!(c, 'b' | 'B' | 'i' | 'I'));
        letters
            .get(length..)
            .and_then(|rest| rest.chars().next())
            .is_none_or(ends_number)
    }

    fn negative_number(&mut self) -> Result<Value, Problem> {
        let position = self.position();
        let rest = self.cursor.rest();
        let digits = leading(rest.get(1..).unwrap_or_default(), |c| c.is_ascii_digit());
        if digits == 0 {
            return Err(self.problem("expected a digit after '-'; put strings in quotes"));
        }
        let number = rest.get(..=digits).unwrap_or_default();
        let result = match rest.get(digits + 1..).and_then(|rest| rest.chars().next()) {
            Some('.') => return self.float_or_address(),
            Some(c) if is_size_suffix(c) => {
                let token = leading(rest, |c| c == '-' || c.is_ascii_alphanumeric());
                let token = rest.get(..token).unwrap_or_default();
                self.cursor.skip_bytes(token.len());
                integer(token)
            }
            _ => {
                self.cursor.skip_bytes(number.len());
                integer(number)
            }
        };
        result
            .map(Value::Integer)
            .map_err(|reason| Problem::at(&position, reason))
    }

    fn float_or_address(&mut self) -> Result<Value, Problem> {
        let position = self.position();
        let rest = self.cursor.rest();
        let token = leading(rest, |c| c.is_ascii_digit() || matches!(c, '.' | ':' | '-'));
        let token = rest.get(..token).unwrap_or_default();
        if token.matches('.').count() > 1 {
            self.cursor.skip_bytes(token.len());
            return Ok(Value::String(token.to_owned()));
        }
        let number = leading(rest, |c| c.is_ascii_digit() || matches!(c, '.' | '-'));
        let number = rest.get(..number).unwrap_or_default();
        if number.ends_with('.') {
            return Err(Problem::at(
                &position,
                "floats must have a digit after the '.'",
            ));
        }
        let float: f64 = number
            .parse()
            .map_err(|_| Problem::at(&position, format!("expected float, but got {number:?}")))?;
        self.cursor.skip_bytes(number.len());
        Ok(Value::Float(float))
    }

    fn datetime(&mut self) -> Result<Value, Problem> {
        let rest = self.cursor.rest();
        let token = leading(rest, |c| c.is_ascii_alphanumeric() || c == '-' || c == ':');
        let token = rest.get(..token).unwrap_or_default();
        if !is_zulu_datetime(token) {
            return Err(self.problem(format!(
                "expected a date like 2006-01-02T15:04:05Z, but got {token:?}; put strings in quotes"
            )));
        }
        self.cursor.skip_bytes(token.len());
        Ok(Value::Datetime(token.to_owned()))
    }
}

/// Bytes at the start of `text` that are `wanted`.
fn leading(text: &str, wanted: impl Fn(char) -> bool) -> usize {
    text.find(|c| !wanted(c)).unwrap_or(text.len())
}

fn ends_number(c: char) -> bool {
    is_blank(c) || matches!(c, '\n' | '\r' | ']' | '}' | ';' | ',')
}

fn is_size_suffix(c: char) -> bool {
    matches!(c.to_ascii_lowercase(), 'k' | 'm' | 'g' | 't' | 'p' | 'e')
}

/// Reads digits with an optional size suffix: `k` is 1000, `kb`, `ki` and `kib` are 1024.
fn integer(token: &str) -> Result<i64, String> {
    let length = leading(token, |c| c == '-' || c.is_ascii_digit());
    let (digits, suffix) = token.split_at_checked(length).unwrap_or((token, ""));
    let out_of_range = || format!("integer '{token}' is out of the range");
    let number: i64 = digits.parse().map_err(|_| out_of_range())?;
    let suffix = suffix.to_ascii_lowercase();
    let mut letters = suffix.chars();
    let Some(letter) = letters.next() else {
        return Ok(number);
    };
    let base: i64 = match letters.as_str() {
        "" => 1000,
        "b" | "i" | "ib" => 1024,
        _ => {
            return Err(format!(
                "unknown size suffix {suffix:?}, expected one like k, kb or kib"
            ));
        }
    };
    let exponent = match letter {
        'k' => 1,
        'm' => 2,
        'g' => 3,
        't' => 4,
        'p' => 5,
        _ => 6,
    };
    base.checked_pow(exponent)
        .and_then(|unit| number.checked_mul(unit))
        .ok_or_else(out_of_range)
}

fn is_zulu_datetime(text: &str) -> bool {
    const SHAPE: &str = "0000-00-00T00:00:00Z";
    let shaped = text.len() == SHAPE.len()
        && text
            .chars()
            .zip(SHAPE.chars())
            .all(|(c, shape)| match shape {
                '0' => c.is_ascii_digit(),
                _ => c == shape,
            });
    let number = |from: usize, to: usize| -> u32 {
        text.get(from..to)
            .and_then(|digits| digits.parse().ok())
            .unwrap_or(u32::MAX)
    };
    shaped
        && (1..=12).contains(&number(5, 7))
        && (1..=days_in_month(number(0, 4), number(5, 7))).contains(&number(8, 10))
        && number(11, 13) < 24
        && number(14, 16) < 60
        && number(17, 19) < 60
}

fn days_in_month(year: u32, month: u32) -> u32 {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}
