//! Amounts in the notation of Kubernetes, as far as comparing them needs it.

const DECIMAL: [(&str, f64); 9] = [
    ("n", 1e-9),
    ("u", 1e-6),
    ("m", 1e-3),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
    ("E", 1e18),
];
const BINARY: [&str; 6] = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

/// The number that a text stands for.
pub fn parse(text: &str) -> Option<f64> {
    let (digits, factor) = split(text);
    let is_plain = digits
        .chars()
        .all(|c| c.is_ascii_digit() || matches!(c, '.' | '+' | '-' | 'e' | 'E'));
    let number: f64 = digits.parse().ok().filter(|_| is_plain)?;
    Some(number * factor).filter(|amount| amount.is_finite() && *amount >= 0.0)
}

fn split(text: &str) -> (&str, f64) {
    for (power, suffix) in (1..).zip(BINARY) {
        if let Some(digits) = text.strip_suffix(suffix) {
            return (digits, 1024f64.powi(power));
        }
    }
    for (suffix, factor) in DECIMAL {
        if let Some(digits) = text.strip_suffix(suffix) {
            return (digits, factor);
        }
    }
    (text, 1.0)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn amounts_are_read() {
        assert_eq!(parse("500m"), Some(0.5));
        assert_eq!(parse("2"), Some(2.0));
        assert_eq!(parse("1Gi"), parse("1024Mi"));
        assert_eq!(parse("1e3"), Some(1000.0));
        assert_eq!(parse("1.5k"), Some(1500.0));
        for wrong in ["", "abc", "1 Gi", "-1", "inf", "1Xi", "nan"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
