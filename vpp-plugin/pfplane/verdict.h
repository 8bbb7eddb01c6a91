/* What the lookup nodes do with the verdicts that are not a plain pass. */
#ifndef included_pfplane_verdict_h
#define included_pfplane_verdict_h

#include <pfplane/nat/nat.h>

#define foreach_pfp_next                                                                                               \
  _ (DROP, "ip4-drop", "ip6-drop")                                                                                     \
  _ (ANSWER, "ip4-lookup", "ip6-lookup")                                                                               \
  _ (OTHER_FAMILY, "ip6-lookup", "ip4-lookup")

typedef enum
{
#define _(name, ip4, ip6) PFP_NEXT_##name,
  foreach_pfp_next
#undef _
    PFP_N_NEXT,
} pfp_next_t;

/* In place of a next index: the buffer was handed off or is held. */
#define PFP_CONSUMED 0xffff

/* One side's packets of a frame. */
typedef struct
{
  vlib_main_t *vm;
  vlib_node_runtime_t *node;
  pfp_thread_t *thread;
  struct pfplane_burst burst;
  u8 is_ip6;
} pfp_batch_t;

/* Counts a dropped packet: the drop node counts `error`, so the node does not. */
static_always_inline u16
pfp_drop (pfp_batch_t *batch, vlib_buffer_t *b, u16 error)
{
  b->error = batch->node->errors[error];
  return PFP_NEXT_DROP;
}

static_always_inline void
pfp_count (pfp_batch_t *batch, u16 error)
{
  vlib_node_increment_counter (batch->vm, batch->node->node_index, error, 1);
}

/* Describes a buffer to the library, from its IP header on. */
static_always_inline void
pfp_packet_init (struct pfplane_packet *packet, vlib_buffer_t *b)
{
  packet->data = vlib_buffer_get_current (b);
  packet->length = b->current_length;
  packet->packet_length =
    PREDICT_FALSE (b->flags & VLIB_BUFFER_NEXT_PRESENT) ? vlib_buffer_length_in_chain (vlib_get_main (), b) : 0;
  packet->hash = 0;
  packet->headroom = (u16) (b->current_data + VLIB_BUFFER_PRE_DATA_SIZE);
  packet->flags = 0;
  if (PREDICT_FALSE (b->flags & VNET_BUFFER_F_OFFLOAD))
    {
      vnet_buffer_oflags_t offload = vnet_buffer (b)->oflags;
      if (offload & (VNET_BUFFER_OFFLOAD_F_TCP_CKSUM | VNET_BUFFER_OFFLOAD_F_UDP_CKSUM))
	packet->flags |= PFPLANE_PACKET_L4_CHECKSUM_OFFLOAD;
      if (offload & VNET_BUFFER_OFFLOAD_F_IP_CKSUM)
	packet->flags |= PFPLANE_PACKET_IP_CHECKSUM_OFFLOAD;
    }
}

/* Returns the next index, or PFP_CONSUMED. */
u16 pfp_verdict_drop (pfp_batch_t *batch, vlib_buffer_t *b, const struct pfplane_packet *packet,
		      const struct pfplane_verdict *verdict);
u16 pfp_pass (pfp_batch_t *batch, vlib_buffer_t *b, const struct pfplane_verdict *verdict);
u16 pfp_verdict_slow (pfp_batch_t *batch, vlib_buffer_t *b, u32 *buffer_index, struct pfplane_packet *packet,
		      struct pfplane_verdict *verdict);
u16 pfp_fragment (pfp_batch_t *batch, vlib_buffer_t *b, u32 buffer_index, const struct pfplane_packet *packet);
u16 pfp_handoff_add (pfp_batch_t *batch, vlib_buffer_t *b, u32 buffer_index, u32 lane);
u16 pfp_hold (pfp_batch_t *batch, vlib_buffer_t *b, u32 buffer_index, u32 slot);
u16 pfp_pass_without_state (pfp_batch_t *batch, vlib_buffer_t *b, pfp_decision_t decision);

#endif
