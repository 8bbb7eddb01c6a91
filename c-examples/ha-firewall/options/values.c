/* Parses the values of options, and reports wrong ones. */
#include "options/values.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Noreturn void
fail(const char *format, ...)
{
	va_list arguments;

	fputs("ha-firewall: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputs(" (--help lists the options)\n", stderr);
	exit(2);
}

uint32_t
number(const char *name, const char *text, uint32_t min, uint32_t max)
{
	char *end;
	unsigned long long value = strtoull(text, &end, 10);

	if (text[0] < '0' || text[0] > '9' || *end != '\0' || value < min || value > max)
		fail("--%s %s: not a number from %u to %u", name, text, min, max);
	return (uint32_t)value;
}

bool
is_unicast(const struct address *address)
{
	static const uint8_t unspecified[16];

	if (memcmp(address->bytes, unspecified, sizeof(unspecified)) == 0)
		return false;
	return address->family == 4 ? address->bytes[0] < 224 : address->bytes[0] != 0xff;
}

void
set_address(const char *name, const char *text, struct address *address)
{
	if (!address_parse(text, address))
		fail("--%s %s: not an IP address", name, text);
}
