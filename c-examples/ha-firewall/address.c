#include "address.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

bool
address_parse(const char *text, struct address *out)
{
	memset(out, 0, sizeof(*out));
	if (inet_pton(AF_INET, text, out->bytes) == 1)
		out->family = 4;
	else if (inet_pton(AF_INET6, text, out->bytes) == 1)
		out->family = 6;
	return out->family != 0;
}

bool
prefix_parse(const char *text, struct prefix *out)
{
	char host[64];
	const char *slash = strchr(text, '/');
	size_t length = slash != NULL ? (size_t)(slash - text) : strlen(text);
	unsigned long max_bits;
	char *end;

	if (length >= sizeof(host))
		return false;
	memcpy(host, text, length);
	host[length] = '\0';
	if (!address_parse(host, &out->address))
		return false;
	max_bits = address_bytes(&out->address) * 8;
	out->bits = (uint8_t)max_bits;
	if (slash == NULL)
		return true;
	if (slash[1] < '0' || slash[1] > '9')
		return false;
	unsigned long bits = strtoul(slash + 1, &end, 10);
	if (*end != '\0' || bits > max_bits)
		return false;
	out->bits = (uint8_t)bits;
	return true;
}

bool
mac_parse(const char *text, uint8_t out[MAC_BYTES])
{
	if (strlen(text) != MAC_BYTES * 3 - 1)
		return false;
	for (int i = 0; i < MAC_BYTES; i++, text += 3) {
		if (!isxdigit((unsigned char)text[0]) || !isxdigit((unsigned char)text[1]) ||
		    text[2] != (i < MAC_BYTES - 1 ? ':' : '\0'))
			return false;
		out[i] = (uint8_t)strtoul((const char[]){text[0], text[1], '\0'}, NULL, 16);
	}
	return true;
}

bool
address_equal(const struct address *a, const struct address *b)
{
	return a->family == b->family && memcmp(a->bytes, b->bytes, address_bytes(a)) == 0;
}

bool
prefix_contains(const struct prefix *prefix, const struct address *address)
{
	size_t whole = prefix->bits / 8;
	uint8_t mask = (uint8_t)(0xff00u >> (prefix->bits % 8));

	if (prefix->address.family != address->family)
		return false;
	if (memcmp(prefix->address.bytes, address->bytes, whole) != 0)
		return false;
	return mask == 0 || ((prefix->address.bytes[whole] ^ address->bytes[whole]) & mask) == 0;
}

bool
address_is_routable(uint8_t family, const uint8_t address[16])
{
	static const uint8_t zero[15];

	if (family == 4)
		return address[0] != 0 && address[0] != 127 && address[0] < 224 &&
		       !(address[0] == 169 && address[1] == 254);
	return address[0] != 0xff && !(address[0] == 0xfe && (address[1] & 0xc0) == 0x80) &&
	       !(memcmp(address, zero, sizeof(zero)) == 0 && address[15] <= 1);
}

const char *
address_text(const struct address *address, char *buffer, size_t size)
{
	int family = address->family == 6 ? AF_INET6 : AF_INET;
	const char *text = inet_ntop(family, address->bytes, buffer, (socklen_t)size);

	return text != NULL ? text : "?";
}
