//! Errors in words for people: logs, conditions and Events.

use std::error::Error;

/// An error with what caused it. Of the API server's answers only the sentence is told.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(kube::Error::Api(status)) = error.downcast_ref::<kube::Error>() {
            texts.push(status.message.clone());
            break;
        }
        let text = error.to_string();
        // Transparent errors repeat the text of their cause.
        if texts.last().is_none_or(|last| !last.ends_with(&text)) {
            texts.push(text);
        }
        next = error.source();
    }
    texts.join(": ")
}

#[cfg(test)]
mod tests {
    use super::chain;

    #[derive(Debug, thiserror::Error)]
    enum Outer {
        #[error("applying")]
        Apply(#[source] kube::Error),
        #[error(transparent)]
        Same(#[from] std::io::Error),
    }

    #[test]
    fn causes_are_told_once_and_answers_in_their_own_words() {
        let status = kube::core::Status::failure("port 1 is taken", "Invalid").with_code(422);
        let refused = Outer::Apply(kube::Error::Api(status.boxed()));
        assert_eq!(chain(&refused), "applying: port 1 is taken");
        let same = Outer::Same(std::io::Error::other("disk full"));
        assert_eq!(chain(&same), "disk full");
    }
}
