// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Spans over the fake: that each child is ended, by whatever way its exchange ends, and what is asked of the host.

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "filter-cc/host_fake.h"
#include "filter-cc/stream.h"

namespace fairlead {
namespace {

using List = std::vector<std::string>;

class TracingTest : public testing::Test {
protected:
  void load(const std::string& hooks, const std::string& more = "") {
    std::string json = "{\"inline\": \"";
    for (const char c : "export default {" + hooks + "};")
      json += c == '"' || c == '\\' ? std::string("\\") + c : std::string(1, c);
    json += "\", \"clusters\": [\"auth\"], \"limits\": {\"cpu_ms\": 1000, \"stream_cpu_ms\": 5000" +
            more + "}}";
    Result<std::unique_ptr<FilterConfig>> made = FilterConfig::create("test", json);
    ASSERT_TRUE(made.ok()) << made.error().code << ": " << made.error().message;
    config_ = *std::move(made);
  }

  ExchangePlan plan(bool traced = true, const HeaderList& more = {}) {
    ExchangePlan plan;
    plan.request.headers = {
        {":authority", "a"}, {":path", "/"}, {":method", "GET"}, {":scheme", "http"}};
    plan.request.headers.insert(plan.request.headers.end(), more.begin(), more.end());
    plan.upstream.response.headers = {{":status", "200"}};
    plan.options.facts.traced = traced;
    return plan;
  }

  /** A call's header; empty when it has none. */
  static std::string headerOf(const Callout& callout, std::string_view name) {
    for (const auto& [key, value] : callout.request.headers) {
      if (key == name)
        return value;
    }
    return "";
  }

  static std::string tagOf(const FakeSpan& span, std::string_view key) {
    for (const auto& [name, value] : span.tags) {
      if (name == key)
        return value;
    }
    return "";
  }

  // That every child has been finished, once and with no script on the stack, is what the fake looks at.
  void TearDown() override { EXPECT_EQ(envoy_.finish(), List()); }

  FakeEnvoy envoy_;
  std::unique_ptr<FilterConfig> config_;
};

constexpr const char* kTraceId = "4bf92f3577b34da6a3ce929d0e0e4736";

TEST_F(TracingTest, AFetchHasOneSpanWhichItsRequestNamesF091) {
  load("async onRequest() { await fetch('http://auth/a'); }");
  envoy_.setCluster("auth", [](const CalloutRequest&) { return CalloutAnswer::of(503, "no"); });
  const ExchangeResult result = runExchange(envoy_, *config_, plan());
  ASSERT_EQ(result.spans.size(), 2U);
  const FakeSpan& call = result.spans[1];
  EXPECT_EQ(call.parentId, result.spans[0].id);
  EXPECT_EQ(call.operation, "async auth egress");
  EXPECT_EQ(tagOf(call, "http.url"), "http://auth/a");
  EXPECT_EQ(tagOf(call, "http.status_code"), "503");
  EXPECT_EQ(tagOf(call, "error"), "true");
  ASSERT_EQ(result.callouts.size(), 1U);
  // Nothing says that the trace is not recorded.
  EXPECT_EQ(headerOf(result.callouts[0], "traceparent"),
            std::string("00-") + kTraceId + "-" + call.id + "-01");
  EXPECT_EQ(headerOf(result.callouts[0], "b3"), std::string(kTraceId) + "-" + call.id + "-1");
}

TEST_F(TracingTest, WhetherATraceIsRecordedIsReadFromTheRequestF091) {
  load("async onRequest(request, { span }) { await fetch('http://auth/'); "
       "request.headers.set('x-sampled', String(span.sampled)); }");
  envoy_.setCluster("auth", [](const CalloutRequest&) { return CalloutAnswer::of(200, ""); });
  const std::string id = kTraceId;
  const std::string other = "5" + id.substr(1);
  const std::string span = "-00f067aa0ba902b7-";
  struct Case {
    HeaderList headers;
    const char* sampled;
    const char* state;
  };
  const std::vector<Case> cases = {
      {{{"traceparent", "00-" + id + span + "01"}, {"tracestate", "a=b"}}, "true", "a=b"},
      {{{"traceparent", "00-" + id + span + "02"}, {"tracestate", "a=b"}}, "false", "a=b"},
      // Of another trace: the tracer has not taken part in it.
      {{{"traceparent", "00-" + other + span + "01"}, {"tracestate", "a=b"}}, "undefined", ""},
      {{{"traceparent", "00-" + id}, {"tracestate", "a=b"}}, "undefined", "a=b"},
      {{{"b3", id + span + "0"}}, "false", ""},
      {{{"b3", id + span + "d-00f067aa0ba902b7"}}, "true", ""},
      {{{"b3", other + span + "0"}}, "undefined", ""},
      {{{"b3", "0"}}, "undefined", ""},
      {{{"b3", id + span.substr(0, 17)}}, "undefined", ""},
      {{{"x-b3-traceid", id}, {"x-b3-spanid", "00f067aa0ba902b7"}, {"x-b3-sampled", "0"}}, "false", ""},
      {{{"x-b3-traceid", id}, {"x-b3-spanid", "00f067aa0ba902b7"}}, "undefined", ""},
      {{{"x-request-id", "9f0c6c4e-9d38-4e0b-8d3b-b0a5d1f3a0c1"}}, "false", ""},
      {{{"x-request-id", "9f0c6c4e-9d38-9e0b-8d3b-b0a5d1f3a0c1"}}, "true", ""},
      {{{"x-request-id", "9f0c6c4e-9d38-be0b-8d3b-b0a5d1f3a0c1"}}, "true", ""},
      {{{"x-request-id", "9f0c6c4e-9d38-7e0b-8d3b-b0a5d1f3a0c1"}}, "undefined", ""},
      {{{"x-request-id", "4"}}, "undefined", ""},
  };
  for (const Case& c : cases) {
    const ExchangeResult result = runExchange(envoy_, *config_, plan(true, c.headers));
    SCOPED_TRACE(c.headers[0].second);
    const auto sampled = std::find_if(result.upstream.headers.begin(), result.upstream.headers.end(),
                                      [](const auto& line) { return line.first == "x-sampled"; });
    ASSERT_NE(sampled, result.upstream.headers.end());
    EXPECT_EQ(sampled->second, c.sampled);
    ASSERT_EQ(result.callouts.size(), 1U);
    EXPECT_EQ(headerOf(result.callouts[0], "b3").back(), std::string(c.sampled) == "false" ? '0' : '1');
    EXPECT_EQ(headerOf(result.callouts[0], "tracestate"), c.state);
  }
}

TEST_F(TracingTest, ChildrenEndWithTheirExchangeHoweverItEndsF091) {
  const auto silent = [](const CalloutRequest&) { return CalloutAnswer::silent(); };
  const List ways = {
      "onRequest(request, { span }) { span.spawnChild('a'); }",
      "onRequest(request, { span }) { const a = span.spawnChild('a'); a.spawnChild('b'); a.finish(); "
      "a.finish(); a.setTag('late', 1); a.spawnChild('none'); }",
      "onRequest(request, { span }) { span.spawnChild('a'); throw 1; }",
      "onRequest(request, { span }) { span.spawnChild('a').finish(); for (;;); }",
      "onRequest(request, { span }) { span.spawnChild('a').finish(); const all = []; "
      "for (;;) all.push(new Uint8Array(100000)); }",
      "async onRequest(request, { span }) { span.spawnChild('a'); await fetch('http://auth/'); }",
      "onRequest() { fetch('http://auth/'); }",
      "async onRequest() { fetch('http://auth/'); await fetch('http://auth/', "
      "{ timeoutMs: 1 }).catch(() => {}); const all = []; for (;;) all.push(new Uint8Array(1e5)); }",
      "onRequest(request, ctx) { ctx.state = ctx.span.spawnChild('a'); }, "
      "onLog({ state }) { state.finish(); }",
  };
  for (const std::string& hooks : ways) {
    SCOPED_TRACE(hooks);
    load(hooks, R"(, "wait_ms": 50, "memory_mb": 2)");
    envoy_.setCluster("auth", silent);
    const ExchangeResult result = runExchange(envoy_, *config_, plan());
    ASSERT_GT(result.spans.size(), 1U);
    for (size_t i = 1; i < result.spans.size(); ++i) {
      EXPECT_TRUE(result.spans[i].finished);
      EXPECT_EQ(tagOf(result.spans[i], "late"), "");
    }
    EXPECT_EQ(envoy_.finish(), List());
  }
}

TEST_F(TracingTest, LogLinesHaveTheIdsOfTheSpanF091) {
  load("onRequest() { console.info('a'); }");
  for (const bool traced : {true, false}) {
    envoy_.clearLog();
    const ExchangeResult result = runExchange(envoy_, *config_, plan(traced, {{"x-request-id", "r"}}));
    ASSERT_EQ(envoy_.log().size(), 1U);
    const std::string ids =
        traced ? std::string("[trace_id=") + kTraceId + "] [span_id=" + result.spans[0].id + "] " : "";
    EXPECT_EQ(envoy_.log()[0].message, "test: [r] " + ids + "a");
  }
}

TEST_F(TracingTest, AScriptWithoutFetchOrSpanAsksNothingOfTheTracerF091) {
  load("async onRequest(request) { request.headers.set('a', 'b'); await 0; }, onResponse() {}");
  ExchangeOptions options;
  options.facts.traced = true;
  Exchange exchange(envoy_, *config_, options);
  exchange.requestHeaders(plan().request.headers);
  exchange.responseHeaders({{":status", "200"}});
  EXPECT_EQ(exchange.count(HostCall::Tracing), 0U);
}

TEST_F(TracingTest, WithoutATracerAFetchAsksForASpanOnceF091) {
  load("async onRequest() { await fetch('http://auth/'); }");
  // One that fails is logged, with the ids of a trace.
  envoy_.setCluster("auth", [](const CalloutRequest&) { return CalloutAnswer::of(200, ""); });
  Exchange exchange(envoy_, *config_);
  exchange.requestHeaders(plan().request.headers);
  EXPECT_EQ(exchange.count(HostCall::Tracing), 1U);
}

}  // namespace
}  // namespace fairlead
