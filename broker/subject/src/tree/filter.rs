//! A filter fed with a literal subject piece by piece.

/// A filter fed with a literal subject piece by piece. Wildcards stand for whole tokens, so one
/// position in the filter is all there is to remember.
pub(super) struct Filter<B> {
    text: B,
}

/// How far a literal agrees with the filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Everything before this byte of the filter. While it is a `*`, its token may go on.
    At(usize),
    /// A final `>` was reached: whatever follows matches.
    Matched,
}

/// What the next byte of the literal may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    Anything,
    Byte(u8),
    End,
}

impl<B: AsRef<[u8]>> Filter<B> {
    pub(super) fn new(text: B) -> Filter<B> {
        Filter { text }
    }

    pub(super) fn start(&self) -> Progress {
        self.settle(0)
    }

    /// The progress after a further piece of the literal; `None` when it cannot match any more.
    #[inline]
    pub(super) fn advance(&self, progress: Progress, piece: &[u8]) -> Option<Progress> {
        let text = self.text.as_ref();
        let mut progress = progress;
        for byte in piece {
            let Progress::At(at) = progress else {
                return Some(Progress::Matched);
            };
            progress = if !self.is_star(at) {
                if text.get(at) != Some(byte) {
                    return None;
                }
                self.settle(at + 1)
            } else if *byte != b'.' {
                progress
            } else if at + 1 < text.len() {
                self.settle(at + 2)
            } else {
                return None;
            };
        }
        Some(progress)
    }

    /// Whether a literal that ends here matches.
    pub(super) fn accepts(&self, progress: Progress) -> bool {
        match progress {
            Progress::Matched => true,
            Progress::At(at) => {
                let end = self.text.as_ref().len();
                at == end || (at + 1 == end && self.is_star(at))
            }
        }
    }

    pub(super) fn expected(&self, progress: Progress) -> Expected {
        let Progress::At(at) = progress else {
            return Expected::Anything;
        };
        if self.is_star(at) {
            return Expected::Anything;
        }
        match self.text.as_ref().get(at) {
            Some(byte) => Expected::Byte(*byte),
            None => Expected::End,
        }
    }

    fn settle(&self, at: usize) -> Progress {
        let text = self.text.as_ref();
        let is_rest = at + 1 == text.len() && text[at] == b'>' && self.starts_token(at);
        if is_rest {
            Progress::Matched
        } else {
            Progress::At(at)
        }
    }

    #[inline]
    fn is_star(&self, at: usize) -> bool {
        let text = self.text.as_ref();
        text.get(at) == Some(&b'*')
            && self.starts_token(at)
            && text.get(at + 1).is_none_or(|next| *next == b'.')
    }

    fn starts_token(&self, at: usize) -> bool {
        at == 0 || self.text.as_ref()[at - 1] == b'.'
    }
}
