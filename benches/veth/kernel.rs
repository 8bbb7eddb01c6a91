//! The kernel of the first namespace as a router with connection tracking, and the packets sent through it.

use super::flows::{self, HOSTS, SERVER_ADDRESS, Schedule, Side};
use super::pair::Pair;
use pfplane_testbed::failure::{Context, Fallible, fail};
use pfplane_testbed::network::PacketSocket;
use std::time::{Duration, Instant};

/// Its interfaces: name, the peer at which packets are sent, MAC address.
const LAN: (&str, &str, [u8; 6]) = ("lan", "lan-in", [2, 0, 0, 0, 0, 11]);
const WAN: (&str, &str, [u8; 6]) = ("wan", "wan-in", [2, 0, 0, 0, 0, 12]);
/// The MAC address of all hosts; nothing receives the packets.
const NEIGHBOUR: &str = "02:00:00:00:09:09";

/// Configures namespace 1 of the pair.
pub(super) fn configure(pair: &Pair) -> Fallible<()> {
    let router = pair.end(1);
    let settings =
        ["net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=0"];
    router.set_sysctls(&settings)?;
    for (interface, end, [.., n]) in [LAN, WAN] {
        let mac = format!("02:00:00:00:00:{n:02x}");
        router.ip(&format!(
            "link add {interface} address {mac} type veth peer name {end}\nlink set {interface} up\nlink set {end} up\n"
        ))?;
    }
    let server = SERVER_ADDRESS.map(|byte| byte.to_string()).join(".");
    let mut lines = format!(
        "addr add 10.0.255.1/16 dev {}\naddr add 10.1.255.1/16 dev {}\n\
         neigh add {server} lladdr {NEIGHBOUR} dev {}\n",
        LAN.0, WAN.0, WAN.0
    );
    for host in 1..=HOSTS {
        lines += &format!("neigh add 10.0.0.{host} lladdr {NEIGHBOUR} dev {}\n", LAN.0);
    }
    router.ip(&lines)?;
    // A rule that matches connection states turns tracking on.
    let rules =
        "table inet bench { chain forward { type filter hook forward priority 0; ct state invalid drop; }; }";
    router.run(&["nft", rules]).map(drop)
}

/// Sends the packets of `connections` connections, `rate` new ones per second; returns when the last has ended.
pub(super) fn send_connections(pair: &Pair, connections: u32, rate: u32) -> Fallible<()> {
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            pair.end(1).enter()?;
            send(connections, rate)
        });
        sender.join().unwrap_or_else(|_| fail("the sending thread panicked"))
    })
}

fn send(connections: u32, rate: u32) -> Fallible<()> {
    let open = |(_, end, _): (&str, &str, _)| PacketSocket::open(end).context(|| format!("open {end}"));
    let sockets = [open(LAN)?, open(WAN)?];
    let mut schedule = Schedule::new(connections, rate);
    let mut discarded = [0; 2048];
    let began = Instant::now();
    let mut refused = 0;
    while !schedule.is_over() {
        schedule.due(began.elapsed().as_secs_f64(), |number, step| {
            let (socket, mac) =
                if step.side == Side::Client { (&sockets[0], LAN.2) } else { (&sockets[1], WAN.2) };
            let sent = socket.send(&flows::frame(number, step, mac));
            refused += u32::from(!matches!(sent, Ok(true)));
        });
        for socket in &sockets {
            while matches!(socket.receive(&mut discarded), Ok(Some(_))) {}
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    if refused == 0 { Ok(()) } else { fail(format!("the kernel refused {refused} packets")) }
}
