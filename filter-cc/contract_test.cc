// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// What bind.h promises of every row, where no row of this version shows it: functions with the shape
// of rows that host_api.def does not have.

#include <gtest/gtest.h>

#include <stdexcept>

#include "filter-cc/bind.h"
#include "filter-cc/host_fake.h"
#include "filter-cc/runtime.h"

namespace fairlead {
namespace {

using bind::Args;
using bind::results::Void;

Outcome<void> probe_inOnLog(Call&) { return {}; }
Outcome<void> probe_inOnResponse(Call&) { return {}; }
Outcome<void> probe_defect(Call&) { throw std::runtime_error("a defect"); }

constexpr JSCFunctionListEntry kProbes[] = {
    bind::functionEntry("inOnLog", 0,
                        bind::method<"probe.inOnLog", Void, void, Args<>, phase::Log,
                                     probe_inOnLog>),
    bind::functionEntry("inOnResponse", 0,
                        bind::method<"probe.inOnResponse", Void, void, Args<>,
                                     phase::ResponseHeaders, probe_inOnResponse>),
    bind::functionEntry("defect", 0,
                        bind::method<"probe.defect", Void, void, Args<>, phase::Always,
                                     probe_defect>),
};

/** The log of one exchange with a filter that finds the probes among its globals. */
std::vector<std::string> linesOf(const std::string& hooks) {
  FakeEnvoy envoy;
  auto parsed = parseConfig("test", "const codeOf = (call) => { try { call(); return 'no error'; }"
                                    " catch (error) { return error.name + ' ' + error.code; } };\n"
                                    "export default {" +
                                        hooks + "};");
  EXPECT_TRUE(parsed.ok());
  auto script = Script::load(*parsed);
  EXPECT_TRUE(script.ok());
  FilterConfig config{*std::move(parsed), *std::move(script)};
  auto runtime = Runtime::enter(*config.script, 0);
  EXPECT_TRUE(runtime.ok());
  {
    const js::Value global((*runtime)->ctx(), JS_GetGlobalObject((*runtime)->ctx()));
    EXPECT_EQ(JS_SetPropertyFunctionList((*runtime)->ctx(), global.get(), kProbes,
                                         std::size(kProbes)),
              0);
  }
  {
    Exchange exchange(envoy, config);
    exchange.requestHeaders(
        {{":method", "GET"}, {":path", "/"}, {":authority", "a"}, {":scheme", "http"}});
    exchange.responseHeaders({{":status", "200"}});
  }
  Runtime::leave(*runtime);
  std::vector<std::string> lines;
  for (const LogLine& line : envoy.log())
    lines.push_back(line.message);
  EXPECT_EQ(envoy.finish(), std::vector<std::string>{});
  return lines;
}

TEST(ProbeTest, AMemberOutsideOfItsPhasesThrowsF106) {
  EXPECT_EQ(linesOf("onRequest() { console.info(codeOf(inOnLog), codeOf(inOnResponse)); },"
                    "onResponse() { console.info(codeOf(inOnLog), codeOf(inOnResponse)); },"
                    "onLog() { console.info(codeOf(inOnLog), codeOf(inOnResponse)); }"),
            (std::vector<std::string>{
                "test: TypeError E_WRONG_PHASE TypeError E_WRONG_PHASE",
                "test: TypeError E_WRONG_PHASE no error",
                "test: no error TypeError E_WRONG_PHASE",
            }));
}

TEST(ProbeTest, ADefectOfTheCoreIsAnErrorOfTheScriptF074) {
  EXPECT_EQ(linesOf("onRequest() { console.info(codeOf(defect), codeOf(defect)); }"),
            (std::vector<std::string>{"test: Error E_INTERNAL Error E_INTERNAL"}));
}

}  // namespace
}  // namespace fairlead
