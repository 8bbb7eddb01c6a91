//! How the surviving firewall learns that it is alone. Here the demonstration tells it; a firewall that notices by
//! itself replaces this one function by waiting until its role is `master`.

use crate::control::Control;
use crate::failure::{Outcome, fail};

/// Makes the firewall behind `survivor` the master and comes back when it says that it is.
pub fn take_over(survivor: &Control) -> Outcome<()> {
    survivor.ask("takeover")?;
    let role = survivor.status()?.role;
    if role == "master" {
        Ok(())
    } else {
        fail(format!("told to take over, the firewall calls itself {role}"))
    }
}
