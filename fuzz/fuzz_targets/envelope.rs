//! Reads any bytes as an Ethernet frame and as an IP packet, and the payload as a pfsync frame.
#![no_main]

use pfsync::envelope::{Envelope, Transport};
use pfsync::link::Ethernet;

fn ip(packet: &[u8]) {
    let Ok(envelope) = Envelope::parse(packet) else { return };
    let payload = &packet[envelope.payload.clone()];
    let Envelope { source, destination, tos, .. } = envelope;
    let mut header = [0; 40];
    let emitted = Transport { source, destination, tos }.emit(&mut header, payload.len(), 0);
    assert!(emitted.is_ok_and(|length| Envelope::parse(&[&header[..length], payload].concat()).is_ok()));
    pfplane_fuzz::codec::read_all(payload);
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    ip(data);
    if let Ok((_, packet)) = Ethernet::parse(data) {
        ip(&data[packet]);
    }
});
