// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Secrets of a config: which are taken, when files are read anew, and what a script can do with one.

#include "filter-cc/secrets.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "filter-cc/host_fake.h"
#include "filter-cc/script.h"

namespace fairlead {
namespace {

using List = std::vector<std::string>;

class SecretsTest : public testing::Test {
protected:
  Result<std::unique_ptr<FilterConfig>> load(const std::string& secrets, const std::string& hook = "") {
    std::string json = R"({"secrets": )" + secrets + R"(, "inline": "import { every, shared } from 'fairlead';)";
    for (const char c : "export default { onRequest(request, ctx) {" + hook + "} };")
      json += c == '"' || c == '\\' ? std::string("\\") + c : std::string(1, c);
    return FilterConfig::create("test", json + "\"}", &envoy_);
  }
  std::string refused(const std::string& secrets) {
    const auto made = load(secrets);
    return made ? "taken" : made.error().code + ": " + made.error().message;
  }

  std::string file(const std::string& name) const { return testing::TempDir() + "secrets_test_" + name; }
  /** Puts another file in its place. */
  void put(const std::string& path, const std::string& content) {
    std::ofstream(path + ".new", std::ios::binary) << content;
    ASSERT_EQ(std::rename((path + ".new").c_str(), path.c_str()), 0);
    files_.push_back(path);
  }
  static std::string fileSecret(const std::string& path) { return R"({"a": {"file": ")" + path + R"("}})"; }

  List takeErrors() {
    List lines;
    for (const LogLine& line : envoy_.log()) {
      if (line.level >= LogLevel::Error)
        lines.push_back(line.message);
    }
    envoy_.clearLog();
    return lines;
  }

  void TearDown() override {
    for (const std::string& path : files_)
      std::remove(path.c_str());
    EXPECT_EQ(takeErrors(), List());
    EXPECT_EQ(envoy_.finish(), List());
  }

  FakeEnvoy envoy_;
  List files_;
};

TEST_F(SecretsTest, AConfigThatIsWrongNamesTheKey) {
  // F052, F055
  EXPECT_EQ(refused(R"([])"), "E_CONFIG_TYPE: secrets must be an object, got an array");
  EXPECT_EQ(refused(R"({"a": "b"})"), "E_CONFIG_TYPE: secrets.a must be an object under a name, got the string \"b\"");
  for (const char* source : {R"({})", R"({"vault": "b"})", R"({"file": "/a", "inline": "b"})"}) {
    EXPECT_EQ(refused(std::string(R"({"a": )") + source + "}"),
              R"(E_CONFIG_VALUE: secrets.a: must be { "file": path }, { "inline": text } or )"
              R"({ "sds": { "name": name } })");
  }
  EXPECT_EQ(refused(R"({"a": {"file": 1}})"), "E_CONFIG_TYPE: secrets.a.file must be a string, got 1");
  EXPECT_EQ(refused(R"({"a": {"inline": ""}})"),
            "E_CONFIG_VALUE: secrets.a.inline: it is empty, too long, or no path");
  EXPECT_EQ(refused(R"({"a": {"inline": ")" + std::string(65'536, 'x') + R"("}})"), "taken");
  EXPECT_EQ(refused(R"({"a": {"inline": ")" + std::string(65'537, 'x') + R"("}})"),
            "E_CONFIG_VALUE: secrets.a.inline: it is empty, too long, or no path");
  const auto many = [](int count) {
    std::string json = "{";
    for (int i = 0; i < count; ++i)
      json += (i == 0 ? "" : ", ") + ("\"s" + std::to_string(i) + R"(": {"inline": "x"})");
    return json + "}";
  };
  EXPECT_EQ(refused(many(64)), "taken");
  EXPECT_EQ(refused(many(65)), "E_CONFIG_VALUE: secrets: there are more than 64");
}

TEST_F(SecretsTest, ASecretOfEnvoyIsNamedAsEnvoyNamesIt) {
  // F052, F055
  const auto sds = [&](const std::string& value) { return refused(R"({"a": {"sds": )" + value + "}}"); };
  EXPECT_EQ(sds(R"("b")"), "E_CONFIG_TYPE: secrets.a.sds must be an object, got the string \"b\"");
  EXPECT_EQ(sds("{}"), "E_CONFIG_VALUE: secrets.a.sds.name: it is empty or absent");
  EXPECT_EQ(sds(R"({"name": 1})"), "E_CONFIG_TYPE: secrets.a.sds.name must be a string, got 1");
  EXPECT_EQ(sds(R"({"name": "b", "sds_config": "c"})"),
            "E_CONFIG_TYPE: secrets.a.sds.sds_config must be an object, got the string \"c\"");
  EXPECT_EQ(sds(R"({"name": "b", "config": {}})"),
            "E_CONFIG_KEY: unknown key secrets.a.sds.config; known are name, sds_config");
  EXPECT_EQ(sds(R"({"name": "b"})").substr(0, 12), "E_SECRET_SDS");
  envoy_.setSecret("b", "");
  EXPECT_EQ(sds(R"({"name": "b"})"), "taken");
}

TEST_F(SecretsTest, ASecretOfEnvoyIsReadEachTime) {
  // F052
  auto config = *load(R"({"a": {"sds": {"name": "b", "sds_config": {"ads": {}}}}})");
  EXPECT_EQ(*config->secrets->get("a"), "");
  envoy_.setSecret("b", "one");
  EXPECT_EQ(*config->secrets->get("a"), "one");
  envoy_.setSecret("b", "two");
  EXPECT_EQ(*config->secrets->get("a"), "two");
}

TEST_F(SecretsTest, AFileThatCannotBeReadIsRefusedWithItsPathAndTheCause) {
  // F052
  const std::string path = file("refused");
  EXPECT_EQ(refused(fileSecret(path)), "E_SECRET_FILE: secret a: file " + path + ": No such file or directory");
  put(path, "");
  EXPECT_EQ(refused(fileSecret(path)), "E_SECRET_FILE: secret a: file " + path + ": it is empty");
  put(path, std::string(65'537, 'x'));
  EXPECT_EQ(refused(fileSecret(path)),
            "E_SECRET_FILE: secret a: file " + path + ": it has 65537 bytes, more than 64 KiB");
  put(path, std::string(65'536, 'x'));
  EXPECT_EQ(refused(fileSecret(path)), "taken");
}

TEST_F(SecretsTest, AFileIsReadAnewWhenItHasChangedAndTheLastGoodOneStays) {
  // F052
  const std::string path = file("rotated");
  put(path, "one");
  auto config = *load(fileSecret(path));
  const auto now = [&] { return *config->secrets->get("a"); };
  const auto kept = config->secrets->get("a");
  put(path, "two");
  envoy_.advance(499);
  EXPECT_EQ(now(), "one");
  envoy_.advance(1);
  EXPECT_EQ(now(), "two");
  // Whoever has it still has what it was.
  EXPECT_EQ(*kept, "one");
  std::remove(path.c_str());
  envoy_.advance(2'000);
  EXPECT_EQ(now(), "two");
  EXPECT_EQ(takeErrors(), List{"test: E_SECRET_FILE: secret a: file " + path + ": No such file or directory"});
  put(path, "two again");
  envoy_.advance(500);
  EXPECT_EQ(now(), "two again");
  // The cause is told again when it comes again.
  std::remove(path.c_str());
  envoy_.advance(500);
  EXPECT_EQ(takeErrors().size(), 1U);
  config.reset();
  envoy_.advance(2'000);
  EXPECT_EQ(takeErrors(), List());
}

TEST_F(SecretsTest, ASecretThatIsKeptIsWhatItWasAndTheNextStreamSeesTheNewOne) {
  // F052
  const std::string path = file("kept");
  put(path, "one");
  auto config = *load(fileSecret(path), "globalThis.kept = globalThis.kept || ctx.secrets.get('a');"
                                        "request.headers.set('x-told', kept.text() + ctx.secrets.get('a').text());");
  const auto told = [&] {
    ExchangePlan plan;
    plan.request.headers = {{":authority", "a"}, {":path", "/"}, {":method", "GET"}, {":scheme", "http"}};
    plan.upstream.response.headers = {{":status", "200"}};
    return runExchange(envoy_, *config, plan).upstream.header("x-told").value_or("nothing");
  };
  EXPECT_EQ(told(), "oneone");
  put(path, "two");
  envoy_.advance(500);
  EXPECT_EQ(told(), "onetwo");
}

}  // namespace
}  // namespace fairlead
