// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Metrics of scripts, as a proxy sees them: names, labels, values.

#include "filter-cc/metrics.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "filter-cc/host_fake.h"
#include "filter-cc/script.h"

namespace fairlead {
namespace {

using Values = std::map<std::string, uint64_t>;

class MetricsTest : public testing::Test {
protected:
  Result<std::unique_ptr<FilterConfig>> load(const std::string& top, const std::string& hooks,
                                             std::string_view name = "test") {
    return FilterConfig::create(name,
                                "import { counter, gauge, histogram, shared } from 'fairlead';\n" +
                                    top + "\nexport default {" + hooks + "};",
                                &envoy_);
  }

  void exchange(const FilterConfig& config) {
    Exchange exchange(envoy_, config);
    exchange.requestHeaders(
        {{":authority", "a"}, {":path", "/"}, {":method", "GET"}, {":scheme", "http"}});
    exchange.responseHeaders({{":status", "200"}});
    exchange.clientLeaves();
    envoy_.advance(100);
  }

  /** What has been updated, the script's own metrics or the built-in ones. */
  Values values(bool ofScript) const {
    Values found;
    for (const auto& [name, value] : envoy_.metrics()) {
      if ((name.find(".script.") != std::string::npos) == ofScript)
        found.emplace(name, value);
    }
    return found;
  }

  void TearDown() override { EXPECT_EQ(envoy_.finish(), std::vector<std::string>()); }

  FakeEnvoy envoy_;
};

TEST_F(MetricsTest, AreCountedUnderTheNameOfTheFilter) {
  // F089
  auto config = load("const a = counter('a'), b = counter('b', ['x', 'y']);"
                     "const c = gauge('c'), d = histogram('d', ['x']);",
                     "onRequest() { a.add(); a.add({}, 2); b.add({ y: 1, x: 'v' }, 0.6); c.set(7);"
                     " c.add(-2); c.add(1.4); d.record(12, { x: true }); d.record(3, { x: true }); }");
  ASSERT_TRUE(config);
  exchange(**config);
  EXPECT_EQ(values(false), (Values{{"test.a", 3}, {"test.b x=v y=1", 1}, {"test.c", 6},
                                   {"test.d x=true", 15}}));
}

TEST_F(MetricsTest, GoOnInAConfigThatIsLoadedLater) {
  // F089
  auto before = load("const a = counter('a');", "onRequest() { a.add(); }");
  ASSERT_TRUE(before);
  exchange(**before);
  auto after = load("const b = counter('b'), a = counter('a');", "onRequest() { a.add(); b.add(); }");
  ASSERT_TRUE(after);
  exchange(**after);
  exchange(**before);
  EXPECT_EQ(values(false), (Values{{"test.a", 3}, {"test.b", 1}}));
}

TEST_F(MetricsTest, OfOneNameHaveOneShapeAsLongAsAConfigHasIt) {
  // F089
  auto first = load("counter('a', ['x']);", "");
  ASSERT_TRUE(first);
  for (const char* other : {"counter('a');", "counter('a', ['y']);", "gauge('a', ['x']);",
                            "counter('new'); counter('a', ['x', 'y']);"}) {
    const auto refused = load(other, "");
    ASSERT_FALSE(refused) << other;
    EXPECT_EQ(refused.error().code, "E_METRIC_CONFLICT") << other;
  }
  EXPECT_TRUE(load("counter('a', ['x']); gauge('new');", ""));
  EXPECT_TRUE(load("counter('a');", "", "other"));
  *first = nullptr;
  EXPECT_TRUE(load("counter('a');", ""));
}

TEST_F(MetricsTest, ThatDifferFromRunToRunFailTheLoadOnAWorker) {
  // F089
  auto config = load("counter('a' + String(Math.random()).slice(2));", "onRequest() {}");
  ASSERT_TRUE(config);
  exchange(**config);
  ASSERT_EQ(envoy_.log().size(), 1U);
  EXPECT_NE(envoy_.log()[0].message.find("E_METRIC_CHANGED"), std::string::npos);
  EXPECT_EQ(values(true), (Values{{"test.script.errors cause=load", 1}}));
}

TEST_F(MetricsTest, OfEveryScriptAreThereWithoutCode) {
  // F088
  auto config = load("let turns = 0;",
                     "onRequest() { shared.get('a'); shared.set('b', 1); shared.get('b');"
                     " if (++turns === 2) throw new Error('x'); },"
                     "onLog() { if (turns === 3) nobody; }");
  ASSERT_TRUE(config);
  for (int i = 0; i < 3; ++i)
    exchange(**config);
  Values found = values(true);
  EXPECT_GT(found["test.script.heap_bytes worker=0"], 10'000U);
  found.erase("test.script.heap_bytes worker=0");
  // The time of so little is not measured.
  found.erase("test.script.cpu_us");
  EXPECT_EQ(found, (Values{{"test.script.executions", 6},
                           {"test.script.errors cause=throw", 2},
                           {"test.script.shared_hits", 3},
                           {"test.script.shared_misses", 3},
                           {"test.script.shared_evictions", 0},
                           {"test.script.shared_bytes", SharedStore::kEntryBytes + 1}}));
}

TEST_F(MetricsTest, CountTheTimeThatIsMeasured) {
  // F088
  auto config = load("", "onRequest() { for (let i = 0; i < 300000; i++); }");
  ASSERT_TRUE(config);
  exchange(**config);
  EXPECT_GT(values(true)["test.script.cpu_us"], 0U);
}

TEST_F(MetricsTest, AreNotToldAgainAtOnce) {
  // F088
  auto config = load("", "onRequest() {}");
  ASSERT_TRUE(config);
  for (const uint64_t executions : {1, 1, 3}) {
    Exchange exchange(envoy_, **config);
    exchange.requestHeaders(
        {{":authority", "a"}, {":path", "/"}, {":method", "GET"}, {":scheme", "http"}});
    exchange.clientLeaves();
    EXPECT_EQ(values(true)["test.script.executions"], executions);
    envoy_.advance(50);
  }
}

TEST_F(MetricsTest, AreToldByAWorkerThatNeverRests) {
  // F088
  auto config = load("", "onRequest() {}");
  ASSERT_TRUE(config);
  Exchange open(envoy_, **config);
  open.requestHeaders(
      {{":authority", "a"}, {":path", "/"}, {":method", "GET"}, {":scheme", "http"}});
  for (int i = 0; i < 10; ++i)
    exchange(**config);
  EXPECT_EQ(values(true).count("test.script.executions"), 0U);
  for (int i = 0; i < 90; ++i)
    exchange(**config);
  EXPECT_GE(values(true)["test.script.executions"], 64U);
  open.clientLeaves();
  EXPECT_EQ(values(true)["test.script.executions"], 101U);
}

}  // namespace
}  // namespace fairlead
