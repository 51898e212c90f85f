// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// What a URL costs and when it goes. What it does is tested from outside: test/webapi/url.js.

#include "filter-cc/url.h"

#include <gtest/gtest.h>

#include "filter-cc/host_fake.h"
#include "filter-cc/runtime.h"

namespace fairlead {
namespace {

class UrlTest : public testing::Test {
protected:
  /** Loads a filter with 8 MB of memory that answers with what `run(path)` of the source gives. */
  void load(const std::string& source) {
    auto config = parseConfig("url", source + "\nexport default {\n  onRequest: (request) =>"
                                              " new Response(String(run(request.path)))\n}");
    ASSERT_TRUE(config.ok()) << formatError(config.error());
    config->limits.memoryMb = 8;
    // Sanitizers are slow.
    config->limits.cpuMs = config->limits.streamCpuMs = config->limits.loadMs = 60'000;
    auto script = Script::load(*config);
    ASSERT_TRUE(script.ok()) << formatError(script.error());
    config_.reset(new FilterConfig{std::move(*config), std::move(*script)});
  }
  /** Status and body of the answer to one request. */
  std::pair<uint32_t, std::string> request(const std::string& path) {
    Exchange exchange(envoy_, *config_);
    exchange.requestHeaders(
        {{":method", "GET"}, {":path", path}, {":authority", "a"}, {":scheme", "http"}});
    return {exchange.atClient().status(), exchange.atClient().body};
  }
  bool logHolds(std::string_view text) const {
    return std::any_of(envoy_.log().begin(), envoy_.log().end(), [&](const LogLine& line) {
      return line.message.find(text) != std::string::npos;
    });
  }

  FakeEnvoy envoy_;
  std::unique_ptr<FilterConfig> config_;
};

TEST_F(UrlTest, WhatPairsAndUrlsHoldCountsAgainstMemoryMb) {
  load(R"(const big = "x".repeat(1e6);
    const endless = {
      "/append"() { const params = new URLSearchParams(); for (;;) params.append("a", big); },
      "/pairs": () => new URLSearchParams("a&".repeat(1e6)).size,
      "/urls"() { const urls = []; for (;;) urls.push(new URL("http://a/" + big)); },
      "/linked"() { const url = new URL("http://a/"); for (;;) url.searchParams.append("a", big); },
    };
    const run = (path) => endless[path]?.() ?? "served";)");
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
    })");
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
    })");
  EXPECT_EQ(request("/").second, "a=1&b=2 http://b/?b=1&c=3 b");
}

}  // namespace
}  // namespace fairlead
