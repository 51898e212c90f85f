// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Facts, metadata, filter state and routing over the fake, under the rules of each release.

#include <gtest/gtest.h>

#include <ostream>
#include <string>
#include <vector>

#include "filter-cc/host_fake.h"
#include "filter-cc/stream.h"

namespace fairlead {
namespace {

using List = std::vector<std::string>;

class FactsTest : public testing::TestWithParam<EnvoyRelease> {
protected:
  /** Makes a filter of hooks; `tell` logs, `of` gives what a function returned or threw. */
  void load(const std::string& hooks, const std::string& more = "") {
    const std::string source = "const tell = (...all) => console.info(JSON.stringify(all));"
                               "const of = (use) => { try { return use() ?? null; }"
                               " catch (error) { return error.code ?? error.name; } };"
                               "export default {" +
                               hooks + "};";
    std::string json = "{\"inline\": \"";
    for (const char c : source)
      json += c == '"' || c == '\\' ? std::string("\\") + c : std::string(1, c);
    json += "\", \"limits\": {\"cpu_ms\": 1000, \"stream_cpu_ms\": 5000}" + more + "}";
    Result<std::unique_ptr<FilterConfig>> made = FilterConfig::create("test", json);
    ASSERT_TRUE(made.ok()) << made.error().code << ": " << made.error().message;
    config_ = *std::move(made);
  }

  ExchangePlan plan(std::string path = "/") {
    ExchangePlan plan;
    plan.request.headers = {
        {":authority", "a"}, {":path", std::move(path)}, {":method", "GET"}, {":scheme", "http"}};
    plan.upstream.response.headers = {{":status", "200"}};
    return plan;
  }

  ExchangeResult run(const ExchangePlan& plan) {
    ExchangeResult result = runExchange(envoy_, *config_, plan);
    EXPECT_TRUE(result.complete);
    return result;
  }

  /** Lines of the log, without the filter's name; each is returned once. */
  List told() {
    List lines;
    for (const LogLine& line : envoy_.log())
      lines.push_back(line.message.substr(line.message.find(": ") + 2));
    envoy_.clearLog();
    return lines;
  }

  bool is(EnvoyRelease release) const { return GetParam() == release; }

  void TearDown() override {
    EXPECT_EQ(told(), List());
    EXPECT_EQ(envoy_.finish(), List());
  }

  FakeEnvoy envoy_{FakeEnvoyOptions{.release = GetParam()}};
  std::unique_ptr<FilterConfig> config_;
};

INSTANTIATE_TEST_SUITE_P(Releases, FactsTest,
                         testing::Values(EnvoyRelease::V1_38, EnvoyRelease::V1_39,
                                         EnvoyRelease::V1_40));

TEST_P(FactsTest, AnAttributeThatThisEnvoyDoesNotTellIsNotAskedFor) {
  // F050
  load("onRequest(request, { attributes: a }) {"
       "  tell(a['request.path'], a['request.query'] ?? 'none', a['xds.route_name'], "
       "a['health_check'] ?? 'none',"
       "       a['xds.virtual_host_name'] ?? 'none'); }");
  ExchangePlan exchange = plan("/a");
  exchange.options.facts.attributes = {{Attribute::XdsRouteName, "r"},
                                       {Attribute::XdsVirtualHostName, "v"}};
  run(exchange);
  const std::string health = is(EnvoyRelease::V1_38) ? "\"none\"" : "false";
  const std::string host = is(EnvoyRelease::V1_40) ? "\"v\"" : "\"none\"";
  EXPECT_EQ(told(), (List{"[\"/a\",\"none\",\"r\"," + health + "," + host + "]"}));
}

TEST_P(FactsTest, WhatAScriptDoesNotUseIsNotAskedFor) {
  // F050
  load("onRequest(request, ctx) { ctx.state.a = 1; }, onResponse() {}");
  Exchange exchange(envoy_, *config_);
  exchange.requestHeaders(plan().request.headers);
  exchange.responseHeaders({{":status", "200"}});
  for (const HostCall call : {HostCall::Attribute, HostCall::Metadata, HostCall::FilterState,
                              HostCall::Cluster, HostCall::ClearRouteCache})
    EXPECT_EQ(exchange.count(call), 0U);
}

TEST_P(FactsTest, PartsOfAnEndedStreamAreDeadAlsoWhenAnotherOneHasThem) {
  // F081
  load("onRequest(request, ctx) {"
       "  const parts = [ctx.attributes, ctx.connection, ctx.metadata, ctx.filterState, "
       "ctx.route, ctx.cluster,"
       "    ctx.route.metadata];"
       "  const uses = [(p) => p['request.path'], (p) => p.id, (p) => p.get('a', 'b'), (p) => "
       "p.get('a'),"
       "    (p) => p.name, (p) => p.name, (p) => p.keys('a')];"
       "  if (globalThis.kept) tell(uses.map((use, i) => of(() => use(kept[i]))).join(),"
       "    parts.map((part, i) => part === kept[i]).join());"
       "  globalThis.kept = parts;"
       "  tell(ctx.metadata === ctx.metadata, ctx.route.metadata === ctx.metadata, "
       "Object.isExtensible(ctx.route)); }");
  run(plan());
  run(plan());
  const std::string dead = "E_DEAD_HANDLE";
  std::string codes = dead;
  for (int i = 1; i < 7; ++i)
    codes += "," + dead;
  const std::string same = "[true,false,false]";
  EXPECT_EQ(told(), (List{same,
                          "[\"" + codes + "\",\"false,false,false,false,false,false,false\"]",
                          same}));
}

TEST_P(FactsTest, MetadataOfEverySourceIsReadAndThatOfTheConfigNotWritten) {
  // F047, F048
  load("onRequest(request, { metadata, route, cluster }) {"
       "  const all = [metadata, route.metadata, cluster.metadata, cluster.hostMetadata, "
       "cluster.localityMetadata];"
       "  tell(all.map((m) => m.get('ns', 'key') ?? 'none'));"
       "  tell(all.map((m) => of(() => m.set('test', 'own', true)))); tell(metadata.get('test', "
       "'own'));"
       "  tell(metadata.namespaces(), route.metadata.keys('ns')); }");
  ExchangePlan exchange = plan();
  for (size_t i = 1; i < exchange.options.facts.metadata.size(); ++i) {
    MetadataValue value;
    value.kind = MetadataValue::Kind::Number;
    value.number = static_cast<double>(i);
    exchange.options.facts.metadata[i]["ns"]["key"] = value;
  }
  const ExchangeResult result = run(exchange);
  const std::string refused = "\"E_METADATA_VALUE\"";
  EXPECT_EQ(told(), (List{"[[\"none\",1,2,3,4]]",
                          "[[null," + refused + "," + refused + "," + refused + "," + refused +
                              "]]",
                          "[true]", "[[\"test\"],[\"key\"]]"}));
  EXPECT_TRUE(result.facts.metadata[0].at("test").at("own").flag);
}

TEST_P(FactsTest, AValueThatMetadataCannotHoldIsRefusedWhole) {
  // F048
  load("onRequest(request, { metadata }) {"
       "  const deep = (n) => n === 0 ? 1 : [deep(n - 1)];"
       "  const circle = []; circle.push(circle);"
       "  const bad = { get x() { throw new RangeError('mine'); } };"
       "  tell([undefined, 5n, Symbol('a'), () => {}, NaN, Infinity, 'a'.repeat(65537), "
       "Array(1025).fill(1), deep(40),"
       "    circle, { a: [() => {}] }, bad].map((value) => of(() => metadata.set('test', 'key', "
       "value))).join());"
       "  tell(metadata.keys('test')); tell(of(() => metadata.set('test', 'key', deep(2)))); }");
  run(plan());
  std::string codes = "E_METADATA_VALUE";
  for (int i = 1; i < 11; ++i)
    codes += ",E_METADATA_VALUE";
  // Lists in lists are new in 1.40 too.
  const std::string nested = is(EnvoyRelease::V1_40) ? "null" : "\"E_METADATA_VALUE\"";
  EXPECT_EQ(told(), (List{"[\"" + codes + ",RangeError\"]", "[[]]", "[" + nested + "]"}));
}

TEST_P(FactsTest, ObjectsAndOtherListsNeedEnvoy140) {
  // F048
  load("onRequest(request, { metadata: m }) {"
       "  tell([{ a: 1, b: undefined }, null, [], ['a'], ['b', 2, true]].map((value) => of(() => "
       "m.set('test', 'key', value))),"
       "    m.get('test', 'key')); }");
  const ExchangeResult result = run(plan());
  if (is(EnvoyRelease::V1_40))
    EXPECT_EQ(told(), (List{"[[null,null,null,null,null],[\"b\",2,true]]"}));
  else
    EXPECT_EQ(told(), (List{"[[\"E_METADATA_VALUE\",\"E_METADATA_VALUE\",\"E_METADATA_VALUE\",null,"
                            "\"E_METADATA_VALUE\"],[\"a\"]]"}));
}

TEST_P(FactsTest, TheGetterOfAnObjectMayWriteMetadataItself) {
  // F048
  load("onRequest(request, { metadata: m }) {"
       "  const value = []; Object.defineProperty(value, 0, { get() { m.set('test', 'inner', 1); "
       "return 'a'; } });"
       "  m.set('test', 'outer', value); tell(m.keys('test').sort(), m.get('test', 'outer')); }");
  run(plan());
  EXPECT_EQ(told(), (List{"[[\"inner\",\"outer\"],[\"a\"]]"}));
}

TEST_P(FactsTest, FilterStateIsKeptAsTheReleaseKeepsIt) {
  // F049
  load("onRequest(request, { filterState: f }) {"
       "  f.set('key', 'first'); tell(of(() => f.set('key', 'second')), f.get('key'), "
       "f.get('none') ?? 'none',"
       "    f.getBytes('none') ?? 'none', [...f.getBytes('key')].length, of(() => "
       "f.setTyped('key', 'x')),"
       "    of(() => f.set('key', {})), of(() => f.set('key', 'a'.repeat(65537)))); }");
  const ExchangeResult result = run(plan());
  const bool keeps = is(EnvoyRelease::V1_38);
  EXPECT_EQ(told(),
            (List{std::string("[") + (keeps ? "\"E_FILTER_STATE\",\"first\"" : "null,\"second\"") +
                  ",\"none\",\"none\"," + (keeps ? "5" : "6") +
                  ",\"E_FILTER_STATE\",\"E_ARGUMENT\",\"E_FILTER_STATE\"]"}));
  EXPECT_EQ(result.facts.filterState.at("key"), keeps ? "first" : "second");
}

TEST_P(FactsTest, AnAnswerOfSomebodyElseIsToldAndOurOwnIsNot) {
  // F027
  load("onRequest({ path }) { if (path === '/own') return new Response('x'); },"
       "onResponse(response, ctx) { tell('onResponse', ctx.localReply); },"
       "onLog(ctx) { tell('onLog', ctx.localReply); }");
  ExchangePlan exchange = plan();
  exchange.upstream.kind = UpstreamBehavior::Kind::LocalReply;
  exchange.upstream.response.headers = {{":status", "503"}};
  run(exchange);
  const std::string reply = "{\"status\":503,\"details\":\"direct_response\"}";
  EXPECT_EQ(told(), (List{"[\"onResponse\"," + reply + "]", "[\"onLog\"," + reply + "]"}));
  exchange.upstream.kind = UpstreamBehavior::Kind::EarlierReply;
  run(exchange);
  const std::string earlier = "{\"status\":503,\"details\":\"earlier_filter\"}";
  EXPECT_EQ(told(), (List{"[\"onResponse\"," + earlier + "]", "[\"onLog\"," + earlier + "]"}));
  run(plan("/own"));
  run(plan());
  EXPECT_EQ(told(), (List{"[\"onLog\",null]", "[\"onResponse\",null]", "[\"onLog\",null]"}));
}

TEST_P(FactsTest, TheRouteIsChosenAnewWhenAskedForAndWhenAFailedHookIsUndone) {
  // F041, F073
  load("onRequest(request, ctx) { tell(of(() => ctx.clearRouteCache())); throw new Error('x'); }",
       ", \"on_error\": {\"mode\": \"open\"}");
  Exchange exchange(envoy_, *config_);
  exchange.requestHeaders(plan().request.headers);
  const List lines = told();
  ASSERT_EQ(lines.size(), 2U);
  const bool can = !is(EnvoyRelease::V1_38);
  EXPECT_EQ(lines[0], can ? "[null]" : "[\"E_ENVOY_RELEASE\"]");
  EXPECT_EQ(exchange.count(HostCall::ClearRouteCache), can ? 2U : 0U);
  EXPECT_TRUE(exchange.atUpstream().ended);
}

TEST_P(FactsTest, TheClusterHeaderIsTheScriptsAlone) {
  // F042
  if (is(EnvoyRelease::V1_38)) {
    const auto made =
        FilterConfig::create("test", R"({"inline": "export default {}", "cluster_header": "x-c"})");
    ASSERT_FALSE(made.ok());
    EXPECT_EQ(made.error().code, "E_CONFIG_VALUE");
    return;
  }
  load("onRequest(request) { tell(request.cluster); if (request.path === '/a') request.cluster = "
       "'blue';"
       "  tell(request.cluster, of(() => { request.cluster = ''; }), of(() => { request.cluster "
       "= 'a b'; })); }",
       ", \"cluster_header\": \"X-C\"");
  ExchangePlan exchange = plan("/a");
  exchange.request.headers.emplace_back("x-c", "red");
  exchange.request.headers.emplace_back("X-C", "green");
  EXPECT_EQ(run(exchange).upstream.header("x-c"), "blue");
  EXPECT_EQ(told(), (List{"[null]", "[\"blue\",\"E_TARGET\",\"E_TARGET\"]"}));
  exchange.request.headers[1].second = "/b";
  EXPECT_EQ(run(exchange).upstream.header("x-c"), std::nullopt);
  EXPECT_EQ(told(), (List{"[null]", "[null,\"E_TARGET\",\"E_TARGET\"]"}));
  // Nothing to drop: the route that was chosen holds.
  Exchange plain(envoy_, *config_);
  plain.requestHeaders(plan("/b").request.headers);
  EXPECT_EQ(plain.count(HostCall::ClearRouteCache), 0U);
  told();
}

TEST_P(FactsTest, AnUpstreamHostIsAnAddressWithAPort) {
  // F043
  load("onRequest(request, ctx) {"
       "  tell(['a:1', '1.2.3.4', '1.2.3.4:0', '1.2.3.4:99999', '[::1', '::1:80x', "
       "''].map((host) =>"
       "    of(() => ctx.setUpstreamHost(host))).join());"
       "  ctx.setUpstreamHost('[::1]:80', { strict: 1 }); }");
  EXPECT_EQ(run(plan()).upstreamHost, "[::1]:80");
  std::string codes = "E_UPSTREAM_HOST";
  for (int i = 1; i < 7; ++i)
    codes += ",E_UPSTREAM_HOST";
  EXPECT_EQ(told(), (List{"[\"" + codes + "\"]"}));
}

TEST_P(FactsTest, RoutingEndsWhenTheRequestHasLeft) {
  // F041, F043
  load("onRequest(request, ctx) { setTimeout(() => tell(of(() => "
       "ctx.setUpstreamHost('1.2.3.4:80'))), 1); },"
       "onResponse(response, ctx) { tell(of(() => ctx.setUpstreamHost('1.2.3.4:80')), of(() => "
       "ctx.clearRouteCache())); }");
  ExchangePlan exchange = plan();
  exchange.upstream.delayMs = 5;
  EXPECT_EQ(run(exchange).upstreamHost, std::nullopt);
  EXPECT_EQ(told(), (List{"[\"E_HEADERS_SENT\"]", "[\"E_WRONG_PHASE\",\"E_WRONG_PHASE\"]"}));
}

TEST_P(FactsTest, SocketOptionsAreNumbersAndBytesOfEachConnection) {
  // F050
  load("onRequest(request, ctx) {"
       "  const get = (...key) => ctx.socketOption(...key) ?? null;"
       "  tell(get('upstream', 1, 36), ctx.setSocketOption('upstream', 1, 36, -7) ?? null,"
       "    get('upstream', 1, 36), get('downstream', 1, 36));"
       "  ctx.setSocketOption('downstream', 6, 13, new Uint8Array([0, 255]).buffer);"
       "  ctx.setSocketOption('upstream', 1, 36, new Uint8Array([1, 2, 3, 4]).subarray(1, 3));"
       "  tell([...get('downstream', 6, 13)], [...get('upstream', 1, 36)]); },"
       "onLog(ctx) { tell([...ctx.socketOption('upstream', 1, 36)]); }");
  const ExchangeFacts facts = run(plan()).facts;
  EXPECT_EQ(told(), (List{"[null,null,-7,null]", "[[0,255],[2,3]]", "[[2,3]]"}));
  ASSERT_EQ(facts.socketOptions.size(), 2U);
  EXPECT_EQ(std::get<std::string>(facts.socketOptions[0].second), "\x02\x03");
  EXPECT_EQ(facts.socketOptions[1].first,
            (SocketOption{SocketDirection::Downstream, 6, 13}));
}

TEST_P(FactsTest, ASocketOptionThatCannotBeSetIsRefused) {
  // F050
  load("onRequest(request, ctx) {"
       "  const set = (...args) => of(() => ctx.setSocketOption(...args));"
       "  tell([['both', 1, 2, 3], ['upstream', 1.5, 2, 3], ['upstream', 1, NaN, 3], ['upstream', 1, 2, "
       "2 ** 31], ['upstream', 1, 2, -(2 ** 31) - 1], ['upstream', 1, 2, true], ['upstream', 1, 2, '3'], "
       "['upstream', 1, 2, new Uint8Array()], ['upstream', 1, 2, new Uint8Array(257)]]"
       "    .every((args) => set(...args) === 'E_ARGUMENT'));"
       "  tell([26, 50, 51, 52].map((name) => set('downstream', 1, name, new Uint8Array(16))).join());"
       "  tell(set('downstream', -1, 2, 3), ctx.socketOption('downstream', -1, 2) ?? null);"
       "  setTimeout(() => tell(set('upstream', 1, 36, 1), set('downstream', 1, 36, 1)), 1); },"
       "onResponse(response, ctx) { tell(of(() => ctx.setSocketOption('upstream', 1, 36, 1))); }");
  const std::string refused = "E_SOCKET_OPTION";
  const List lines = {"[true]",
                      "[\"" + refused + "," + refused + "," + refused + "," + refused + "\"]",
                      "[\"E_SOCKET_OPTION\",null]", "[\"E_HEADERS_SENT\",null]",
                      "[\"E_HEADERS_SENT\"]"};
  ExchangePlan exchange = plan();
  exchange.upstream.delayMs = 5;
  run(exchange);
  EXPECT_EQ(told(), lines);
}

TEST_P(FactsTest, AmongAClustersFiltersTheUpstreamsConnectionHasBeenChosen) {
  // F045, F050
  load("onRequest(request, ctx) { const set = (to) => of(() => ctx.setSocketOption(to, 1, 36, 1));"
       "  tell(set('upstream'), set('downstream')); }");
  ExchangePlan exchange = plan();
  exchange.options.inCluster = true;
  run(exchange);
  EXPECT_EQ(told(), (List{"[\"E_SOCKET_OPTION\",null]"}));
}

TEST_P(FactsTest, AttributesRunNoCodeAndSurviveMemoryPressure) {
  // F070
  load("onRequest(request, ctx) { const all = []; for (;;) all.push({ ...ctx.attributes }, "
       "ctx.metadata.namespaces()); }",
       "");
  const ExchangeResult result = run(plan("/" + std::string(2000, 'a')));
  EXPECT_EQ(result.client.status(), 500U);
  const List lines = told();
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_TRUE(lines[0].starts_with("E_MEMORY_LIMIT") || lines[0].starts_with("E_CPU_LIMIT"))
      << lines[0];
}

}  // namespace
}  // namespace fairlead
