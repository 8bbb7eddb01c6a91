/* Addresses: text to bytes and back, prefixes, Ethernet addresses. */
#ifndef HA_ADDRESS_H
#define HA_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAC_BYTES 6

/* family 4 or 6; IPv4 in the first four bytes, network order. */
struct address {
	uint8_t family;
	uint8_t bytes[16];
};

struct prefix {
	struct address address;
	uint8_t bits;
};

/* "10.1.0.1" or "fd00::1". False when it is neither. */
bool address_parse(const char *text, struct address *out);

/* "10.1.0.1/24"; without a slash all bits. False when it is no prefix. */
bool prefix_parse(const char *text, struct prefix *out);

/* "00:00:5e:00:01:01". False when it is no Ethernet address. */
bool mac_parse(const char *text, uint8_t out[MAC_BYTES]);

bool address_equal(const struct address *a, const struct address *b);
bool prefix_contains(const struct prefix *prefix, const struct address *address);

/* Whether a router may pass on a packet of this address: not from or to nobody, this host, a link or, as a source, a
 * group (RFC 1122 3.2.1.3, RFC 4291 2.5). Groups as destinations would need multicast routing, which we have not. */
bool address_is_routable(uint8_t family, const uint8_t address[16]);

/* Text of an address, in a buffer of at least 46 bytes. */
const char *address_text(const struct address *address, char *buffer, size_t size);

static inline size_t
address_bytes(const struct address *address)
{
	return address->family == 6 ? 16 : 4;
}

#endif
