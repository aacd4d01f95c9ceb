//! Connections that are kept for as long as they are used.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::broker::RequestError;

/// Connections of one cluster, beyond which the one that was not used for longest is closed.
const MAX_CONNECTIONS: usize = 64;
/// Longer than the time between two comparisons of servers with resources.
const IDLE_AFTER: Duration = Duration::from_secs(300);
/// How long everybody hears of a failure before the next attempt: many ask at the same time.
const FAILURE_HOLDS: Duration = Duration::from_secs(2);

/// Connections by the id of their caller.
pub(super) struct Pool<Client> {
    slots: Mutex<HashMap<String, Slot<Client>>>,
}

struct Slot<Client> {
    /// Held while connecting: the others wait for the outcome instead of connecting too.
    place: Arc<tokio::sync::Mutex<Place<Client>>>,
    used: Instant,
}

enum Place<Client> {
    Empty,
    Connected(Client),
    Failed { error: RequestError, at: Instant },
}

impl<Client> Default for Pool<Client> {
    fn default() -> Pool<Client> {
        Pool {
            slots: Mutex::new(HashMap::new()),
        }
    }
}

impl<Client: Clone> Pool<Client> {
    /// The connection of a caller, made if there is none.
    pub(super) async fn get(
        &self,
        id: &str,
        connect: impl Future<Output = Result<Client, RequestError>>,
    ) -> Result<Client, RequestError> {
        let place = self.place(id);
        let mut place = place.lock().await;
        match &*place {
            Place::Connected(client) => return Ok(client.clone()),
            Place::Failed { error, at } if at.elapsed() < FAILURE_HOLDS => {
                return Err(error.clone());
            }
            Place::Empty | Place::Failed { .. } => {}
        }
        let connected = connect.await;
        *place = match &connected {
            Ok(client) => Place::Connected(client.clone()),
            Err(error) => Place::Failed {
                error: error.clone(),
                at: Instant::now(),
            },
        };
        connected
    }

    pub(super) fn remove(&self, id: &str) {
        self.slots.lock().remove(id);
    }

    fn place(&self, id: &str) -> Arc<tokio::sync::Mutex<Place<Client>>> {
        let now = Instant::now();
        let mut slots = self.slots.lock();
        slots.retain(|_, slot| now.duration_since(slot.used) < IDLE_AFTER);
        if slots.len() >= MAX_CONNECTIONS && !slots.contains_key(id) {
            let oldest = slots.iter().min_by_key(|(_, slot)| slot.used);
            let oldest = oldest.map(|(id, _)| id.clone());
            oldest.and_then(|oldest| slots.remove(&oldest));
        }
        let slot = slots.entry(id.to_owned()).or_insert_with(|| Slot {
            place: Arc::new(tokio::sync::Mutex::new(Place::Empty)),
            used: now,
        });
        slot.used = now;
        Arc::clone(&slot.place)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn connections_are_shared_bounded_and_closed_when_unused() {
        let pool: Pool<Arc<()>> = Pool::default();
        let made = AtomicUsize::new(0);
        let get = async |id: String| {
            let connect = async {
                made.fetch_add(1, Ordering::Relaxed);
                Ok(Arc::new(()))
            };
            pool.get(&id, connect).await.expect("it connects")
        };
        let first = get("a".to_owned()).await;
        get("a".to_owned()).await;
        assert_eq!(made.load(Ordering::Relaxed), 1);
        for number in 0..MAX_CONNECTIONS {
            tokio::time::advance(Duration::from_millis(1)).await;
            get(number.to_string()).await;
        }
        assert_eq!(Arc::strong_count(&first), 1, "the oldest is closed");
        assert_eq!(pool.slots.lock().len(), MAX_CONNECTIONS);
        tokio::time::advance(IDLE_AFTER).await;
        get("b".to_owned()).await;
        assert_eq!(pool.slots.lock().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_told_to_all_who_ask_soon() {
        let pool: Pool<()> = Pool::default();
        let made = AtomicUsize::new(0);
        let get = async || {
            let connect = async {
                made.fetch_add(1, Ordering::Relaxed);
                Err(RequestError::NotReachable("refused".to_owned()))
            };
            pool.get("a", connect).await.expect_err("it fails")
        };
        get().await;
        get().await;
        assert_eq!(made.load(Ordering::Relaxed), 1);
        tokio::time::advance(FAILURE_HOLDS).await;
        get().await;
        assert_eq!(made.load(Ordering::Relaxed), 2);
    }
}
