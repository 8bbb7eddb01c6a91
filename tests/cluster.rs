//! Whole engines, several lanes each, with a wire between them: what one accepted the other carries on, whatever the
//! wire does and whoever dies. A failing test prints its seed.

mod cluster_cases;
mod cluster_net;
mod hostile;
