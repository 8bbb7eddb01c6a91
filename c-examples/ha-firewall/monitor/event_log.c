/* The event log (--event-log): one line of JSON for each refused packet, with the state that refused it, for each state at a
 * takeover, and for each event of the election. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <rte_byteorder.h>
#include <rte_tcp.h>

#include "firewall.h"

static FILE *event_log;

bool
event_log_open(const char *path)
{
	if (path == NULL)
		return true;
	event_log = fopen(path, "w");
	if (event_log == NULL) {
		fprintf(stderr, "ha-firewall: --event-log %s: cannot be written\n", path);
		return false;
	}
	/* Line buffered, so that every line survives a kill. */
	if (setvbuf(event_log, NULL, _IOLBF, 1 << 14) != 0) {
		fprintf(stderr, "ha-firewall: --event-log %s: cannot be line buffered\n", path);
		return false;
	}
	return true;
}

void
event_log_close(void)
{
	if (event_log != NULL && fclose(event_log) != 0)
		fputs("ha-firewall: the event log is incomplete\n", stderr);
	event_log = NULL;
}

static const char *
reason_name(uint8_t reason)
{
	static const char *const names[] = {
		[PFPLANE_REASON_NONE] = "none",
		[PFPLANE_REASON_TRUNCATED] = "truncated",
		[PFPLANE_REASON_MALFORMED] = "malformed",
		[PFPLANE_REASON_WINDOW] = "window",
		[PFPLANE_REASON_CHALLENGE_ACK] = "challenge_ack",
		[PFPLANE_REASON_RESET] = "reset",
		[PFPLANE_REASON_TABLE_FULL] = "table_full",
		[PFPLANE_REASON_KEY_COLLISION] = "key_collision",
		[PFPLANE_REASON_STATE] = "state",
		[PFPLANE_REASON_NO_STATE] = "no_state",
		[PFPLANE_REASON_TRANSLATION] = "translation",
		[PFPLANE_REASON_NO_PORT] = "no_port",
		[PFPLANE_REASON_ID_COLLISION] = "id_collision",
	};

	return reason < RTE_DIM(names) && names[reason] != NULL ? names[reason] : "other";
}

static const char *
address_of(uint8_t family, const uint8_t bytes[16], char *text, size_t size)
{
	struct address address = {.family = family};

	memcpy(address.bytes, bytes, sizeof(address.bytes));
	return address_text(&address, text, size);
}

static void
state_text(const struct pfplane_state_view *view, char *text, size_t size)
{
	const struct pfplane_side *src = &view->state.src, *dst = &view->state.dst;

	(void)snprintf(text, size,
	                "{\"id\":%" PRIu64 ",\"creator\":%" PRIu32 ",\"imported\":%u,\"local_traffic\":%u,\"direction\":%u,"
	                "\"peer_state\":[%u,%u],\"timeout\":%u,\"wscale\":[%u,%u],\"seqlo\":[%" PRIu32 ",%" PRIu32 "],"
	                "\"seqhi\":[%" PRIu32 ",%" PRIu32 "],\"max_win\":[%u,%u]}",
	                view->id, view->creator, view->imported, view->local_traffic, view->state.direction, src->state,
	                dst->state, view->state.timeout, src->wscale, dst->wscale, src->seqlo, dst->seqlo, src->seqhi,
	                dst->seqhi, src->max_win, dst->max_win);
}

/* Formats the TCP header's fields, if the header is complete. */
static void
tcp_text(struct rte_mbuf *mbuf, const struct pfplane_facts *facts, char *text, size_t size)
{
	const struct rte_tcp_hdr *tcp;
	uint32_t header, payload;

	text[0] = '\0';
	if (facts->proto != IPPROTO_TCP || facts->icmp_error || facts->l4_offset + sizeof(*tcp) > mbuf->data_len)
		return;
	tcp = rte_pktmbuf_mtod_offset(mbuf, const struct rte_tcp_hdr *, facts->l4_offset);
	header = (uint32_t)(facts->l4_offset - facts->l3_offset) + (uint32_t)(tcp->data_off >> 4) * 4;
	payload = facts->ip_length > header ? facts->ip_length - header : 0;
	(void)snprintf(text, size,
	                ",\"flags\":%u,\"seq\":%" PRIu32 ",\"ack\":%" PRIu32 ",\"window\":%u,\"payload\":%" PRIu32,
	                facts->tcp_flags, rte_be_to_cpu_32(tcp->sent_seq), rte_be_to_cpu_32(tcp->recv_ack),
	                rte_be_to_cpu_16(tcp->rx_win), payload);
}

void
event_log_refused(struct worker *worker, enum side from, struct rte_mbuf *mbuf, const struct pfplane_verdict *verdict,
                const struct pfplane_burst *burst)
{
	struct pfplane_packet packet = {.data = rte_pktmbuf_mtod(mbuf, uint8_t *), .length = mbuf->data_len,
	                                .packet_length = mbuf->pkt_len};
	struct pfplane_state_view view = {.size = sizeof(view)};
	char source[64], destination[64], tcp[160], state[512] = "null";
	struct pfplane_facts facts;

	if (event_log == NULL || pfplane_packet_facts(burst, &packet, &facts, NULL) != PFPLANE_OK)
		return;
	if (verdict->slot != UINT32_MAX &&
	    pfplane_lane_state_at(worker->lane, burst->now_ns, verdict->slot, &view) == PFPLANE_OK)
		state_text(&view, state, sizeof(state));
	tcp_text(mbuf, &facts, tcp, sizeof(tcp));
	fprintf(event_log,
	        "{\"event\":\"refused\",\"now_ns\":%" PRIu64 ",\"reason\":\"%s\",\"from\":\"%s\",\"source\":\"%s\","
	        "\"source_port\":%u,\"destination\":\"%s\",\"destination_port\":%u,\"proto\":%u,\"tos\":%u%s,\"state\":%s}\n",
	        burst->now_ns, reason_name(verdict->reason), from == INSIDE ? "inside" : "outside",
	        address_of(facts.family, facts.source, source, sizeof(source)), facts.source_port,
	        address_of(facts.family, facts.destination, destination, sizeof(destination)),
	        facts.destination_port, facts.proto, facts.tos, tcp, state);
}

void
event_log_line(const char *format, ...)
{
	va_list arguments;

	if (event_log == NULL)
		return;
	va_start(arguments, format);
	(void)vfprintf(event_log, format, arguments);
	va_end(arguments);
}

unsigned int
event_log_takeover(struct worker *worker, uint64_t now, uint32_t max_states)
{
	struct pfplane_state_view view = {.size = sizeof(view)};
	const struct pfplane_key *key = &view.state.key[0];
	char one[64], other[64], state[512];
	uint32_t logged = 0;

	if (event_log == NULL || !worker->logs_takeover)
		return 0;
	for (; logged < max_states; logged++) {
		if (pfplane_lane_state_next(worker->lane, now, &worker->takeover_cursor, &view) != PFPLANE_OK)
			break;
		state_text(&view, state, sizeof(state));
		fprintf(event_log,
		        "{\"event\":\"state_at_takeover\",\"now_ns\":%" PRIu64 ",\"proto\":%u,\"addresses\":[\"%s\",\"%s\"],\"ports\":[%u,%u],"
		        "\"state\":%s}\n",
		        now, key->proto, address_of(key->family, key->addr[0], one, sizeof(one)),
		        address_of(key->family, key->addr[1], other, sizeof(other)), key->port[0], key->port[1], state);
	}
	if (logged == max_states)
		return logged;
	worker->logs_takeover = false;
	fprintf(event_log, "{\"event\":\"takeover_logged\",\"now_ns\":%" PRIu64 ",\"lane\":%" PRIu32 "}\n", now, worker->index);
	return logged;
}
