// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

#include "filter-cc/source_map.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace fairlead {
namespace {

std::string at(const SourceMap& map, uint32_t line, uint32_t column, std::string file = "out.js") {
  map.map(file, line, column);
  return file + ':' + std::to_string(line) + ':' + std::to_string(column);
}

std::string mapped(std::string json, uint32_t line, uint32_t column) {
  return at(SourceMap(std::move(json)), line, column);
}

std::string withMappings(const std::string& mappings) {
  return R"({"version":3,"sources":["a.ts","b.ts"],"names":["n"],"mappings":")" + mappings + "\"}";
}

constexpr const char* kUntouched = "out.js:1:5";

// What esbuild makes of two TypeScript files, minified to one line:
//   function denied(realm){return`not for ${realm.toUpperCase()}`}var auth_default={onRequest(…
constexpr const char* kBundle = R"({
  "version": 3,
  "sources": ["src/reasons.ts", "src/auth.ts"],
  "mappings": "AAAO,SAAS,OAAO,MAAuB,CAC5C,MAAO,WAAW,MAAM,YAAY,CAAC,EACvC,CCIA,IAAO,aAAQ,CACb,UAAU,QAA2B,QAAwB,CAC3D,GAAI,QAAQ,KAAK,WAAW,UAAU,EACpC,MAAM,IAAI,MAAM,OAAO,QAAQ,KAAK,CAAC,CAEzC,CACF",
  "names": []
}
)";

TEST(SourceMapTest, EveryColumnOfARealBundleIsMapped) {
  // From which column on, and what another implementation says.
  const std::pair<uint32_t, const char*> expected[] = {
      {1, "src/reasons.ts:1:8"},   {10, "src/reasons.ts:1:17"}, {17, "src/reasons.ts:1:24"},
      {23, "src/reasons.ts:1:47"}, {24, "src/reasons.ts:2:3"},  {30, "src/reasons.ts:2:10"},
      {41, "src/reasons.ts:2:21"}, {47, "src/reasons.ts:2:27"}, {59, "src/reasons.ts:2:39"},
      {60, "src/reasons.ts:2:40"}, {62, "src/reasons.ts:3:1"},  {63, "src/auth.ts:7:1"},
      {67, "src/auth.ts:7:8"},     {80, "src/auth.ts:7:16"},    {81, "src/auth.ts:8:3"},
      {91, "src/auth.ts:8:13"},    {99, "src/auth.ts:8:40"},    {107, "src/auth.ts:8:64"},
      {108, "src/auth.ts:9:5"},    {111, "src/auth.ts:9:9"},    {119, "src/auth.ts:9:17"},
      {124, "src/auth.ts:9:22"},   {135, "src/auth.ts:9:33"},   {145, "src/auth.ts:9:43"},
      {147, "src/auth.ts:10:7"},   {153, "src/auth.ts:10:13"},  {157, "src/auth.ts:10:17"},
      {163, "src/auth.ts:10:23"},  {170, "src/auth.ts:10:30"},  {178, "src/auth.ts:10:38"},
      {183, "src/auth.ts:10:43"},  {184, "src/auth.ts:10:44"},  {185, "src/auth.ts:12:3"},
      {186, "src/auth.ts:13:1"},   {300, ""},
  };
  const SourceMap map(kBundle);
  for (size_t i = 0; i + 1 < std::size(expected); ++i) {
    for (uint32_t column = expected[i].first; column < expected[i + 1].first; ++column)
      EXPECT_EQ(at(map, 1, column), expected[i].second) << "column " << column;
  }
}

TEST(SourceMapTest, APositionWithoutMappingStays) {
  const SourceMap map(kBundle);
  EXPECT_EQ(at(map, 2, 1), "out.js:2:1");
  EXPECT_EQ(at(map, 0, 0), "out.js:0:0");
  EXPECT_EQ(at(map, UINT32_MAX, UINT32_MAX), "out.js:4294967295:4294967295");
  // An unknown column is the line's begin.
  EXPECT_EQ(at(map, 1, 0), "src/reasons.ts:1:8");

  // The second line begins with its sixth column; the first line's mappings do not reach into it.
  const SourceMap late(withMappings("AAAA;KACA"));
  EXPECT_EQ(at(late, 2, 5), "out.js:2:5");
  EXPECT_EQ(at(late, 2, 6), "a.ts:2:1");
}

TEST(SourceMapTest, AMappingWithoutSourceEndsTheOneBefore) {
  const SourceMap map(withMappings("AAAA,I,EACA"));
  EXPECT_EQ(at(map, 1, 4), "a.ts:1:1");
  EXPECT_EQ(at(map, 1, 5), kUntouched);
  EXPECT_EQ(at(map, 1, 7), "a.ts:2:1");
}

TEST(SourceMapTest, MappingsNeedNotBeInOrder) {
  // Columns 8, then 0 of the same line.
  const SourceMap map(withMappings("QCAA,RAEA"));
  EXPECT_EQ(at(map, 1, 1), "b.ts:3:1");
  EXPECT_EQ(at(map, 1, 8), "b.ts:3:1");
  EXPECT_EQ(at(map, 1, 9), "b.ts:1:1");
}

TEST(SourceMapTest, EmptyLinesNamesAndStrayCommasAreRead) {
  const SourceMap map(withMappings(";;,AAAAA,,CAAC,;;ACAA;"));
  EXPECT_EQ(at(map, 1, 1), "out.js:1:1");
  EXPECT_EQ(at(map, 3, 1), "a.ts:1:1");
  EXPECT_EQ(at(map, 3, 2), "a.ts:1:2");
  EXPECT_EQ(at(map, 5, 1), "b.ts:1:2");
}

TEST(SourceMapTest, SourcesMayHaveARootOrNoName) {
  const std::string tail = R"("sources":["a.ts",null],"mappings":"AAAA,ICAA"})";
  EXPECT_EQ(mapped(R"({"version":3,"sourceRoot":"/src",)" + tail, 1, 1), "/src/a.ts:1:1");
  EXPECT_EQ(mapped(R"({"version":3,"sourceRoot":"/src/",)" + tail, 1, 1), "/src/a.ts:1:1");
  EXPECT_EQ(mapped(R"({"version":3,"sourceRoot":"",)" + tail, 1, 1), "a.ts:1:1");
  EXPECT_EQ(mapped(R"({"version":3,"sourceRoot":null,)" + tail, 1, 1), "a.ts:1:1");
  EXPECT_EQ(mapped(R"({"version":3,"sourceRoot":"/src",)" + tail, 1, 5), kUntouched);
}

TEST(SourceMapTest, WhatIsNoMapLeavesPositionsAlone) {
  const std::string rest = R"("sources":["a.ts"],"mappings":"AAAA"})";
  ASSERT_EQ(mapped(R"({"version":3,)" + rest, 1, 5), "a.ts:1:1");
  for (const std::string& json : {
           std::string(),
           std::string("null"),
           std::string("[]"),
           std::string("3"),
           std::string("not json"),
           std::string("{\"version\":3"),
           std::string("{\"version\":3}"),
           "{" + rest,
           R"({"version":2,)" + rest,
           R"({"version":"3",)" + rest,
           std::string(R"({"version":3,"sections":[{"offset":{"line":0,"column":0},"map":{}}]})"),
           std::string(R"({"version":3,"sources":{},"mappings":"AAAA"})"),
           std::string(R"({"version":3,"sources":[],"mappings":"AAAA"})"),
           std::string(R"({"version":3,"sources":[1],"mappings":"AAAA"})"),
           std::string(R"({"version":3,"sources":["a.ts"]})"),
           std::string(R"({"version":3,"sources":["a.ts"],"mappings":7})"),
           std::string("\xFF\xFE", 2),
       })
    EXPECT_EQ(mapped(json, 1, 5), kUntouched) << json;
}

TEST(SourceMapTest, MappingsThatAreWrongAnywhereLeavePositionsAlone) {
  for (const char* mappings : {
           "AAAA,!",           // no base64
           "AAAA,AA",          // two numbers
           "AAAA,AAA",         // three
           "AAAA,AAAAAA",      // six
           "AAAA,g",           // goes on, but ends
           "AAAA,D",           // column -1
           "AAAA,ADAA",        // source -1
           "AAAA,AAEAA,AAHA",  // line -1
           "AAAA,AAAD",        // column -1 of the source
           "AAAA,AEAA",        // a third source
           "AAAA,AAAAD",       // name -1
           "AAAA,gggggggggggggggggggC",
           "AAAA,ggggggE",      // column 2^31
           "AAAA,A A",
           "AAAA,\\u0000",
       })
    EXPECT_EQ(mapped(withMappings(mappings), 1, 5), kUntouched) << mappings;
}

TEST(SourceMapTest, NumbersGoUpToTheLargestPosition) {
  // 2^31 - 1, and one more.
  EXPECT_EQ(mapped(withMappings("AA+/////DA"), 1, 1), "a.ts:2147483648:1");
  EXPECT_EQ(mapped(withMappings("AAggggggEA"), 1, 5), kUntouched);
  EXPECT_EQ(mapped(withMappings("AA+/////DA,AACA"), 1, 5), kUntouched);
}

TEST(SourceMapTest, AMapOfFiftyMegabytesIsReadOrLeftAlone) {
  std::string mappings;
  while (mappings.size() < 50'000'000)
    mappings += "CAAC,CAAC,CAAC,CAAC,CAAC,CAAC,CAAC,CAAC,CAAC,CAAC,";
  EXPECT_EQ(mapped(withMappings(mappings), 1, 5), kUntouched);  // more than any bundle has
  EXPECT_EQ(mapped(withMappings(mappings.substr(0, 1'000'000)), 1, 190'001), "a.ts:1:190001");
}

TEST(SourceMapTest, AnyThreadMayAskFirst) {
  const SourceMap map(kBundle);
  std::vector<std::string> answers(4);
  std::vector<std::thread> threads;
  for (std::string& answer : answers)
    threads.emplace_back([&] { answer = at(map, 1, 157); });
  for (std::thread& thread : threads)
    thread.join();
  EXPECT_EQ(answers, std::vector<std::string>(4, "src/auth.ts:10:17"));
}

}  // namespace
}  // namespace fairlead
