// DPDK's rte_hash: calls that need its headers, and an EAL without devices.
#include <rte_config.h>

#include <rte_eal.h>
#include <rte_hash.h>
#include <rte_hash_crc.h>
#include <rte_memory.h>
#include <stdint.h>
#include <sys/mman.h>

// The same pages for all contenders: EAL runs without hugetlbfs, so its heap is advised to use huge pages.
static int advise(const struct rte_memseg_list *list, void *unused)
{
    (void)unused;
    madvise(list->base_va, list->len, MADV_HUGEPAGE);
    return 0;
}

int peer_rte_start(char *core, char *megabytes)
{
    char *arguments[] = {"bench", "--no-huge", "--no-pci", "--no-telemetry", "--no-shconf",
                         "--log-level=error", "-l", core, "-m", megabytes, NULL};
    if (rte_eal_init(sizeof arguments / sizeof arguments[0] - 1, arguments) < 0)
        return -1;
    return rte_memseg_list_walk(advise, NULL);
}

struct rte_hash *peer_rte_new(const char *name, uint32_t entries, uint32_t key_bytes, int lock_free)
{
    struct rte_hash_parameters parameters = {
        .name = name,
        .entries = entries,
        .key_len = key_bytes,
        .hash_func = rte_hash_crc,
        .hash_func_init_val = 0x5eed,
        .socket_id = SOCKET_ID_ANY,
        .extra_flag = lock_free ? RTE_HASH_EXTRA_FLAGS_RW_CONCURRENCY_LF : 0,
    };
    return rte_hash_create(&parameters);
}
