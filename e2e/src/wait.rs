//! Waiting for something to become true, with a deadline.

use std::fmt::Debug;
use std::time::{Duration, Instant};

/// How long anything may take on a busy machine before a test gives up.
pub const DEADLINE: Duration = Duration::from_secs(60);
/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// Looks until `look` finds something. Panics with `what` and the last failure after [`DEADLINE`].
pub async fn until<T, E: Debug>(what: &str, look: impl AsyncFnMut() -> Result<T, E>) -> T {
    within(DEADLINE, LOOK_EVERY, what, look).await
}

/// The same with another deadline and another time between two looks.
pub async fn within<T, E: Debug>(
    deadline: Duration,
    look_every: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Result<T, E>,
) -> T {
    let start = Instant::now();
    let mut failure = "no answer".to_owned();
    loop {
        let left = deadline.saturating_sub(start.elapsed());
        match tokio::time::timeout(left, look()).await {
            Ok(Ok(found)) => return found,
            Ok(Err(error)) => failure = format!("{error:?}"),
            Err(_) => {}
        }
        let waited = start.elapsed();
        assert!(waited < deadline, "{what}: {failure} after {waited:?}");
        tokio::time::sleep(look_every).await;
    }
}

/// A duration of a test that runs under load, multiplied by the variable `WEIR_E2E_SCALE`
/// (a number, 1 unless set), for longer runs than every landing can wait for.
pub fn scaled(duration: Duration) -> Duration {
    let scale = std::env::var("WEIR_E2E_SCALE")
        .ok()
        .map(|scale| scale.parse().expect("WEIR_E2E_SCALE is a number"));
    duration.mul_f64(scale.unwrap_or(1.0))
}
