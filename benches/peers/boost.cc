// Boost's flat map, with a folded multiply for a hash: its default for such keys is slower.
#include "maps.h"
#include <boost/unordered/unordered_flat_map.hpp>

template <size_t N> struct Mix {
    using is_avalanching = void;
    size_t operator()(const Words<N> &key) const {
        uint64_t hash = 0x243f6a8885a308d3;
        for (uint64_t word : key.word) {
            auto wide = (unsigned __int128)(hash ^ word) * 0x9e3779b97f4a7c15;
            hash = (uint64_t)wide ^ (uint64_t)(wide >> 64);
        }
        return hash;
    }
};

template <size_t N>
using Map = boost::unordered_flat_map<Words<N>, uint32_t, Mix<N>, std::equal_to<>,
                                      HugePages<std::pair<const Words<N>, uint32_t>>>;

PEER_MAP(peer_boost16, Map, 2)
PEER_MAP(peer_boost40, Map, 5)
