// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Bodies and trailers over the fake, under the rules of each release of Envoy: however a body is cut
// and however long hooks take, what arrives is what they made of it, whole and in order.

#include "filter-cc/body.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "filter-cc/host_fake.h"
#include "filter-cc/stream.h"

namespace fairlead {
namespace {

using List = std::vector<std::string>;

std::string jsonString(std::string_view text) {
  std::string json = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\')
      json += '\\';
    if (c == '\n')
      json += "\\n";
    else
      json += c;
  }
  return json + '"';
}

HeaderList post(HeaderList more = {}) {
  HeaderList headers = {{":authority", "example.com"},
                        {":path", "/"},
                        {":method", "POST"},
                        {":scheme", "http"}};
  headers.insert(headers.end(), more.begin(), more.end());
  return headers;
}

std::string upper(std::string text) {
  for (char& c : text)
    c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return text;
}

/** A body in frames, with or without trailers behind it. */
Message messageOf(List frames, HeaderList headers, bool trailers = false, bool endWithLast = false) {
  Message message;
  message.headers = std::move(headers);
  message.frames = std::move(frames);
  if (trailers)
    message.trailers = HeaderList({{"x-end", "1"}});
  message.endWithLastFrame = endWithLast;
  return message;
}

/** All ways to cut a text in two, and each of its bytes alone. */
std::vector<List> splits(const std::string& text) {
  std::vector<List> all = {{text}};
  for (size_t at = 1; at < text.size(); ++at)
    all.push_back({text.substr(0, at), text.substr(at)});
  List bytes;
  for (const char c : text)
    bytes.emplace_back(1, c);
  all.push_back(bytes);
  return all;
}

class BodyTest : public testing::TestWithParam<EnvoyRelease> {
protected:
  void load(std::string_view hooks, const std::string& more = "") {
    const std::string source =
        "import { sleep } from 'fairlead';\nexport default {\n" + std::string(hooks) + "\n};";
    const std::string limits = more.find("\"limits\"") == std::string::npos
                                   ? ", \"limits\": {\"cpu_ms\": 500, \"stream_cpu_ms\": 5000}"
                                   : "";
    const std::string json = "{\"inline\": " + jsonString(source) + limits +
                             (more.empty() ? "" : ", ") + more + "}";
    Result<std::unique_ptr<FilterConfig>> made = FilterConfig::create("test", json);
    ASSERT_TRUE(made) << made.error().code << ": " << made.error().message << " at line "
                      << made.error().line;
    config_ = *std::move(made);
  }

  /** The same body both ways. */
  ExchangePlan plan(const List& frames, bool trailers = false, bool endWithLast = false) {
    ExchangePlan plan;
    plan.request = messageOf(frames, post(), trailers, endWithLast);
    plan.upstream.response = messageOf(frames, {{":status", "200"}}, trailers, endWithLast);
    return plan;
  }

  ExchangeResult run(const ExchangePlan& plan) {
    ExchangeResult result = runExchange(envoy_, *config_, plan);
    EXPECT_TRUE(result.complete) << "the exchange waits for ever";
    return result;
  }

  List takeLog(LogLevel level = LogLevel::Error) {
    List lines;
    for (const LogLine& line : envoy_.log()) {
      if (line.level >= level)
        lines.push_back(line.message);
    }
    envoy_.clearLog();
    return lines;
  }

  void expectError(const std::string& part) {
    const List errors = takeLog();
    ASSERT_EQ(errors.size(), 1U) << testing::PrintToString(errors);
    EXPECT_NE(errors[0].find(part), std::string::npos) << errors[0];
  }

  void TearDown() override {
    EXPECT_EQ(takeLog(), List());
    config_.reset();
    EXPECT_EQ(envoy_.finish(), List());
  }

  FakeEnvoy envoy_{FakeEnvoyOptions{.release = GetParam()}};
  std::unique_ptr<FilterConfig> config_;
};

INSTANTIATE_TEST_SUITE_P(Releases, BodyTest,
                         testing::Values(EnvoyRelease::V1_38, EnvoyRelease::V1_39,
                                         EnvoyRelease::V1_40),
                         [](const auto& info) {
                           return "Envoy1" + std::to_string(38 + static_cast<int>(info.param));
                         });

// --- Reads of the whole ---

TEST_P(BodyTest, AWholeBodyIsReadBeforeItsHeadersGoHoweverItIsCut) {
  // F008, F034
  const char* waits[] = {"", "await sleep(3);"};
  const std::string text = "h\xC3\xA9llo";
  for (const char* before : waits) {
    for (const char* after : waits) {
      load(std::string("async onRequest(request) { ") + before +
           " const text = await request.text(); " + after +
           " request.headers.set('x-length', String(text.length));"
           " request.headers.set('x-used', String(request.bodyUsed)); },"
           "async onResponse(response) { " + before +
           " const bytes = await response.bytes(); " + after +
           " response.headers.set('x-length', String(bytes.length)); }");
      for (const List& frames : splits(text)) {
        for (const bool trailers : {false, true}) {
          for (const bool endWithLast : {false, true}) {
            const ExchangeResult result = run(plan(frames, trailers, endWithLast));
            EXPECT_EQ(result.upstream.header("x-length"), "5");
            EXPECT_EQ(result.upstream.header("x-used"), "true");
            EXPECT_EQ(result.upstream.body, text);
            EXPECT_EQ(result.upstream.trailers.has_value(), trailers);
            EXPECT_EQ(result.client.header("x-length"), "6");
            EXPECT_EQ(result.client.body, text);
            EXPECT_EQ(result.client.trailers.has_value(), trailers);
            EXPECT_EQ(result.upstream.starts, 1U);
          }
        }
      }
    }
  }
}

TEST_P(BodyTest, ABodyIsReadOnce) {
  // F008
  load(R"(async onRequest(request) {
    await request.text();
    const again = await request.json().catch((error) => error.code);
    request.headers.set('x-again', again);
  })");
  EXPECT_EQ(run(plan({"a"})).upstream.header("x-again"), "E_BODY_USED");
}

TEST_P(BodyTest, AMessageWaitsForAReadThatNobodyAwaits) {
  load(R"(onRequest(request) {
    request.text().then((text) => request.headers.set('x-text', text));
  })");
  const ExchangeResult result = run(plan({"a", "b"}));
  EXPECT_EQ(result.upstream.header("x-text"), "ab");
  EXPECT_EQ(result.upstream.body, "ab");
}

TEST_P(BodyTest, AReplyDoesNotWaitForTheBody) {
  // F020
  load(R"(async onRequest(request) { request.text(); return new Response('no', { status: 403 }); })");
  Exchange exchange(envoy_, *config_);
  exchange.requestHeaders(post(), false);
  exchange.requestData("a");
  EXPECT_EQ(exchange.atClient().status(), 403U);
}

TEST_P(BodyTest, ABodyLargerThanEnvoysBufferIsReadAndPasses) {
  // F008, R16
  load(R"(async onRequest(request) {
    request.headers.set('x-length', String((await request.bytes()).length));
  })", R"("limits": {"body_kb": 1024, "cpu_ms": 500, "stream_cpu_ms": 5000})");
  ExchangePlan plan = this->plan({});
  plan.options.bufferLimitBytes = 32 * 1024;
  std::string whole;
  for (int i = 0; i < 60; ++i) {
    plan.request.frames.emplace_back(16 * 1024, static_cast<char>('a' + i % 26));
    whole += plan.request.frames.back();
  }
  const ExchangeResult result = run(plan);
  EXPECT_EQ(result.upstream.header("x-length"), std::to_string(whole.size()));
  EXPECT_TRUE(result.upstream.body == whole);
}

TEST_P(BodyTest, OverTheLimitTheHookFailsWith413And502InBothModes) {
  // F014, F073
  const std::string over(1025, 'x');
  for (const char* mode : {"closed", "open"}) {
    load("async onRequest(request) { await request.text(); },"
         "async onResponse(response) { await response.text(); }",
         std::string(R"("limits": {"body_kb": 1}, "on_error": {"mode": ")") + mode + "\"}");
    for (const List& frames : {List{over}, List{over.substr(1), "x"}, List{std::string(600, 'a'), std::string(600, 'b')}}) {
      for (const bool declared : {false, true}) {
        for (const bool endWithLast : {false, true}) {
          size_t size = 0;
          for (const std::string& frame : frames)
            size += frame.size();
          ExchangePlan request = plan(frames, false, endWithLast);
          if (declared)
            request.request.headers.emplace_back("content-length", std::to_string(size));
          const ExchangeResult refused = run(request);
          EXPECT_EQ(refused.client.status(), 413U);
          EXPECT_EQ(refused.details, "fairlead_body");
          EXPECT_EQ(refused.upstream.starts, 0U);
          expectError("E_BODY_LIMIT");

          ExchangePlan response = plan({}, false);
          response.upstream.response = messageOf(frames, {{":status", "200"}}, false, endWithLast);
          if (declared)
            response.upstream.response.headers.emplace_back("content-length", std::to_string(size));
          const ExchangeResult replaced = run(response);
          EXPECT_EQ(replaced.client.status(), 502U);
          EXPECT_EQ(replaced.client.body, "");
          expectError("E_BODY_LIMIT");
        }
      }
    }
    const ExchangeResult within = run(plan({over.substr(1)}));
    EXPECT_EQ(within.client.body.size(), 1024U);
  }
}

TEST_P(BodyTest, ACaughtLimitLetsTheBodyPassUntouched) {
  // F014
  const char* waits[] = {"", "await sleep(3);"};
  for (const char* wait : waits) {
    load(std::string("async onRequest(request) { try { await request.text(); } catch (error) { ") +
             wait + " request.headers.set('x-code', error.code); } }",
         R"("limits": {"body_kb": 1})");
    for (const List& frames : {List{std::string(1025, 'x')}, List{std::string(700, 'a'), std::string(700, 'b'), "c"}}) {
      std::string whole;
      for (const std::string& frame : frames)
        whole += frame;
      const ExchangeResult result = run(plan(frames));
      EXPECT_EQ(result.upstream.header("x-code"), "E_BODY_LIMIT");
      EXPECT_EQ(result.upstream.body, whole);
    }
  }
}

TEST_P(BodyTest, EncodedEndlessAndDepartedBodiesAreRefused) {
  // F008
  load(R"(
    async onRequest(request) {
      const code = await request.text().catch((error) => error.code);
      request.headers.set('x-code', code);
      if (code === 'E_BODY_ENCODED') request.headers.set('x-size', String((await request.bytes()).length));
    },
    async onResponse(response, ctx) {
      response.headers.set('x-code', await ctx.request.bytes().catch((error) => error.code));
    })");
  ExchangePlan encoded = plan({"abc"});
  encoded.request.headers = post({{"content-encoding", "gzip"}});
  const ExchangeResult read = run(encoded);
  EXPECT_EQ(read.upstream.header("x-code"), "E_BODY_ENCODED");
  EXPECT_EQ(read.upstream.header("x-size"), "3");
  EXPECT_EQ(read.client.header("x-code"), "E_BODY_USED");

  ExchangePlan tunnel = plan({"abc"});
  tunnel.request.headers = post({{"upgrade", "websocket"}});
  const ExchangeResult refused = run(tunnel);
  EXPECT_EQ(refused.upstream.header("x-code"), "E_BODY_ENDLESS");
  EXPECT_EQ(refused.upstream.body, "abc");
  EXPECT_EQ(refused.client.header("x-code"), "E_BODY_UNAVAILABLE");
}

// --- Reads piece by piece ---

TEST_P(BodyTest, ABodyIsReadPieceByPieceHoweverItIsCut) {
  // F008, F018, W10
  const char* waits[] = {"", "await sleep(3);"};
  const std::string text = "h\xC3\xA9llo";
  for (const char* before : waits) {
    for (const char* within : waits) {
      const std::string hook = std::string("async (message) => { ") + before +
                               "let text = ''; const decoder = new TextDecoder();"
                               "for await (const piece of message.body) { " + within +
                               " text += decoder.decode(piece, { stream: true }); }"
                               "message.headers.set('x-length', String(text.length));"
                               "message.headers.set('x-used', [message.bodyUsed,"
                               " await message.text().catch((error) => error.code)].join()); }";
      load("onRequest: " + hook + ", onResponse: " + hook);
      for (const List& frames : splits(text)) {
        for (const bool trailers : {false, true}) {
          for (const bool endWithLast : {false, true}) {
            const ExchangeResult result = run(plan(frames, trailers, endWithLast));
            for (const Received* end : {&result.upstream, &result.client}) {
              EXPECT_EQ(end->header("x-length"), "5");
              EXPECT_EQ(end->header("x-used"), "true,E_BODY_USED");
              EXPECT_EQ(end->body, text);
              EXPECT_EQ(end->trailers.has_value(), trailers);
              EXPECT_EQ(end->starts, 1U);
            }
          }
        }
      }
    }
  }
}

TEST_P(BodyTest, TheFirstPieceIsReadBeforeTheLastHasCome) {
  // F018
  load(R"(async onRequest(request) {
    for await (const piece of request.body) console.info(String(piece.length));
  })");
  Exchange exchange(envoy_, *config_);
  exchange.requestHeaders(post(), false);
  exchange.requestData("abc");
  EXPECT_EQ(takeLog(LogLevel::Info).size(), 1U);
  EXPECT_EQ(exchange.atUpstream().starts, 0U);
  exchange.requestData("de", true);
  EXPECT_EQ(takeLog(LogLevel::Info).size(), 1U);
  EXPECT_EQ(exchange.atUpstream().body, "abcde");
}

TEST_P(BodyTest, WhoLooksAtABodyAndDoesNotReadItHoldsNothing) {
  // F016, W10
  load(R"(onRequest(request, ctx) {
      ctx.state.body = request.body;
      request.headers.set('x-is', [request.body === ctx.state.body, request.bodyUsed].join());
    },
    async onResponse(response, ctx) {
      const code = await ctx.state.body.getReader().read().catch((error) => error.code);
      response.headers.set('x-code', code);
    })");
  Exchange exchange(envoy_, *config_);
  exchange.requestHeaders(post(), false);
  EXPECT_EQ(exchange.atUpstream().header("x-is"), "true,false");
  exchange.requestData("a", true);
  EXPECT_EQ(exchange.atUpstream().body, "a");
  exchange.clientLeaves();
  EXPECT_EQ(run(plan({"a"})).client.header("x-code"), "E_BODY_UNAVAILABLE");
}

TEST_P(BodyTest, AReaderThatLeavesLetsTheRestPassInOrder) {
  // F008, F018
  const char* leaves[] = {"await request.body.cancel();",
                          "for await (const piece of request.body) break;",
                          "await sleep(3); for await (const piece of request.body) break;",
                          "const reader = request.body.getReader(); await reader.read(); await reader.read();"
                          " await reader.cancel();",
                          "const reader = request.body.getReader(); reader.read(); sleep(2).then(() => reader.cancel());"};
  const char* waits[] = {"", "await sleep(3);"};
  for (const char* leave : leaves) {
    for (const char* wait : waits) {
      load(std::string("async onRequest(request) { ") + leave + wait + " }", R"("limits": {"body_kb": 1})");
      for (const bool trailers : {false, true}) {
        for (const size_t more : {size_t{1}, size_t{400}}) {
          const List frames = {"ab", "cd", std::string(more, 'e'), std::string(more, 'f'), "g"};
          ExchangePlan plan = this->plan(frames, trailers);
          const ExchangeResult result = run(plan);
          EXPECT_EQ(result.upstream.body, "abcd" + frames[2] + frames[3] + "g") << leave << wait;
          EXPECT_EQ(result.upstream.trailers.has_value(), trailers);
          EXPECT_EQ(result.client.status(), 200U);
        }
      }
    }
  }
}

TEST_P(BodyTest, AReaderThatLeavesHoldsTheMessageNoLonger) {
  // F018
  load("async onRequest(request) { for await (const piece of request.body) break; }");
  {
    Exchange atOnce(envoy_, *config_);
    atOnce.requestHeaders(post(), false);
    atOnce.requestData("ab");
    EXPECT_EQ(atOnce.atUpstream().body, "ab");
    atOnce.requestData("cd", true);
    EXPECT_EQ(atOnce.atUpstream().body, "abcd");
  }
  load(R"(async onRequest(request) {
    const reader = request.body.getReader();
    await reader.read();
    await sleep(2);
    reader.cancel();
    await sleep(2);
  })");
  Exchange later(envoy_, *config_);
  later.requestHeaders(post(), false);
  later.requestData("ab");
  later.requestData("cd");
  envoy_.advance(2);
  later.requestData("ef");
  envoy_.advance(2);
  EXPECT_EQ(later.atUpstream().body, "abcdef");
  later.requestData("g", true);
  EXPECT_EQ(later.atUpstream().body, "abcdefg");
}

TEST_P(BodyTest, AReaderInOnLogWaitsForNothing) {
  // F035
  load(R"(onLog(ctx) {
    ctx.request.body.getReader().read().then(() => console.info('read'), () => console.info('failed'));
    console.info('log');
  })");
  EXPECT_EQ(run(plan({"ab"})).client.status(), 200U);
  const List lines = takeLog(LogLevel::Info);
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_NE(lines[0].find("log"), std::string::npos) << lines[0];
}

TEST_P(BodyTest, AReaderThatLeavesLetsABodyOfAnyLengthPass) {
  // F014, F018
  load("async onRequest(request) { for await (const piece of request.body) break; await sleep(3); }",
       R"("limits": {"body_kb": 1})");
  const List frames = {"ab", std::string(2000, 'c'), std::string(2000, 'd')};
  const ExchangeResult result = run(plan(frames));
  EXPECT_EQ(result.client.status(), 200U);
  EXPECT_TRUE(result.upstream.body == frames[0] + frames[1] + frames[2]);
}

TEST_P(BodyTest, OverTheLimitAReaderFailsAsAReadOfTheWholeDoes) {
  // F014, F073
  const List frames = {std::string(700, 'a'), std::string(700, 'b'), "c"};
  load("async onRequest(request) { for await (const piece of request.body ?? []); },"
       "async onResponse(response) { for await (const piece of response.body); }",
       R"("limits": {"body_kb": 1}, "on_error": {"mode": "open"})");
  EXPECT_EQ(run(plan(frames)).client.status(), 413U);
  expectError("E_BODY_LIMIT");
  ExchangePlan response = plan({});
  response.upstream.response = messageOf(frames, {{":status", "200"}});
  EXPECT_EQ(run(response).client.status(), 502U);
  expectError("E_BODY_LIMIT");

  load("async onRequest(request) { try { for await (const piece of request.body); } catch (error) {"
       " await sleep(3); request.headers.set('x-code', error.code); } }",
       R"("limits": {"body_kb": 1})");
  const ExchangeResult caught = run(plan(frames));
  EXPECT_EQ(caught.upstream.header("x-code"), "E_BODY_LIMIT");
  EXPECT_EQ(caught.upstream.body, frames[0] + frames[1] + frames[2]);
}

TEST_P(BodyTest, ReadersOfTheWholeReadTheStreamThatWasLookedAt) {
  // F008, W10
  load(R"(async onRequest(request) {
    const { body } = request;
    const code = await request.text().catch((error) => error.code);
    const size = (await request.bytes()).length;
    request.headers.set('x-read', [code, size, request.body === body, body.locked].join());
    request.setBody('new');
  })");
  ExchangePlan encoded = plan({"ab", "c"});
  encoded.request.headers = post({{"content-encoding", "gzip"}});
  const ExchangeResult result = run(encoded);
  EXPECT_EQ(result.upstream.header("x-read"), "E_BODY_ENCODED,3,true,true");
  EXPECT_EQ(result.upstream.body, "new");

  load(R"(async onRequest(request) {
    await request.bytes();
    request.headers.set('x-read', [request.body.locked, request.bodyUsed].join());
  })");
  EXPECT_EQ(run(plan({"ab"})).upstream.header("x-read"), "true,true");
}

TEST_P(BodyTest, ABodyIsAReplyOrTheBodyOfACall) {
  // F018, F020, F021, F038
  envoy_.setCluster("auth", [](const CalloutRequest&) { return CalloutAnswer::of(200, "ok"); });
  const std::string upperCase =
      ".pipeThrough(new TextDecoderStream()).pipeThrough(new TransformStream({"
      " transform(text, controller) { controller.enqueue(text.toUpperCase()); } }))";
  const char* waits[] = {"", "await sleep(3);"};
  for (const char* wait : waits) {
    for (const List& frames : splits("h\xC3\xA9llo")) {
      for (const bool trailers : {false, true}) {
        load(std::string("async onRequest(request) { ") + wait + " return new Response(request.body" + upperCase + "); }");
        const ExchangeResult echo = run(plan(frames, trailers));
        EXPECT_EQ(echo.client.body, "H\xC3\x89LLO");
        EXPECT_EQ(echo.upstream.starts, 0U);

        load(std::string("async onResponse(response) { ") + wait + " return new Response(response.body" + upperCase +
             ", { status: 201 }); }");
        const ExchangeResult replaced = run(plan(frames, trailers));
        EXPECT_EQ(replaced.client.body, "H\xC3\x89LLO");
        EXPECT_EQ(replaced.client.status(), 201U);
        EXPECT_EQ(replaced.client.starts, 1U);

        load(std::string("async onRequest(request) { ") + wait +
                 " const answer = await fetch('http://auth/', { method: 'POST', body: request.body });"
                 " request.headers.set('x-size', String((await answer.bytes()).length)); }",
             R"("clusters": ["auth"])");
        const ExchangeResult sent = run(plan(frames, trailers));
        EXPECT_EQ(sent.upstream.header("x-size"), "2");
        EXPECT_EQ(sent.upstream.body, "h\xC3\xA9llo");
        ASSERT_EQ(sent.callouts.size(), 1U);
        EXPECT_EQ(sent.callouts[0].request.body, "h\xC3\xA9llo");
      }
    }
  }
}

TEST_P(BodyTest, AReplyOfTheBodyWaitsForAllOfItHoweverMuchItIs) {
  // F018, F034
  load("onRequest: (request) => new Response(request.body)");
  ExchangePlan plan = this->plan({});
  plan.options.bufferLimitBytes = 32 * 1024;
  std::string whole;
  for (int i = 0; i < 60; ++i) {
    plan.request.frames.emplace_back(16 * 1024, static_cast<char>('a' + i % 26));
    whole += plan.request.frames.back();
  }
  const ExchangeResult result = run(plan);
  EXPECT_EQ(result.client.status(), 200U);
  EXPECT_TRUE(result.client.body == whole);
}

TEST_P(BodyTest, AReaderIsToldWhenItsExchangeEnds) {
  // F035
  load(R"(async onRequest(request) {
    try { for await (const piece of request.body); } catch (error) { console.info(error.code); }
  })");
  Exchange exchange(envoy_, *config_);
  exchange.requestHeaders(post(), false);
  exchange.requestData("a");
  EXPECT_EQ(takeLog(LogLevel::Info), List());
  exchange.clientLeaves();
  const List lines = takeLog(LogLevel::Info);
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_NE(lines[0].find("E_ABORTED"), std::string::npos) << lines[0];
}

TEST_P(BodyTest, ABodyThatIsKeptBeyondItsExchangeIsDead) {
  // F081
  load(R"(async onRequest(request) {
    const read = await globalThis.kept?.read().catch((error) => error.code);
    request.headers.set('x-read', String(read));
    globalThis.kept = request.body.getReader();
  })");
  EXPECT_EQ(run(plan({"secret"})).upstream.header("x-read"), "undefined");
  EXPECT_EQ(run(plan({"b"})).upstream.header("x-read"), "E_DEAD_HANDLE");
}

// --- Other bodies ---

TEST_P(BodyTest, SetBodyReplacesAndFixesTheLength) {
  // F009, F010, R18
  const char* waits[] = {"", "await sleep(3);"};
  for (const std::string size : {"0", "1", "16384", "100000"}) {
    for (const char* wait : waits) {
      for (const char* read : {"", "await message.text();"}) {
        const std::string body = std::string("async (message) => { ") + wait + read +
                                 " message.setBody('x'.repeat(" + size + ")); " + wait + " }";
        load("onRequest: " + body + ", onResponse: " + body);
        for (const List& frames : {List{}, List{""}, List{"hello"}, List{"he", "l", "lo"}}) {
          for (const bool trailers : {false, true}) {
            ExchangePlan plan = this->plan(frames, trailers);
            plan.options.bufferLimitBytes = 16 * 1024;
            plan.request.headers = post({{"content-length", "5"}, {"x-kept", "1"}});
            plan.upstream.response.headers = {{":status", "200"}, {"content-length", "5"}};
            const ExchangeResult result = run(plan);
            for (const Received* end : {&result.upstream, &result.client}) {
              EXPECT_EQ(end->header("content-length"), size);
              EXPECT_EQ(end->body, std::string(std::stoul(size), 'x'));
              EXPECT_EQ(end->starts, 1U);
              EXPECT_TRUE(end->ended);
              EXPECT_EQ(end->trailers.has_value(), trailers);
            }
            EXPECT_EQ(result.upstream.header("x-kept"), "1");
          }
        }
      }
    }
  }
}

TEST_P(BodyTest, AReplacementWaitsForTheEndOfTheOldBodyWhichIsDropped) {
  // F009
  load(R"(async onRequest(request) { await sleep(1); request.setBody('new'); })");
  Exchange exchange(envoy_, *config_);
  exchange.requestHeaders(post(), false);
  exchange.requestData("old");
  envoy_.advance(1);
  EXPECT_EQ(exchange.atUpstream().starts, 0U);
  EXPECT_FALSE(exchange.held(Direction::Response));
  exchange.requestData("more");
  EXPECT_EQ(exchange.atUpstream().starts, 0U);
  exchange.requestData("", true);
  EXPECT_EQ(exchange.atUpstream().body, "new");
  EXPECT_TRUE(exchange.atUpstream().ended);
}

TEST_P(BodyTest, AnswersWithoutABodyStayWithout) {
  // F010, R18
  load(R"(onResponse(response) {
    if (response.headers.has('x-set')) response.status = 204;
    else try { response.setBody('abc'); } catch (error) { response.headers.set('x-code', error.code); }
  })");
  ExchangePlan none = plan({});
  none.upstream.response = messageOf({}, {{":status", "304"}, {"content-length", "9"}});
  const ExchangeResult refused = run(none);
  EXPECT_EQ(refused.client.header("x-code"), "E_NULL_BODY_STATUS");
  EXPECT_EQ(refused.client.header("content-length"), "9");

  ExchangePlan head = plan({});
  head.request.headers[2].second = "HEAD";
  head.upstream.response = messageOf({}, {{":status", "200"}, {"content-length", "9"}});
  const ExchangeResult kept = run(head);
  EXPECT_EQ(kept.client.header("x-code"), std::nullopt);
  EXPECT_EQ(kept.client.header("content-length"), "9");
  EXPECT_EQ(kept.client.body, "");

  ExchangePlan set = plan({});
  set.upstream.response = messageOf({"ab", "c"}, {{":status", "200"}, {"content-length", "3"}, {"x-set", "1"}});
  const ExchangeResult emptied = run(set);
  EXPECT_EQ(emptied.client.status(), 204U);
  EXPECT_EQ(emptied.client.header("content-length"), std::nullopt);
  EXPECT_EQ(emptied.client.body, "");
}

// --- Chunks ---

TEST_P(BodyTest, UppercasingABodyCutAnywhereIsUppercasingTheWhole) {
  // F011
  const char* text = "stra\xC3\x9F" "e\xF0\x9F\x98\x80";
  const char* hooks[] = {"", "await sleep(2);"};
  for (const char* wait : hooks) {
    for (const char* header : {"", "onRequest: () => sleep(5), onResponse: () => sleep(5),"}) {
      const std::string chunk =
          std::string("async (chunk) => { ") + wait + " return chunk.text().toUpperCase(); }";
      load(std::string(header) + "onRequestChunk: " + chunk + ", onResponseChunk: " + chunk);
      for (const List& frames : splits(text)) {
        for (const bool trailers : {false, true}) {
          ExchangePlan plan = this->plan(frames, trailers);
          plan.request.headers = post({{"content-length", "10"}});
          const ExchangeResult result = run(plan);
          for (const Received* end : {&result.upstream, &result.client}) {
            EXPECT_EQ(end->body, "STRASSE\xF0\x9F\x98\x80");
            EXPECT_TRUE(end->ended);
            EXPECT_EQ(end->trailers.has_value(), trailers);
          }
          EXPECT_EQ(result.upstream.header("content-length"), std::nullopt);
        }
      }
    }
  }
}

TEST_P(BodyTest, ASmallBodyDoesNotLoseItsTail) {
  // F011, F012: the end of the message has come before the hook runs.
  load(R"(
    onRequest: () => sleep(5),
    onRequestChunk: (chunk) => chunk.last ? new Uint8Array([...chunk.data, 33]) : undefined,
    onResponse: () => sleep(5),
    async onResponseChunk(chunk) { await sleep(1); return chunk.last ? chunk.text() + '!' : undefined; })");
  for (const List& frames : splits("hello")) {
    for (const bool trailers : {false, true}) {
      const ExchangeResult result = run(plan(frames, trailers));
      EXPECT_EQ(result.upstream.body, "hello!");
      EXPECT_EQ(result.client.body, "hello!");
    }
  }
}

TEST_P(BodyTest, DroppingAllChunksLeavesAnEmptyBodyThatEnds) {
  // F011
  for (const char* hook : {"() => null", "async () => { await sleep(1); return null; }"}) {
    load(std::string("onRequestChunk: ") + hook + ", onResponseChunk: " + hook);
    for (const bool trailers : {false, true}) {
      const ExchangeResult result = run(plan({"a", "b", "c"}, trailers));
      EXPECT_EQ(result.upstream.body, "");
      EXPECT_TRUE(result.upstream.ended);
      EXPECT_EQ(result.client.body, "");
      EXPECT_TRUE(result.client.ended);
    }
  }
}

TEST_P(BodyTest, AWholeReadIsOneChunkAndSkippedChunksAreNotShown) {
  // F011
  load(R"(
    async onRequest(request, ctx) {
      ctx.state.seen = [];
      if (request.headers.has('x-skip')) request.skipChunks();
      else await request.text();
    },
    onRequestChunk(chunk, ctx) { ctx.state.seen.push(chunk.text() + chunk.last); },
    onResponse(response, ctx) { response.headers.set('x-seen', ctx.state.seen.join() || 'none'); })");
  ExchangePlan plan = this->plan({"a", "b", "c"});
  plan.request.headers = post({{"content-length", "3"}});
  EXPECT_EQ(run(plan).client.header("x-seen"), "abctrue");
  plan.request.headers = post({{"content-length", "3"}, {"x-skip", "1"}});
  const ExchangeResult result = run(plan);
  EXPECT_EQ(result.client.header("x-seen"), "none");
  EXPECT_EQ(result.upstream.header("content-length"), "3");
}

TEST_P(BodyTest, ChunksThatWaitPushBackAndKeepTheirOrder) {
  // F012
  constexpr size_t kLimit = 64 * 1024;
  load(R"(async onRequestChunk(chunk) { const data = chunk.data; await sleep(50); return data; })");
  Exchange exchange(envoy_, *config_, {.bufferLimitBytes = kLimit});
  std::string whole;
  exchange.requestHeaders(post(), false);
  for (int i = 0; i < 200; ++i) {
    const std::string frame(16 * 1024, static_cast<char>('a' + i % 26));
    whole += frame;
    exchange.requestData(frame);
  }
  EXPECT_GT(exchange.waitingFrames(Direction::Request), 190U);
  exchange.requestData("", true);
  while (envoy_.runNext()) {
  }
  EXPECT_TRUE(exchange.atUpstream().body == whole);
  EXPECT_TRUE(exchange.atUpstream().ended);
  EXPECT_LE(exchange.mostHeldBytes(Direction::Request), 2 * kLimit);
}

TEST_P(BodyTest, AKeptChunkShowsNothingOfOthersAndKeptBytesAreTheScriptsOwn) {
  // F015, R05
  load(R"(
    onRequestChunk(chunk) {
      if (globalThis.kept === undefined) { globalThis.kept = chunk; globalThis.bytes = chunk.data; return; }
      const told = [];
      for (const use of ['data', 'last']) try { kept[use]; } catch (error) { told.push(error.code); }
      console.info(told.join(), String.fromCharCode(...bytes), chunk.data === chunk.data);
    })");
  Exchange exchange(envoy_, *config_);
  exchange.requestHeaders(post(), false);
  exchange.requestData("secret");
  exchange.requestData("other", true);
  const List lines = takeLog(LogLevel::Info);
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_NE(lines[0].find("E_DEAD_HANDLE,E_DEAD_HANDLE secret true"), std::string::npos) << lines[0];
}

// --- Trailers ---

TEST_P(BodyTest, TrailersAreReadChangedAndDeletedAfterTheLastChunk) {
  // F005, F128
  const char* waits[] = {"", "await sleep(2);"};
  for (const char* wait : waits) {
    load(std::string(R"(
      onRequest(request, ctx) {
        ctx.state.seen = [];
        try { request.trailers.set('x-a', '1'); } catch (error) { ctx.state.seen.push(error.code); }
      },
      onRequestChunk(chunk, ctx) { if (chunk.last) ctx.state.seen.push('last'); },
      async onRequestTrailers(trailers, ctx) { )") + wait + R"(
        ctx.state.seen.push(trailers === ctx.request.trailers, trailers.get('x-end'));
        trailers.set('x-end', '2'); trailers.append('x-more', ctx.state.seen.join());
      },
      async onResponseTrailers(trailers, ctx) { )" + wait + R"(
        trailers.delete('x-end'); trailers.set('x-other', '1');
        try { ctx.request.trailers.set('x', '1'); } catch (error) { trailers.set('x-code', error.code); }
      })");
    const ExchangeResult result = run(plan({"a", "b"}, true));
    EXPECT_EQ(*result.upstream.trailers,
              HeaderList({{"x-end", "2"}, {"x-more", "E_NO_TRAILERS,last,true,1"}}));
    EXPECT_EQ(*result.client.trailers, HeaderList({{"x-other", "1"}, {"x-code", "E_HEADERS_SENT"}}));
    EXPECT_EQ(result.client.body, "ab");
  }
}

// --- Replies ---

TEST_P(BodyTest, RepliesComeFromChunkAndTrailerHooks) {
  // F020, F022
  for (const char* wait : {"", "await sleep(2);"}) {
    for (const char* hook : {"onRequestChunk", "onRequestTrailers"}) {
      load(std::string("async ") + hook + "() { " + wait +
           " return new Response('stop', { status: 403 }); }");
      const ExchangeResult result = run(plan({"a", "b"}, true));
      EXPECT_EQ(result.client.status(), 403U) << hook;
      EXPECT_EQ(result.client.body, "stop");
      EXPECT_FALSE(result.upstream.ended);
    }
    for (const char* hook : {"onResponseChunk", "onResponseTrailers"}) {
      load(std::string("async ") + hook + "() { " + wait +
           " return new Response('late', { status: 403 }); }");
      const ExchangeResult result = run(plan({"a", "b"}, true));
      EXPECT_TRUE(result.client.reset) << hook;
      EXPECT_FALSE(result.client.ended);
      expectError("E_HEADERS_SENT");
    }
  }
}

// --- Failures ---

TEST_P(BodyTest, AFaultInOpenModeGivesBackWhatWasTaken) {
  // F073
  const char* fails[] = {"throw new Error('a');", "await sleep(2); throw new Error('a');"};
  const char* acts[] = {"await message.text();", "message.setBody('other');",
                        "await message.text(); message.setBody('other');"};
  for (const char* fail : fails) {
    for (const char* act : acts) {
      const std::string hook = std::string("async (message) => { message.headers.set('x-a', '1'); ") +
                               act + fail + " }";
      for (const bool request : {true, false}) {
        load((request ? "onRequest: " : "onResponse: ") + hook, R"("on_error": {"mode": "open"})");
        for (const List& frames : splits("hello")) {
          for (const bool trailers : {false, true}) {
            ExchangePlan plan = this->plan(frames, trailers);
            plan.request.headers = post({{"content-length", "5"}});
            plan.upstream.response.headers = {{":status", "200"}, {"content-length", "5"}};
            const ExchangeResult result = run(plan);
            for (const Received* end : {&result.upstream, &result.client}) {
              EXPECT_EQ(end->body, "hello");
              EXPECT_EQ(end->header("content-length"), "5");
              EXPECT_EQ(end->header("x-a"), std::nullopt);
              EXPECT_EQ(end->starts, 1U);
              EXPECT_TRUE(end->ended);
            }
            expectError("E_THROWN");
          }
        }
      }
    }
  }
}

TEST_P(BodyTest, AFaultInAChunkHookOfOpenModeGoesOnUnlessChunksHaveBeenChanged) {
  // F073
  for (const char* fail : {"throw 1;", "await sleep(2); throw 1;"}) {
    for (const bool changes : {false, true}) {
      const std::string hook =
          std::string("async (chunk, ctx) => { if (ctx.state.n === undefined) { ctx.state.n = 1; ") +
          (changes ? "return 'X';" : "return;") + " } " + fail + " }";
      for (const bool request : {true, false}) {
        load((request ? "onRequestChunk: " : "onResponseChunk: ") + hook,
             R"("on_error": {"mode": "open"})");
        const ExchangeResult result = run(plan({"a", "b", "c"}));
        expectError("E_THROWN");
        EXPECT_EQ(result.client.reset, changes);
        if (!changes) {
          EXPECT_EQ((request ? result.upstream : result.client).body, "abc");
        }
      }
    }
  }
}

TEST_P(BodyTest, AFaultInClosedModeAnswersOrResetsWhereTheAnswerHasBegun) {
  // F073
  load(R"(onRequestChunk() { throw 1; })");
  EXPECT_EQ(run(plan({"a"})).client.status(), 500U);
  expectError("E_THROWN");
  load(R"(onResponseChunk() { throw 1; })");
  EXPECT_TRUE(run(plan({"a"})).client.reset);
  expectError("E_THROWN");
  load(R"(async onResponseChunk() { await new Promise(() => {}); })", R"("limits": {"wait_ms": 10})");
  EXPECT_TRUE(run(plan({"a"})).client.reset);
  expectError("E_WAIT_LIMIT");
  // Its headers are still here.
  load(R"(onResponse: () => sleep(1), onResponseChunk() { throw 1; })");
  EXPECT_EQ(run(plan({"a"})).client.status(), 500U);
  expectError("E_THROWN");
}

TEST_P(BodyTest, AClientMayLeaveAtAnyMoment) {
  // F035, F113, H601
  const std::string message = R"(async (message) => {
    try { await sleep(1); const text = await message.text(); await sleep(1); message.setBody(text + '.'); await sleep(1); }
    finally { console.info('finally'); }
  })";
  const std::string chunk =
      "async (chunk) => { await sleep(1); const text = chunk.text(); await sleep(1); return text; }";
  const std::string trailers = "async (trailers) => { await sleep(1); trailers.set('x-end', '2'); }";
  load("onRequest: " + message + ", onRequestChunk: " + chunk + ", onRequestTrailers: " + trailers +
       ", onResponse: " + message + ", onResponseChunk: " + chunk + ", onResponseTrailers: " + trailers);
  // Each event is a moment: the next run leaves one later, until nothing is left to leave.
  for (size_t moment = 0, events = SIZE_MAX; moment <= events; ++moment) {
    size_t now = 0;
    Exchange exchange(envoy_, *config_);
    const auto step = [&](auto&& next) {
      if (now++ == moment)
        exchange.clientLeaves();
      next();
    };
    exchange.onUpstreamEnd = [&](Exchange& answered) {
      envoy_.post(0, [&, id = answered.id()] {
        Exchange* found = envoy_.find(id);
        if (found == nullptr || found->complete())
          return;
        step([&] { found->responseHeaders({{":status", "200"}}, false); });
        step([&] { found->responseData("ok"); });
        step([&] { found->responseTrailers({{"x-end", "1"}}); });
      });
    };
    step([&] { exchange.requestHeaders(post(), false); });
    step([&] { exchange.requestData("he"); });
    step([&] { exchange.requestData("llo"); });
    step([&] { exchange.requestTrailers({{"x-end", "1"}}); });
    while (envoy_.nextNs())
      step([&] { envoy_.runNext(); });
    if (now <= moment) {
      EXPECT_EQ(exchange.atUpstream().body, "hello.");
      EXPECT_EQ(exchange.atClient().body, "ok.");
      EXPECT_TRUE(exchange.complete());
      EXPECT_GT(moment, 15U);
      break;
    }
  }
}

// --- All together ---

/** What a chunk hook does, and what becomes of a body by it however it is cut. */
struct ChunkAct {
  const char* code;
  std::string (*model)(std::string body);
};

TEST_P(BodyTest, HooksOfAllKindsGiveTheSameHoweverTheBodyIsCutAndWhateverWaits) {
  // F008, F009, F011, F012, F034, R13
  const ChunkAct chunks[] = {
      {nullptr, [](std::string body) { return body; }},
      {"return;", [](std::string body) { return body; }},
      {"return chunk.data;", [](std::string body) { return body; }},
      {"return chunk.text().toUpperCase();", upper},
      {"return chunk.last ? chunk.text() + '!' : undefined;", [](std::string body) { return body + '!'; }},
      {"return null;", [](std::string) { return std::string(); }},
      {"return chunk.text().replaceAll('e', '');", [](std::string body) {
         std::erase(body, 'e');
         return body;
       }},
      {"return chunk.text().repeat(2).length > 0 ? chunk.text() : null;", [](std::string body) { return body; }},
  };
  const char* headers[] = {nullptr, "", "await message.text();", "await message.bytes();",
                           "message.setBody('replaced');",
                           "message.setBody(await message.text() + ' more');"};
  std::mt19937 random(7);
  const auto pick = [&](size_t count) { return random() % count; };
  for (int round = 0; round < 400; ++round) {
    const ChunkAct& chunk = chunks[pick(std::size(chunks))];
    const char* header = headers[pick(std::size(headers))];
    const auto wait = [&] { return pick(2) == 0 ? "" : "await sleep(2);"; };
    std::string hooks;
    for (const std::string name : {"onRequest", "onResponse"}) {
      if (header != nullptr)
        hooks += "async " + name + "(message) { " + wait() + header + wait() + " },\n";
      if (chunk.code != nullptr)
        hooks += "async " + name + "Chunk(chunk) { " + wait() + chunk.code + " },\n";
      hooks += "async " + name + "Trailers(trailers) { " + wait() + " trailers.set('x-end', '2'); },\n";
    }
    load(hooks);
    std::string body;
    List frames;
    for (size_t i = pick(6); i > 0; --i) {
      frames.emplace_back();
      for (size_t size = pick(30); size > 0; --size)
        frames.back() += static_cast<char>('a' + pick(26));
      body += frames.back();
    }
    const bool trailers = pick(2) == 0;
    const bool hasBody = !frames.empty() || trailers;
    ExchangePlan plan = this->plan(frames, trailers, pick(2) == 0);
    plan.options.bufferLimitBytes = pick(2) == 0 ? 16 : 1024 * 1024;
    const ExchangeResult result = run(plan);
    std::string wanted = body;
    const std::string act = header == nullptr ? "" : header;
    const bool sets = act.find("setBody") != std::string::npos;
    if (sets)
      wanted = act.find("more") == std::string::npos ? "replaced" : body + " more";
    if (hasBody || sets)
      wanted = chunk.model(wanted);
    for (const Received* end : {&result.upstream, &result.client}) {
      ASSERT_EQ(end->body, wanted) << hooks << testing::PrintToString(frames) << trailers;
      ASSERT_TRUE(end->ended && end->starts == 1);
      ASSERT_EQ(end->trailers.has_value(), trailers);
      if (trailers) {
        ASSERT_EQ(end->trailers->front().second, "2");
      }
      if (const auto length = end->header("content-length")) {
        ASSERT_EQ(*length, std::to_string(wanted.size()));
      }
    }
  }
}

TEST_P(BodyTest, AFilterThatHasNothingToDoWithBodiesTouchesNone) {
  // F016
  load(R"(onRequest: () => sleep(1), onResponse(response) { response.headers.set('x-a', '1'); })");
  Exchange exchange(envoy_, *config_);
  exchange.requestHeaders(post(), false);
  exchange.requestData("a");
  envoy_.advance(1);
  exchange.requestData("b", true);
  exchange.responseHeaders({{":status", "200"}}, false);
  exchange.responseData("c", true);
  for (const HostCall call : {HostCall::BodySize, HostCall::Body, HostCall::DrainBody, HostCall::AppendBody})
    EXPECT_EQ(exchange.count(call), 0U);
}

}  // namespace
}  // namespace fairlead
