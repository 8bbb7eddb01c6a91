// A map from keys of 16 or 40 bytes to slots, behind C functions that work on whole bursts.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

template <size_t N> struct Words {
    uint64_t word[N];
    bool operator==(const Words &other) const { return std::memcmp(word, other.word, sizeof word) == 0; }
};

#define PEER_MAP(NAME, MAP, WORDS)                                                                       \
    extern "C" void *NAME##_new(size_t capacity) {                                                       \
        auto *map = new MAP<WORDS>();                                                                    \
        map->reserve(capacity);                                                                          \
        return map;                                                                                      \
    }                                                                                                    \
    extern "C" void NAME##_free(void *map) { delete static_cast<MAP<WORDS> *>(map); }                    \
    extern "C" void NAME##_put(void *map, const void *key, uint32_t slot) {                              \
        (*static_cast<MAP<WORDS> *>(map))[*static_cast<const Words<WORDS> *>(key)] = slot;               \
    }                                                                                                    \
    extern "C" void NAME##_find(const void *map, const void *keys, size_t count, uint32_t *slots) {      \
        const auto &all = *static_cast<const MAP<WORDS> *>(map);                                         \
        const auto *key = static_cast<const Words<WORDS> *>(keys);                                       \
        for (size_t n = 0; n < count; n++) {                                                             \
            auto found = all.find(key[n]);                                                               \
            slots[n] = found == all.end() ? UINT32_MAX : found->second;                                  \
        }                                                                                                \
    }
