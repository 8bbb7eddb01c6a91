/* Parses the values of options, and reports wrong ones. */
#ifndef HA_OPTIONS_VALUES_H
#define HA_OPTIONS_VALUES_H

#include <stdbool.h>
#include <stdint.h>

#include "address.h"

/* Prints a message and exits with status 2. */
__attribute__((format(printf, 1, 2))) _Noreturn void fail(const char *format, ...);

/* Parse the value of option `name`; a wrong one is an error. */
uint32_t number(const char *name, const char *text, uint32_t min, uint32_t max);
void set_address(const char *name, const char *text, struct address *address);

/* Whether a host can have this address: it is neither unspecified nor multicast. */
bool is_unicast(const struct address *address);

#endif
