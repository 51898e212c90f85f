// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

#include "filter-cc/console.h"

#include <gtest/gtest.h>

#include "filter-cc/answering_test.h"
#include "filter-cc/runtime.h"

namespace fairlead {
namespace {

/** A world of one filter whose onRequest is the test's script. */
class ConsoleTest : public testing::Test {
protected:
  /** Sends one request through a filter; what it logged is in envoy().log(). */
  void run(std::string_view onRequest, LogLevel level = LogLevel::Info) {
    runModule("export default {\n  async onRequest(request, ctx) {\n" + std::string(onRequest) +
                  "\n  }\n}",
              level);
  }
  void runModule(const std::string& source, LogLevel level = LogLevel::Info,
                 const HeaderList& more = {}) {
    load(source, level);
    if (config_ != nullptr)
      request(more);
  }
  void load(const std::string& source, LogLevel level = LogLevel::Info) {
    config_.reset();
    envoy_.reset();
    envoy_.emplace(FakeEnvoyOptions{.logLevel = level});
    config_ = filterOfModule("auth", source);
  }
  void request(const HeaderList& more = {}) {
    HeaderList headers = {
        {":method", "GET"}, {":path", "/"}, {":authority", "a"}, {":scheme", "http"}};
    headers.insert(headers.end(), more.begin(), more.end());
    Exchange exchange(*envoy_, *config_);
    exchange.requestHeaders(headers);
    while (exchange.held(Direction::Request) && envoy_->runNext()) {
    }
    EXPECT_FALSE(exchange.held(Direction::Request));
    status_ = exchange.atClient().status();
  }

  /** The only line there is, without the filter's name. */
  std::string only() {
    const std::vector<std::string> all = lines();
    EXPECT_EQ(all.size(), 1u);
    return all.empty() ? "" : all.front();
  }
  std::vector<std::string> lines() {
    std::vector<std::string> texts;
    for (const LogLine& line : envoy_->log()) {
      EXPECT_EQ(line.message.substr(0, 6), "auth: ");
      texts.push_back(line.message.substr(std::min<size_t>(6, line.message.size())));
    }
    return texts;
  }

  std::optional<FakeEnvoy> envoy_;
  std::unique_ptr<FilterConfig> config_;
  uint32_t status_ = 0;
};

TEST_F(ConsoleTest, EachMethodLogsAtItsLevelUnderTheFiltersNameWithThePlaceOfTheCallW01F085) {
  run("console.log('a');\nconsole.info('b');\nconsole.warn('c');\nconsole.error('d');\n"
      "console.debug('e');\nconsole.trace('f');",
      LogLevel::Trace);
  const auto& log = envoy_->log();
  ASSERT_EQ(log.size(), 6u);
  const LogLevel levels[] = {LogLevel::Info,  LogLevel::Info,  LogLevel::Warn,
                             LogLevel::Error, LogLevel::Debug, LogLevel::Trace};
  for (uint32_t i = 0; i < 6; ++i) {
    EXPECT_EQ(log[i].level, levels[i]) << i;
    EXPECT_EQ(log[i].file, "inline");
    EXPECT_EQ(log[i].line, 3 + i);
  }
  EXPECT_EQ(log[0].message, "auth: a");
  EXPECT_EQ(log[5].message.substr(0, 27), "auth: Trace: f at onRequest") << log[5].message;
  EXPECT_NE(log[5].message.find("(inline:8:"), std::string::npos) << log[5].message;
}

TEST_F(ConsoleTest, TheRequestIdStandsBeforeTheTextF085) {
  runModule("export default { onRequest() { console.log('a') } }", LogLevel::Info,
            {{"x-request-id", "4711"}});
  EXPECT_EQ(only(), "[4711] a");
}

TEST_F(ConsoleTest, ADisabledLevelDoesNothingAndCountsNothing) {
  run("let read = 0;\n"
      "for (let i = 0; i < 200; i++) console.debug({ toString() { read++ } }, `${i}`);\n"
      "console.assert(read === 0); console.log('the end');");
  EXPECT_EQ(only(), "the end");
}

TEST_F(ConsoleTest, PlainValuesStandSideBySideAndASingleStringIsNoFormat) {
  run("console.log('a', 1, -1.5, true, null, undefined, 'b'); console.log('100%d'); "
      "console.log();\n"
      "console.log(-0); console.log('%s=%d', 'a', 1.9); console.log('50% of', 2); "
      "console.log('%', '%s')");
  EXPECT_EQ(lines(), (std::vector<std::string>{"a 1 -1.5 true null undefined b", "100%d", "", "-0",
                                               "a=1", "50% of 2", "% %s"}));
}

TEST_F(ConsoleTest, MessagesThatPassAreShownAsTheyAreNow) {
  // F085, W01
  runModule("export default {\n"
            "  onRequest(request) { request.method = 'PUT'; request.headers.set('x-b', 'c'); console.log(request) },\n"
            "  onResponse(response, { request }) { response.status = 201; console.log(response, [[[[request]]]]) }\n}",
            LogLevel::Info, {{"x-a", "b"}});
  EXPECT_EQ(only(), "Request { method: 'PUT', url: 'http://a/', headers: Headers { host: 'a', 'x-a': 'b', 'x-b': 'c' } }");
  envoy_->clearLog();
  ExchangePlan plan;
  plan.request.headers = {{":method", "GET"}, {":path", "/?q"}, {":authority", "a"}, {":scheme", "http"}};
  plan.upstream.response.headers = {{":status", "200"}, {"x-c", "d"}};
  runExchange(*envoy_, *config_, plan);
  EXPECT_EQ(lines()[1], "Response { status: 201, headers: Headers { 'x-c': 'd' } } "
                        "[ [ [ [ Request { method: 'PUT', url: 'http://a/?q', headers: [Headers] } ] ] ] ]");
}

TEST_F(ConsoleTest, ObjectsAreShownWithTheirInsideAndErrorsWithTheirStackR35) {
  run("class Session { id = 7 }\n"
      "console.log(new Session(), [1, 'x'], new Map([[1, { a: null }]]), 5n, Symbol('s'));\n"
      "function fail() { return new TypeError('boom\\nbang', { cause: 'c' }) }\n"
      "console.log(fail());\n"
      "console.log({ inner: new Error('x') });");
  const auto all = lines();
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0], "Session { id: 7 } [ 1, 'x' ] Map(1) { 1 => { a: null } } 5n Symbol(s)");
  EXPECT_EQ(all[1].substr(0, 45), "TypeError: boom\\nbang at fail (inline:5:30) <") << all[1];
  EXPECT_NE(all[1].find("< at onRequest (inline:6:"), std::string::npos) << all[1];
  EXPECT_NE(all[1].find(" { [cause]: 'c' }"), std::string::npos) << all[1];
  EXPECT_EQ(all[2].substr(0, 31), "{ inner: [Error: x at onRequest") << all[2];
}

TEST_F(ConsoleTest, HeadersAreShownLineByLineAndDeadHandlesWithoutW06) {
  runModule("let kept; export default { onRequest(request) { if (kept) return console.log(kept);\n"
            "kept = request.headers; console.log(kept, new Headers({ a: \"it's\" })) } }");
  EXPECT_EQ(only(), "Headers { host: 'a' } Headers { a: \"it's\" }");
  envoy_->clearLog();
  request();
  EXPECT_EQ(only(), "Headers {}");
}

TEST_F(ConsoleTest, ALineIsOneLineH128) {
  run("console.log('a\\n\\x1b[31m\\u2028\\r\\0b\\x7f'); console.log(['\\n']); console.log('é', "
      "'😀', '\\ud800')");
  EXPECT_EQ(lines(), (std::vector<std::string>{"a\\n\\x1b[31m\\u2028\\x0d\\x00b\\x7f", "[ '\\n' ]",
                                               "é 😀 \xEF\xBF\xBD"}));
}

TEST_F(ConsoleTest, ALongLineIsCutAndSaysHowMuchIsMissingH128) {
  run("console.log('x'.repeat(1e6)); console.log({ a: 'x'.repeat(1e6) }, 'y');\n"
      "console.log('é'.repeat(5000), 'x'.repeat(10)); console.log(Array(200).fill(1));\n"
      "console.log('x' + 'é'.repeat(5000), 'y')");
  const auto all = lines();
  ASSERT_EQ(all.size(), 5u);
  EXPECT_EQ(all[0], std::string(8160, 'x') + "… (991840 more)");
  for (const std::string& line : all)
    EXPECT_LE(line.size(), 8192u);
  EXPECT_TRUE(all[1].ends_with(" more)"));
  EXPECT_TRUE(all[2].ends_with("… (931 more)")) << all[2].substr(8100);
  EXPECT_TRUE(all[3].ends_with("1, … (100 more) ]"));
  // What is left of the room is too small for one more é, and nothing else takes it.
  EXPECT_TRUE(all[4].ends_with("é… (923 more)")) << all[4].substr(8100);
}

TEST_F(ConsoleTest, TheHundredAndFirstLineIsDroppedAndOneLineSaysHowManyWereH128) {
  run("for (let i = 0; i < 10000; i++) console.log(i, {});");
  const auto all = lines();
  ASSERT_EQ(all.size(), 101u);
  EXPECT_EQ(all[99], "99 {}");
  EXPECT_EQ(all[100], "9900 log lines dropped");
  EXPECT_EQ(envoy_->log()[100].level, LogLevel::Warn);
  // The next stream begins anew.
  envoy_->clearLog();
  request();
  EXPECT_EQ(lines().size(), 101u);
}

TEST_F(ConsoleTest, TheTopLevelAndConfigureLogWithoutAStreamAndHaveACapOfTheirOwnH128) {
  load("console.warn('top', [1]); for (let i = 0; i < 120; i++) console.log(i);\n"
       "export default { configure() { console.log('configure') }, onRequest() { "
       "console.log('a') } }");
  const auto all = lines();
  ASSERT_EQ(all.size(), 102u);
  EXPECT_EQ(all[0], "top [ 1 ]");
  EXPECT_EQ(envoy_->log()[0].line, 1u);
  EXPECT_EQ(all[100], "21 log lines dropped");
  EXPECT_EQ(all[101], "configure");
}

TEST_F(ConsoleTest, GroupsCountsAndTimersBelongToTheStreamW01) {
  const std::string script =
      "export default { async onRequest() { console.groupEnd(); console.log('a');\n"
      "console.group('g'); console.log('b');\n"
      "console.groupCollapsed(); console.log({}); console.groupEnd(); console.log('c');\n"
      "console.count(); console.count('default'); console.count(1); console.countReset(1);\n"
      "console.count(1); console.countReset('no');\n"
      "console.time('t'); console.time('t'); console.timeLog('t', [1]); console.timeEnd('t');\n"
      "console.timeEnd('t'); console.groupEnd(); console.groupEnd(); console.group() } }";
  runModule(script);
  const std::vector<std::string> expected = {
      "a",
      "g",
      "  b",
      "    {}",
      "  c",
      "  default: 1",
      "  default: 2",
      "  1: 1",
      "  1: 1",
      "  console.countReset: there is no count no",
      "  console.time: timer t runs already",
      "  t: 0.000 ms [ 1 ]",
      "  t: 0.000 ms",
      "  console.timeEnd: there is no timer t"};
  EXPECT_EQ(lines(), expected);
  EXPECT_EQ(envoy_->log()[9].level, LogLevel::Warn);
  // Neither the open group nor the counts of the stream before.
  envoy_->clearLog();
  request();
  EXPECT_EQ(lines(), expected);
}

TEST_F(ConsoleTest, LabelsAreBoundedAndConvertedByTheirOwnToString) {
  run("for (let i = 0; i < 150; i++) console.time(i); console.count({ toString() { return "
      "'x\\ny' } });\n"
      "console.count('l'.repeat(1e6));\n"
      "try { console.count({ toString() { throw new Error('mine') } }) } catch (e) { "
      "console.log(e.message) }\n"
      "try { console.time(Symbol()) } catch (e) { console.log(e.name) }");
  const auto all = lines();
  ASSERT_EQ(all.size(), 54u);
  EXPECT_EQ(all[0], "console.time: more than 100 timers: 100");
  EXPECT_EQ(all[50], "x\\ny: 1");
  EXPECT_EQ(all[51], std::string(256, 'l') + ": 1");
  EXPECT_EQ(all[52], "mine");
  EXPECT_EQ(all[53], "TypeError");
}

TEST_F(ConsoleTest, AssertDirTableAndTraceW01) {
  run("console.assert(true, 'no'); console.assert({}); console.assert(); console.assert(0, "
      "'v=%d', 1, 'z');\n"
      "console.assert(false, { a: 1 }); console.dir('a'); console.dir({ a: { b: 1 } }, { depth: "
      "0 });\n"
      "console.table([{ a: 1 }, { b: 'x' }]); console.table(5); console.trace('hidden')");
  EXPECT_EQ(lines(), (std::vector<std::string>{
                         "Assertion failed", "Assertion failed: v=1 z", "Assertion failed: { a: "
                         "1 }",
                         "'a'", "{ a: [Object] }", "(index) | a | b; 0 | 1 | ; 1 |  | 'x'", "5"}));
  EXPECT_EQ(envoy_->log()[0].level, LogLevel::Error);
  EXPECT_EQ(envoy_->log()[3].level, LogLevel::Info);
}

TEST_F(ConsoleTest, AScriptThatReplacesEverythingBeforeTheFirstCallIsNotRunH123) {
  load("const { defineProperty } = Object, { ownKeys, getPrototypeOf } = Reflect;\n"
       "const objects = [{ a: 1 }, [1, [2]], new Map([[1, 2]]), new Set([3]), new Date(0), /x/g, "
       "5n,\n"
       "  Symbol.iterator, new Uint8Array([1]), new Error('e'), () => 1, class A {}, new "
       "Headers({ a: 'b' })];\n"
       "const holders = [Object.prototype, Object, Reflect, Array.prototype, String.prototype, "
       "Number.prototype,\n"
       "  BigInt.prototype, Map.prototype, Set.prototype, Date.prototype, RegExp.prototype, "
       "Symbol.prototype,\n"
       "  Function.prototype, Error.prototype, Headers.prototype, ArrayBuffer.prototype,\n"
       "  getPrototypeOf(new Map().entries()), getPrototypeOf(new Set().values()),\n"
       "  getPrototypeOf([].values()), getPrototypeOf(Uint8Array.prototype)];\n"
       "let ran = 0; const evil = () => { ran++; throw 'ran' };\n"
       "for (let i = 0; i < holders.length; i++) {\n"
       "  const keys = ownKeys(holders[i]);\n"
       "  for (let k = 0; k < keys.length; k++)\n"
       "    if (keys[k] !== 'constructor' && keys[k] !== '__proto__')\n"
       "      try { defineProperty(holders[i], keys[k], { __proto__: null, get: evil, set: evil "
       "}) } catch {}\n"
       "}\n"
       "const names = ['0', 'value', 'get', 'set', 'done', 'writable', 'enumerable', "
       "'configurable', 'depth', 'next', 'then'];\n"
       "for (let i = 0; i < names.length; i++)\n"
       "  defineProperty(objects[0].__proto__, names[i], { __proto__: null, get: evil, set: evil "
       "});\n"
       "export default { onRequest() { console.log('%s %d', 'a', 1);\n"
       "  for (let i = 0; i < objects.length; i++) console.log(objects[i]);\n"
       "  console.table({ r: { c: 1 } }); console.dir({}); console.log(ran) } }");
  envoy_->clearLog();
  request();
  const auto all = lines();
  ASSERT_EQ(all.size(), 17u);
  EXPECT_EQ(all[3], "Map(1) { 1 => 2 }");
  EXPECT_EQ(all.back(), "0");
  EXPECT_EQ(status_, 0u);
}

TEST_F(ConsoleTest, HostileValuesGiveOneBoundedLineEachH124) {
  run("Error.prepareStackTrace = () => { throw new Error('no') };\n"
      "const { proxy, revoke } = Proxy.revocable({}, {}); revoke();\n"
      "const trap = () => { throw new Error('trapped') };\n"
      "const handler = new Proxy({}, { get: trap });\n"
      "console.log(proxy); console.log(new Proxy(class {}, handler)); "
      "console.log(Object.create(new Proxy({}, handler)));\n"
      "console.log({ get a() { trap() }, set b(v) { trap() } });\n"
      "console.log(Object.defineProperty(new Error('m'), 'name', { get: trap }));\n"
      "console.log(new Error('y'.repeat(5e6)).message.length);\n"
      "console.log(Object.assign(new Error('y'.repeat(1e6)), { self: null }));\n"
      "const o = {}; o.o = o; console.log(o); console.log({ __proto__: null });\n"
      "console.log({ toString: trap, toJSON: trap, [Symbol.toPrimitive]: trap, get "
      "[Symbol.toStringTag]() { trap() } });");
  const auto all = lines();
  ASSERT_EQ(all.size(), 10u);
  EXPECT_EQ(all[0], "[Proxy]");
  EXPECT_EQ(all[1], "[Proxy]");
  EXPECT_EQ(all[2], "{}");
  EXPECT_EQ(all[3], "{ a: [Getter], b: [Setter] }");
  EXPECT_EQ(all[4].substr(0, 8), "Error: m") << all[4];
  EXPECT_EQ(all[5], "5000000");
  EXPECT_LE(all[6].size(), 4096u);
  EXPECT_EQ(all[7], "{ o: [Circular] }");
  EXPECT_EQ(all[8], "[Object: null prototype] {}");
  EXPECT_EQ(all[9], "{ toString: [Function: trap], toJSON: [Function: trap], "
                    "[Symbol(Symbol.toPrimitive)]: [Function: trap], "
                    "[Symbol(Symbol.toStringTag)]: [Getter] }");
  EXPECT_EQ(status_, 0u);
}

TEST_F(ConsoleTest, TheObjectHasTheShapeOfTheStandardW01H125) {
  run("const { log } = console; log('free');\n"
      "console.log(Object.prototype.toString.call(console), Object.keys(console).join());\n"
      "console.log(console.log.length, console.count.length, console.assert.length, "
      "console.log.name,\n"
      "  Object.keys(Object.getPrototypeOf(console)).length,\n"
      "  Object.getPrototypeOf(Object.getPrototypeOf(console)) === Object.prototype);\n"
      "['x'].forEach(console.log); console.log(...Array(50).fill(0)); new Promise((r) => "
      "r(1)).then(console.log)");
  const auto all = lines();
  ASSERT_EQ(all.size(), 6u);
  EXPECT_EQ(all[0], "free");
  EXPECT_EQ(all[1], "[object console] log,info,warn,error,debug,trace,assert,dir,table,count,"
                    "countReset,group,groupCollapsed,groupEnd,time,timeLog,timeEnd");
  EXPECT_EQ(all[2], "0 0 0 log 0 true");
  EXPECT_EQ(all[3], "x 0 [ 'x' ]");
  // Called by the engine itself: the place is that of the script's call.
  EXPECT_EQ(envoy_->log()[3].line, 8u);
}

}  // namespace
}  // namespace fairlead
