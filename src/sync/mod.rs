//! Replication (L3): the only module that knows both pfsync and the state table.
//!
//! ```text
//!   packets --> lane --> Exporter: inserted, updated, removed     frames --> Importer: check, decode, validate
//!                          | send queues: at most one per state               | Message
//!                          v                                                  v
//!                        flush --> IP packets, one peer each          apply: table, merge, answers --> Exporter
//!
//!   Requester requests all states; Responder answers with a walk on every lane; Directory finds the lane of an id
//! ```
//!
//! `export/` sends a lane's changes, `import/` receives those of peers, `bulk/` transfers all states, `stream/` and `repair/`
//! find and repair what is lost between pfplane nodes, `equality/` shows that they hold the same; what they share is here.
//! Every lane has one [`Exporter`]. The sync lane also has the [`Importer`] with its [`Requester`], the [`Responder`] and, with
//! more than one lane, the [`Directory`].
//!
//! Nothing here does I/O, reads a clock, or allocates after creation. What does not fit is counted and repaired by later
//! traffic; nothing waits for ever. Where the systems differ, the rules are those of OpenBSD 7.4 and later; their known
//! defects are named where they are avoided.

mod bulk;
mod counters;
mod ends;
mod equality;
mod export;
#[cfg(test)]
mod fixture;
mod host_store;
mod import;
mod interfaces;
mod message;
mod readiness;
mod repair;
mod replica;
mod seal;
mod settings;
mod store;
mod stream;
mod translate;

pub use bulk::{Ending, LastBulk, Phase, Requester, Responder, WalkOrder};
pub use counters::{PeerCounters, SyncCounters};
pub use ends::{Ends, ID_COUNTER, Ids, distance, lifted_above};
pub use equality::{Answer, Equality, Origin, Question};
pub use export::{
    Exporter, Exposure, Flushed, HELLO_BYTES, HELLO_GROUP, HelloBytes, NotHeld, RefusedImports, Removal,
};
pub use host_store::{HostInsertError, HostTable};
pub use import::{
    Applied, Arrival, Directory, ImportCounters, Importer, Refused, SilentPeers, StaleSides, apply,
};
pub use interfaces::InterfacePair;
pub use message::{Body, Message, MessageRef, MessageSink, PeerIndex, Target};
pub use readiness::{
    Events, Inputs, MAX_PAUSE_HOLD, Readiness, ReadinessMonitor, ReadyClass, Reasons, Refusals,
};
pub use replica::{Replica, WrongIndex};
pub use seal::Seals;
pub use settings::{
    Defer, Filter, GracePolicy, MAX_PEERS, MAX_SOURCES, PF_DELAY, PeerSeal, PeerSettings, RetryPolicy,
    SyncSettings, Tuning, UnsealedRights,
};
pub use store::Store;
pub use stream::Numbers;
pub(crate) use translate::add_extra;
pub use translate::{Clock, creation_of, full_state, key_of, record_of, to_native};
