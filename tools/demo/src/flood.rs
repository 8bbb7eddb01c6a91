//! A SYN flood from invented addresses, from the client's network through the firewall to the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use pfplane_testbed::failure::{Context, Fallible, fail};
use pfplane_testbed::network::{Host, INSIDE_MAC, Namespace, Network, PacketSocket, SERVER_V4};
use pfplane_testkit::{Packet, Random};

/// SYNs sent in each interval: 4000 a second. The tables reach their adaptive timeouts in some ten seconds.
const BURST: usize = 20;
const INTERVAL: Duration = Duration::from_millis(5);
/// The server's port, which the firewalls' rules pass.
const PORT: u16 = 5000;
/// The network of the invented addresses (RFC 2544): nobody answers there.
const SOURCES: [u8; 2] = [198, 18];
const ETHER_TYPE_IPV4: [u8; 2] = [8, 0];
const OUR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 99];

/// A flood that runs on a thread in the client's namespace.
pub(crate) struct Flood {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Fallible<u64>>,
}

impl Flood {
    /// Starts it.
    pub(crate) fn start(network: &Network) -> Fallible<Flood> {
        let is_over = Arc::new(AtomicBool::new(false));
        let namespace = network.namespace(Host::Client);
        let thread = thread::Builder::new().name("flood".into()).spawn({
            let is_over = Arc::clone(&is_over);
            move || send(&namespace, &is_over)
        });
        Ok(Flood { is_over, thread: thread.context(|| "start the flood's thread")? })
    }

    /// Ends it. Returns how many SYNs were sent.
    pub(crate) fn stop(self) -> Fallible<u64> {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_else(|_| fail("the flood's thread panicked"))
    }
}

fn send(namespace: &Namespace, is_over: &AtomicBool) -> Fallible<u64> {
    namespace.enter()?;
    let socket = PacketSocket::open("eth0").context(|| "open the flood's socket")?;
    let mut random = Random::new(u64::from(std::process::id()));
    let mut sent = 0;
    while !is_over.load(Ordering::Relaxed) {
        for _ in 0..BURST {
            sent += u64::from(socket.send(&syn(&mut random)).context(|| "send a SYN of the flood")?);
        }
        thread::sleep(INTERVAL);
    }
    Ok(sent)
}

/// Builds a SYN from a random address and port.
fn syn(random: &mut Random) -> Vec<u8> {
    let server: std::net::Ipv4Addr = SERVER_V4.parse().expect("an address");
    let mut packet = Packet::syn(false, 0, 0, [random.between(1024, 65_535) as u16, PORT]);
    packet.source = [0; 16];
    packet.source[..2].copy_from_slice(&SOURCES);
    packet.source[2..4].copy_from_slice(&random.next_u32().to_le_bytes()[..2]);
    packet.destination = [0; 16];
    packet.destination[..4].copy_from_slice(&server.octets());
    packet.seq = random.next_u32();
    let mut frame = mac(INSIDE_MAC).to_vec();
    frame.extend(OUR_MAC);
    frame.extend(ETHER_TYPE_IPV4);
    frame.extend(packet.tcp());
    frame
}

fn mac(text: &str) -> [u8; 6] {
    let mut bytes = [0; 6];
    for (byte, hex) in bytes.iter_mut().zip(text.split(':')) {
        *byte = u8::from_str_radix(hex, 16).expect("an Ethernet address");
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_syn_goes_to_the_firewall_and_never_repeats_soon() {
        let mut random = Random::new(1);
        let frames: Vec<_> = (0..100).map(|_| syn(&mut random)).collect();
        assert!(
            frames.iter().all(|frame| frame[..6] == [0, 0, 0x5e, 0, 1, 1] && frame[12..15] == [8, 0, 0x45])
        );
        let sources: std::collections::HashSet<_> =
            frames.iter().map(|frame| frame[26..36].to_vec()).collect();
        assert_eq!(sources.len(), frames.len());
    }
}
