// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// What a URL costs and when it goes. What it does is tested from outside: test/webapi/url.js.

#include "filter-cc/url.h"

#include <gtest/gtest.h>

#include "filter-cc/answering_test.h"
#include "filter-cc/runtime.h"

namespace fairlead {
namespace {

using UrlTest = AnsweringTest;

TEST_F(UrlTest, WhatPairsAndUrlsHoldCountsAgainstMemoryMb) {
  load(R"(const big = "x".repeat(1e6);
    const endless = {
      "/append"() { const params = new URLSearchParams(); for (;;) params.append("a", big); },
      "/pairs": () => new URLSearchParams("a&".repeat(1e6)).size,
      "/urls"() { const urls = []; for (;;) urls.push(new URL("http://a/" + big)); },
      "/linked"() { const url = new URL("http://a/"); for (;;) url.searchParams.append("a", big); },
    };
    const run = (path) => endless[path]?.() ?? "served";)",
       8);
  for (const char* path : {"/append", "/pairs", "/urls", "/linked"}) {
    envoy_.clearLog();
    EXPECT_EQ(request(path).first, 500u) << path;
    EXPECT_TRUE(logHolds("E_MEMORY_LIMIT")) << path;
    EXPECT_EQ(request("/"), std::pair(200u, std::string("served"))) << path;
  }
}

TEST_F(UrlTest, WhatIsNoLongerUsedIsGivenBackR27) {
  load(R"(function run() {
      for (let i = 0; i < 30; i++) {
        new URLSearchParams("a&".repeat(2e4));
        const params = new URLSearchParams("a&".repeat(2e4));
        params.delete("a");
        const url = new URL("http://a/?" + "a&".repeat(1e4));
        url.searchParams.sort();
        url.search = "";
        // Only the collector can free this one, with its pairs and an iterator over them.
        const cycle = new URL("http://a/?" + "a&".repeat(1e4));
        cycle.self = cycle;
        cycle.searchParams.url = cycle;
        cycle.iterator = cycle.searchParams.entries();
      }
      return "served";
    })",
       8);
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(request("/"), std::pair(200u, std::string("served"))) << i;
}

TEST_F(UrlTest, PairsOutliveTheirUrlAndBothTheEndOfTheRuntime) {
  load(R"(const params = new URL("http://a/?a=1").searchParams;
    globalThis.kept = new URL("http://b/?b=1");
    kept.searchParams.url = kept;
    globalThis.iterator = kept.searchParams.keys();
    iterator.self = iterator;
    function run() {
      params.append("b", "2");
      kept.searchParams.append("c", "3");
      return `${params} ${kept} ${iterator.next().value}`;
    })",
       8);
  EXPECT_EQ(request("/").second, "a=1&b=2 http://b/?b=1&c=3 b");
}

}  // namespace
}  // namespace fairlead
