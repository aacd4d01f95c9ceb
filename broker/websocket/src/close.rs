//! Why a WebSocket connection ends (RFC 6455, section 7.4).

/// The codes a server sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseCode {
    Normal,
    GoingAway,
    ProtocolError,
    /// Data of a kind that it claims to be and is not: a reason that is no UTF-8, a broken
    /// compression.
    InvalidData,
    PolicyViolation,
    MessageTooBig,
    InternalError,
}

impl CloseCode {
    pub fn number(self) -> u16 {
        match self {
            CloseCode::Normal => 1000,
            CloseCode::GoingAway => 1001,
            CloseCode::ProtocolError => 1002,
            CloseCode::InvalidData => 1007,
            CloseCode::PolicyViolation => 1008,
            CloseCode::MessageTooBig => 1009,
            CloseCode::InternalError => 1011,
        }
    }
}

/// Whether a peer may send this number. Those left out are reserved or unassigned.
pub(crate) fn may_be_received(number: u16) -> bool {
    matches!(number, 1000..=1003 | 1007..=1014 | 3000..=4999)
}
