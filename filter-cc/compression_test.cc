// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Where packing and unpacking end, and what they cost. What they give is tested from outside: test/webapi/,
// test/compression.test.ts.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>

#include "filter-cc/answering_test.h"
#include "filter-cc/runtime.h"
#include "zlib.h"

namespace fairlead {
namespace {

constexpr size_t kMiB = size_t{1024} * 1024;

/** Raw deflate of so many MiB of zeros, a thousandth of that. It has no end, which nobody gets to see. */
std::string bombOf(size_t mib) {
  z_stream zlib{};
  zlib.zalloc = [](void*, unsigned count, unsigned size) { return std::calloc(count, size); };
  zlib.zfree = [](void*, void* memory) { std::free(memory); };
  EXPECT_EQ(deflateInit2(&zlib, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string zeros(kMiB, '\0');
  std::string packed(kMiB, '\0');
  zlib.next_in = reinterpret_cast<Bytef*>(zeros.data());
  zlib.avail_in = static_cast<unsigned>(zeros.size());
  zlib.next_out = reinterpret_cast<Bytef*>(packed.data());
  zlib.avail_out = static_cast<unsigned>(packed.size());
  // What is flushed so refers to nothing before it, and can be repeated.
  EXPECT_EQ(deflate(&zlib, Z_FULL_FLUSH), Z_OK);
  packed.resize(packed.size() - zlib.avail_out);
  deflateEnd(&zlib);
  std::string bomb;
  for (size_t i = 0; i < mib; ++i)
    bomb += packed;
  return bomb;
}

using CompressionTest = AnsweringTest;

const char* const kUnpacking = R"(
  const unpacked = (request) => request.body.pipeThrough(new DecompressionStream("deflate-raw"));
  const ways = {
    "/collect": (request) => new Response(unpacked(request)).text().catch((error) => error.code),
    async "/walk"(request) { let size = 0; for await (const piece of unpacked(request)) size += piece.length; return size; },
    async "/keep"(request) { const pieces = []; for await (const piece of unpacked(request)) pieces.push(piece); },
    "/": () => "served",
  };
  const run = (path, request) => ways[path](request);)";

TEST_F(CompressionTest, ABombOfTenGigabytesStopsAtALimit) {
  // H206, H119, W23
  const std::string bomb = bombOf(10 * 1024);
  EXPECT_GT(bomb.size(), 9 * kMiB);
  EXPECT_LT(bomb.size(), 16 * kMiB);
  load(kUnpacking, 64, 1'000);
  EXPECT_EQ(request("/collect", bomb), std::pair(200u, std::string("E_BODY_LIMIT")));
  EXPECT_FALSE(logHolds("E_MEMORY_LIMIT"));

  const std::clock_t before = std::clock();
  EXPECT_EQ(request("/walk", bomb).first, 500u);
  EXPECT_TRUE(logHolds("E_CPU_LIMIT"));
  EXPECT_LT(std::clock() - before, 10 * CLOCKS_PER_SEC);

  load(kUnpacking);
  EXPECT_EQ(request("/keep", bomb).first, 500u);
  EXPECT_TRUE(logHolds("E_MEMORY_LIMIT"));
  EXPECT_EQ(request("/"), std::pair(200u, std::string("served")));
}

TEST_F(CompressionTest, WhatIsUnpackedMayBeAsLargeAsABodyAndNoLarger) {
  // H206
  load(R"(const run = async (path) => {
    const packed = path === "/over" ? new Uint8Array(16 * 2 ** 20 + 1) : new Uint8Array(16 * 2 ** 20);
    const there = new Response(packed).body.pipeThrough(new CompressionStream("gzip"));
    const back = new Response(there.pipeThrough(new DecompressionStream("gzip")));
    return back.bytes().then((bytes) => bytes.length, (error) => error.code);
  };)");
  EXPECT_EQ(request("/under"), std::pair(200u, std::to_string(16 * kMiB)));
  EXPECT_EQ(request("/over"), std::pair(200u, std::string("E_BODY_LIMIT")));
}

TEST_F(CompressionTest, TheCpuLimitIsLookedAtBetweenPieces) {
  // F068, H119
  load(R"(const noise = crypto.getRandomValues(new Uint8Array(65_536));
    const large = new Uint8Array(8e6);
    for (let at = 0; at + noise.length < large.length; at += noise.length) large.set(noise, at);
    const zeros = new Uint8Array(30e6);
    const run = async (path) => {
      if (path === "/") return "served";
      const { readable, writable } = new CompressionStream("gzip");
      const writer = writable.getWriter();
      (async () => { for (;;) await writer.write(path === "/noise" ? large : zeros); })();
      for await (const piece of readable) piece;
    };)",
       64, 100);
  for (const char* path : {"/noise", "/zeros"}) {
    envoy_.clearLog();
    const std::clock_t before = std::clock();
    EXPECT_EQ(request(path).first, 500u) << path;
    EXPECT_LT(std::clock() - before, 2 * CLOCKS_PER_SEC) << path;
    EXPECT_TRUE(logHolds("E_CPU_LIMIT")) << path;
    EXPECT_EQ(request("/"), std::pair(200u, std::string("served"))) << path;
  }
}

TEST_F(CompressionTest, WhatZlibHoldsCountsAgainstMemoryMbAndIsGivenBack) {
  // F070, W23
  load(R"(const run = async (path) => {
    const kept = [];
    for (let i = 0; i < 400; i++) {
      const streams = path === "/unpack" ? new DecompressionStream("gzip") : new CompressionStream("gzip");
      if (path !== "/leave") kept.push(streams);
      const writer = streams.writable.getWriter();
      const reader = streams.readable.getReader();
      reader.read().catch(() => {});
      await writer.write(new Uint8Array([31, 139, 8]));
      if (path === "/leave") await writer.abort();
    }
    return kept.length;
  };)",
       4);
  EXPECT_EQ(request("/keep").first, 500u);
  EXPECT_TRUE(logHolds("E_MEMORY_LIMIT"));
  envoy_.clearLog();
  EXPECT_EQ(request("/unpack").first, 500u);
  EXPECT_TRUE(logHolds("E_MEMORY_LIMIT"));
  EXPECT_EQ(request("/leave"), std::pair(200u, std::string("0")));
}

}  // namespace
}  // namespace fairlead
