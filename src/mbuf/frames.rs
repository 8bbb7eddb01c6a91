//! Mbufs for frames that go out: taken from the host's pool, filled, handed over.

use super::overlay::RteMbuf;
use arrayvec::ArrayVec;
use core::ptr::null_mut;

/// The most mbufs taken at once.
pub const MAX_FRAMES: usize = 64;

/// Empty mbufs of one pool, owned here until [`Self::finish`] hands one over; the rest goes back on drop.
#[derive(Debug)]
pub struct FrameMbufs {
    mbufs: ArrayVec<*mut RteMbuf, MAX_FRAMES>,
}

impl FrameMbufs {
    /// Takes `count` mbufs (at most `MAX_FRAMES`) from a pool, all or none.
    ///
    /// # Safety
    /// `pool` is a valid pktmbuf pool, and this thread may allocate from it.
    pub unsafe fn take(pool: *mut dpdk_sys::rte_mempool, count: usize) -> Option<Self> {
        let count = count.min(MAX_FRAMES);
        let mut room = [null_mut::<RteMbuf>(); MAX_FRAMES];
        // SAFETY: the caller promises the pool; `room` has at least `count` places.
        let status = unsafe {
            dpdk_sys::pfplane_shim_alloc_bulk(pool, room.as_mut_ptr().cast(), count as core::ffi::c_uint)
        };
        (status == 0).then(|| Self { mbufs: room.into_iter().take(count).collect() })
    }

    /// The bytes of the next mbuf, from where its data begins to the end of its buffer. They hold whatever the mbuf's last
    /// user left.
    pub fn room(&mut self) -> Option<&mut [u8]> {
        let mbuf = *self.mbufs.last()?;
        // SAFETY: taken from the pool and not handed over, so valid, and nobody else has it; DPDK initialises the
        // memory of a mempool when the pool is made.
        Some(unsafe { super::room(mbuf) })
    }

    /// Sets the next mbuf's length to `length` bytes of [`Self::room`], after `skip` bytes, and hands it over: the
    /// caller sends it or frees it.
    ///
    /// # Panics
    /// When there is no mbuf left or the bytes do not fit: the caller asked [`Self::room`] first.
    pub fn finish(&mut self, skip: u16, length: u16) -> *mut RteMbuf {
        let mbuf = self.mbufs.pop().expect("room() gave the buffer");
        // SAFETY: taken from the pool and not handed over, so valid, and nobody else has it.
        let header = unsafe { &mut *mbuf };
        assert!(
            u32::from(header.data_off) + u32::from(skip) + u32::from(length) <= u32::from(header.buf_len)
        );
        header.data_off += skip;
        header.data_len = length;
        header.pkt_len = length.into();
        mbuf
    }

    /// Mbufs that are left.
    #[must_use]
    pub fn len(&self) -> usize {
        self.mbufs.len()
    }

    /// Whether none is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.mbufs.is_empty()
    }
}

impl Drop for FrameMbufs {
    fn drop(&mut self) {
        if !self.mbufs.is_empty() {
            let count = self.mbufs.len() as core::ffi::c_uint;
            // SAFETY: each was taken from its pool and not handed over; none is used afterwards.
            unsafe { dpdk_sys::rte_pktmbuf_free_bulk(self.mbufs.as_mut_ptr().cast(), count) };
        }
    }
}

/// Bytes that one mbuf of a pool holds behind its headroom: the engine's `buffer_room`.
///
/// # Safety
/// `pool` is a valid pktmbuf pool.
#[must_use]
pub unsafe fn data_room(pool: *mut dpdk_sys::rte_mempool) -> u32 {
    // SAFETY: the caller promises the pool.
    unsafe { dpdk_sys::pfplane_shim_data_room(pool) }
}
