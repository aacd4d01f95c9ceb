//! How many TLS handshakes a second may begin: they are what costs a server most per connection.

use std::time::Instant;

use parking_lot::Mutex;

/// The length of one window, in milliseconds.
const WINDOW_MS: u64 = 1000;

/// Counts the handshakes of the present second.
pub(crate) struct HandshakeRate {
    started: Instant,
    window: Mutex<Window>,
}

#[derive(Default)]
struct Window {
    /// When the window ends; the first begins with the first handshake.
    end_ms: u64,
    begun: u64,
    /// Handshakes that were refused and that nobody has been told of.
    refused: u64,
}

impl HandshakeRate {
    pub fn new() -> HandshakeRate {
        HandshakeRate {
            started: Instant::now(),
            window: Mutex::default(),
        }
    }

    /// Whether one more handshake may begin now.
    pub fn allows(&self, limit: u64) -> bool {
        let now_ms = self.started.elapsed().as_millis() as u64;
        self.window.lock().allows(limit, now_ms)
    }

    /// How many were refused since the last call.
    pub fn take_refused(&self) -> u64 {
        std::mem::take(&mut self.window.lock().refused)
    }
}

impl Window {
    fn allows(&mut self, limit: u64, now_ms: u64) -> bool {
        if now_ms >= self.end_ms {
            self.begun = 0;
            self.end_ms = now_ms + WINDOW_MS;
        }
        let allowed = self.begun < limit;
        match allowed {
            true => self.begun += 1,
            false => self.refused += 1,
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_second_has_room_for_so_many() {
        let mut window = Window::default();
        let allowed = |window: &mut Window, at_ms| window.allows(2, at_ms);
        assert!(allowed(&mut window, 5000) && allowed(&mut window, 5400));
        assert!(!allowed(&mut window, 5401) && !allowed(&mut window, 5999));
        assert!(allowed(&mut window, 6000) && allowed(&mut window, 6001));
        assert!(!allowed(&mut window, 6002));
        assert_eq!(window.refused, 3);
    }
}
