// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// What routes say of a filter, over the fake: what is made once, what is shared, and what goes when.

#include "filter-cc/route.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <memory>
#include <string>

#include "filter-cc/host_fake.h"
#include "filter-cc/reload.h"

namespace fairlead {
namespace {

class RouteTest : public testing::Test {
protected:
  std::unique_ptr<LiveConfig> filter(const std::string& json) {
    auto made = LiveConfig::create("test", json, envoy_);
    EXPECT_TRUE(made) << made.error().message;
    return *std::move(made);
  }
  static std::unique_ptr<RouteConfig> route(const std::string& json) {
    auto made = RouteConfig::create("test", json);
    EXPECT_TRUE(made) << made.error().message;
    return *std::move(made);
  }
  std::string told(const FilterConfig& config, const RouteConfig& route, uint32_t worker = 0) {
    ExchangePlan plan;
    plan.request.headers = {{":authority", "a"}, {":path", "/"}, {":method", "GET"}, {":scheme", "http"}};
    plan.upstream.response.headers = {{":status", "200"}};
    plan.options.workerIndex = worker;
    plan.options.route = &route;
    return runExchange(envoy_, config, plan).client.body;
  }
  void TearDown() override { EXPECT_EQ(envoy_.finish(), std::vector<std::string>()); }

  FakeEnvoy envoy_{FakeEnvoyOptions{.concurrency = 2}};
  const std::string telling_ =
      R"("inline": "let n = 0; export default { onRequest(request, { config }) { return new Response(config.at + ++n); } };")";
};

TEST_F(RouteTest, WhatIsLaidOverAFilterIsMadeOnceAndItsWorkersShareIt) {
  // F056, F057
  const auto live = filter("{" + telling_ + R"(, "config": {"at": "f"}})");
  const auto said = route(R"({"config": {"at": "r"}})");
  const std::shared_ptr<const FilterConfig> once = said->over(live->newest());
  EXPECT_EQ(said->over(live->newest()), once);
  EXPECT_EQ(once->script, live->newest().script);
  EXPECT_EQ(told(live->newest(), *said), "r1");
  EXPECT_EQ(told(live->newest(), *route("")), "f2");
  EXPECT_EQ(told(live->newest(), *said, 1), "r1");
}

TEST_F(RouteTest, TwoFiltersHaveTheRoutesOwnScriptApartWithOneCode) {
  // F056, F057
  const auto one = filter("{" + telling_ + "}");
  const auto other = filter("{" + telling_ + R"(, "clusters": ["a"]})");
  // Not that of the filters: it would be one with it.
  const auto said = route(R"({"script": {"inline": "let n = 0; export default { onRequest(request, { config }) {)"
                          R"( return new Response(`own ${config.at}${++n}`); } };"}, "config": {"at": "r"}})");
  const auto scriptOver = [&](const LiveConfig& live) { return said->over(live.newest())->script; };
  EXPECT_NE(scriptOver(*one), scriptOver(*other));
  EXPECT_EQ(&scriptOver(*one)->bytecode(), &scriptOver(*other)->bytecode());
  EXPECT_EQ(told(one->newest(), *said), "own r1");
  EXPECT_EQ(told(other->newest(), *said), "own r1");
  EXPECT_EQ(told(one->newest(), *said), "own r2");
}

TEST_F(RouteTest, WhatWasLaidOverAFilterThatIsGoneGoesWhenTheNextIsMade) {
  // F056, F059
  const auto said = route(R"({"config": {"at": "r"}})");
  std::weak_ptr<const FilterConfig> made;
  {
    const auto old = filter("{" + telling_ + "}");
    made = said->over(old->newest());
  }
  EXPECT_FALSE(made.expired());
  const auto live = filter("{" + telling_ + "}");
  EXPECT_EQ(told(live->newest(), *said), "r1");
  EXPECT_TRUE(made.expired());
}

TEST_F(RouteTest, AStreamOnItGetsTheNextGenerationOfTheFilter) {
  // F056, F063
  const std::string file = testing::TempDir() + "route_test.js";
  const auto put = [&](const std::string& version) {
    std::ofstream(file) << "export default { onRequest(request, { config }) { return new Response(config.at + '" + version + "'); } };";
  };
  put("1");
  const auto live = filter(R"({"watch": true, "file": ")" + file + R"("})");
  const auto said = route(R"({"config": {"at": "r"}})");
  EXPECT_EQ(told(live->newest(), *said), "r1");
  put("2");
  envoy_.advance(1'000);
  EXPECT_EQ(told(live->newest(), *said), "r2");
  std::remove(file.c_str());
}

TEST_F(RouteTest, ALimitAboveTheFiltersIsTheFiltersWithOneWarning) {
  // F056, H409
  const auto live = filter("{" + telling_ + R"(, "limits": {"cpu_ms": 5, "fetches": 2}})");
  const auto other = filter("{" + telling_ + R"(, "limits": {"cpu_ms": 6}})");
  const auto said = route(R"({"limits": {"cpu_ms": 50, "fetches": 1, "body_kb": 7}, "on_error": {"status": 555}})");
  const Config& config = said->over(live->newest())->config;
  EXPECT_EQ(config.limits.cpuMs, 5U);
  EXPECT_EQ(config.limits.fetches, 1U);
  EXPECT_EQ(config.limits.bodyKb, 7U);
  EXPECT_EQ(config.onError.status, 555U);
  EXPECT_EQ(config.onError.waitStatus, 504U);
  (void)said->over(other->newest());
  size_t warnings = 0;
  for (const LogLine& line : envoy_.log())
    warnings += line.message == "test: a route's limits.cpu_ms is above the filter's, which counts" ? 1 : 0;
  EXPECT_EQ(warnings, 1U);
}

}  // namespace
}  // namespace fairlead
