/* IP addresses, prefixes and Ethernet addresses: parsing, formatting, comparison. */
#ifndef HA_ADDRESS_H
#define HA_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAC_BYTES 6

/* Family 4 or 6; bytes in network order, IPv4 in the first four. */
struct address {
	uint8_t family;
	uint8_t bytes[16];
};

struct prefix {
	struct address address;
	uint8_t bits;
};

/* Parses "10.1.0.1" or "fd00::1". */
bool address_parse(const char *text, struct address *out);

/* Parses "10.1.0.1/24"; without a slash the prefix has all bits. */
bool prefix_parse(const char *text, struct prefix *out);

/* Parses "00:00:5e:00:01:01". */
bool mac_parse(const char *text, uint8_t out[MAC_BYTES]);

bool address_equal(const struct address *a, const struct address *b);
bool prefix_contains(const struct prefix *prefix, const struct address *address);

/* Whether a router may forward packets of this address: not unspecified, loopback, link-local or multicast (RFC 1122
 * 3.2.1.3, RFC 4291 2.5). Multicast destinations would need multicast routing. */
bool address_is_routable(uint8_t family, const uint8_t address[16]);

/* Formats an address into a buffer of at least 46 bytes. */
const char *address_text(const struct address *address, char *buffer, size_t size);

static inline size_t
address_bytes(const struct address *address)
{
	return address->family == 6 ? 16 : 4;
}

#endif
