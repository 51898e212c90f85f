// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Memory of what each exchange makes and frees: a block that is given back serves the next object of
// its class on this thread. Asking the allocator takes longer than much of what a hook does.
//
// Thread: any; each keeps a few blocks of a class, and they are never given back.

#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <new>

namespace fairlead {

/** Blocks for objects of class T. */
template <class T> class SpareBlocks {
public:
  static void* take() {
    Spare& spare = ofThread();
    if (spare.count == 0)
      return ::operator new(kBytes);
    --spare.count;
    Block* block = spare.first;
    spare.first = block->next;
    return block;
  }

  static void give(void* memory) noexcept {
    Spare& spare = ofThread();
    if (spare.count == kMaxSpare) {
      ::operator delete(memory);
      return;
    }
    ++spare.count;
    spare.first = new (memory) Block{spare.first};
  }

private:
  // Where use after free is looked for, memory goes at once.
#if defined(__SANITIZE_ADDRESS__) || defined(FAIRLEAD_FREES_AT_ONCE)
  static constexpr uint32_t kMaxSpare = 0;
#else
  static constexpr uint32_t kMaxSpare = 16;
#endif

  /** What stands in memory that nobody has. */
  struct Block {
    Block* next;
  };
  static constexpr size_t kBytes = std::max(sizeof(T), sizeof(Block));
  static_assert(alignof(T) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__);

  struct Spare {
    Block* first;
    uint32_t count;
  };
  static Spare& ofThread() {
    static thread_local constinit Spare spare{nullptr, 0};
    return spare;
  }
};

/** A base of class T: `new` and `delete` recycle. Nothing may be derived from T. */
template <class T> class Recycled {
public:
  static void* operator new(size_t) { return SpareBlocks<T>::take(); }
  static void operator delete(void* memory) noexcept { SpareBlocks<T>::give(memory); }
};

/** The same for std::allocate_shared, which puts its count beside the object. */
template <class T> struct RecyclingAllocator {
  using value_type = T;
  RecyclingAllocator() = default;
  template <class U> RecyclingAllocator(const RecyclingAllocator<U>&) {}
  T* allocate(size_t) { return static_cast<T*>(SpareBlocks<T>::take()); }
  void deallocate(T* memory, size_t) noexcept { SpareBlocks<T>::give(memory); }
  template <class U> bool operator==(const RecyclingAllocator<U>&) const { return true; }
};

}  // namespace fairlead
