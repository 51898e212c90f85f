// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// The fake is only worth something when it is as strict as Envoy: what is asserted here has been
// seen on a stock Envoy. The filter under test does nothing; a probe inside its hooks plays the
// core.

#include "filter-cc/host_fake.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "filter-cc/runtime.h"
#include "filter-cc/stream.h"
#include "quickjs/engine.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

namespace fairlead {
namespace {

using Kind = HookCall::Kind;

const HeaderList kGet = {
    {":authority", "example.com"}, {":path", "/"}, {":method", "GET"}, {":scheme", "http"}};
const HeaderList kOk = {{":status", "200"}};
constexpr std::string_view kPassThrough = R"({"inline": "export default {}"})";
/** Holds every request for ever. */
constexpr std::string_view kHold =
    R"({"inline": "export default { onRequest() { return new Promise(() => {}); } }"})";

/** Whether the bytes behind a view are gone. */
bool expired(std::string_view view) {
#ifdef __SANITIZE_ADDRESS__
  return __asan_address_is_poisoned(view.data()) != 0;
#else
  return view.front() == '\xdd';
#endif
}

class HostFakeTest : public testing::Test {
protected:
  void load(std::string_view config) {
    Result<std::unique_ptr<FilterConfig>> made = FilterConfig::create("test", config);
    ASSERT_TRUE(made.ok()) << made.error().code << ": " << made.error().message;
    config_ = *std::move(made);
  }

  void SetUp() override { load(kPassThrough); }

  const FilterConfig& config() const { return *config_; }

  /** The violations so far, each once the test has looked at it. */
  std::vector<std::string> violations() { return envoy_.finish(); }

  void TearDown() override { EXPECT_EQ(violations(), std::vector<std::string>()); }

  /** Lets the hook of one kind and direction do something. */
  template <class Body>
  static void inHook(Exchange& exchange, Kind kind, Direction direction, Body body) {
    exchange.probeForTest = [=](Exchange& probed, HookCall& call) {
      if (call.kind == kind && call.direction == direction)
        body(probed, call);
    };
  }

  FakeEnvoy envoy_;
  std::unique_ptr<FilterConfig> config_;
  uint64_t startNs_ = 0;
};

using List = std::vector<std::string>;

// --- Header maps ---

TEST_F(HostFakeTest, NamesAreLoweredAndPseudoHeadersStandFirst) {
  Exchange exchange(envoy_, config());
  exchange.requestHeaders({{"X-One", "1"}, {":path", "/"}, {":method", "GET"}, {"x-two", "2"}});
  const HeaderList expected = {{":path", "/"}, {":method", "GET"}, {"x-one", "1"}, {"x-two", "2"}};
  EXPECT_EQ(exchange.atUpstream().headers, expected);
}

TEST_F(HostFakeTest, AbsentIsNotEmpty) {
  Exchange exchange(envoy_, config());
  HeaderList headers = kGet;
  headers.emplace_back("x-empty", "");
  inHook(exchange, Kind::Headers, Direction::Request, [](Exchange& probed, HookCall&) {
    HostStream& host = *probed.host();
    ASSERT_TRUE(host.header(HeaderMap::Request, "X-Empty", 0).has_value());
    EXPECT_EQ(host.header(HeaderMap::Request, "x-empty", 0)->value, "");
    EXPECT_FALSE(host.header(HeaderMap::Request, "x-empty", 1).has_value());
    EXPECT_FALSE(host.header(HeaderMap::Request, "x-absent", 0).has_value());
    EXPECT_FALSE(host.header(HeaderMap::Response, "x-empty", 0).has_value());
    std::vector<HeaderField> lines;
    EXPECT_TRUE(host.headers(HeaderMap::Request, lines));
    EXPECT_EQ(lines.size(), 5U);
    EXPECT_FALSE(host.headers(HeaderMap::ResponseTrailers, lines));
    EXPECT_TRUE(lines.empty());
  });
  exchange.requestHeaders(headers);
}

TEST_F(HostFakeTest, AddingMakesALineOrJoinsTheSlotThatEnvoyHas) {
  Exchange exchange(envoy_, config());
  inHook(exchange, Kind::Headers, Direction::Request, [](Exchange& probed, HookCall&) {
    for (const char* name : {"x-custom", "accept", "cookie", "Accept"}) {
      probed.host()->addHeader(HeaderMap::Request, name, "one");
      probed.host()->addHeader(HeaderMap::Request, name, "two");
    }
    EXPECT_EQ(probed.host()->header(HeaderMap::Request, "x-custom", 1)->value, "two");
    EXPECT_EQ(probed.host()->header(HeaderMap::Request, "x-custom", 0)->count, 2U);
  });
  exchange.requestHeaders({});
  const HeaderList expected = {{"x-custom", "one"},
                               {"x-custom", "two"},
                               {"accept", "one,two,one,two"},
                               {"cookie", "one"},
                               {"cookie", "two"}};
  EXPECT_EQ(exchange.atUpstream().headers, expected);
}

TEST_F(HostFakeTest, SettingReplacesAllLinesAndMovesToTheEnd) {
  Exchange exchange(envoy_, config());
  inHook(exchange, Kind::Headers, Direction::Request, [](Exchange& probed, HookCall&) {
    probed.host()->setHeader(HeaderMap::Request, "A", "3");
    probed.host()->setHeader(HeaderMap::Request, ":path", "/new");
    probed.host()->removeHeader(HeaderMap::Request, "B");
  });
  exchange.requestHeaders(
      {{":path", "/"}, {":method", "GET"}, {"a", "1"}, {"a", "2"}, {"b", "1"}, {"c", "1"}});
  const HeaderList expected = {{":method", "GET"}, {":path", "/new"}, {"c", "1"}, {"a", "3"}};
  EXPECT_EQ(exchange.atUpstream().headers, expected);
}

TEST_F(HostFakeTest, EmptyValuesRemoveOrAreRefused) {
  {
    Exchange exchange(envoy_, config());
    inHook(exchange, Kind::Headers, Direction::Request, [](Exchange& probed, HookCall&) {
      probed.host()->setHeader(HeaderMap::Request, "a", "");
      probed.host()->addHeader(HeaderMap::Request, "b", "");
    });
    exchange.requestHeaders({{"a", "1"}});
    EXPECT_EQ(exchange.atUpstream().headers, HeaderList());
  }
  EXPECT_EQ(violations(), List({"setHeader(a): an empty value removes the header",
                                "addHeader(b): Envoy refuses an empty value"}));
}

TEST_F(HostFakeTest, WritesThatEnvoyWouldNotCatchAreViolations) {
  {
    Exchange exchange(envoy_, config());
    inHook(exchange, Kind::Headers, Direction::Request, [](Exchange& probed, HookCall&) {
      HostStream& host = *probed.host();
      host.setHeader(HeaderMap::RequestTrailers, "a", "1");
      host.setHeader(HeaderMap::Response, "a", "1");
      host.setHeader(HeaderMap::Request, "a b", "1");
      host.addHeader(HeaderMap::Request, "c", "1\r\nd: 2");
    });
    exchange.requestHeaders(kGet);
    inHook(exchange, Kind::Headers, Direction::Response, [](Exchange& probed, HookCall&) {
      probed.host()->setHeader(HeaderMap::Request, "late", "1");
    });
    exchange.responseHeaders(kOk);
  }
  EXPECT_EQ(violations(),
            List({"setHeader(a): that map does not exist", "setHeader(a): that map does not exist",
                  "setHeader(a b): not a header name", "addHeader(c): a value with CR, LF or NUL",
                  "setHeader(late): the message has left"}));
}

TEST_F(HostFakeTest, ViewsDieAtTheNextWriteToTheirMapAndWhenTheHookReturns) {
  Exchange exchange(envoy_, config());
  std::string_view kept;
  inHook(exchange, Kind::Headers, Direction::Response, [&kept](Exchange& probed, HookCall&) {
    HostStream& host = *probed.host();
    kept = host.header(HeaderMap::Request, "x-long", 0)->value;
    const std::string_view path = host.header(HeaderMap::Response, "x-path", 0)->value;
    host.setHeader(HeaderMap::Response, "a", "1");
    EXPECT_TRUE(expired(path));
    EXPECT_FALSE(expired(kept));
    std::vector<HeaderField> lines;
    ASSERT_TRUE(host.headers(HeaderMap::Response, lines));
    host.removeHeader(HeaderMap::Response, "a");
    EXPECT_TRUE(expired(lines.front().name));
  });
  exchange.requestHeaders({{":path", "/"}, {"x-long", std::string(100, 'x')}});
  exchange.responseHeaders({{":status", "200"}, {"x-path", "/some/path"}});
  EXPECT_TRUE(expired(kept));
}

// --- Stopping and continuing ---

TEST_F(HostFakeTest, BodyHooksRunWhileTheHeadersAreHeldAndAreNotShownTheFramesAgain) {
  Exchange exchange(envoy_, config());
  List frames;
  exchange.probeForTest = [&](Exchange& probed, HookCall& call) {
    if (call.direction != Direction::Request)
      return;
    call.headers = HeadersStatus::StopIteration;
    call.body = BodyStatus::StopIterationAndWatermark;
    call.trailers = TrailersStatus::StopIteration;
    if (call.kind == Kind::Body)
      frames.push_back(std::to_string(probed.heldBytes(Direction::Request)));
  };
  exchange.requestHeaders(kGet, false);
  exchange.requestData("abc");
  exchange.requestData("de");
  exchange.requestTrailers({{"t", "1"}});
  EXPECT_EQ(exchange.atUpstream().starts, 0U);
  EXPECT_EQ(frames, List({"0", "3"}));
  envoy_.post(0, [&] { exchange.host()->continueMessage(Direction::Request); });
  ASSERT_TRUE(envoy_.runNext());
  EXPECT_EQ(frames.size(), 2U);
  EXPECT_EQ(exchange.atUpstream().starts, 1U);
  EXPECT_EQ(exchange.atUpstream().body, "abcde");
  EXPECT_EQ(exchange.atUpstream().trailers, HeaderList({{"t", "1"}}));
  EXPECT_TRUE(exchange.atUpstream().ended);
}

TEST_F(HostFakeTest, ContinueFromALaterHookReleasesWhatIsHeld) {
  Exchange exchange(envoy_, config());
  exchange.probeForTest = [](Exchange&, HookCall& call) {
    if (call.kind == Kind::Headers)
      call.headers = HeadersStatus::StopIteration;
    if (call.kind == Kind::Body && !call.endStream)
      call.body = BodyStatus::StopIterationAndBuffer;
  };
  exchange.requestHeaders(kGet, false);
  exchange.requestData("abc");
  EXPECT_EQ(exchange.atUpstream().starts, 0U);
  exchange.requestData("", true);
  EXPECT_EQ(exchange.atUpstream().starts, 1U);
  EXPECT_EQ(exchange.atUpstream().body, "abc");
  EXPECT_TRUE(exchange.atUpstream().ended);
}

TEST_F(HostFakeTest, ABufferedStopOverTheLimitIs413AndOnTheWayBack500) {
  for (const Direction direction : {Direction::Request, Direction::Response}) {
    Exchange exchange(envoy_, config(), {.bufferLimitBytes = 4});
    exchange.probeForTest = [=](Exchange&, HookCall& call) {
      if (call.direction != direction)
        return;
      call.headers = HeadersStatus::StopIteration;
      call.body = BodyStatus::StopIterationAndBuffer;
    };
    if (direction == Direction::Request) {
      exchange.requestHeaders(kGet, false);
      exchange.requestData("1234");
      EXPECT_FALSE(exchange.complete());
      exchange.requestData("5");
    } else {
      exchange.requestHeaders(kGet);
      exchange.responseHeaders(kOk, false);
      exchange.responseData("12345");
    }
    EXPECT_TRUE(exchange.complete());
    EXPECT_EQ(exchange.atClient().status(), direction == Direction::Request ? 413U : 500U);
    EXPECT_EQ(exchange.atUpstream().starts, direction == Direction::Request ? 0U : 1U);
  }
}

TEST_F(HostFakeTest, AWatermarkStopKeepsFurtherFramesOutUntilTheMessageGoesOn) {
  Exchange exchange(envoy_, config(), {.bufferLimitBytes = 4});
  exchange.probeForTest = [](Exchange&, HookCall& call) {
    if (call.kind == Kind::Headers)
      call.headers = HeadersStatus::StopIteration;
    call.body = BodyStatus::StopIterationAndWatermark;
  };
  exchange.requestHeaders(kGet, false);
  for (int i = 0; i < 9; ++i)
    exchange.requestData("abc");
  exchange.requestData("", true);
  EXPECT_EQ(exchange.heldBytes(Direction::Request), 6U);
  EXPECT_EQ(exchange.waitingFrames(Direction::Request), 8U);
  exchange.probeForTest = nullptr;
  envoy_.post(0, [&] { exchange.wake(); });
  inHook(exchange, Kind::Wake, Direction::Request,
         [](Exchange& probed, HookCall&) { probed.host()->continueMessage(Direction::Request); });
  ASSERT_TRUE(envoy_.runNext());
  EXPECT_EQ(exchange.atUpstream().body.size(), 27U);
  EXPECT_TRUE(exchange.atUpstream().ended);
  EXPECT_EQ(exchange.mostHeldBytes(Direction::Request), 6U);
}

TEST_F(HostFakeTest, AStopWithoutBufferDropsTheFrameButNotTheEnd) {
  Exchange exchange(envoy_, config());
  exchange.probeForTest = [](Exchange&, HookCall& call) {
    if (call.kind == Kind::Body)
      call.body = BodyStatus::StopIterationNoBuffer;
  };
  exchange.requestHeaders(kGet, false);
  exchange.requestData("lost", true);
  EXPECT_FALSE(exchange.atUpstream().ended);
  exchange.host()->continueMessage(Direction::Request);
  EXPECT_TRUE(exchange.atUpstream().ended);
  EXPECT_EQ(exchange.atUpstream().body, "");
}

TEST_F(HostFakeTest, ContinuingWhatIsNotHeldDoesNothingAndIsAViolation) {
  {
    Exchange exchange(envoy_, config());
    inHook(exchange, Kind::Headers, Direction::Request,
           [](Exchange&, HookCall& call) { call.headers = HeadersStatus::StopIteration; });
    exchange.requestHeaders(kGet);
    exchange.host()->continueMessage(Direction::Request);
    exchange.host()->continueMessage(Direction::Request);
    EXPECT_EQ(exchange.atUpstream().starts, 1U);
  }
  EXPECT_EQ(violations(), List({"continueMessage(Request): nothing is held"}));
}

TEST_F(HostFakeTest, ContinuingInsideTheHeadersHookSendsTheRequestTwice) {
  {
    Exchange exchange(envoy_, config());
    inHook(exchange, Kind::Headers, Direction::Request,
           [](Exchange& probed, HookCall&) { probed.host()->continueMessage(Direction::Request); });
    exchange.requestHeaders(kGet);
    EXPECT_EQ(exchange.atUpstream().starts, 2U);
  }
  EXPECT_EQ(violations(),
            List({"continueMessage(Request): called inside a hook of that direction"}));
}

// --- Replies ---

TEST_F(HostFakeTest, AReplyFromTheRequestHookGoesOutWhenTheHookHasReturned) {
  Exchange exchange(envoy_, config());
  List order;
  exchange.probeForTest = [&](Exchange& probed, HookCall& call) {
    if (call.kind == Kind::Complete) {
      order.push_back("complete");
    } else if (call.kind == Kind::Headers) {
      const HeaderField header{"x-a", "1"};
      probed.host()->sendResponse(403, {&header, 1}, "no", "");
      order.push_back("sent");
    }
  };
  exchange.requestHeaders(kGet);
  EXPECT_EQ(order, List({"sent", "complete"}));
  const HeaderList expected = {
      {":status", "403"}, {"x-a", "1"}, {"content-length", "2"}, {"content-type", "text/plain"}};
  EXPECT_EQ(exchange.atClient().headers, expected);
  EXPECT_EQ(exchange.atClient().body, "no");
  EXPECT_EQ(exchange.atUpstream().starts, 0U);
  EXPECT_EQ(exchange.details(), "dynamic_module");
}

TEST_F(HostFakeTest, AReplyFromAnyOtherEventEndsTheStreamInsideTheCall) {
  load(kHold);
  Exchange exchange(envoy_, config());
  List order;
  exchange.probeForTest = [&](Exchange& probed, HookCall& call) {
    if (call.kind == Kind::Wake) {
      probed.host()->sendResponse(403, {}, "", "mine");
      order.push_back("sent");
    } else if (call.kind == Kind::Complete) {
      order.push_back("complete");
      EXPECT_EQ(probed.host()->header(HeaderMap::Response, ":status", 0)->value, "403");
    }
  };
  exchange.requestHeaders(kGet);
  exchange.wake();
  EXPECT_EQ(order, List({"complete", "sent"}));
  EXPECT_EQ(exchange.details(), "mine");
}

TEST_F(HostFakeTest, OurOwnReplySkipsOurResponseHooksAndThatOfOthersDoesNot) {
  for (const bool own : {true, false}) {
    load(kHold);
    Exchange exchange(envoy_, config());
    int responseHooks = 0;
    inHook(exchange, Kind::Headers, Direction::Response,
           [&](Exchange&, HookCall&) { ++responseHooks; });
    exchange.requestHeaders(kGet);
    if (own)
      exchange.host()->sendResponse(403, {}, "", "");
    else
      exchange.localReply(408, "late", "request_timeout");
    EXPECT_EQ(responseHooks, own ? 0 : 1);
    EXPECT_TRUE(exchange.complete());
  }
}

TEST_F(HostFakeTest, AResponseThatIsHeldIsReplaced) {
  Exchange exchange(envoy_, config());
  inHook(exchange, Kind::Headers, Direction::Response, [](Exchange& probed, HookCall& call) {
    call.headers = HeadersStatus::StopIteration;
    probed.host()->sendResponse(451, {}, "replaced", "");
  });
  exchange.requestHeaders(kGet);
  exchange.responseHeaders(kOk, false);
  exchange.responseData(std::string(1000, 'x'), true);
  EXPECT_EQ(exchange.atClient().status(), 451U);
  EXPECT_EQ(exchange.atClient().body, "replaced");
  EXPECT_EQ(exchange.atClient().starts, 1U);
  EXPECT_TRUE(exchange.atUpstream().reset);
}

TEST_F(HostFakeTest, AReplyAfterTheResponseHeadersHaveLeftBreaksTheStream) {
  Exchange exchange(envoy_, config());
  exchange.requestHeaders(kGet);
  exchange.responseHeaders(kOk, false);
  exchange.host()->sendResponse(500, {}, "", "");
  EXPECT_TRUE(exchange.atClient().reset);
  EXPECT_EQ(exchange.atClient().status(), 200U);
  EXPECT_TRUE(exchange.complete());
}

TEST_F(HostFakeTest, TheFirstOfTwoRepliesCounts) {
  {
    Exchange exchange(envoy_, config());
    inHook(exchange, Kind::Headers, Direction::Request, [](Exchange& probed, HookCall&) {
      probed.host()->sendResponse(403, {}, "", "");
      probed.host()->sendResponse(404, {}, "", "");
    });
    exchange.requestHeaders(kGet);
    EXPECT_EQ(exchange.atClient().status(), 403U);
  }
  EXPECT_EQ(violations(), List({"sendResponse: a second reply"}));
}

TEST_F(HostFakeTest, LocalRepliesAreShapedAsEnvoyShapesThem) {
  const std::vector<HeaderField> given = {{"X-A", "1"},
                                          {"content-type", "application/json"},
                                          {"content-length", "99"},
                                          {"set-cookie", "a=1"},
                                          {"set-cookie", "b=2"}};
  struct Case {
    HeaderList request;
    std::string body;
    HeaderList expected;
    std::string expectedBody;
  };
  HeaderList head = kGet;
  head[2].second = "HEAD";
  HeaderList grpc = kGet;
  grpc.emplace_back("content-type", "application/grpc+proto");
  const Case cases[] = {
      {kGet,
       "hello",
       {{":status", "203"},
        {"x-a", "1"},
        {"content-type", "application/json"},
        {"content-length", "5"},
        {"set-cookie", "a=1"},
        {"set-cookie", "b=2"}},
       "hello"},
      {kGet,
       "",
       {{":status", "203"}, {"x-a", "1"}, {"set-cookie", "a=1"}, {"set-cookie", "b=2"}},
       ""},
      {head,
       "hello",
       {{":status", "203"},
        {"x-a", "1"},
        {"content-type", "application/json"},
        {"content-length", "5"},
        {"set-cookie", "a=1"},
        {"set-cookie", "b=2"}},
       ""},
      // A gRPC caller would read success (R25).
      {grpc,
       "a%b",
       {{":status", "200"},
        {"x-a", "1"},
        {"content-type", "application/grpc"},
        {"set-cookie", "a=1"},
        {"set-cookie", "b=2"},
        {"grpc-status", "0"},
        {"grpc-message", "a%25b"}},
       ""},
  };
  for (const Case& shaped : cases) {
    Exchange exchange(envoy_, config());
    inHook(exchange, Kind::Headers, Direction::Request, [&](Exchange& probed, HookCall&) {
      probed.host()->sendResponse(203, given, shaped.body, "");
    });
    exchange.requestHeaders(shaped.request);
    EXPECT_EQ(exchange.atClient().headers, shaped.expected);
    EXPECT_EQ(exchange.atClient().body, shaped.expectedBody);
    EXPECT_TRUE(exchange.atClient().ended);
  }
}

TEST_F(HostFakeTest, AReplyOfTheRouterNestsInContinue) {
  load(kHold);
  Exchange exchange(envoy_, config());
  exchange.onUpstreamHeaders = [](Exchange& answered) {
    answered.localReply(503, "no healthy upstream", "no_healthy_upstream");
  };
  List order;
  exchange.probeForTest = [&](Exchange& probed, HookCall& call) {
    if (call.kind == Kind::Wake) {
      probed.host()->continueMessage(Direction::Request);
      order.push_back("continued");
    } else if (call.kind == Kind::Complete) {
      order.push_back("complete");
    } else if (call.kind == Kind::LocalReply) {
      order.push_back("reply hook");
    } else if (call.direction == Direction::Response) {
      order.push_back("response hook");
    }
  };
  exchange.requestHeaders(kGet);
  exchange.wake();
  EXPECT_EQ(order, List({"reply hook", "response hook", "response hook", "complete", "continued"}));
  EXPECT_EQ(exchange.atClient().status(), 503U);
}

// --- Releases ---

TEST_F(HostFakeTest, AFilterIsDestroyedInsideTheCallBefore140AndAfterItSince) {
  load(kHold);
  for (const EnvoyRelease release :
       {EnvoyRelease::V1_38, EnvoyRelease::V1_39, EnvoyRelease::V1_40}) {
    FakeEnvoy envoy({.release = release});
    Exchange exchange(envoy, config());
    bool aliveAfterCall = false;
    exchange.probeForTest = [&](Exchange& probed, HookCall& call) {
      if (call.kind != Kind::Wake)
        return;
      StreamRef keep(*probed.stream());
      probed.host()->sendResponse(403, {}, "", "");
      aliveAfterCall = probed.stream() != nullptr;
    };
    exchange.requestHeaders(kGet);
    exchange.wake();
    EXPECT_EQ(aliveAfterCall, release == EnvoyRelease::V1_40);
    EXPECT_EQ(exchange.stream(), nullptr);
    EXPECT_EQ(exchange.atClient().status(), 403U);
  }
}

TEST_F(HostFakeTest, OnlyEnvoy138ShowsUsOurStreamedReply) {
  for (const EnvoyRelease release :
       {EnvoyRelease::V1_38, EnvoyRelease::V1_39, EnvoyRelease::V1_40}) {
    FakeEnvoy envoy({.release = release});
    Exchange exchange(envoy, config());
    int responseHooks = 0;
    exchange.probeForTest = [&](Exchange& probed, HookCall& call) {
      if (call.kind == Kind::Headers && call.direction == Direction::Request) {
        StreamRef keep(*probed.stream());
        const HeaderField fields[] = {{":status", "200"}, {"grpc-status", "7"}};
        keep->host().sendResponseHeaders(fields, true);
        // A streamed reply ends the stream before the call returns, from any hook.
        EXPECT_TRUE(probed.complete());
      } else if (call.direction == Direction::Response) {
        ++responseHooks;
      }
    };
    exchange.requestHeaders(kGet);
    EXPECT_EQ(responseHooks, release == EnvoyRelease::V1_38 ? 1 : 0);
    EXPECT_EQ(exchange.atClient().header("grpc-status"), "7");
    EXPECT_EQ(envoy.violations(), List());
  }
}

// --- Lifetime ---

TEST_F(HostFakeTest, NothingCanBeReadAfterTheStreamHasEnded) {
  Exchange exchange(envoy_, config());
  bool inComplete = false;
  inHook(exchange, Kind::Complete, Direction::Request, [&](Exchange& probed, HookCall&) {
    inComplete = probed.host()->header(HeaderMap::Request, ":path", 0).has_value();
  });
  bool afterwards = true;
  exchange.probeForTest = [&, inner = exchange.probeForTest](Exchange& probed, HookCall& call) {
    inner(probed, call);
    if (call.kind == Kind::Wake) {
      probed.host()->resetStream("gone");
      afterwards = probed.host()->header(HeaderMap::Request, ":path", 0).has_value();
    }
  };
  exchange.requestHeaders(kGet);
  exchange.wake();
  EXPECT_TRUE(inComplete);
  EXPECT_FALSE(afterwards);
  EXPECT_TRUE(exchange.atClient().reset);
}

TEST_F(HostFakeTest, CallsAfterTheEndAreViolations) {
  Stream* stream = nullptr;
  {
    Exchange exchange(envoy_, config());
    inHook(exchange, Kind::Complete, Direction::Request,
           [&](Exchange& probed, HookCall&) { probed.host()->sendResponse(500, {}, "", ""); });
    exchange.requestHeaders(kGet);
    stream = exchange.stream();
    stream->ref();
    exchange.clientLeaves();
  }
  EXPECT_FALSE(stream->host().header(HeaderMap::Request, ":path", 0).has_value());
  EXPECT_EQ(violations(), List({"sendResponse: called after the stream had ended",
                                "header: called after Envoy had destroyed the filter",
                                "release: 1 filters were never given back"}));
  stream->unref();
}

TEST_F(HostFakeTest, GivingTheFilterBackTooEarlyIsAViolation) {
  {
    Exchange exchange(envoy_, config());
    exchange.requestHeaders(kGet);
    exchange.stream()->unref();
    EXPECT_EQ(exchange.stream(), nullptr);
  }
  EXPECT_EQ(violations(), List({"release: Envoy still holds the filter"}));
}

TEST_F(HostFakeTest, CallsThatMayNestAreViolationsWhileTheScriptRuns) {
  // R10
  load(kHold);
  {
    Exchange exchange(envoy_, config());
    envoy_.setCluster("auth", [](const CalloutRequest&) { return CalloutAnswer::silent(); });
    exchange.requestHeaders(kGet);
    HostStream& host = *exchange.host();
    const js::Entry entry(exchange.stream()->runtime().engine(), {1'000'000, 1'000'000},
                          exchange.stream()->id());
    uint64_t id = 0;
    host.startCallout("auth", {}, "", true, id);
    host.continueMessage(Direction::Request);
  }
  EXPECT_EQ(violations(), List({"startCallout: called with the script on the stack",
                                "continueMessage(Request): called with the script on the stack"}));
}

// --- Time ---

TEST_F(HostFakeTest, WakesComeInOrderAndReplaceEachOther) {
  Exchange first(envoy_, config());
  Exchange second(envoy_, config());
  List order;
  const auto note = [&](const char* name) {
    return [&order, name, this](Exchange&, HookCall& call) {
      if (call.kind == Kind::Wake)
        order.push_back(name + std::string("@") +
                        std::to_string((envoy_.nowNs() - startNs_) / 1'000'000));
    };
  };
  first.requestHeaders(kGet);
  second.requestHeaders(kGet);
  startNs_ = host::monotonicNs();
  first.probeForTest = note("first");
  second.probeForTest = note("second");
  first.host()->wakeAt(startNs_ + 5'000'000);
  first.host()->wakeAt(startNs_ + 30'000'000);
  second.host()->wakeAt(startNs_ + 20'000'000);
  envoy_.advance(25);
  EXPECT_EQ(order, List({"second@20"}));
  second.host()->wakeAt(startNs_ + 26'000'000);
  second.host()->wakeAt(0);
  envoy_.advance(10);
  EXPECT_EQ(order, List({"second@20", "first@30"}));
  EXPECT_EQ(host::monotonicNs(), startNs_ + 35'000'000);
  // A deadline that has passed comes at once, but not inside the call.
  first.host()->wakeAt(startNs_);
  EXPECT_EQ(order.size(), 2U);
  envoy_.advance(0);
  EXPECT_EQ(order.back(), "first@35");
}

// --- Callouts ---

class HostFakeCalloutTest : public HostFakeTest {
protected:
  /** Starts a call as the core would; the events that follow are in `events_`. */
  CalloutStart start(Exchange& exchange, std::string_view cluster) {
    const HeaderField fields[] = {{":method", "GET"}, {":path", "/x"}, {":authority", "auth"}};
    return exchange.host()->startCallout(cluster, fields, "body", true, calloutId_);
  }

  uint64_t calloutId_ = 0;
};

TEST_F(HostFakeCalloutTest, StartsFailAsEnvoySaysAndThenNoEventFollows) {
  Exchange exchange(envoy_, config());
  int events = 0;
  exchange.probeForTest = [&](Exchange&, HookCall& call) {
    events += call.kind == Kind::Callout ? 1 : 0;
  };
  exchange.requestHeaders(kGet);
  envoy_.setCluster("auth", [](const CalloutRequest& request) -> std::optional<CalloutAnswer> {
    EXPECT_EQ(request.body, "body");
    return CalloutAnswer::failure(CalloutStart::CannotCreateRequest);
  });
  EXPECT_EQ(start(exchange, "unknown"), CalloutStart::ClusterNotFound);
  EXPECT_EQ(start(exchange, "auth"), CalloutStart::CannotCreateRequest);
  EXPECT_EQ(calloutId_, 0U);
  EXPECT_EQ(exchange.host()->startCallout("auth", {}, "", true, calloutId_),
            CalloutStart::MissingRequiredHeaders);
  while (envoy_.runNext()) {
  }
  EXPECT_EQ(events, 0);
}

TEST_F(HostFakeCalloutTest, AnAnswerIsHeadersDataAnEmptyLastPieceAndTheEnd) {
  Exchange exchange(envoy_, config());
  List times;
  exchange.probeForTest = [&](Exchange&, HookCall& call) {
    if (call.kind == Kind::Callout)
      times.push_back(std::to_string((envoy_.nowNs() - startNs_) / 1'000'000));
  };
  exchange.requestHeaders(kGet);
  startNs_ = envoy_.nowNs();
  envoy_.setCluster("auth", [](const CalloutRequest&) {
    CalloutAnswer answer = CalloutAnswer::of(200, "one", 10);
    answer.frames.push_back("two");
    answer.frameDelayMs = 5;
    return answer;
  });
  EXPECT_EQ(start(exchange, "auth"), CalloutStart::Started);
  EXPECT_EQ(calloutId_, 1U);
  EXPECT_TRUE(exchange.callouts().front().open);
  while (envoy_.runNext()) {
  }
  EXPECT_EQ(times, List({"10", "15", "20", "25", "25"}));
  EXPECT_FALSE(exchange.callouts().front().open);
}

TEST_F(HostFakeCalloutTest, AnAnswerToHeadAndA204And304EndWithTheirHeaders) {
  Exchange exchange(envoy_, config());
  exchange.requestHeaders(kGet);
  uint32_t status = 200;
  envoy_.setCluster("auth", [&](const CalloutRequest&) {
    return CalloutAnswer::of(status, "never sent");
  });
  int events = 0;
  exchange.probeForTest = [&](Exchange&, HookCall& call) {
    events += call.kind == Kind::Callout ? 1 : 0;
  };
  const auto eventsOf = [&](std::string_view method) {
    events = 0;
    const std::vector<HeaderField> fields = {
        {":method", method}, {":path", "/"}, {":authority", "auth"}};
    EXPECT_EQ(exchange.host()->startCallout("auth", fields, "", true, calloutId_), CalloutStart::Started);
    while (envoy_.runNext()) {
    }
    return events;
  };
  // Headers and completion; with a body two pieces of it between.
  EXPECT_EQ(eventsOf("GET"), 4);
  EXPECT_EQ(eventsOf("HEAD"), 2);
  status = 204;
  EXPECT_EQ(eventsOf("GET"), 2);
  status = 304;
  EXPECT_EQ(eventsOf("GET"), 2);
}

TEST_F(HostFakeCalloutTest, ResettingACallSendsItsResetEventInsideTheCallAndNothingAfter) {
  Exchange exchange(envoy_, config());
  int events = 0;
  exchange.probeForTest = [&](Exchange&, HookCall& call) {
    events += call.kind == Kind::Callout ? 1 : 0;
  };
  exchange.requestHeaders(kGet);
  envoy_.setCluster("auth",
                    [](const CalloutRequest&) { return CalloutAnswer::of(200, "late", 10); });
  start(exchange, "auth");
  exchange.host()->resetCallout(calloutId_);
  EXPECT_EQ(events, 1);
  EXPECT_TRUE(exchange.callouts().front().reset);
  exchange.host()->resetCallout(calloutId_);
  exchange.host()->resetCallout(99);
  while (envoy_.runNext()) {
  }
  EXPECT_EQ(events, 1);
}

TEST_F(HostFakeCalloutTest, CallsOfAStreamThatEndsAreCancelledWithoutAWord) {
  Exchange exchange(envoy_, config());
  int events = 0;
  exchange.probeForTest = [&](Exchange&, HookCall& call) {
    events += call.kind == Kind::Callout ? 1 : 0;
  };
  exchange.requestHeaders(kGet);
  envoy_.setCluster("auth",
                    [](const CalloutRequest&) { return CalloutAnswer::of(200, "late", 10); });
  start(exchange, "auth");
  exchange.clientLeaves();
  EXPECT_FALSE(exchange.callouts().front().open);
  while (envoy_.runNext()) {
  }
  EXPECT_EQ(events, 0);
}

TEST_F(HostFakeCalloutTest, EventsCanComeByHand) {
  Exchange exchange(envoy_, config());
  int events = 0;
  exchange.probeForTest = [&](Exchange&, HookCall& call) {
    events += call.kind == Kind::Callout ? 1 : 0;
  };
  exchange.requestHeaders(kGet);
  envoy_.setCluster("byHand", [](const CalloutRequest&) { return std::nullopt; });
  start(exchange, "byHand");
  exchange.calloutHeaders(calloutId_, kOk);
  exchange.calloutData(calloutId_, {"a", "b"}, true);
  exchange.calloutComplete(calloutId_);
  exchange.calloutComplete(calloutId_);
  EXPECT_EQ(events, 3);
}

TEST_F(HostFakeCalloutTest, AHandlerCanRunAnotherExchangeInsideTheStart) {
  // Our filter may be in the cluster's upstream chain as well.
  Exchange exchange(envoy_, config());
  exchange.requestHeaders(kGet);
  bool innerDone = false;
  envoy_.setCluster("self", [&](const CalloutRequest& request) -> std::optional<CalloutAnswer> {
    Exchange inner(envoy_, config());
    inner.requestHeaders(request.headers);
    inner.responseHeaders(kOk);
    innerDone = inner.atClient().ended;
    return CalloutAnswer::of(200);
  });
  EXPECT_EQ(start(exchange, "self"), CalloutStart::Started);
  EXPECT_TRUE(innerDone);
}

// --- Log and process ---

TEST_F(HostFakeTest, TheLogKeepsWhatItsLevelLetsThrough) {
  FakeEnvoy envoy({.concurrency = 3, .validating = true, .logLevel = LogLevel::Warn});
  host::log(LogLevel::Info, "quiet", "", 0);
  host::log(LogLevel::Error, "loud", "a.ts", 7);
  ASSERT_EQ(envoy.log().size(), 1U);
  EXPECT_EQ(envoy.log().front().level, LogLevel::Error);
  EXPECT_EQ(envoy.log().front().message, "loud");
  EXPECT_EQ(envoy.log().front().file, "a.ts");
  EXPECT_EQ(envoy.log().front().line, 7U);
  EXPECT_FALSE(host::logEnabled(LogLevel::Off));
  EXPECT_EQ(host::concurrency(), 3U);
  EXPECT_TRUE(host::validating());
}

TEST_F(HostFakeTest, HostCallsAreCounted) {
  Exchange exchange(envoy_, config());
  inHook(exchange, Kind::Headers, Direction::Request, [](Exchange& probed, HookCall&) {
    std::vector<HeaderField> lines;
    probed.host()->headers(HeaderMap::Request, lines);
    probed.host()->header(HeaderMap::Request, "a", 0);
    probed.host()->header(HeaderMap::Request, "b", 0);
  });
  exchange.requestHeaders(kGet);
  EXPECT_EQ(exchange.count(HostCall::Headers), 1U);
  EXPECT_EQ(exchange.count(HostCall::Header), 2U);
  EXPECT_EQ(exchange.count(HostCall::SetHeader), 0U);
}

// --- Whole exchanges ---

TEST_F(HostFakeTest, AWholeExchangeGoesThroughUntouched) {
  for (const bool endWithLastFrame : {false, true}) {
    ExchangePlan plan;
    plan.request = {kGet, {"a", "bc", ""}, {}, endWithLastFrame};
    plan.upstream.response = {kOk, {"x", "yz"}, {}, endWithLastFrame};
    plan.upstream.delayMs = 50;
    const ExchangeResult result = runExchange(envoy_, config(), plan);
    EXPECT_TRUE(result.complete);
    EXPECT_EQ(result.upstream.body, "abc");
    EXPECT_TRUE(result.upstream.ended);
    EXPECT_FALSE(result.upstream.reset);
    EXPECT_EQ(result.client.body, "xyz");
    EXPECT_TRUE(result.client.ended);
    EXPECT_FALSE(result.client.reset);
    EXPECT_EQ(result.elapsedNs, 50'000'000U);
  }
}

TEST_F(HostFakeTest, TrailersGoThroughInBothDirections) {
  ExchangePlan plan;
  plan.request = {kGet, {"a"}, HeaderList({{"t", "1"}}), false};
  plan.upstream.response = {kOk, {"b"}, HeaderList({{"grpc-status", "0"}}), false};
  const ExchangeResult result = runExchange(envoy_, config(), plan);
  EXPECT_EQ(result.upstream.trailers, HeaderList({{"t", "1"}}));
  EXPECT_EQ(result.client.trailers, HeaderList({{"grpc-status", "0"}}));
}

TEST_F(HostFakeTest, EveryKindOfUpstreamEndsTheExchangeAsEnvoyWould) {
  using Upstream = UpstreamBehavior::Kind;
  struct Case {
    Upstream kind;
    uint32_t status;
    uint32_t starts;
  };
  for (const Case& expected : {Case{Upstream::Answer, 204, 1}, Case{Upstream::LocalReply, 204, 1},
                               Case{Upstream::EarlierReply, 204, 0},
                               Case{Upstream::Disconnect, 503, 1}, Case{Upstream::Silent, 0, 1}}) {
    ExchangePlan plan;
    plan.request.headers = kGet;
    plan.upstream.kind = expected.kind;
    plan.upstream.response.headers = {{":status", "204"}};
    const ExchangeResult result = runExchange(envoy_, config(), plan);
    EXPECT_EQ(result.complete, expected.kind != Upstream::Silent);
    EXPECT_EQ(result.client.status(), expected.status);
    EXPECT_EQ(result.upstream.starts, expected.starts);
  }
}

TEST_F(HostFakeTest, AClientThatLeavesResetsTheUpstream) {
  ExchangePlan plan;
  plan.request.headers = kGet;
  plan.upstream.response.headers = kOk;
  plan.upstream.delayMs = 100;
  plan.clientLeavesAtMs = 40;
  const ExchangeResult result = runExchange(envoy_, config(), plan);
  EXPECT_TRUE(result.complete);
  EXPECT_EQ(result.elapsedNs, 40'000'000U);
  EXPECT_TRUE(result.client.reset);
  EXPECT_TRUE(result.upstream.reset);
}

TEST_F(HostFakeTest, AnUpstreamThatBreaksMidwayBreaksTheResponse) {
  Exchange exchange(envoy_, config());
  exchange.requestHeaders(kGet);
  exchange.responseHeaders(kOk, false);
  exchange.responseData("half");
  exchange.upstreamDisconnects();
  EXPECT_TRUE(exchange.atClient().reset);
  EXPECT_EQ(exchange.atClient().body, "half");
}

}  // namespace
}  // namespace fairlead
