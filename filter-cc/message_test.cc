// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// What messages and their headers cost. What they do is tested from outside: test/headers.test.ts.

#include "filter-cc/message.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "filter-cc/host_fake.h"
#include "filter-cc/script.h"

namespace fairlead {
namespace {

class MessageTest : public testing::Test {
protected:
  /** Answers a request with what the filter's `run[path]` gives. */
  std::pair<uint32_t, std::string> request(const std::string& path) {
    Exchange exchange(envoy_, *config_);
    exchange.requestHeaders(
        {{":method", "GET"}, {":path", path}, {":authority", "a"}, {":scheme", "http"}});
    return {exchange.atClient().status(), exchange.atClient().body};
  }

  /** Loads a filter with 8 MB of memory and, for sanitizers are slow, much time. */
  void load(const std::string& paths) {
    Result<Config> config =
        parseConfig("message", "const big = 'x'.repeat(1e6); const run = {" + paths +
                                   "}; export default { onRequest: (request) =>"
                                   " new Response(String(run[request.path]?.() ?? 'served')) }");
    ASSERT_TRUE(config.ok()) << config.error().message;
    config->limits.memoryMb = 8;
    config->limits.cpuMs = config->limits.streamCpuMs = config->limits.loadMs = 60'000;
    Result<std::shared_ptr<Script>> script = Script::load(*config);
    ASSERT_TRUE(script.ok()) << script.error().message;
    config_.reset(new FilterConfig{std::move(*config), std::move(*script)});
  }

  FakeEnvoy envoy_;
  std::unique_ptr<FilterConfig> config_;
};

TEST_F(MessageTest, BodiesAndHeadersCountAgainstMemoryMbF070) {
  load(R"(
    "/responses"() { const kept = []; for (;;) kept.push(new Response(big)); },
    "/json"() { const kept = []; for (;;) kept.push(Response.json(big)); },
    "/requests"() {
      const kept = [];
      for (;;) kept.push(new Request("http://a/", { method: "POST", body: big }));
    },
    "/append"() { const headers = new Headers(); for (;;) headers.append("a", big); },
    "/set"() { const kept = []; for (;;) kept.push(new Headers({ a: big })); },
    "/clone"() {
      const kept = [];
      const one = new Response(null, { headers: { a: big } });
      for (;;) kept.push(one.clone());
    },
  )");
  for (const char* path : {"/responses", "/json", "/requests", "/append", "/set", "/clone"}) {
    envoy_.clearLog();
    EXPECT_EQ(request(path).first, 500U) << path;
    EXPECT_TRUE(std::any_of(envoy_.log().begin(), envoy_.log().end(),
                            [](const LogLine& line) {
                              return line.message.find("E_MEMORY_LIMIT") != std::string::npos;
                            }))
        << path;
    EXPECT_EQ(request("/"), std::pair(200U, std::string("served"))) << path;
  }
}

TEST_F(MessageTest, WhatIsDroppedIsGivenBack) {
  load(R"(
    "/bodies"() { for (let i = 0; i < 100; i++) new Response(big); return "done"; },
    "/headers"() {
      const headers = new Headers();
      for (let i = 0; i < 100; i++) { headers.set("a", big); headers.delete("a"); }
      for (let i = 0; i < 100; i++) headers.set("b", big);
      return "done";
    },
  )");
  EXPECT_EQ(request("/bodies"), std::pair(200U, std::string("done")));
  EXPECT_EQ(request("/headers"), std::pair(200U, std::string("done")));
}

}  // namespace
}  // namespace fairlead
