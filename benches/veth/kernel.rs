//! The kernel of the first namespace as a router that tracks connections, and packets sent through it.

use super::flows::{self, HOSTS, SERVER_ADDRESS, Schedule, Side};
use super::pair::{Pair, ip};
use pfplane_demo::command;
use pfplane_demo::failure::{Because, Outcome, fail};
use pfplane_demo::packet_socket::PacketSocket;
use rustix::fd::AsFd;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::time::{Duration, Instant};

/// Its interfaces, each with the end at which packets are put in, and their addresses.
const LAN: (&str, &str, [u8; 6]) = ("lan", "lan-in", [2, 0, 0, 0, 0, 11]);
const WAN: (&str, &str, [u8; 6]) = ("wan", "wan-in", [2, 0, 0, 0, 0, 12]);
/// Whoever the kernel takes to be there: nobody looks at what comes.
const NEIGHBOUR: &str = "02:00:00:00:09:09";

/// Makes it of namespace 1 of the pair.
pub fn make(pair: &Pair) -> Outcome<()> {
    let name = pair.name(1);
    let settings =
        ["net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=0"];
    command::run("ip", &[&["netns", "exec", name, "sysctl", "-q", "-w"][..], &settings].concat())?;
    for (interface, end, [.., n]) in [LAN, WAN] {
        let mac = format!("02:00:00:00:00:{n:02x}");
        ip(&format!("-n {name} link add {interface} address {mac} type veth peer name {end}"))?;
        ip(&format!("-n {name} link set {interface} up"))?;
        ip(&format!("-n {name} link set {end} up"))?;
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
    command::feed("ip", &["-n", name, "-batch", "-"], &lines)?;
    // The kernel tracks connections in a namespace from the first rule on that asks for them.
    let rules =
        "table inet bench { chain forward { type filter hook forward priority 0; ct state invalid drop; }; }";
    command::run("ip", &["netns", "exec", name, "nft", rules]).map(drop)
}

/// So many connections, so many a second; returns when the last has ended.
pub fn feed(pair: &Pair, connections: u32, rate: u32) -> Outcome<()> {
    let path = std::path::Path::new("/run/netns").join(pair.name(1));
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let namespace = File::open(&path).because(|| format!("open {}", path.display()))?;
            // The thread ends with its work.
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
                .because(|| format!("enter {}", path.display()))?;
            send(connections, rate)
        });
        sender.join().unwrap_or_else(|_| fail("the thread that sends has panicked"))
    })
}

fn send(connections: u32, rate: u32) -> Outcome<()> {
    let open = |(_, end, _): (&str, &str, _)| PacketSocket::open(end).because(|| format!("open {end}"));
    let sockets = [open(LAN)?, open(WAN)?];
    let mut schedule = Schedule::new(connections, rate);
    let mut waste = [0; 2048];
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
            while matches!(socket.receive(&mut waste), Ok(Some(_))) {}
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    if refused == 0 { Ok(()) } else { fail(format!("the kernel refused {refused} packets")) }
}
