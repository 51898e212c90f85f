// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// What messages and their headers cost. What they do is tested from outside: test/headers.test.ts.

#include "filter-cc/message.h"

#include <gtest/gtest.h>

#include "filter-cc/answering_test.h"
#include "filter-cc/script.h"

namespace fairlead {
namespace {

class MessageTest : public AnsweringTest {
protected:
  /** Loads a filter with 8 MB of memory that answers with what the function of the path gives. */
  void loadPaths(const std::string& paths) {
    load("const big = 'x'.repeat(1e6); const paths = {" + paths +
             "}; const run = (path) => paths[path]?.() ?? 'served';",
         8);
  }
};

TEST_F(MessageTest, BodiesAndHeadersCountAgainstMemoryMbF070) {
  loadPaths(R"(
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
    EXPECT_TRUE(logHolds("E_MEMORY_LIMIT")) << path;
    EXPECT_EQ(request("/"), std::pair(200U, std::string("served"))) << path;
  }
}

TEST_F(MessageTest, WhatIsDroppedIsGivenBack) {
  loadPaths(R"(
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
