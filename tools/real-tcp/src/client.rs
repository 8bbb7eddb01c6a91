//! The client: opens the connections phase by phase, a few hundred at a time.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::atomic::Ordering;

use pfplane_demo::clock::{self, MILLISECOND, Nanos};
use pfplane_demo::namespaces::{CLIENT_V4, CLIENT_V6, SERVER_V4, SERVER_V6};
use pfplane_demo::traffic::keystream::Way;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, sockopt};

use crate::end::{End, Fate};
use crate::ends::Ends;
use crate::run::Shared;
use crate::script::{Manner, Script};
use crate::server::PORT;

const MAX_OPEN: usize = 500;
const OPEN_EVERY: Nanos = 2 * MILLISECOND;

struct Client<'a> {
    shared: &'a Shared,
    ends: Ends,
    /// Ends that have said and heard goodbye, until the other end has, too.
    kept: Vec<End>,
    /// Ports of connections that this end reset, for the next connection of the family: IPv4, IPv6.
    free_ports: [VecDeque<u16>; 2],
    next: u32,
    open_at: Nanos,
}

/// Runs until every connection of every phase is over.
pub fn run(shared: &Shared) -> io::Result<()> {
    let mut client = Client {
        shared,
        ends: Ends::new(0)?,
        kept: Vec::new(),
        free_ports: Default::default(),
        next: 0,
        open_at: 0,
    };
    while !shared.stop.load(Ordering::Relaxed) {
        client.open()?;
        for (end, fate) in client.ends.turn(OPEN_EVERY)?.over {
            client.finished(end, fate);
        }
        // Only now: closed, its kernel would have given up on what was still to be sent again.
        client.kept.retain(|end| !shared.is_over(end.number()));
        shared.greeting.store(client.ends.greeting() as u32, Ordering::Relaxed);
        shared.opened.store(client.next, Ordering::Release);
        shared.at_work.store(client.ends.len() as u32, Ordering::Relaxed);
        if client.next == shared.connections && client.ends.len() == 0 {
            break;
        }
    }
    Ok(())
}

impl Client<'_> {
    fn open(&mut self) -> io::Result<()> {
        let now = clock::now();
        let last = self.shared.open_to.load(Ordering::Acquire);
        if now < self.open_at || self.ends.len() >= MAX_OPEN || self.next >= last {
            return Ok(());
        }
        self.open_at = now + OPEN_EVERY;
        let number = self.next;
        self.next += 1;
        let script = self.shared.script(number);
        let port = self.free_ports[usize::from(script.v6)].pop_front().unwrap_or(0);
        self.shared.ports_reused.fetch_add(u32::from(port != 0), Ordering::Relaxed);
        match begin(&script, port) {
            Ok(stream) => {
                let end = End::new(stream, self.shared.seed, number, script, Way::ToServer, now)?;
                self.ends.add(end, now, None)
            }
            Err(error) => {
                let trouble = Some(format!("cannot be begun from port {port}: {error}"));
                self.shared
                    .report(Way::ToServer, Fate { number, received: 0, wrong: 0, began: now, port, trouble });
                Ok(())
            }
        }
    }

    fn finished(&mut self, end: End, fate: Fate) {
        let script = end.script();
        if script.manner == Manner::ResetByClient && fate.trouble.is_none() {
            let port = end.stream().local_addr().map_or(0, |address| address.port());
            self.free_ports[usize::from(script.v6)].push_back(port);
        }
        let kept = end.keeps_its_socket(&fate);
        self.shared.report(Way::ToServer, fate);
        self.kept.extend(kept.then_some(end));
    }
}

fn begin(script: &Script, port: u16) -> io::Result<TcpStream> {
    let domain = if script.v6 { AddressFamily::INET6 } else { AddressFamily::INET };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(domain, SocketType::STREAM, flags, Some(ipproto::TCP))?;
    if let Some(bytes) = script.buffer.bytes() {
        sockopt::set_socket_recv_buffer_size_force(&socket, bytes)?;
    }
    let [own, server] = if script.v6 { [CLIENT_V6, SERVER_V6] } else { [CLIENT_V4, SERVER_V4] };
    let address = |text: &str, port| SocketAddr::new(text.parse::<IpAddr>().expect("an address"), port);
    if port != 0 {
        sockopt::set_socket_reuseaddr(&socket, true)?;
        rustix::net::bind(&socket, &address(own, port))?;
    }
    match rustix::net::connect(&socket, &address(server, PORT)) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(TcpStream::from(socket)),
        Err(error) => Err(error.into()),
    }
}
