#include "monitor/comparison.h"

#include <inttypes.h>

#include "firewall.h"

void
comparison_write_status(FILE *out, const struct firewall *firewall)
{
	struct pfplane_comparison comparison = {.size = sizeof(comparison)};

	if (pfplane_engine_compare(firewall->engine, 0, now_ns(), &comparison) != PFPLANE_OK || comparison.streams == 0)
		return;
	fprintf(out, ",\"equal\":%s,\"differing\":%u", comparison.equal ? "true" : "false", comparison.differing);
	if (comparison.equal_age_ms != PFPLANE_NEVER)
		fprintf(out, ",\"equal_age_ms\":%" PRIu64, comparison.equal_age_ms);
}
