// A map from keys of 16 or 40 bytes to slots, as C functions that process whole bursts.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <sys/mman.h>

// The same pages for all contenders: harness/pages.rs does this for Rust.
template <typename T> struct HugePages {
    using value_type = T;
    static constexpr size_t huge = 2 << 20, large = 64 << 10;
    HugePages() = default;
    template <typename U> HugePages(const HugePages<U> &) {}
    T *allocate(size_t count) {
        size_t bytes = count * sizeof(T);
        bool is_large = bytes >= large;
        if (is_large) bytes = (bytes + huge - 1) / huge * huge;
        void *memory = is_large ? std::aligned_alloc(huge, bytes) : std::malloc(bytes);
        if (!memory) throw std::bad_alloc();
        if (is_large) madvise(memory, bytes, MADV_HUGEPAGE);
        return static_cast<T *>(memory);
    }
    void deallocate(T *memory, size_t) { std::free(memory); }
    template <typename U> bool operator==(const HugePages<U> &) const { return true; }
    template <typename U> bool operator!=(const HugePages<U> &) const { return false; }
};

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
    extern "C" void NAME##_insert(void *map, const void *key, uint32_t slot) {                              \
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
