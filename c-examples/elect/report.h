/* Prints what the election reports. */
#ifndef ELECT_REPORT_H
#define ELECT_REPORT_H

#include <stdint.h>

#include <pfplane.h>

/* Ends the program if a call failed. */
void must(int32_t status, const char *what);

/* Prints and takes all events; `start` is the time 0. */
void print_events(pfplane_election *election, uint64_t start, uint64_t now);
/* Prints the counters that are not 0. */
void print_counters(pfplane_election *election, uint32_t members);

#endif
