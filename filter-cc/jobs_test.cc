// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Jobs of every(): when they run, how they end, and what they leave behind.

#include "filter-cc/jobs.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "filter-cc/host_fake.h"
#include "filter-cc/runtime.h"
#include "filter-cc/script.h"

namespace fairlead {
namespace {

class JobsTest : public testing::Test {
protected:
  Result<std::unique_ptr<FilterConfig>> load(const std::string& source,
                                             const std::string& settings = "") {
    std::string text;
    for (const char c : source)
      text.append(c == '"' || c == '\\' ? "\\" : "").append(c == '\n' ? "\\n" : std::string(1, c));
    return FilterConfig::create("test",
                                R"({"inline": ")" +
                                    ("import { counter, every, once, shared, sleep } from 'fairlead';\\n" +
                                     text + R"(\nexport default {};")") +
                                    R"(, "clusters": ["keys"])" + settings + "}",
                                &envoy_);
  }

  /** Loads it, and lets its first run begin. */
  std::unique_ptr<FilterConfig> started(const std::string& source, const std::string& settings = "") {
    auto config = load(source, settings);
    EXPECT_TRUE(config) << config.error().code << ": " << config.error().message;
    envoy_.advance(0);
    return *std::move(config);
  }

  static std::string shared(const FilterConfig& config, std::string_view key) {
    const auto value = config.script->shared().get(key);
    if (!value)
      return "nothing";
    return value->kind == SharedValue::Kind::Number ? std::to_string(static_cast<int>(value->number))
                                                    : value->payload;
  }

  size_t logged(std::string_view part) const {
    size_t lines = 0;
    for (const LogLine& line : envoy_.log())
      lines += line.message.find(part) != std::string::npos ? 1 : 0;
    return lines;
  }

  void TearDown() override { EXPECT_EQ(envoy_.finish(), std::vector<std::string>()); }

  FakeEnvoy envoy_;
};

TEST_F(JobsTest, RunAtOnceAndThenAtTheirInterval) {
  // F097
  const auto config = started("every(2, () => { shared.incr('a') }); every(0.5, () => { shared.incr('b') });");
  EXPECT_EQ(shared(*config, "a"), "1");
  EXPECT_EQ(shared(*config, "b"), "1");
  envoy_.advance(1'999);
  EXPECT_EQ(shared(*config, "a"), "1");
  EXPECT_EQ(shared(*config, "b"), "4");
  envoy_.advance(1);
  EXPECT_EQ(shared(*config, "a"), "2");
  EXPECT_EQ(shared(*config, "b"), "5");
}

TEST_F(JobsTest, GetTheConfigAndWhatConfigureMadeOfIt) {
  // F097
  const auto config = load("every(1, ({ config, settings, signal }) => {"
                           " shared.set('seen', [config.a, settings?.b ?? 'none', signal.aborted].join()) });",
                           R"(, "config": {"a": 1})");
  ASSERT_TRUE(config);
  envoy_.advance(0);
  EXPECT_EQ(shared(**config, "seen"), "1,none,false");
}

TEST_F(JobsTest, MayFetchAndWait) {
  // F097
  envoy_.setCluster("keys", [](const CalloutRequest& request) {
    return CalloutAnswer::of(200, "for " + request.body, 30);
  });
  const auto config = started("every(1, async () => {"
                              " await sleep(20);"
                              " const answer = await fetch('http://keys/', { method: 'POST', body: 'us' });"
                              " shared.set('keys', await answer.text());"
                              "});");
  envoy_.advance(49);
  EXPECT_EQ(shared(*config, "keys"), "nothing");
  envoy_.advance(1);
  EXPECT_EQ(shared(*config, "keys"), "for us");
  EXPECT_EQ(logged(""), 0U);
}

TEST_F(JobsTest, ARunThatIsDueWhileOneWaitsIsLeftOut) {
  // F097
  const auto config = started("every(1, async () => { shared.incr('begun'); await sleep(2500) });");
  envoy_.advance(2'999);
  EXPECT_EQ(shared(*config, "begun"), "1");
  envoy_.advance(1);
  EXPECT_EQ(shared(*config, "begun"), "2");
}

TEST_F(JobsTest, AFailureIsLoggedWithItsPlaceAndTheNextRunComes) {
  // F097
  const auto config = started("every(1, () => { shared.incr('begun'); throw new Error('no') });\n"
                              "every(1, async () => { await null; null.x });");
  envoy_.advance(1'000);
  EXPECT_EQ(shared(*config, "begun"), "2");
  EXPECT_EQ(logged("E_THROWN"), 4U);
  ASSERT_FALSE(envoy_.log().empty());
  EXPECT_EQ(envoy_.log()[0].line, 2U);
  EXPECT_EQ(envoy_.log()[1].line, 3U);
  EXPECT_EQ(envoy_.metrics().at("test.script.errors cause=throw"), 4U);
}

TEST_F(JobsTest, LimitsAreThoseOfAStream) {
  // F097
  const auto config = started("every(3, () => { shared.incr('endless'); for (;;); });\n"
                              "every(3, async () => { shared.incr('silent'); await new Promise(() => {}) });",
                              R"(, "limits": {"wait_ms": 500})");
  envoy_.advance(499);
  EXPECT_EQ(logged("E_CPU_LIMIT"), 1U);
  EXPECT_EQ(logged("E_WAIT_LIMIT"), 0U);
  envoy_.advance(1);
  ASSERT_EQ(logged("E_WAIT_LIMIT"), 1U);
  // It names the job that waited, though another has begun since.
  EXPECT_EQ(envoy_.log().back().line, 3U);
  envoy_.advance(2'500);
  EXPECT_EQ(shared(*config, "endless"), "2");
  EXPECT_EQ(shared(*config, "silent"), "2");
}

TEST_F(JobsTest, WhateverTheyGiveBackIsNoAnswer) {
  // F097
  const auto config = started("every(1, () => { shared.incr('begun'); return new Response('x') });"
                              "every(1, () => 5);");
  envoy_.advance(1'000);
  EXPECT_EQ(shared(*config, "begun"), "2");
  EXPECT_EQ(logged(""), 0U);
}

TEST_F(JobsTest, AreNoExchangeForTheHooksOfTheFilter) {
  // F097
  auto config = FilterConfig::create("test",
                                     "import { every, shared } from 'fairlead';"
                                     "every(1, () => { shared.incr('begun') });"
                                     "export default { onRequest() { shared.incr('hooks') },"
                                     " onLog() { shared.incr('hooks') } };",
                                     &envoy_);
  ASSERT_TRUE(config);
  envoy_.advance(1'000);
  EXPECT_EQ(shared(**config, "begun"), "2");
  EXPECT_EQ(shared(**config, "hooks"), "nothing");
}

TEST_F(JobsTest, EndWithTheirConfig) {
  // F097
  envoy_.setCluster("keys", [](const CalloutRequest&) { return CalloutAnswer::silent(); });
  auto config = load("every(1, async ({ signal }) => {"
                     " signal.addEventListener('abort', () => shared.incr('aborted'));"
                     " shared.incr('begun'); await fetch('http://keys/') });");
  ASSERT_TRUE(config);
  const std::shared_ptr<Script> script = (*config)->script;
  envoy_.advance(10);
  config->reset();
  envoy_.advance(5'000);
  EXPECT_EQ(script->shared().get("begun")->number, 1);
  EXPECT_EQ(script->shared().get("aborted")->number, 1);
  EXPECT_EQ(logged(""), 0U);
}

TEST_F(JobsTest, MayBeGivenAtTheTopLevelOnly) {
  // F097
  const auto codeOf = [&](const std::string& call) -> std::string {
    const auto config = load("try { " + call + " } catch (e) { throw new Error('code ' + e.code) }");
    if (config)
      return "none";
    const std::string& message = config.error().message;
    return message.substr(message.find("code ") + 5);
  };
  EXPECT_EQ(codeOf("every(0.09, () => {})"), "E_RANGE");
  EXPECT_EQ(codeOf("every(0.1, () => {})"), "none");
  EXPECT_EQ(codeOf("every(86400, () => {})"), "none");
  EXPECT_EQ(codeOf("every(86401, () => {})"), "E_RANGE");
  EXPECT_EQ(codeOf("every(NaN, () => {})"), "E_RANGE");
  EXPECT_EQ(codeOf("every(1, 'x')"), "E_ARGUMENT");
  EXPECT_EQ(codeOf("for (let i = 0; i < 16; i++) every(1, () => {})"), "none");
  EXPECT_EQ(codeOf("for (let i = 0; i < 17; i++) every(1, () => {})"), "E_RANGE");
  const auto config = started("every(1, () => { try { every(1, () => {}) } catch (e) { shared.set('code', e.code) } });");
  EXPECT_EQ(shared(*config, "code"), "E_WRONG_PHASE");
}

TEST_F(JobsTest, DoNotRunWhereTheConfigIsOnlyChecked) {
  // F097
  FakeEnvoy checking({.validating = true});
  const auto config = FilterConfig::create("test",
                                           "import { every } from 'fairlead';"
                                           "every(1, () => { throw 1 }); export default {};",
                                           &checking);
  ASSERT_TRUE(config);
  checking.advance(5'000);
  EXPECT_EQ(checking.log().size(), 0U);
}

}  // namespace
}  // namespace fairlead
