/* The commands of the seal. */
#ifndef HA_MONITOR_SEAL_H
#define HA_MONITOR_SEAL_H

#include <stdio.h>

#include "firewall.h"

/* Shows which keys both firewalls have and use. */
void answer_seal(FILE *out, struct firewall *firewall);
/* Reads the file of the keys again. */
void answer_reload_seal_keys(FILE *out, struct firewall *firewall);

#endif
