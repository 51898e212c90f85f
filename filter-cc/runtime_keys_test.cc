// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Keys of the proxy's runtime: which a config may name, and when a new value is seen.

#include "filter-cc/runtime_keys.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "filter-cc/host_fake.h"
#include "filter-cc/script.h"

namespace fairlead {
namespace {

Result<std::unique_ptr<FilterConfig>> load(FakeEnvoy& envoy, const std::string& keys) {
  return FilterConfig::create(
      "test", R"({"runtime": )" + keys + R"(, "inline": "export default { onRequest(request, ctx) {)"
      R"(request.headers.set('x-told', JSON.stringify(['a', 'b'].map((key) => ctx.runtime.get(key, 'none')))); } };"})",
      &envoy);
}

std::string told(FakeEnvoy& envoy, const FilterConfig& config) {
  ExchangePlan plan;
  plan.request.headers = {{":authority", "a"}, {":path", "/"}, {":method", "GET"}, {":scheme", "http"}};
  plan.upstream.response.headers = {{":status", "200"}};
  return runExchange(envoy, config, plan).upstream.header("x-told").value_or("nothing");
}

TEST(RuntimeKeysTest, ANewValueIsSeenWithinASecond) {
  // F052
  FakeEnvoy envoy;
  envoy.setRuntime("a", {false, 1.5});
  auto config = load(envoy, R"(["a", "b"])");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(told(envoy, **config), R"([1.5,"none"])");
  envoy.setRuntime("a", {false, -2});
  envoy.setRuntime("b", {true, 1});
  envoy.advance(999);
  EXPECT_EQ(told(envoy, **config), R"([1.5,"none"])");
  envoy.advance(1);
  EXPECT_EQ(told(envoy, **config), "[-2,true]");
  config->reset();
  envoy.advance(5'000);
  EXPECT_EQ(envoy.finish(), std::vector<std::string>());
}

TEST(RuntimeKeysTest, AConfigMayNameSoManyAndNotBefore140) {
  // F052, F055
  FakeEnvoy envoy;
  const auto many = [](int count) {
    std::string json = "[";
    for (int i = 0; i < count; ++i)
      json += (i == 0 ? "\"k" : ", \"k") + std::to_string(i) + "\"";
    return json + "]";
  };
  EXPECT_TRUE(load(envoy, many(64)));
  const auto refused = load(envoy, many(65));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "runtime[64]: there are more than 64");
  EXPECT_EQ(envoy.finish(), std::vector<std::string>());
}

TEST(RuntimeKeysTest, AnOlderReleaseIsToldToBeTooOld) {
  // F052, F055
  for (const EnvoyRelease release : {EnvoyRelease::V1_38, EnvoyRelease::V1_39}) {
    FakeEnvoy envoy{FakeEnvoyOptions{.release = release}};
    const auto refused = load(envoy, R"(["a"])");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, "E_ENVOY_RELEASE");
    EXPECT_EQ(refused.error().message, "runtime needs Envoy 1.40 or a later one");
    EXPECT_EQ(envoy.finish(), std::vector<std::string>());
  }
}

}  // namespace
}  // namespace fairlead
