//! Calls of the C API as tests make them.

use core::ffi::CStr;
use core::mem::MaybeUninit;
use core::ptr::null_mut;
use pfplane::internals::ffi::*;
use std::iter::from_fn;

pub(crate) const MS: u64 = 1_000_000;
pub(crate) const SECOND: u64 = 1000 * MS;

/// A value in which every byte is zero.
pub(crate) fn zeroed<T>() -> T {
    // SAFETY: used for structs of numbers, arrays and pointers only.
    unsafe { MaybeUninit::zeroed().assume_init() }
}

/// The `size` of a struct.
pub(crate) const fn size<T>() -> u32 {
    size_of::<T>() as u32
}

/// A variable as an output of a call.
pub(crate) fn out<T>(variable: &mut T) -> Option<&mut MaybeUninit<T>> {
    // SAFETY: the two have the same layout, and calls write nothing but whole values.
    Some(unsafe { &mut *(&raw mut *variable).cast() })
}

pub(crate) fn last_error() -> String {
    unsafe { CStr::from_ptr(pfplane_last_error()) }.to_str().unwrap().to_owned()
}

pub(crate) fn config() -> pfplane_config {
    let mut config = zeroed();
    assert_eq!(pfplane_config_init(out(&mut config), size::<pfplane_config>()), PFPLANE_OK);
    config.states_per_lane = 1000;
    config
}

/// A peer that gets frames from 192.0.2.`node`.
pub(crate) fn peer(node: u8) -> pfplane_peer {
    let mut peer: pfplane_peer = zeroed();
    assert_eq!(pfplane_peer_init(out(&mut peer), size::<pfplane_peer>()), PFPLANE_OK);
    peer.source.family = 4;
    peer.source.bytes[..4].copy_from_slice(&[192, 0, 2, node]);
    peer
}

pub(crate) fn options() -> pfplane_state_options {
    let mut options = zeroed();
    let size = size::<pfplane_state_options>();
    assert_eq!(pfplane_state_options_init(out(&mut options), size), PFPLANE_OK);
    options
}

/// An engine that is freed at the end of the test.
pub(crate) struct Engine(pub *mut pfplane_engine);

impl Drop for Engine {
    fn drop(&mut self) {
        unsafe { pfplane_engine_free(self.0) };
    }
}

impl Engine {
    pub(crate) fn new(config: &pfplane_config) -> Self {
        let mut engine = null_mut();
        let status = unsafe { pfplane_engine_new(Some(config), out(&mut engine)) };
        assert_eq!(status, PFPLANE_OK, "{}", last_error());
        Self(engine)
    }

    /// One with a single peer.
    pub(crate) fn with_peer(config: &pfplane_config, peer: &pfplane_peer) -> Self {
        Self::new(&pfplane_config { peers: &raw const *peer, peer_count: 1, ..*config })
    }

    pub(crate) fn get(&self) -> Option<&pfplane_engine> {
        unsafe { self.0.as_ref() }
    }

    pub(crate) fn lane(&self, index: u32) -> Lane {
        let mut lane = null_mut();
        assert_eq!(pfplane_engine_lane(self.get(), index, out(&mut lane)), PFPLANE_OK);
        Lane(lane)
    }

    pub(crate) fn stat(&self, name: &CStr) -> u64 {
        let mut value = 0;
        let (engine, name) = (self.get(), name.as_ptr());
        let status = unsafe { pfplane_engine_stat_find(engine, PFPLANE_ALL_LANES, name, out(&mut value)) };
        assert_eq!(status, PFPLANE_OK, "{}", last_error());
        value
    }
}

/// A lane of an engine that lives at least as long.
#[derive(Clone, Copy)]
pub(crate) struct Lane(*mut pfplane_lane);

impl Lane {
    pub(crate) fn get<'a>(self) -> Option<&'a mut pfplane_lane> {
        // SAFETY: tests have one thread each, and pass each reference to one call.
        unsafe { self.0.as_mut() }
    }

    pub(crate) fn read(&self) -> Option<&pfplane_lane> {
        unsafe { self.0.as_ref() }
    }

    pub(crate) fn poll(&self, now: u64) {
        assert_eq!(pfplane_lane_poll(self.get(), now), PFPLANE_OK, "{}", last_error());
    }

    pub(crate) fn look_up(&self, burst: &pfplane_burst, bytes: &[u8]) -> pfplane_verdict {
        self.look_up_packet(burst, &packet(bytes))
    }

    pub(crate) fn look_up_packet(&self, burst: &pfplane_burst, packet: &pfplane_packet) -> pfplane_verdict {
        let mut verdict = zeroed();
        let status = unsafe { pfplane_lane_lookup(self.get(), Some(burst), packet, 1, &mut verdict) };
        assert_eq!(status, PFPLANE_OK, "{}", last_error());
        verdict
    }

    pub(crate) fn create(&self, burst: &pfplane_burst, bytes: &[u8]) -> pfplane_verdict {
        self.try_create(burst, &packet(bytes), None).expect("created")
    }

    /// A state with options, for a packet that may be rewritten.
    pub(crate) fn try_create(
        &self,
        burst: &pfplane_burst,
        packet: &pfplane_packet,
        options: Option<&pfplane_state_options>,
    ) -> Result<pfplane_verdict, (i32, String)> {
        let mut verdict = zeroed();
        let (burst, verdict_out) = (Some(burst), out(&mut verdict));
        match unsafe { pfplane_lane_state_create(self.get(), burst, Some(packet), options, verdict_out) } {
            PFPLANE_OK => Ok(verdict),
            status => Err((status, last_error())),
        }
    }

    pub(crate) fn receive(&self, frame: &[u8], now: u64) {
        let (bytes, length) = (frame.as_ptr(), frame.len() as u32);
        let status = unsafe { pfplane_lane_receive(self.get(), bytes, length, now) };
        assert_eq!(status, PFPLANE_OK, "{}", last_error());
    }

    /// Receives a frame with its Ethernet header, from which the NIC has removed a tag.
    pub(crate) fn receive_frame(&self, frame: &[u8], stripped_tag: u32, now: u64) {
        let (bytes, length) = (frame.as_ptr(), frame.len() as u32);
        let status = unsafe { pfplane_lane_receive_frame(self.get(), bytes, length, stripped_tag, now) };
        assert_eq!(status, PFPLANE_OK, "{}", last_error());
    }

    /// All frames that are due.
    pub(crate) fn flush(&self, now: u64) -> Vec<Vec<u8>> {
        let next = || {
            let (mut buffer, mut length) = (vec![0; 2048], 0);
            let bytes = buffer.as_mut_ptr();
            let status = unsafe { pfplane_lane_flush(self.get(), now, bytes, 2048, out(&mut length)) };
            assert_eq!(status, PFPLANE_OK, "{}", last_error());
            buffer.truncate(length as usize);
            (length > 0).then_some(buffer)
        };
        from_fn(next).collect()
    }

    /// Hands all frames that are due to another lane, and counts them.
    pub(crate) fn carry(&self, to: Self, now: u64) -> usize {
        let frames = self.flush(now);
        frames.iter().for_each(|frame| to.receive(frame, now));
        frames.len()
    }

    /// The state in a slot.
    pub(crate) fn state_at(&self, slot: u32) -> pfplane_state_view {
        let mut view = pfplane_state_view { size: size::<pfplane_state_view>(), ..zeroed() };
        assert_eq!(pfplane_lane_state_at(self.read(), MS, slot, Some(&mut view)), PFPLANE_OK);
        view
    }

    /// All states.
    pub(crate) fn states(&self, now: u64) -> Vec<pfplane_state_view> {
        let mut cursor = 0;
        let mut view = pfplane_state_view { size: size::<pfplane_state_view>(), ..zeroed() };
        let next = || match pfplane_lane_state_next(self.read(), now, Some(&mut cursor), Some(&mut view)) {
            PFPLANE_OK => Some(view),
            status => {
                assert_eq!(status, PFPLANE_END);
                None
            }
        };
        from_fn(next).collect()
    }
}

/// A burst of bare IP packets.
pub(crate) const fn burst(direction: u8, now_ns: u64) -> pfplane_burst {
    let (size, link) = (size::<pfplane_burst>(), PFPLANE_LINK_IP);
    let (trust_hash, host_rewrites, rdomain, reserved) = (0, 0, 0, [0; 6]);
    pfplane_burst { size, direction, link, trust_hash, host_rewrites, now_ns, rdomain, reserved }
}

/// A packet that is only read.
pub(crate) const fn packet(bytes: &[u8]) -> pfplane_packet {
    let (data, length) = (bytes.as_ptr().cast_mut(), bytes.len() as u32);
    pfplane_packet { data, length, packet_length: 0, hash: 0, headroom: 0, flags: 0 }
}

/// A packet that may be rewritten, behind `headroom` bytes.
pub(crate) fn writable(bytes: &mut [u8], headroom: usize) -> pfplane_packet {
    let (data, length) = (bytes[headroom..].as_mut_ptr(), (bytes.len() - headroom) as u32);
    pfplane_packet { data, length, packet_length: 0, hash: 0, headroom: headroom as u16, flags: 0 }
}

/// A statistic to be filled.
pub(crate) fn stat() -> pfplane_stat {
    pfplane_stat { size: size::<pfplane_stat>(), ..zeroed() }
}

/// The statistics that a call gives by number.
pub(crate) fn statistics(mut call: impl FnMut(u32, &mut pfplane_stat) -> i32) -> Vec<(String, String, u64)> {
    let next = |index| {
        let mut found = stat();
        match call(index, &mut found) {
            PFPLANE_OK => Some(found),
            status => {
                assert_eq!(status, PFPLANE_END);
                None
            }
        }
    };
    let text = |text| unsafe { CStr::from_ptr(text) }.to_str().unwrap().to_owned();
    (0..).map_while(next).map(|stat| (text(stat.name), text(stat.help), stat.value)).collect()
}
