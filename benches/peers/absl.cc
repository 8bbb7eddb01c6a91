// Abseil's Swiss table.
#include "maps.h"
#include <absl/container/flat_hash_map.h>

template <typename H, size_t N> H AbslHashValue(H state, const Words<N> &key) {
    return H::combine_contiguous(std::move(state), key.word, N);
}

template <size_t N>
using Map = absl::flat_hash_map<Words<N>, uint32_t, absl::Hash<Words<N>>, std::equal_to<>,
                                HugePages<std::pair<const Words<N>, uint32_t>>>;

PEER_MAP(peer_absl16, Map, 2)
PEER_MAP(peer_absl40, Map, 5)
