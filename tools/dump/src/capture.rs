//! Reads the packets of a capture file, pcap or pcapng.

use std::ops::ControlFlow;
use std::time::Duration;

use pcap_file::pcap::PcapReader;
use pcap_file::pcapng::{Block, PcapNgReader};

/// One captured packet.
#[derive(Clone, Copy, Debug)]
pub struct CapturedPacket<'a> {
    /// Time since 1970, as recorded.
    pub time: Duration,
    /// Link type of the capture.
    pub link_type: u32,
    /// The captured bytes.
    pub bytes: &'a [u8],
    /// Length of the packet, which may exceed that of `bytes`.
    pub length: u32,
}

impl CapturedPacket<'_> {
    /// Returns whether the capture has only a part of the packet.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.missing() > 0
    }

    /// Returns how many bytes of the packet the capture does not have.
    #[must_use]
    pub fn missing(&self) -> usize {
        (self.length as usize).saturating_sub(self.bytes.len())
    }
}

const PCAPNG: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

/// Calls `each` with every packet of a capture, in order, until it breaks.
///
/// # Errors
/// What is wrong with the file. `each` was called with the packets before the error.
pub fn for_each_packet(
    file: &[u8],
    mut each: impl FnMut(CapturedPacket<'_>) -> ControlFlow<()>,
) -> Result<(), String> {
    if file.starts_with(&PCAPNG) { pcapng(file, &mut each) } else { pcap(file, &mut each) }
}

type Each<'e> = dyn FnMut(CapturedPacket<'_>) -> ControlFlow<()> + 'e;

fn pcap(file: &[u8], each: &mut Each<'_>) -> Result<(), String> {
    let mut reader = PcapReader::new(file).map_err(|error| format!("not a capture file: {error}"))?;
    let link_type = u32::from(reader.header().datalink);
    while let Some(packet) = reader.next_packet() {
        let packet = packet.map_err(|error| format!("damaged capture file: {error}"))?;
        let captured = CapturedPacket {
            time: packet.timestamp,
            link_type,
            bytes: &packet.data,
            length: packet.orig_len,
        };
        if each(captured).is_break() {
            break;
        }
    }
    Ok(())
}

fn pcapng(file: &[u8], each: &mut Each<'_>) -> Result<(), String> {
    let mut reader = PcapNgReader::new(file).map_err(|error| format!("not a capture file: {error}"))?;
    let mut link_types = Vec::new();
    while let Some(block) = reader.next_block() {
        let block = block.map_err(|error| format!("damaged capture file: {error}"))?;
        let link_type = |interface: u32| link_types.get(interface as usize).copied();
        let captured = match &block {
            Block::InterfaceDescription(interface) => {
                link_types.push(u32::from(interface.linktype));
                continue;
            }
            Block::SectionHeader(_) => {
                link_types.clear();
                continue;
            }
            Block::EnhancedPacket(packet) => {
                let Some(link_type) = link_type(packet.interface_id) else { continue };
                let (time, length) = (packet.timestamp, packet.original_len);
                CapturedPacket { time, link_type, bytes: &packet.data, length }
            }
            Block::SimplePacket(packet) => {
                let Some(link_type) = link_type(0) else { continue };
                let length = packet.original_len;
                CapturedPacket { time: Duration::ZERO, link_type, bytes: &packet.data, length }
            }
            _ => continue,
        };
        if each(captured).is_break() {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_capture_is_refused() {
        for bytes in [&b""[..], b"hello", &PCAPNG, &[0xd4, 0xc3, 0xb2, 0xa1]] {
            let error = for_each_packet(bytes, |_| ControlFlow::Continue(())).unwrap_err();
            assert!(error.starts_with("not a capture file"), "{error}");
        }
    }
}
