/* What the kernel knows of an interface. */
#ifndef ELECT_INTERFACE_H
#define ELECT_INTERFACE_H

#include <stdbool.h>
#include <stdint.h>

/* Whether an interface has an address of a family, 4 or 6. */
bool interface_has_family(const char *name, uint8_t family);

#endif
