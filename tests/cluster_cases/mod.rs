mod bulk;
mod link;
mod takeover;

use crate::cluster_net::flow::{Kind, Phase};
use crate::cluster_net::{CLEAN, Cluster, Faults, MS, S, config};
use pfplane::internals::engine::Config;
use pfplane::internals::lane::Action;
use pfplane::internals::state::timeout_class;
use pfplane::internals::sync::Phase as Bulk;
use pfsync::Profile;

const LANES: [[u32; 2]; 4] = [[1, 1], [1, 3], [4, 2], [8, 1]];
const BAD: Faults = Faults { lose: 200, double: 100, delay_ms: 30 };
const OPEN: [Profile; 1] = [Profile::OpenBsd6];
