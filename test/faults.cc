// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Linked into the library for tests alone (`fairlead_faults`): memory that runs out when a test says
// so, and streams that cannot be touched once they are freed.
//
// FAULTS_FILE names a file of little-endian 64-bit numbers, which both sides may write at any time:
// see Faults.

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace {

struct Faults {
  /** How often memory was asked for. */
  std::atomic<uint64_t> allocations;
  /** The number of the first allocation that is to fail, and of the first after those. */
  std::atomic<uint64_t> first;
  std::atomic<uint64_t> end;
  /** How many did fail. */
  std::atomic<uint64_t> hits;
  /** How many are not freed yet. */
  std::atomic<uint64_t> live;
};

Faults* mapFaults() {
  static Faults none{};
  const char* path = std::getenv("FAULTS_FILE");
  const int file = path == nullptr ? -1 : open(path, O_RDWR | O_CLOEXEC);
  if (file < 0)
    return &none;
  void* mapped = mmap(nullptr, sizeof(Faults), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  return mapped == MAP_FAILED ? &none : static_cast<Faults*>(mapped);
}

/** Objects as large as a stream have pages of their own, which nobody can touch after the delete. */
constexpr size_t kFencedBytes = 512;
constexpr size_t kPageBytes = 4096;
constexpr uint64_t kFenceMark = 0x6661697266656e63;

struct Fence {
  uint64_t mark;
  size_t bytes;
};

void* allocateFenced(size_t size) {
  const size_t bytes = (size + sizeof(Fence) + kPageBytes - 1) / kPageBytes * kPageBytes;
  void* pages = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED)
    return nullptr;
  return new (pages) Fence{kFenceMark, bytes} + 1;
}

/** Null for memory that is not fenced. */
Fence* fenceOf(void* memory) {
  Fence* fence = static_cast<Fence*>(memory) - 1;
  const bool onPage = reinterpret_cast<uintptr_t>(fence) % kPageBytes == 0;
  return onPage && fence->mark == kFenceMark ? fence : nullptr;
}

Faults& faultsOfProcess() {
  static Faults& faults = *mapFaults();
  return faults;
}

}  // namespace

void* operator new(size_t size) {
  Faults& faults = faultsOfProcess();
  const uint64_t number = ++faults.allocations;
  if (number >= faults.first && number < faults.end) {
    ++faults.hits;
    throw std::bad_alloc();
  }
  void* memory = size < kFencedBytes ? std::malloc(size) : allocateFenced(size);
  if (memory == nullptr)
    throw std::bad_alloc();
  ++faults.live;
  return memory;
}

void operator delete(void* memory) noexcept {
  if (memory == nullptr)
    return;
  --faultsOfProcess().live;
  if (Fence* fence = fenceOf(memory)) {
    const size_t bytes = fence->bytes;
    madvise(fence, bytes, MADV_DONTNEED);
    mprotect(fence, bytes, PROT_NONE);
    return;
  }
  std::free(memory);
}

void operator delete(void* memory, size_t) noexcept { operator delete(memory); }
