/* The command line after EAL's "--". */
#ifndef HA_ARGUMENTS_H
#define HA_ARGUMENTS_H

#include <stdbool.h>
#include <stdint.h>

#include <pfplane.h>

#include "address.h"
#include "options/election.h"
#include "options/seal.h"

#define MAX_ADDRESSES 8
#define MAX_ELECTION_PEERS 4
#define MAX_SYNC_SOURCES 8
#define MAX_SYNC_INTERFACES 16

/* One side of the firewall. */
struct side_arguments {
	uint16_t port;
	bool has_port;
	uint8_t mac[MAC_BYTES]; /* shared; not with --election */
	bool has_mac;
	struct prefix addresses[MAX_ADDRESSES]; /* shared */
	unsigned int address_count;
	struct address gateway[2]; /* IPv4, IPv6; family 0 for none */
	/* With --election: */
	struct address own[2]; /* IPv4, IPv6; family 0 for none */
	struct address peers[MAX_ELECTION_PEERS];
	unsigned int peer_count;
};

struct arguments {
	struct side_arguments inside;
	struct side_arguments outside;
	uint16_t sync_port;
	bool has_sync_port;
	struct address sync_address;
	struct address sync_peer;
	uint32_t sync_profile; /* PFPLANE_PROFILE_* */
	bool sync_pfplane;
	uint16_t sync_vlan;    /* 0 for none */
	struct pfplane_address sync_sources[MAX_SYNC_SOURCES];
	uint32_t sync_source_count;
	struct pfplane_interface_names sync_interfaces[MAX_SYNC_INTERFACES];
	uint32_t sync_interface_count;
	uint32_t max_imported; /* 0 for the library's default */
	const char *rules;
	const char *control;
	const char *event_log; /* NULL for none */
	const char *exposure;
	uint32_t lanes;
	uint32_t states;
	uint32_t mtu;
	uint32_t insert_age_ms;
	uint32_t update_age_ms;
	uint32_t defer_ms;
	uint32_t max_defer;
	struct election_arguments election;
	struct seal_arguments seal;
	bool master;
	bool has_role;
	bool no_sync;
};

/* Parses the command line. Prints a message and exits with status 2 on an error, with 0 after --help. */
void arguments_parse(int argc, char **argv, struct arguments *out);

#endif
