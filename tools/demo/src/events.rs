//! The faults of a run: kill, pause, partition, planned switch, and the wait until the other firewall is the master.

use std::time::Duration;

use pfplane_testbed::clock::{self, MILLISECOND, Nanos, SECOND, milliseconds};
use pfplane_testbed::failure::{Fallible, fail};
use pfplane_testbed::firewall::{Exposure, Node};
use pfplane_testbed::traffic::handle::Command;

use crate::fault::Fault;
use crate::results::outcomes::EventTimes;
use crate::results::report::Event;
use crate::run::{MASTER, Run};

/// Beyond three intervals of the election.
const TAKEOVER_TIMEOUT: Nanos = 10 * SECOND;
const ROLE_INTERVAL: Duration = Duration::from_millis(2);

impl Run<'_> {
    /// Lets a fault happen to the master and waits until a firewall is the master again.
    pub(crate) fn cause(&mut self, fault: Fault) -> Fallible<Event> {
        self.cut_before_kill()?;
        self.find_master()?;
        let victim = self.master;
        let victim_status = self.status(victim)?;
        let survivor_status = self.status(victim.other())?;
        let victim_stats = self.firewall(victim)?.control.request("stats")?;
        let exposure_before = self.firewall(victim)?.exposure()?;
        self.client.send(Command::Mark);
        self.server.send(Command::Mark);
        let mut restoring = 0;
        let (times, exposure) = match fault {
            Fault::Kill => self.kill()?,
            Fault::Pause(seconds) => self.pause(seconds)?,
            Fault::Partition(seconds) => {
                let (times, duration) = self.partition(seconds)?;
                restoring = duration;
                (times, exposure_before)
            }
            Fault::StepDown => (self.step_down()?, exposure_before),
            Fault::Terminate => (self.terminate()?, exposure_before),
        };
        if self.arguments.cut_before_kill_ms > 0 {
            self.network.set_sync_link(true)?;
        }
        let master_after = self.master;
        let event = Event {
            fault,
            victim,
            master_after,
            times,
            restoring,
            exposure,
            victim_status,
            victim_stats,
            survivor_status,
        };
        self.print_event(&event);
        Ok(event)
    }

    /// Cuts the sync link some time before a kill.
    fn cut_before_kill(&mut self) -> Fallible<()> {
        let time = self.arguments.cut_before_kill_ms;
        if time > 0 {
            self.network.set_sync_link(false)?;
            self.screen.print(&format!("the sync link is cut, {time} ms before the kill"));
            self.run_traffic(u64::from(time) * MILLISECOND)?;
        }
        Ok(())
    }

    fn kill(&mut self) -> Fallible<(EventTimes, Exposure)> {
        let victim = self.master;
        let begin = self.firewall(victim)?.send_kill()?;
        // Without an election the victim must be dead before the other becomes the master.
        let mut end = None;
        if self.settings.election.is_none() {
            end = Some(self.firewall(victim)?.wait_for_death()?);
        }
        let takeover = self.wait_for_takeover()?;
        let end = end.map_or_else(|| self.firewall(victim)?.wait_for_death(), Ok)?;
        let exposure = self.firewall(victim)?.exposure()?;
        self.firewalls[victim as usize] = None;
        Ok((EventTimes { begin, end, takeover }, exposure))
    }

    /// Pauses the master until the other firewall has taken over and the time has passed.
    fn pause(&mut self, seconds: u32) -> Fallible<(EventTimes, Exposure)> {
        let victim = self.master;
        let begin = clock::now();
        self.firewall(victim)?.pause(true)?;
        let exposure = self.firewall(victim)?.exposure()?;
        let result = self.wait_for_takeover().and_then(|takeover| {
            let end = begin + u64::from(seconds) * SECOND;
            self.run_traffic(end.saturating_sub(clock::now()))?;
            Ok(takeover)
        });
        let end = clock::now();
        self.firewall(victim)?.pause(false)?;
        let takeover = result?;
        Ok((EventTimes { begin, end, takeover }, exposure))
    }

    /// Cuts all links between the firewalls and restores them. Afterwards one of the two must be the master. Also returns for how
    /// long the links were being restored.
    fn partition(&mut self, seconds: u32) -> Fallible<(EventTimes, Nanos)> {
        let begin = clock::now();
        self.network.set_partition(true)?;
        self.screen.print("all links between the firewalls are cut");
        let result = self.run_traffic(u64::from(seconds) * SECOND);
        let roles = [Node::A, Node::B].map(|node| self.role(node));
        let end = clock::now();
        let restoring = self.network.set_partition(false)?;
        result?;
        let [a, b] = roles;
        let (a, b) = (a?, b?);
        self.screen.print(&format!("the links are restored; firewall A was {a}, firewall B {b}"));
        let deadline = clock::now() + TAKEOVER_TIMEOUT;
        loop {
            let masters = [self.role(Node::A)? == MASTER, self.role(Node::B)? == MASTER];
            if masters[0] != masters[1] {
                self.master = if masters[0] { Node::A } else { Node::B };
                return Ok((EventTimes { begin, end, takeover: clock::now() }, restoring));
            }
            if clock::now() > deadline {
                let what = if masters[0] { "both firewalls are" } else { "no firewall is" };
                let seconds = TAKEOVER_TIMEOUT / SECOND;
                return fail(format!("{what} master {seconds} s after the links were restored"));
            }
            std::thread::sleep(ROLE_INTERVAL);
        }
    }

    fn step_down(&mut self) -> Fallible<EventTimes> {
        let begin = clock::now();
        self.firewall(self.master)?.control.request("step-down")?;
        let takeover = self.wait_for_takeover()?;
        Ok(EventTimes { begin, end: takeover, takeover })
    }

    fn terminate(&mut self) -> Fallible<EventTimes> {
        let victim = self.master;
        let begin = clock::now();
        self.firewall(victim)?.terminate()?;
        let takeover = self.wait_for_takeover()?;
        let firewall = self.firewall(victim)?;
        firewall.run_last();
        let (name, exit) = (firewall.name(), firewall.wait_for_exit()?);
        self.firewalls[victim as usize] = None;
        if !exit.success() {
            self.problems.push(format!("{name} exited with {exit} after SIGTERM; see its log."));
        }
        Ok(EventTimes { begin, end: clock::now(), takeover })
    }

    /// Waits until the other firewall is the master, or makes it the master when there is no election.
    fn wait_for_takeover(&mut self) -> Fallible<Nanos> {
        let survivor = self.master.other();
        match self.settings.election {
            None => self.firewall(survivor)?.control.take_over()?,
            Some(election) => {
                let timeout = TAKEOVER_TIMEOUT + election.takeover_bound(survivor).max;
                let deadline = clock::now() + timeout;
                while self.role(survivor)? != MASTER {
                    if clock::now() > deadline {
                        let (name, status) = (survivor.name(), self.status(survivor)?);
                        return fail(format!("{name} does not take over: {status:?}"));
                    }
                    std::thread::sleep(ROLE_INTERVAL);
                }
            }
        }
        self.master = survivor;
        Ok(clock::now())
    }

    /// Finds out who is master: on a busy machine polls come late, and the firewalls may have changed roles.
    fn find_master(&mut self) -> Fallible<()> {
        let Some(election) = self.settings.election else { return Ok(()) };
        let deadline = clock::now() + TAKEOVER_TIMEOUT + election.takeover_bound(Node::B).max;
        while self.role(self.master)? != MASTER {
            let other = self.master.other();
            if self.role(other)? == MASTER {
                let (name, status) = (other.name(), self.status(other)?);
                self.screen.print(&format!("{name} has become master meanwhile: {}", status.why()));
                self.master = other;
            } else if clock::now() > deadline {
                return fail("no firewall is master");
            }
            std::thread::sleep(ROLE_INTERVAL);
        }
        Ok(())
    }

    fn role(&mut self, node: Node) -> Fallible<String> {
        Ok(self.status(node)?.role)
    }

    fn print_event(&self, event: &Event) {
        let Exposure { connections, changes, oldest_ns } = event.exposure;
        let exposed = match self.arguments.mode.replicates() {
            true => format!(
                "exposed: {connections} connections, {changes} changes (oldest {:.1} ms)",
                milliseconds(oldest_ns)
            ),
            false => "none of them replicated".to_owned(),
        };
        let states = event.victim_status.states;
        let what = event.fault.of(event.victim).to_uppercase();
        self.screen.print(&format!("{what}, with {states} states; {exposed}"));
        let after = |time: Nanos| milliseconds(time - event.times.begin);
        let ended = match event.fault {
            Fault::Kill | Fault::Terminate => Some("the process exited"),
            Fault::Pause(_) => Some("it was continued"),
            Fault::Partition(_) => Some("the links were restored"),
            Fault::StepDown => None,
        };
        let ended = ended.map(|what| format!(" ({what} after {:.1} ms)", after(event.times.end)));
        self.screen.print(&format!(
            "TAKEOVER: {} is master {:.1} ms later{}",
            event.master_after.name(),
            after(event.times.takeover),
            ended.unwrap_or_default()
        ));
    }
}
