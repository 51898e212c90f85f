// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Bodies that are streams, over the fake, under the rules of each release of Envoy: replies that are
// sent piece by piece, bodies of calls, bodies of answers.

#include "filter-cc/streams.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "filter-cc/host_fake.h"
#include "filter-cc/stream.h"

namespace fairlead {
namespace {

using List = std::vector<std::string>;

class StreamsTest : public testing::TestWithParam<EnvoyRelease> {
protected:
  /** `hook` is the body of onRequest; `top` stands above the filter. */
  void load(const std::string& hook, const std::string& top = "", const std::string& limits = "") {
    loadFilter("async onRequest(request, ctx) {\n" + hook + "\n}", top, limits);
  }

  void loadFilter(const std::string& hooks, const std::string& top = "",
                  const std::string& limits = "") {
    std::string source = "import { sleep } from 'fairlead';\n" + top + "\nexport default {\n" + hooks + "\n};";
    std::string json = R"({"clusters": ["auth", "other"], "limits": {"cpu_ms": 500, "stream_cpu_ms": 5000)" +
                       limits + R"(}, "inline": ")";
    for (const char c : source)
      json += c == '\n' ? "\\n" : c == '"' || c == '\\' ? std::string("\\") + c : std::string(1, c);
    Result<std::unique_ptr<FilterConfig>> made = FilterConfig::create("test", json + "\"}");
    ASSERT_TRUE(made) << made.error().message << " at line " << made.error().line;
    config_ = *std::move(made);
  }

  static HeaderList request(std::string method = "GET") {
    return {{":authority", "example.com"}, {":path", "/"}, {":method", std::move(method)}, {":scheme", "http"}};
  }

  /** One exchange of that method to its end. */
  ExchangeResult run(const HeaderList& headers = request(), const ExchangeOptions& options = {}) {
    ExchangePlan plan;
    plan.request.headers = headers;
    plan.upstream.response.headers = {{":status", "200"}, {"content-length", "8"}};
    plan.upstream.response.frames = {"upstream"};
    plan.options = options;
    ExchangeResult result = runExchange(envoy_, *config_, plan);
    EXPECT_TRUE(result.complete) << "the exchange waits for ever";
    return result;
  }

  /** The texts of the log, each returned once. */
  List takeLog(LogLevel level) {
    List lines;
    for (const LogLine& line : envoy_.log()) {
      if (line.level >= level)
        lines.push_back(line.message.substr(line.message.find(": ") + 2));
    }
    envoy_.clearLog();
    return lines;
  }
  void expectError(const std::string& part) {
    const List errors = takeLog(LogLevel::Error);
    ASSERT_EQ(errors.size(), 1U) << testing::PrintToString(errors);
    EXPECT_NE(errors[0].find(part), std::string::npos) << errors[0];
  }

  void TearDown() override {
    EXPECT_EQ(takeLog(LogLevel::Error), List());
    config_.reset();
    EXPECT_EQ(envoy_.finish(), List());
  }

  /** The cluster `auth` answers with frames, one every 10 ms. */
  void answerAuth(std::vector<std::string> frames, CalloutAnswer::End end = CalloutAnswer::End::Complete) {
    envoy_.setCluster("auth", [frames, end](const CalloutRequest&) {
      CalloutAnswer answer;
      answer.headers = {{":status", "200"}};
      answer.frames = frames;
      answer.end = end;
      answer.frameDelayMs = 10;
      return answer;
    });
  }

  FakeEnvoy envoy_{FakeEnvoyOptions{.release = GetParam()}};
  std::unique_ptr<FilterConfig> config_;
};

INSTANTIATE_TEST_SUITE_P(Releases, StreamsTest,
                         testing::Values(EnvoyRelease::V1_38, EnvoyRelease::V1_39, EnvoyRelease::V1_40),
                         [](const auto& info) {
                           return "Envoy1" + std::to_string(38 + static_cast<int>(info.param));
                         });

// --- Replies ---

TEST_P(StreamsTest, AReplyIsSentPieceByPieceAsItComes) {
  // F025, F022
  load(R"(return new Response((async function* () {
    for (let i = 0; i < 3; i++) { yield "event " + i + "\n"; await sleep(10); }
    yield new Uint8Array([33]);
  })(), { status: 201, headers: { "x-a": "b", "content-length": "1" } });)");
  Exchange exchange(envoy_, *config_);
  exchange.requestHeaders(request());
  EXPECT_EQ(exchange.atClient().body, "event 0\n");
  EXPECT_EQ(exchange.atClient().status(), 201U);
  EXPECT_EQ(exchange.atClient().header("x-a"), "b");
  EXPECT_EQ(exchange.atClient().header("content-length"), std::nullopt);
  envoy_.advance(10);
  EXPECT_EQ(exchange.atClient().body, "event 0\nevent 1\n");
  EXPECT_FALSE(exchange.complete());
  envoy_.advance(20);
  EXPECT_EQ(exchange.atClient().body, "event 0\nevent 1\nevent 2\n!");
  EXPECT_TRUE(exchange.complete());
  EXPECT_EQ(exchange.atUpstream().starts, 0U);
}

TEST_P(StreamsTest, AReplyOfAStreamAndAReplyWithoutPiecesEnd) {
  // F025, W10
  load(R"(return new Response(new ReadableStream({ start(c) { c.enqueue("a"); c.enqueue("b"); c.close(); } }));)");
  EXPECT_EQ(run().client.body, "ab");
  load("return new Response((async function* () {})());");
  const ExchangeResult empty = run();
  EXPECT_EQ(empty.client.status(), 200U);
  EXPECT_TRUE(empty.client.ended);
}

TEST_P(StreamsTest, AClientThatReadsNoMoreHoldsTheProducerUp) {
  // F025, F018
  load(R"(return new Response((async function* () {
    const piece = "x".repeat(16384);
    for (let i = 0; i < 1000; i++) { yield piece; await sleep(1); }
  })());)",
       "");
  Exchange exchange(envoy_, *config_);
  exchange.requestHeaders(request());
  envoy_.advance(5);
  exchange.clientPauses(true);
  const size_t sent = exchange.atClient().body.size();
  envoy_.advance(500);
  EXPECT_EQ(exchange.atClient().body.size(), sent);
  exchange.clientPauses(false);
  envoy_.advance(1);
  const size_t held = exchange.atClient().body.size() - sent;
  EXPECT_GT(held, 0U);
  EXPECT_LE(held, kMaxUnsentBytes + 2 * size_t{16384});
  envoy_.advance(100);
  EXPECT_GT(exchange.atClient().body.size(), sent + held);
}

TEST_P(StreamsTest, WaitsUntilNoneOfTheClientsBuffersIsFull) {
  // F025, F018
  load(R"(return new Response((async function* () {
    const piece = "x".repeat(16384);
    for (let i = 0; i < 1000; i++) { yield piece; await sleep(1); }
  })());)",
       "");
  Exchange exchange(envoy_, *config_);
  exchange.requestHeaders(request());
  // Of the stream, and of its connection.
  exchange.clientPauses(true);
  exchange.clientPauses(true);
  const size_t sent = exchange.atClient().body.size();
  exchange.clientPauses(false);
  envoy_.advance(100);
  EXPECT_EQ(exchange.atClient().body.size(), sent);
  exchange.clientPauses(false);
  envoy_.advance(100);
  EXPECT_GT(exchange.atClient().body.size(), sent);
  exchange.clientLeaves();
}

TEST_P(StreamsTest, AProducerWithoutAwaitIsHeldUpToo) {
  // F025
  load(R"(const piece = "x".repeat(65536);
    return new Response((async function* () { for (let i = 0; i < 64; i++) yield piece; })());)", "",
       R"(, "memory_mb": 2)");
  EXPECT_EQ(run().client.body.size(), size_t{4} * 1024 * 1024);
}

TEST_P(StreamsTest, AProducerThatNeverWaitsLetsOtherEventsIn) {
  // F025, F075
  load(R"(const piece = "x".repeat(65536);
    return new Response((async function* () { for (let i = 0; i < 1000; i++) yield piece; })());)");
  Exchange exchange(envoy_, *config_);
  exchange.requestHeaders(request());
  EXPECT_EQ(exchange.atClient().body.size(), kMaxSentAtOnceBytes);
  envoy_.runNext();
  EXPECT_EQ(exchange.atClient().body.size(), 2 * kMaxSentAtOnceBytes);
  exchange.clientPauses(true);
  envoy_.advance(100);
  EXPECT_LE(exchange.atClient().body.size(), 3 * kMaxSentAtOnceBytes);
  exchange.clientLeaves();
}

TEST_P(StreamsTest, AClientThatLeavesEndsTheProducer) {
  // F025, F035
  load(R"(return new Response((async function* () {
    try { for (let i = 0; i < 1000; i++) { yield "x"; await sleep(10); } }
    finally { console.info("over", request.path); }
  })());)");
  Exchange exchange(envoy_, *config_);
  exchange.requestHeaders(request());
  envoy_.advance(25);
  EXPECT_EQ(takeLog(LogLevel::Info), List());
  exchange.clientLeaves();
  EXPECT_EQ(takeLog(LogLevel::Info), List({"over /"}));
}

TEST_P(StreamsTest, AProducerThatWaitsForRoomEndsWithTheClient) {
  // F025, F035
  load(R"(return new Response(new ReadableStream({
    pull(c) { c.enqueue("x".repeat(65536)); },
    cancel(reason) { console.info("cancelled", reason.name); },
  }));)");
  Exchange exchange(envoy_, *config_);
  exchange.clientPauses(true);
  exchange.requestHeaders(request());
  EXPECT_EQ(exchange.atClient().status(), 200U);
  EXPECT_EQ(exchange.atClient().body, "");
  exchange.clientLeaves();
  EXPECT_EQ(takeLog(LogLevel::Info), List({"cancelled AbortError"}));
}

TEST_P(StreamsTest, AProducerThatFailsIsAnsweredByThePolicyUntilThereIsAnAnswer) {
  // F025, F073
  load("return new Response((async function* () { throw new Error('at once'); })());");
  const ExchangeResult atOnce = run();
  EXPECT_EQ(atOnce.client.status(), 500U);
  EXPECT_EQ(atOnce.details, "fairlead_throw");
  expectError("at once");

  load("return new Response((async function* () { yield 'a'; await sleep(1); throw new Error('late'); })());");
  const ExchangeResult late = run();
  EXPECT_EQ(late.client.body, "a");
  EXPECT_TRUE(late.client.reset);
  expectError("late");

  load("return new Response((async function* () { yield 'a'; yield 5; })());");
  EXPECT_EQ(run().client.status(), 500U);
  expectError("E_BODY_CHUNK");
}

TEST_P(StreamsTest, AProducerThatFailsAtOnceLetsTheMessageGoOnWherePolicyIsOpen) {
  // F025, F073, R11
  const std::string open = R"(}, "on_error": {"mode": "open")";
  for (const std::string& wait : List{"", "await sleep(5);"}) {
    const std::string hook =
        "request.headers?.set('x-a', 'b'); " + wait +
        " return new Response((async function* () { throw new Error('no'); })());";
    load(hook, "", open);
    for (HeaderList headers : {request(), request("POST")}) {
      if (headers[2].second == "POST")
        headers.emplace_back("content-type", "application/grpc");
      const ExchangeResult result = run(headers);
      EXPECT_EQ(result.client.body, "upstream");
      EXPECT_EQ(result.upstream.starts, 1U);
      EXPECT_EQ(result.upstream.header("x-a"), std::nullopt);
      expectError("no");
    }
    loadFilter("async onResponse(request) {" + hook + "}", "", open);
    const ExchangeResult response = run();
    EXPECT_EQ(response.client.body, "upstream");
    EXPECT_EQ(response.client.starts, 1U);
    expectError("no");
  }
}

TEST_P(StreamsTest, AProducerThatOverrunsItsTimeIsBrokenOff) {
  // F025, F068
  load("return new Response((async function* () { yield 'a'; await sleep(1); for (;;); })());", "",
       R"(, "stack_kb": 512)");
  const ExchangeResult result = run();
  EXPECT_EQ(result.client.body, "a");
  EXPECT_TRUE(result.client.reset);
  expectError("E_CPU_LIMIT");
}

TEST_P(StreamsTest, AStreamIsReadToItsEndWhereARepliesPiecesCannotBeSent) {
  // F020, F021, F023, F025
  const std::string reply = "return new Response((async function* () { yield 'a'; await sleep(5); yield 'b'; })(),"
                            " { status: 202, details: 'mine' });";
  loadFilter("onResponse() { " + reply + " }");
  const ExchangeResult response = run();
  EXPECT_EQ(response.client.body, "ab");
  EXPECT_EQ(response.client.status(), 202U);
  EXPECT_EQ(response.client.header("content-length"), "2");
  EXPECT_EQ(response.details, "mine");

  load(reply);
  const ExchangeResult inCluster = run(request(), {.inCluster = true});
  EXPECT_EQ(inCluster.client.body, "ab");
  EXPECT_EQ(inCluster.client.header("content-length"), "2");

  HeaderList grpc = request("POST");
  grpc.emplace_back("content-type", "application/grpc");
  const ExchangeResult answered = run(grpc);
  EXPECT_EQ(answered.client.header("grpc-status"), "2");
  EXPECT_EQ(answered.client.header("grpc-message"), "ab");

  const ExchangeResult head = run(request("HEAD"));
  EXPECT_EQ(head.client.status(), 202U);
  EXPECT_EQ(head.client.body, "");
}

TEST_P(StreamsTest, AStreamThatIsReadFirstCanFailOrTakeTooLong) {
  // F021, F072, F073
  loadFilter("onResponse() { return new Response((async function* () { yield 'a'; throw new Error('no'); })()); }");
  EXPECT_EQ(run().client.status(), 500U);
  expectError("no");
  loadFilter("onResponse() { return new Response((async function* () { yield 'a'; await sleep(1000); })()); }", "",
             R"(, "wait_ms": 50)");
  EXPECT_EQ(run().client.status(), 504U);
  expectError("E_WAIT_LIMIT");
  loadFilter("onResponse() { return new Response((async function* () { for (let i = 0; i < 1000; i++) yield 'a'.repeat(65536); })()); }");
  EXPECT_EQ(run().client.status(), 500U);
  expectError("E_BODY_LIMIT");
}

TEST_P(StreamsTest, AReplyCannotBeMadeOfAStreamThatIsReadOrHeld) {
  // F022, W10
  for (const std::string& taken : List{"await answer.text();", "answer.body.getReader();"}) {
    load("const answer = new Response('a'); " + taken + " return answer;");
    EXPECT_EQ(run().client.status(), 500U);
    expectError("E_BODY_USED");
  }
}

// --- Bodies of calls ---

TEST_P(StreamsTest, ACallSendsTheBodyThatAStreamGives) {
  // F038, W09
  load(R"(const answer = await fetch("http://auth/", { method: "POST", body: (async function* () {
      for (let i = 0; i < 3; i++) { yield "piece" + i; await sleep(10); }
    })() });
    request.headers.set("x-status", String(answer.status));)");
  answerAuth({"ok"});
  const ExchangeResult result = run();
  EXPECT_EQ(result.upstream.header("x-status"), "200");
  ASSERT_EQ(result.callouts.size(), 1U);
  EXPECT_EQ(result.callouts[0].request.body, "piece0piece1piece2");
  EXPECT_FALSE(result.callouts[0].reset);
}

TEST_P(StreamsTest, ACallWhoseBodyFailsOrIsAbortedIsReset) {
  // F032, F038
  load(R"(const told = [];
    const body = (end) => (async function* () {
      try { yield "a"; await sleep(10); end(); yield "b"; await sleep(1000); } finally { told.push("over"); }
    })();
    await fetch("http://auth/", { method: "POST", body: body(() => { throw new TypeError("no"); }) })
      .catch((error) => told.push(error.message));
    const control = new AbortController();
    await fetch("http://auth/", { method: "POST", body: body(() => control.abort()), signal: control.signal })
      .catch((error) => told.push(error.name));
    request.headers.set("x-told", told.join());)");
  answerAuth({"ok"});
  const ExchangeResult result = run();
  EXPECT_EQ(result.upstream.header("x-told"), "over,no,AbortError");
  ASSERT_EQ(result.callouts.size(), 2U);
  EXPECT_TRUE(result.callouts[0].reset);
  EXPECT_TRUE(result.callouts[1].reset);
}

TEST_P(StreamsTest, ABodyOfACallHasALimitForNothingMakesItWait) {
  // F038, F072
  load(R"(const body = (async function* () { for (let i = 0; i < 1000; i++) yield "x".repeat(65536); })();
    const code = await fetch("http://auth/", { method: "POST", body }).catch((error) => error.code);
    request.headers.set("x-told", code);)");
  answerAuth({"ok"});
  const ExchangeResult result = run();
  EXPECT_EQ(result.upstream.header("x-told"), "E_BODY_LIMIT");
  EXPECT_EQ(result.callouts[0].request.body.size(), 1024U * 1024U);
  EXPECT_TRUE(result.callouts[0].reset);
}

TEST_P(StreamsTest, ARedirectDropsABodyThatIsAStreamOrIsRefused) {
  // W09
  envoy_.setCluster("auth", [](const CalloutRequest& call) {
    const std::string path = Received{call.headers, {}, {}}.header(":path").value_or("");
    CalloutAnswer answer = CalloutAnswer::of(path == "/303" ? 303 : path == "/307" ? 307 : 200);
    answer.headers.emplace_back("location", "/end");
    return answer;
  });
  load(R"(const told = [];
    for (const path of ["/303", "/307"]) {
      const body = (async function* () { yield "a"; })();
      await fetch("http://auth" + path, { method: "POST", body })
        .then((answer) => told.push(answer.status), (error) => told.push(error.code));
    }
    request.headers.set("x-told", told.join());)");
  const ExchangeResult result = run();
  EXPECT_EQ(result.upstream.header("x-told"), "200,E_FETCH_REDIRECT");
  ASSERT_EQ(result.callouts.size(), 3U);
  EXPECT_EQ(result.callouts[1].request.body, "");
}

// --- Bodies of answers ---

TEST_P(StreamsTest, AnAnswersBodyIsReadAsItComes) {
  // F038, W10
  load(R"(const answer = await fetch("http://auth/");
    let told = "";
    for await (const chunk of answer.body) told += chunk.constructor.name + chunk.length + ".";
    request.headers.set("x-told", told + answer.bodyUsed + answer.body.locked);)");
  answerAuth({"a", "bcd", std::string(70'000, 'e')});
  EXPECT_EQ(run().upstream.header("x-told"), "Uint8Array1.Uint8Array3.Uint8Array65536.Uint8Array4464.truefalse");
}

TEST_P(StreamsTest, AnAnswerLargerThanTheLimitPassesWhileItIsRead) {
  // F038, F072
  load(R"(let size = 0;
    for await (const chunk of (await fetch("http://auth/")).body) size += chunk.length;
    request.headers.set("x-size", String(size));)", "", R"(, "memory_mb": 4, "wait_ms": 100000)");
  answerAuth(std::vector<std::string>(80, std::string(size_t{256} * 1024, 'x')));
  EXPECT_EQ(run().upstream.header("x-size"), std::to_string(80 * 256 * 1024));
}

TEST_P(StreamsTest, AnAnswerThatNobodyReadsIsBrokenOffAtTheLimit) {
  // F038, F072, R27
  load(R"(const { body } = await fetch("http://auth/");
    await sleep(2000);
    await body.getReader().read().catch((error) => request.headers.set("x-told", error.code));)");
  answerAuth(std::vector<std::string>(40, std::string(size_t{64} * 1024, 'x')));
  const ExchangeResult result = run();
  EXPECT_EQ(result.upstream.header("x-told"), "E_BODY_LIMIT");
  EXPECT_TRUE(result.callouts[0].reset);
}

TEST_P(StreamsTest, AnAnswerThatBreaksOffMakesItsStreamFail) {
  // F033, F038
  load(R"(const reader = (await fetch("http://auth/")).body.getReader();
    const told = [];
    for (let i = 0; i < 2; i++)
      await reader.read().then(({ value }) => told.push(value.length), (error) => told.push(error.code));
    await reader.closed.catch((error) => told.push(error.code));
    request.headers.set("x-told", told.join());)");
  answerAuth({"abc"}, CalloutAnswer::End::Reset);
  EXPECT_EQ(run().upstream.header("x-told"), "3,E_FETCH_RESET,E_FETCH_RESET");
}

TEST_P(StreamsTest, AnAnswersBodyThatIsCancelledCancelsItsCall) {
  // F032, F038
  load(R"(const answer = await fetch("http://auth/");
    for await (const chunk of answer.body) break;
    request.headers.set("x-told", String(answer.bodyUsed));)");
  answerAuth({"a", "b", "c"});
  const ExchangeResult result = run();
  EXPECT_EQ(result.upstream.header("x-told"), "true");
  EXPECT_TRUE(result.callouts[0].reset);
}

TEST_P(StreamsTest, AnAnswerIsHandedOnAsItComes) {
  // F025, F038
  load(R"(const answer = await fetch("http://auth/");
    return new Response(answer.body.pipeThrough(new TextDecoderStream()).pipeThrough(new TransformStream({
      transform(text, controller) { controller.enqueue(text.toUpperCase()); },
    })), answer);)");
  answerAuth({"a", "\xc3", "\xa9", "z"});
  Exchange exchange(envoy_, *config_);
  exchange.requestHeaders(request());
  envoy_.advance(10);
  EXPECT_EQ(exchange.atClient().body, "A");
  envoy_.advance(100);
  EXPECT_EQ(exchange.atClient().body, "A\xc3\x89Z");
  EXPECT_TRUE(exchange.complete());
}

TEST_P(StreamsTest, ACloneHasTheWholeBodyHoweverEitherIsRead) {
  // W07, W08, W10
  const char* read = R"(
    const whole = async (message) => {
      let text = "";
      for await (const chunk of message.body.pipeThrough(new TextDecoderStream())) text += chunk;
      return text;
    };
    const told = [];
    for (const [one, other] of [["text", "text"], ["text", "body"], ["body", "text"], ["body", "body"]]) {
      const answer = await fetch("http://auth/");
      const copy = answer.clone();
      const all = [[answer, one], [copy, other]].map(([message, how]) => how === "text" ? message.text() : whole(message));
      told.push(...await Promise.all(all), answer.bodyUsed);
    }
    const seen = await fetch("http://auth/");
    void seen.body;
    const copy = seen.clone();
    told.push(await seen.text(), await copy.text());
    request.headers.set("x-told", told.join());)";
  load(read);
  answerAuth({"ab", "c"});
  EXPECT_EQ(run().upstream.header("x-told"),
            "abc,abc,true,abc,abc,true,abc,abc,true,abc,abc,true,abc,abc");
}

TEST_P(StreamsTest, ABodyCutAtEachByteIsTheSameHoweverItIsRead) {
  // W10, W22, F015
  load(R"(const read = {
      text: (answer) => answer.text(),
      looked: (answer) => (answer.body, answer.text()),
      chunks: async (answer) => {
        const decoder = new TextDecoder();
        let text = "";
        for await (const chunk of answer.body) text += decoder.decode(chunk, { stream: true });
        return text + decoder.decode();
      },
      decoded: async (answer) => {
        let text = "";
        for await (const chunk of answer.body.pipeThrough(new TextDecoderStream())) text += chunk;
        return text;
      },
      byob: async (answer) => {
        const reader = answer.body.getReader({ mode: "byob" });
        const bytes = [];
        for (;;) {
          const { done, value } = await reader.read(new Uint8Array(2));
          if (done) return new TextDecoder().decode(new Uint8Array(bytes));
          bytes.push(...value);
        }
      },
      teed: async (answer) => {
        const [one, other] = answer.body.tee();
        const texts = await Promise.all([new Response(one).text(), new Response(other).text()]);
        return texts[0] === texts[1] ? texts[0] : "different";
      },
    };
    const texts = [];
    for (const [name, get] of Object.entries(read)) {
      const text = await get(await fetch("http://auth/"));
      if (text !== "a\u00e9\u20ac\u{1f600}z") texts.push(name + ": " + JSON.stringify(text));
    }
    request.headers.set("x-told", texts.join() || "all right");)");
  const std::string body = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z";
  for (size_t cut = 0; cut <= body.size(); ++cut) {
    answerAuth(cut == 0 || cut == body.size() ? List{body} : List{body.substr(0, cut), body.substr(cut)});
    EXPECT_EQ(run().upstream.header("x-told"), "all right") << "cut at " << cut;
  }
}

TEST_P(StreamsTest, AClientMayLeaveBetweenAnyTwoEvents) {
  // F113, F035, R08
  load(R"(try {
      const answer = await fetch("http://auth/", { method: "POST", body: (async function* () {
        try { yield "a"; await sleep(5); yield "b"; } finally { console.info("sent"); }
      })() });
      return new Response((async function* () {
        try { for await (const chunk of answer.body) { yield chunk; await sleep(3); } } finally { console.info("replied"); }
      })());
    } finally { console.info("hook over"); })");
  answerAuth({"a", "b", "c"});
  for (uint64_t leavesAtMs = 0; leavesAtMs <= 60; ++leavesAtMs) {
    Exchange exchange(envoy_, *config_);
    exchange.requestHeaders(request());
    envoy_.advance(leavesAtMs);
    exchange.clientLeaves();
    const List log = takeLog(LogLevel::Info);
    EXPECT_EQ(std::count(log.begin(), log.end(), "sent"), 1) << leavesAtMs;
    EXPECT_EQ(std::count(log.begin(), log.end(), "hook over"), 1) << leavesAtMs;
    EXPECT_LE(std::count(log.begin(), log.end(), "replied"), 1) << leavesAtMs;
  }
}

// --- Reset, connection, flags ---

TEST_P(StreamsTest, AStreamIsResetWhenTheScriptHasReturned) {
  // F026
  load("ctx.reset(); ctx.state.on = true; return new Response('never');");
  const ExchangeResult atOnce = run();
  EXPECT_TRUE(atOnce.client.reset);
  EXPECT_EQ(atOnce.client.starts, 0U);
  EXPECT_EQ(atOnce.upstream.starts, 0U);
  EXPECT_EQ(atOnce.details, "fairlead_reset");
  load("await sleep(5); ctx.reset(); await sleep(5); console.error('never');");
  EXPECT_TRUE(run().client.reset);
  loadFilter("onResponse(response, ctx) { ctx.reset(); }");
  EXPECT_TRUE(run().client.reset);
  loadFilter("onLog(ctx) { try { ctx.reset(); } catch (error) { console.info(error.code); } }");
  EXPECT_EQ(run().client.body, "upstream");
  EXPECT_EQ(takeLog(LogLevel::Info), List({"E_STREAM_ENDED"}));
}

TEST_P(StreamsTest, AConnectionEndsBehindTheAnswer) {
  // F026
  load("ctx.endConnection(); return new Response('bye');");
  Exchange exchange(envoy_, *config_);
  exchange.requestHeaders(request());
  EXPECT_TRUE(exchange.connectionEnds());
  EXPECT_EQ(exchange.atClient().body, "bye");
}

TEST_P(StreamsTest, DetailsAndFlagsAreWords) {
  // F024
  load(R"(const told = [];
    for (const bad of ["", "a b", "a\n", "é", "x".repeat(129)]) {
      try { ctx.addResponseFlag(bad); told.push(bad); } catch (error) { told.push(error.code); }
      try { new Response(null, { details: bad }); told.push(bad); } catch (error) { told.push(error.code); }
    }
    for (let i = 0; i < 16; i++) ctx.addResponseFlag("FLAG" + i);
    try { ctx.addResponseFlag("ONE_MORE"); } catch (error) { told.push(error.code); }
    return new Response(told.join(), { details: "mine" });)");
  Exchange exchange(envoy_, *config_);
  exchange.requestHeaders(request());
  std::string want;
  for (int i = 0; i < 5; ++i)
    want += "E_ARGUMENT,E_OPTION,";
  EXPECT_EQ(exchange.atClient().body, want + "E_RANGE");
  EXPECT_EQ(exchange.details(), "mine");
  EXPECT_EQ(exchange.customFlags().size(), 16U);
  EXPECT_EQ(exchange.customFlags()[0], "FLAG0");
}

}  // namespace
}  // namespace fairlead
