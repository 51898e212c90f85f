// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// For tests of what a script does by itself: a filter that answers each request with what its script comes to.

#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "filter-cc/host_fake.h"
#include "filter-cc/script.h"

namespace fairlead {

/** A filter of one module, with much time, for sanitizers are slow; null with a failure where it is refused. */
inline std::unique_ptr<FilterConfig> filterOfModule(std::string_view name, const std::string& source,
                                                    uint32_t memoryMb = 64, uint32_t cpuMs = 60'000) {
  Result<Config> config = parseConfig(name, source);
  if (!config.ok()) {
    ADD_FAILURE() << formatError(config.error());
    return nullptr;
  }
  config->limits.memoryMb = memoryMb;
  config->limits.bodyKb = 16 * 1024;
  config->limits.cpuMs = cpuMs;
  config->limits.streamCpuMs = config->limits.loadMs = 60'000;
  Result<std::shared_ptr<Script>> script = Script::load(*config);
  if (!script.ok()) {
    ADD_FAILURE() << formatError(script.error());
    return nullptr;
  }
  return std::unique_ptr<FilterConfig>(new FilterConfig{*std::move(config), *std::move(script)});
}

class AnsweringTest : public testing::Test {
protected:
  /** Loads a filter that answers with what `run(path, request)` of the source comes to. */
  void load(const std::string& source, uint32_t memoryMb = 64, uint32_t cpuMs = 60'000) {
    config_ = filterOfModule("test",
                             source + "\nexport default {\n  onRequest: async (request) =>"
                                      " new Response(String(await run(request.path, request)))\n}",
                             memoryMb, cpuMs);
    ASSERT_NE(config_, nullptr);
  }

  /** Status and body of the answer to one request. */
  std::pair<uint32_t, std::string> request(const std::string& path, const std::string& body = "") {
    constexpr size_t kFrameBytes = size_t{1024} * 1024;
    ExchangePlan plan;
    plan.request.headers = {
        {":method", body.empty() ? "GET" : "POST"}, {":path", path}, {":authority", "a"}, {":scheme", "http"}};
    for (size_t at = 0; at < body.size(); at += kFrameBytes)
      plan.request.frames.push_back(body.substr(at, kFrameBytes));
    const ExchangeResult result = runExchange(envoy_, *config_, plan);
    EXPECT_TRUE(result.complete) << path;
    return {result.client.status(), result.client.body};
  }

  bool logHolds(std::string_view text) const {
    return std::any_of(envoy_.log().begin(), envoy_.log().end(), [&](const LogLine& line) {
      return line.message.find(text) != std::string::npos;
    });
  }

  FakeEnvoy envoy_;
  std::unique_ptr<FilterConfig> config_;
};

}  // namespace fairlead
