#include "witness.h"

#include <arpa/inet.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_UNANSWERED = 3, MAX_REPLY = 2048 };

static int ping_socket = -1;
static bool is_v6, has_answered;
static uint16_t identifier, sequence;
static uint32_t unanswered;
static uint64_t next_ns, interval_ns;

const char *
witness_open(const struct pfplane_address *address, uint64_t every_ns)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
	const int kind = SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC;

	is_v6 = address->family == 6;
	interval_ns = every_ns;
	identifier = (uint16_t)getpid();
	memcpy(&v4.sin_addr, address->bytes, sizeof(v4.sin_addr));
	memcpy(&v6.sin6_addr, address->bytes, sizeof(v6.sin6_addr));
	ping_socket = is_v6 ? socket(AF_INET6, kind, IPPROTO_ICMPV6) : socket(AF_INET, kind, IPPROTO_ICMP);
	if (ping_socket < 0)
		return "raw socket of --witness";
	/* A connected socket receives from the witness only. */
	if (is_v6 ? connect(ping_socket, (const struct sockaddr *)&v6, sizeof(v6)) != 0
	          : connect(ping_socket, (const struct sockaddr *)&v4, sizeof(v4)) != 0)
		return "route to --witness";
	return NULL;
}

static uint16_t
checksum(const uint8_t *bytes, size_t length)
{
	uint32_t sum = 0;

	for (size_t at = 0; at + 1 < length; at += 2)
		sum += (uint32_t)bytes[at] << 8 | bytes[at + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* Type, code, checksum, identifier and sequence are at the same places in both families. The kernel computes ICMPv6's checksum. */
static void
send_ping(void)
{
	uint8_t request[8] = {is_v6 ? ICMP6_ECHO_REQUEST : ICMP_ECHO};
	uint16_t sum;

	sequence++;
	memcpy(request + 4, &(uint16_t){htons(identifier)}, 2);
	memcpy(request + 6, &(uint16_t){htons(sequence)}, 2);
	sum = htons(checksum(request, sizeof(request)));
	if (!is_v6)
		memcpy(request + 2, &sum, 2);
	/* One that cannot be sent is not answered either. */
	(void)!send(ping_socket, request, sizeof(request), 0);
}

static void
read_replies(void)
{
	uint8_t bytes[MAX_REPLY];
	ssize_t length;

	while ((length = recv(ping_socket, bytes, sizeof(bytes), 0)) > 0) {
		/* Over IPv4 the IP header is in front. */
		const size_t at = is_v6 ? 0 : (size_t)(bytes[0] & 0xf) * 4;
		uint16_t id, number;

		if ((size_t)length < at + 8 || bytes[at] != (is_v6 ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY))
			continue;
		memcpy(&id, bytes + at + 4, 2);
		memcpy(&number, bytes + at + 6, 2);
		if (ntohs(id) != identifier || (uint16_t)(sequence - ntohs(number)) >= MAX_UNANSWERED)
			continue;
		unanswered = 0;
		has_answered = true;
	}
}

bool
witness_answers(uint64_t now_ns)
{
	read_replies();
	if (now_ns >= next_ns) {
		next_ns = now_ns + interval_ns;
		if (unanswered == MAX_UNANSWERED)
			has_answered = false;
		else
			unanswered++;
		send_ping();
	}
	return has_answered;
}
