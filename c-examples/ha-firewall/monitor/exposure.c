#include "monitor/exposure.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "firewall.h"

static_assert(sizeof(struct exposure_header) == 64, "exposure.h documents the size");
static_assert(sizeof(struct exposure_lane) == 64, "exposure.h documents the size");

/* Creates and maps the file; without a path, maps anonymous memory. */
static void *
map(const char *path, size_t bytes)
{
	void *memory;
	int file;

	if (path == NULL)
		return mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);
	if (file < 0)
		return MAP_FAILED;
	memory = ftruncate(file, (off_t)bytes) != 0 ? MAP_FAILED
	                                            : mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	/* The mapping stays valid, so a failure to close does no harm. */
	(void)close(file);
	return memory;
}

bool
exposure_start(struct firewall *firewall)
{
	struct exposure *exposure = &firewall->exposure;
	const char *path = firewall->arguments.exposure;
	struct exposure_header *header;

	exposure->bytes = sizeof(*header) + firewall->lanes * sizeof(*exposure->lanes);
	exposure->memory = map(path, exposure->bytes);
	if (exposure->memory == MAP_FAILED) {
		exposure->memory = NULL;
		fprintf(stderr, "ha-firewall: --exposure %s: %s\n", path != NULL ? path : "(memory)", strerror(errno));
		return false;
	}
	header = exposure->memory;
	header->lanes = firewall->lanes;
	memcpy(header->title, EXPOSURE_TITLE, sizeof(EXPOSURE_TITLE));
	exposure->lanes = (struct exposure_lane *)(header + 1);
	return true;
}

void
exposure_stop(struct firewall *firewall)
{
	if (firewall->exposure.memory != NULL && munmap(firewall->exposure.memory, firewall->exposure.bytes) != 0)
		perror("ha-firewall: munmap");
}

static struct pfplane_exposure
current(struct worker *worker, uint64_t now)
{
	struct pfplane_exposure exposure = {.size = sizeof(exposure)};

	require_ok(pfplane_lane_exposure(worker->lane, now, &exposure), "pfplane_lane_exposure");
	return exposure;
}

uint64_t
exposure_creations(struct worker *worker, uint64_t now)
{
	return current(worker, now).creations;
}

void
exposure_update(struct worker *worker, uint64_t now)
{
	struct exposure_lane *lane = &worker->firewall->exposure.lanes[worker->index];
	struct pfplane_exposure exposure;

	if (worker->firewall->arguments.no_sync)
		return;
	exposure = current(worker, now);
	atomic_store_explicit(&lane->creations, exposure.creations, memory_order_relaxed);
	atomic_store_explicit(&lane->changes, exposure.changes, memory_order_relaxed);
	atomic_store_explicit(&lane->oldest_ns, exposure.oldest_ns, memory_order_relaxed);
}

struct exposure_sum
exposure_sum(const struct firewall *firewall)
{
	struct exposure_sum sum = {0};

	for (uint32_t i = 0; i < firewall->lanes; i++) {
		struct exposure_lane *lane = &firewall->exposure.lanes[i];

		sum.creations += atomic_load(&lane->creations) + atomic_load(&lane->queued);
		sum.changes += atomic_load(&lane->changes);
		sum.oldest_ns = RTE_MAX(sum.oldest_ns, atomic_load(&lane->oldest_ns));
	}
	return sum;
}
