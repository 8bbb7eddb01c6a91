//! Scenarios of two or three nodes: what one accepted the other continues, whatever the link does and whoever is killed.
//! A failing test prints its seed.

mod bulk;
mod cluster;
mod elections;
mod ends;
mod link;
mod malformed;
mod takeover;

use cluster::{Cluster, LANES, OPENBSD, config};
use pfplane::internals::engine::Config;
use pfplane::internals::state::timeout_class;
use pfplane::internals::sync::Phase as Bulk;
use pfplane_sim::{MS, S};
use pfplane_testkit::Flow;
use pfplane_testkit::flow::{Intent, Kind};
use pfplane_testkit::wire::Impairment;
use pfsync::Profile;

const LOSES_ALL: Impairment =
    Impairment { loss_per_mille: 1000, duplicate_per_mille: 0, delay_ns: 0, jitter_ns: 0 };
const BAD: Impairment =
    Impairment { loss_per_mille: 200, duplicate_per_mille: 100, delay_ns: 0, jitter_ns: 30 * MS };
