//! The server: accepts, learns from the hello which connection it is, and plays its part.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;

use pfplane_demo::clock::{self, MILLISECOND, Nanos};
use pfplane_demo::namespaces::{SERVER_V4, SERVER_V6};
use pfplane_demo::traffic::connection::{HELLO_LEN, number_of};
use pfplane_demo::traffic::keystream::Way;
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, sockopt};

use crate::end::{End, Fate, notice_silence};
use crate::ends::Ends;
use crate::run::Shared;

/// The port that the firewalls' rules let pass.
pub const PORT: u16 = 5000;
const BACKLOG: i32 = 4096;
const WAIT: Nanos = 10 * MILLISECOND;

/// A connection whose hello is not whole yet.
struct Arriving {
    stream: TcpStream,
    hello: Vec<u8>,
    since: Nanos,
}

/// The listening sockets, IPv4 and IPv6.
pub struct Listeners([TcpListener; 2]);

impl Listeners {
    /// Opens them in the thread's namespace.
    pub fn open() -> io::Result<Listeners> {
        Ok(Listeners([listen(AddressFamily::INET, SERVER_V4)?, listen(AddressFamily::INET6, SERVER_V6)?]))
    }

    /// The receive buffer of the connections to come, and with it their windows.
    pub fn set_buffer(&self, bytes: usize) -> io::Result<()> {
        for listener in &self.0 {
            sockopt::set_socket_recv_buffer_size_force(listener.as_fd(), bytes)?;
        }
        Ok(())
    }
}

/// Runs until told to stop.
pub fn run(shared: &Shared, listeners: &Listeners) -> io::Result<()> {
    let mut ends = Ends::new(2)?;
    let mut arriving: HashMap<u64, Arriving> = HashMap::new();
    // Until the other end is over: closed, their kernel would give up on what is still to be sent again.
    let mut kept: Vec<End> = Vec::new();
    for (token, listener) in (0..).zip(&listeners.0) {
        ends.poller().watch(listener, token)?;
    }
    while !shared.stop.load(Ordering::Relaxed) {
        let turn = ends.turn(WAIT)?;
        for (end, fate) in turn.over {
            kept.extend(end.keeps_its_socket(&fate).then_some(end));
            shared.report(Way::ToClient, fate);
        }
        kept.retain(|end| !shared.is_over(end.number()));
        for token in turn.foreign {
            match listeners.0.get(token as usize) {
                Some(listener) => accept(shared, listener, &mut ends, &mut arriving)?,
                None => greet(shared, token, &mut ends, &mut arriving)?,
            }
        }
        shared.at_server.store((ends.len() + arriving.len()) as u32, Ordering::Relaxed);
    }
    Ok(())
}

fn accept(
    shared: &Shared,
    listener: &TcpListener,
    ends: &mut Ends,
    arriving: &mut HashMap<u64, Arriving>,
) -> io::Result<()> {
    // A connection that was reset before we came is no error of ours.
    while let Ok((stream, _)) = listener.accept() {
        stream.set_nonblocking(true)?;
        // Its hello may never come: a takeover may have lost the connection.
        notice_silence(&stream)?;
        let token = ends.fresh_token();
        ends.poller().watch(&stream, token)?;
        let since = clock::now();
        arriving.insert(token, Arriving { stream, hello: Vec::new(), since });
        greet(shared, token, ends, arriving)?;
    }
    Ok(())
}

/// Reads the hello, as far as it is there.
fn greet(
    shared: &Shared,
    token: u64,
    ends: &mut Ends,
    arriving: &mut HashMap<u64, Arriving>,
) -> io::Result<()> {
    let Some(guest) = arriving.get_mut(&token) else { return Ok(()) };
    let mut bytes = [0; HELLO_LEN];
    while guest.hello.len() < HELLO_LEN {
        match guest.stream.read(&mut bytes[guest.hello.len()..]) {
            Ok(count @ 1..) => {
                let begin = guest.hello.len();
                guest.hello.extend_from_slice(&bytes[begin..begin + count]);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            // It ended before we knew which one it was: the client tells of it.
            _ => {
                arriving.remove(&token);
                return Ok(());
            }
        }
    }
    let Arriving { stream, hello, since } = arriving.remove(&token).expect("it was there");
    let hello: [u8; HELLO_LEN] = hello.try_into().expect("so many bytes were read");
    match number_of(&hello).filter(|number| *number < shared.connections) {
        Some(number) => {
            let end = End::new(stream, shared.seed, number, shared.script(number), Way::ToClient, since)?;
            ends.add(end, clock::now(), Some(token))
        }
        None => {
            let trouble = Some(format!("a hello that nobody said: {hello:02x?}"));
            shared.report(
                Way::ToClient,
                Fate { number: u32::MAX, received: 0, wrong: 8, began: since, port: 0, trouble },
            );
            Ok(())
        }
    }
}

fn listen(domain: AddressFamily, address: &str) -> io::Result<TcpListener> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(domain, SocketType::STREAM, flags, Some(ipproto::TCP))?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    let address = SocketAddr::new(address.parse::<IpAddr>().expect("an address"), PORT);
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(TcpListener::from(socket))
}
