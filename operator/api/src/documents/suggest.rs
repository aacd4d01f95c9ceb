//! Guesses what a misspelt name was meant to be.

const DISTANCE_MAX: usize = 2;

/// `, did you mean "x"?` for the name that is closest, or nothing.
pub(super) fn did_you_mean<'a>(found: &str, known: impl Iterator<Item = &'a str>) -> String {
    let found = found.to_lowercase();
    let allowed = DISTANCE_MAX.min(found.chars().count() / 3 + 1);
    let closest = known
        .map(|name| (distance(&found, &name.to_lowercase()), name))
        .min()
        .filter(|(distance, _)| *distance <= allowed);
    match closest {
        Some((_, name)) => format!(", did you mean {name:?}?"),
        None => String::new(),
    }
}

/// How many letters must be added, removed or changed.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, letter) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, other) in to.iter().enumerate() {
            let change = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = change.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_name_is_suggested() {
        let known = ["maxAge", "maxBytes", "streams"];
        let check = |found: &str, hint: &str| {
            assert_eq!(did_you_mean(found, known.into_iter()), hint);
        };
        check("maxage", ", did you mean \"maxAge\"?");
        check("maxAges", ", did you mean \"maxAge\"?");
        check("maxBites", ", did you mean \"maxBytes\"?");
        check("stream", ", did you mean \"streams\"?");
        check("compression", "");
        check("", "");
    }
}
