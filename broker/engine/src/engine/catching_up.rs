//! Whether this server's copy of the meta state is as new as the cluster's was when first asked.
//!
//! A replica of the meta group that joined anew begins with nothing, and one that was down for long
//! with what it last knew. What is not in its state yet cannot be told from what does not exist.

use std::time::Duration;

use super::Engine;
use crate::peer::Question;

const ASK_TIMEOUT: Duration = Duration::from_secs(1);

/// How far the meta state has to get, once that is known.
#[derive(Debug, Default)]
pub(super) struct CatchingUp {
    target: Option<u64>,
}

impl CatchingUp {
    /// Whether everything is applied here that was committed when the leader was first reached.
    pub(super) async fn is_done(&mut self, engine: &Engine) -> bool {
        if self.target.is_none() {
            self.target = ask(engine).await;
        }
        let applied = engine.meta().group().map(|group| group.applied_index());
        self.target.is_some() && applied >= self.target
    }
}

/// The index that the meta leader has committed up to, or beyond.
async fn ask(engine: &Engine) -> Option<u64> {
    let leader = engine.shared.meta_leader()?;
    if leader == engine.env().node() {
        return read_index(engine);
    }
    let question = Question::MetaIndex.encode();
    let peers = &engine.env().peers;
    let answer = peers.call(leader, question, ASK_TIMEOUT).await?;
    serde_json::from_slice(&answer).ok()?
}

/// On the meta leader: the end of its log; `None` if it may have been replaced already.
pub(super) fn read_index(engine: &Engine) -> Option<u64> {
    let group = engine.meta().group()?;
    let is_sure = engine.meta().is_leader() && group.hears_majority()?;
    is_sure.then(|| group.applied_index() + group.commit_lag())
}
