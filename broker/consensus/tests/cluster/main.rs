//! Groups on one to four servers in one process: simulated disks, a simulated network, a paused
//! clock (but for `threads`). Every test ends by checking that no two replicas disagree and no term had two leaders.

mod damaged;
mod harness;
mod ledger;
mod local;
mod network;
mod random;
mod replicated;
mod snapshots;
mod threads;
