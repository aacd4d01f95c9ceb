//! Runs machine calls that may take long where the options say.

use crate::{Blocking, MachineError};

/// Runs `call` inline or on the pool of blocking threads, and waits for it.
pub(crate) async fn run<T: Send + 'static>(
    mode: Blocking,
    call: impl FnOnce() -> Result<T, MachineError> + Send + 'static,
) -> Result<T, MachineError> {
    match mode {
        Blocking::Inline => call(),
        Blocking::Threads => match tokio::task::spawn_blocking(call).await {
            Ok(result) => result,
            Err(error) => Err(MachineError::new(error)),
        },
    }
}
