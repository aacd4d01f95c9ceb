//! What settings must know of subjects: whether they are well formed, and which cover which.

/// Tokens are separated by dots and not empty, hold no white space, and `>` is the last.
pub fn is_valid(subject: &str) -> bool {
    let mut tokens = subject.split('.').peekable();
    while let Some(token) = tokens.next() {
        let is_last = tokens.peek().is_none();
        let has_space = token.contains([' ', '\t', '\n', '\r', '\u{c}']);
        if token.is_empty() || has_space || (token == ">" && !is_last) {
            return false;
        }
    }
    true
}

/// Whether a message could be published to it: valid and without wildcards.
pub fn is_literal(subject: &str) -> bool {
    is_valid(subject) && subject.split('.').all(|token| token != "*" && token != ">")
}

/// Whether everything `subject` matches is also matched by `filter`.
pub fn covers(filter: &str, subject: &str) -> bool {
    let mut filter = filter.split('.');
    let mut subject = subject.split('.');
    loop {
        match (filter.next(), subject.next()) {
            (None, None) => return true,
            (Some(">"), Some(_)) => return true,
            (Some("*"), Some(token)) if token != ">" => {}
            (Some(wanted), Some(token)) if wanted == token => {}
            _ => return false,
        }
    }
}

/// Whether some message matches both.
pub fn overlap(one: &str, other: &str) -> bool {
    let mut one = one.split('.');
    let mut other = other.split('.');
    loop {
        match (one.next(), other.next()) {
            (None, None) => return true,
            (Some(">"), Some(_)) | (Some(_), Some(">")) => return true,
            (Some(a), Some(b)) if a == b || a == "*" || b == "*" => {}
            _ => return false,
        }
    }
}

/// A subject a user may have permissions for, or for subscriptions `subject queue`.
pub fn check_permission(text: &str, queues: bool) -> Result<(), String> {
    if is_valid(text) {
        return Ok(());
    }
    let mut fields = text.split_whitespace();
    match (fields.next(), fields.next(), fields.next()) {
        (Some(subject), Some(queue), None) if queues => {
            if !is_valid(subject) {
                return Err(format!("subject {subject:?} is not a valid subject"));
            }
            if !is_valid(queue) {
                return Err(format!("queue {queue:?} is not a valid queue"));
            }
            Ok(())
        }
        _ => Err(format!("subject {text:?} is not a valid subject")),
    }
}
