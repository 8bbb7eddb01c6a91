#include "interface.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>

bool
interface_has_family(const char *name, uint8_t family)
{
	const int wanted = family == 4 ? AF_INET : AF_INET6;
	struct ifaddrs *all, *one;
	bool found = false;

	/* A call that fails tells nothing: the addresses may be there. */
	if (getifaddrs(&all) != 0)
		return true;
	for (one = all; one != NULL && !found; one = one->ifa_next)
		found = one->ifa_addr != NULL && one->ifa_addr->sa_family == wanted && strcmp(one->ifa_name, name) == 0;
	freeifaddrs(all);
	return found;
}
