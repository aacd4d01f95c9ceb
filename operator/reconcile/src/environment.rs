//! Time and randomness.

use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;

/// The clock, and a secure source of random bytes. Cheap to clone.
#[derive(Clone)]
pub struct Environment {
    now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    entropy: Arc<dyn Fn() -> [u8; 32] + Send + Sync>,
}

impl Environment {
    /// Those of the operating system.
    pub fn system() -> Environment {
        Environment::new(Timestamp::now, rand::random)
    }

    pub fn new(
        now: impl Fn() -> Timestamp + Send + Sync + 'static,
        entropy: impl Fn() -> [u8; 32] + Send + Sync + 'static,
    ) -> Environment {
        Environment {
            now: Arc::new(now),
            entropy: Arc::new(entropy),
        }
    }

    pub fn now(&self) -> Timestamp {
        (self.now)()
    }

    pub(crate) fn entropy(&self) -> [u8; 32] {
        (self.entropy)()
    }
}
