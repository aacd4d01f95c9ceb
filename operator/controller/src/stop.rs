//! Telling every task that the program ends.

use tokio::sync::watch;

/// Says when to stop. Cheap to clone.
#[derive(Clone)]
pub struct Stop(watch::Receiver<bool>);

/// Makes all its [`Stop`]s stop.
pub struct Stopper(watch::Sender<bool>);

pub fn channel() -> (Stopper, Stop) {
    let (sender, receiver) = watch::channel(false);
    (Stopper(sender), Stop(receiver))
}

impl Stop {
    /// Resolves when it is time, also when the [`Stopper`] is gone.
    pub async fn wait(mut self) {
        // An error means that nobody can say it any more.
        self.0.wait_for(|stop| *stop).await.ok();
    }
}

impl Stopper {
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}
