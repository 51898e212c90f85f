// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// What patterns cost, and that none harms. What they match is tested from outside: test/webapi/, test/urlpattern.test.ts.

#include <gtest/gtest.h>

#include <algorithm>

#include "filter-cc/answering_test.h"
#include "filter-cc/runtime.h"

namespace fairlead {
namespace {

class UrlPatternTest : public AnsweringTest {
protected:
  /** Loads a filter that answers with what `run()` of the source comes to, and makes one request. */
  std::pair<uint32_t, std::string> answerOf(const std::string& source, uint32_t memoryMb,
                                            uint32_t cpuMs = 60'000) {
    load(source, memoryMb, cpuMs);
    return request("/");
  }
};

TEST_F(UrlPatternTest, PatternsCountAgainstMemoryMb) {
  // W25, F070
  EXPECT_EQ(answerOf("const all = []; const run = () => { for (;;) all.push(new URLPattern({ pathname: "
                     "'/:a/(\\\\d+)' })); };",
                     4)
                .first,
            500u);
  EXPECT_TRUE(logHolds("E_MEMORY_LIMIT"));
  EXPECT_EQ(answerOf("const run = () => { for (let i = 0; i < 2000; i++) new URLPattern({ pathname: "
                     "'/:a/(\\\\d+)' }); return 'done'; };",
                     4),
            std::pair(200u, std::string("done")));
}

TEST_F(UrlPatternTest, TheCpuLimitHoldsInItsExpressions) {
  // W25, F068, H103
  EXPECT_EQ(answerOf("const slow = new URLPattern({ pathname: '/((?:a+)+)b' });"
                     "const run = () => slow.test('http://x/' + 'a'.repeat(50));",
                     16, 100)
                .first,
            500u);
  EXPECT_TRUE(logHolds("E_CPU_LIMIT"));
}

TEST_F(UrlPatternTest, NoPatternAndNoUrlHarms) {
  // W25
  const auto [status, body] = answerOf(R"JS(let state = 1;
    const below = (limit) => ((state = (state * 16807) % 2147483647) >> 8) % limit;
    const words = [":", "a", ":b", "*", "(", ")", "(\\d+)", "{", "}", "?", "+", "/", "//", "\\", "https", "@", "[", "]", "::1", "#", "\u00e9",
      "\ud800", "%", ".", "-", ":443", "https://", "(?:", "\\p{L}", "[^", "|", "xn--", "\u{1f600}", "\0", " "];
    const text = (most) => { let all = ""; for (let left = below(most); left > 0; left--) all += words[below(words.length)]; return all; };
    const run = () => {
      let made = 0, matched = 0;
      for (let i = 0; i < 6000; i++) {
        try {
          const init = below(3) ? { pathname: "/" + text(6), [["hostname", "search", "port", "protocol"][below(4)]]: text(4) } : text(8);
          const pattern = below(2) ? new URLPattern(init, { ignoreCase: !!below(2) }) : new URLPattern(init);
          made++;
          for (const input of ["http://a/a", "https://a:443/" + text(6), text(6), { pathname: text(4) }]) if (pattern.exec(input)) matched++;
        } catch (error) {
          if (!(error instanceof TypeError)) throw error;
        }
      }
      return made > 300 && matched > 20;
    };)JS",
                                       64);
  EXPECT_EQ(std::pair(status, body), std::pair(200u, std::string("true")));
}

}  // namespace
}  // namespace fairlead
