// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

#include "quickjs/engine.h"

#include <alloca.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>
#include <thread>

namespace fairlead::js {
namespace {

constexpr uint64_t kMs = 1'000'000;
constexpr Budget kBudget{20 * kMs, 200 * kMs};
constexpr Budget kAmple{60'000 * kMs, 60'000 * kMs};

/// A runtime with one filter context and a host module that lets scripts talk to the test.
class World {
public:
  World() : runtime_(Runtime::create()) { addContext(); }
  ~World() {
    exports_.reset();
    promises_.clear();
    contexts_.clear();
  }
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  Runtime& runtime() { return *runtime_; }
  Context& context() { return *contexts_.front(); }
  JSContext* ctx() { return context().raw(); }

  Context& addContext() {
    contexts_.push_back(Context::create(*runtime_, Context::Kind::Filter, {module()}));
    contexts_.back()->setOpaque(this);
    return *contexts_.back();
  }

  static HostModule module() {
    return {"fairlead", {"note", "wait", "settle", "owner"}, &World::initModule};
  }

  Result<Value> tryLoad(std::string_view source, const Budget& budget = kAmple) {
    const auto bytecode = compile(source, "filter.js", {module()});
    if (!bytecode) return bytecode.error();
    return context().load(*bytecode, budget);
  }

  void load(std::string_view source) {
    auto loaded = tryLoad(source);
    ASSERT_TRUE(loaded) << loaded.error().message << " " << loaded.error().stack;
    exports_ = *std::move(loaded);
  }

  Value exported(const char* name) {
    return {ctx(), JS_GetPropertyStr(ctx(), exports_.get(), name)};
  }

  /// Calls an exported function within an open entry.
  Value call(const char* name) {
    const Value function = exported(name);
    return {ctx(), JS_Call(ctx(), function.get(), JS_UNDEFINED, 0, nullptr)};
  }

  /// One whole turn: enter, call, drain. Notes what came of it.
  struct Turn {
    Fault fault = Fault::None;
    uint64_t faultOwner = 0;
    uint64_t cpuUsedNs = 0;
    std::optional<Error> thrown;
    Fault thrownFault = Fault::None;
    JSPromiseStateEnum state = JS_PROMISE_NOT_A_PROMISE;
    std::optional<Error> rejection;
    Fault rejectionFault = Fault::None;
    std::string text;
    std::vector<Unhandled> unhandled;
  };
  Turn turn(const char* name, const Budget& budget = kBudget, uint64_t owner = 1) {
    Turn result;
    Entry entry(*runtime_, budget, owner);
    const Value value = call(name);
    if (value.isException()) result.thrown = takeException(ctx(), result.thrownFault);
    entry.drain();
    result.state = promiseState(ctx(), value.get());
    if (result.state == JS_PROMISE_REJECTED) {
      markHandled(ctx(), value.get());
      result.rejection = describeRejection(ctx(), value.get(), result.rejectionFault);
    }
    if (!value.isObject() && !value.isException()) {
      result.text = Utf8(ctx(), value.get()).view();
    }
    if (result.state == JS_PROMISE_FULFILLED) {
      const Value settled = promiseResult(ctx(), value.get());
      if (!settled.isObject()) result.text = Utf8(ctx(), settled.get()).view();
    }
    result.unhandled = runtime_->takeUnhandled();
    result.fault = entry.fault();
    result.faultOwner = entry.fault() == Fault::None ? 0 : entry.faultOwner();
    result.cpuUsedNs = entry.cpuUsedNs();
    return result;
  }

  /// Settles all that scripts wait for, within an open entry.
  void settleWaits() {
    const Value text = newByteString(ctx(), "settled");
    for (const Value& promise : std::exchange(promises_, {})) {
      settlePromise(ctx(), promise.get(), text.get(), false);
    }
  }
  Fault settleAll(uint64_t owner) {
    Entry entry(*runtime_, kBudget, owner);
    settleWaits();
    return entry.drain();
  }

  std::string notes() {
    std::string all;
    for (const std::string& note : std::exchange(notes_, {}))
      all += (all.empty() ? "" : " ") + note;
    return all;
  }

private:
  static World& from(JSContext* ctx) { return *static_cast<World*>(Context::from(ctx).opaque()); }

  static JSValue note(JSContext* ctx, JSValueConst, int, JSValueConst* argv) {
    const Utf8 text(ctx, argv[0]);
    if (!text) return JS_EXCEPTION;
    from(ctx).notes_.emplace_back(text.view());
    return JS_UNDEFINED;
  }
  static JSValue wait(JSContext* ctx, JSValueConst, int, JSValueConst*) {
    Value promise = newPromise(ctx);
    from(ctx).promises_.push_back(promise.dup());
    return promise.release();
  }
  static JSValue settle(JSContext* ctx, JSValueConst, int, JSValueConst* argv) {
    settlePromise(ctx, argv[0], argv[1], JS_ToBool(ctx, argv[2]) > 0);
    return JS_UNDEFINED;
  }
  static JSValue owner(JSContext* ctx, JSValueConst, int, JSValueConst*) {
    return JS_NewInt64(ctx, static_cast<int64_t>(Runtime::from(ctx).owner()));
  }
  static int initModule(JSContext* ctx, JSModuleDef* module) {
    JS_SetModuleExport(ctx, module, "note", JS_NewCFunction(ctx, note, "note", 1));
    JS_SetModuleExport(ctx, module, "wait", JS_NewCFunction(ctx, wait, "wait", 0));
    JS_SetModuleExport(ctx, module, "settle", JS_NewCFunction(ctx, settle, "settle", 3));
    JS_SetModuleExport(ctx, module, "owner", JS_NewCFunction(ctx, owner, "owner", 0));
    return 0;
  }

  std::unique_ptr<Runtime> runtime_;
  std::vector<std::unique_ptr<Context>> contexts_;
  Value exports_;
  std::vector<Value> promises_;
  std::vector<std::string> notes_;
};

/// What one exported expression gives, as text; a throw gives its message.
std::string evaluate(std::string_view expression) {
  World world;
  auto loaded =
      world.tryLoad("export function run() { return String(" + std::string(expression) + "); }");
  if (!loaded) return loaded.error().message;
  Entry entry(world.runtime(), kAmple, 1);
  const Value function(world.ctx(), JS_GetPropertyStr(world.ctx(), loaded->get(), "run"));
  const Value value(world.ctx(), JS_Call(world.ctx(), function.get(), JS_UNDEFINED, 0, nullptr));
  Fault fault;
  if (value.isException()) return takeException(world.ctx(), fault).message;
  return std::string(Utf8(world.ctx(), value.get()).view());
}

// --- Compile ---

TEST(CompileTest, GivesTheSameBytesEachTime) {
  const std::string source =
      "import { note } from 'fairlead'; export default { onRequest() { note(1n); } };";
  const auto first = compile(source, "filter.js", {World::module()});
  const auto second = compile(source, "filter.js", {World::module()});
  ASSERT_TRUE(first);
  EXPECT_EQ(*first, *second);
  const std::string text(first->begin(), first->end());
  EXPECT_EQ(text.find("onRequest() {"), text.npos) << "the source is stripped";
}

TEST(CompileTest, NamesThePlaceOfASyntaxError) {
  const auto result = compile("export const a = 1;\nlet b = ;\n", "dir/filter.js", {});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, "E_SYNTAX");
  EXPECT_EQ(result.error().file, "dir/filter.js");
  EXPECT_EQ(result.error().line, 2u);
  EXPECT_EQ(result.error().column, 9u);
  EXPECT_EQ(result.error().message, "SyntaxError: unexpected token in expression: ';'");
}

TEST(CompileTest, NamesAnUnknownModuleAndItsPlace) {
  const auto result = compile("\n  import fs from 'node:fs';", "filter.js", {World::module()});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, "E_UNKNOWN_IMPORT");
  EXPECT_NE(result.error().message.find("'node:fs'"), std::string::npos);
  EXPECT_NE(result.error().message.find("'fairlead'"), std::string::npos);
  EXPECT_EQ(result.error().line, 2u);
  EXPECT_EQ(result.error().column, 19u);
}

TEST(CompileTest, NamesAnUnknownExportAndItsPlace) {
  const auto result = compile("import { note,\n nope } from 'fairlead'; note(nope);", "filter.js",
                              {World::module()});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, "E_UNKNOWN_IMPORT");
  EXPECT_NE(result.error().message.find("'nope'"), std::string::npos);
  EXPECT_NE(result.error().message.find("'fairlead'"), std::string::npos);
  EXPECT_EQ(result.error().line, 2u);
  EXPECT_EQ(result.error().column, 2u);
}

TEST(CompileTest, RefusesImportAttributesAndRelativeNames) {
  EXPECT_EQ(compile("import a from 'fairlead' with { type: 'json' };", "f.js", {World::module()})
                .error()
                .code,
            "E_UNKNOWN_IMPORT");
  for (const char* name : {"./fairlead", "../fairlead", "f.js", "fairlead/", ""}) {
    const auto result = compile(std::string("import '") + name + "';", "f.js", {World::module()});
    ASSERT_FALSE(result) << name;
    EXPECT_EQ(result.error().code, "E_UNKNOWN_IMPORT") << name;
  }
}

TEST(CompileTest, SurvivesDeepAndBrokenSources) {
  EXPECT_EQ(compile(std::string(100'000, '['), "f.js", {}).error().code, "E_STACK_LIMIT");
  EXPECT_EQ(compile(std::string("let a = 1;\0let b;", 17), "f.js", {}).error().code, "E_SYNTAX");
  EXPECT_EQ(compile("let a = \"\xff\xfe", "f.js", {}).error().code, "E_SYNTAX");
  EXPECT_EQ(compile("/(/", "f.js", {}).error().code, "E_SYNTAX");
  EXPECT_TRUE(compile("", "f.js", {}));
}

// --- Load ---

TEST(LoadTest, GivesTheNamespaceAndPositionsOfTheSource) {
  World world;
  world.load("export function run() { return 'a' + 1; }\nexport function bad() {\n  null.x;\n}");
  EXPECT_EQ(world.turn("run").text, "a1");
  const auto turn = world.turn("bad");
  ASSERT_TRUE(turn.thrown);
  EXPECT_EQ(turn.thrown->file, "filter.js");
  EXPECT_EQ(turn.thrown->line, 3u);
  EXPECT_EQ(turn.thrown->message, "TypeError: cannot read property 'x' of null");
  EXPECT_NE(turn.thrown->stack.find("    at bad (filter.js:3:"), std::string::npos);
}

TEST(LoadTest, WaitsForMicrotasksOfTheTopLevel) {
  World world;
  world.load("let a = await Promise.resolve(7); await null; export const run = () => a;");
  EXPECT_EQ(world.turn("run").text, "7");
}

TEST(LoadTest, ReportsAThrowAtTheTopLevelWithCodeAndPlace) {
  World world;
  const auto plain = world.tryLoad("\nthrow new RangeError('no');");
  ASSERT_FALSE(plain);
  EXPECT_EQ(plain.error().code, "E_THROWN");
  EXPECT_EQ(plain.error().message, "RangeError: no");
  EXPECT_EQ(plain.error().line, 2u);

  World coded;
  EXPECT_EQ(coded.tryLoad("throw Object.assign(new Error('x'), { code: 'E_MINE' });").error().code,
            "E_MINE");

  World value;
  const auto thrown = value.tryLoad("\n\n  throw 5;");
  EXPECT_EQ(thrown.error().message, "5 was thrown, which is not an Error");
  EXPECT_EQ(thrown.error().line, 3u);
  EXPECT_TRUE(value.runtime().takeUnhandled().empty()) << "the load itself is the report";
}

TEST(LoadTest, RefusesATopLevelThatNeverSettles) {
  World world;
  EXPECT_EQ(world.tryLoad("await new Promise(() => {});").error().code, "E_TOP_LEVEL_PENDING");
}

TEST(LoadTest, StopsATopLevelThatLoops) { // H107
  for (const char* source : {"while (true) {}", "await null; for (;;) {}", "for (;;) await 0;",
                             "try { for (;;) {} } catch {} finally { for (;;) {} }"}) {
    World world;
    EXPECT_EQ(world.tryLoad(source, kBudget).error().code, "E_CPU_LIMIT") << source;
  }
}

TEST(LoadTest, RefusesImportsThatTheHostLost) {
  World world;
  HostModule newer = World::module();
  newer.exportNames.push_back("later");
  const auto bytecode = compile("import { later } from 'fairlead'; later();", "f.js", {newer});
  ASSERT_TRUE(bytecode);
  const auto loaded = world.context().load(*bytecode, kAmple);
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code, "E_UNKNOWN_IMPORT");
  EXPECT_NE(loaded.error().message.find("'later'"), std::string::npos);
}

TEST(LoadTest, RefusesBytecodeOfAScriptOrAnotherVersion) {
  std::vector<uint8_t> script;
  {
    const auto runtime = Runtime::create();
    const auto context = Context::create(*runtime, Context::Kind::Compiler);
    const Value function(context->raw(),
                         JS_Eval(context->raw(), "1", 1, "s.js", JS_EVAL_FLAG_COMPILE_ONLY));
    size_t size = 0;
    uint8_t* bytes = JS_WriteObject(context->raw(), &size, function.get(), JS_WRITE_OBJ_BYTECODE);
    script.assign(bytes, bytes + size);
    js_free(context->raw(), bytes);
  }
  World world;
  EXPECT_EQ(world.context().load(script, kAmple).error().code, "E_BYTECODE");
  script[0]++;
  EXPECT_EQ(world.context().load(script, kAmple).error().code, "E_BYTECODE");
  EXPECT_EQ(world.context().load({}, kAmple).error().code, "E_BYTECODE");
}

TEST(LoadTest, PassesOnWhatAHostModuleThrows) {
  const auto runtime = Runtime::create();
  const auto fails = [](JSContext* ctx, JSModuleDef*) {
    JS_ThrowTypeError(ctx, "not today");
    return -1;
  };
  const auto context =
      Context::create(*runtime, Context::Kind::Filter, {{"fairlead", {"a"}, fails}});
  const auto bytecode =
      compile("import { a } from 'fairlead'; a();", "f.js", {{"fairlead", {"a"}, nullptr}});
  const auto loaded = context->load(*bytecode, kAmple);
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().message, "TypeError: not today");
}

TEST(LoadTest, RefusesEveryDynamicImport) { // H122
  World world;
  world.load(R"(import 'fairlead'; export async function run() {
    let out = '';
    for (const name of ['fairlead', 'filter.js', './x.js', 'node:fs']) {
      try { await import(name); out += 'imported '; } catch (e) { out += e.code + ' '; }
    }
    return out; })");
  EXPECT_EQ(world.turn("run").text,
            "E_DYNAMIC_IMPORT E_DYNAMIC_IMPORT E_DYNAMIC_IMPORT E_DYNAMIC_IMPORT ");
}

// --- The world of a filter ---

TEST(ContextTest, LeavesOutWhatFiltersMustNotHave) {
  for (const char* name :
       {"WeakRef", "FinalizationRegistry", "performance", "SharedArrayBuffer", "Atomics"}) {
    EXPECT_EQ(evaluate(std::string("typeof ") + name), "undefined") << name;
  }
  for (const char* name : {"BigInt", "queueMicrotask", "Promise", "Proxy", "Map", "Uint8Array",
                           "atob", "DOMException"}) {
    EXPECT_EQ(evaluate(std::string("typeof ") + name), "function") << name;
  }
}

TEST(ContextTest, GivesNoWayToTheCompiler) { // H122
  for (const char* way : {
           "eval('1')",
           "(0, eval)('1')",
           "Function('return 1')()",
           "new Function('return 1')()",
           "(() => {}).constructor('return 1')()",
           "(async () => {}).constructor('return 1')()",
           "(function* () {}).constructor('return 1')()",
           "(async function* () {}).constructor('return 1')()",
           "Reflect.construct((() => {}).constructor, ['return 1'])()",
           "Array.prototype.map.constructor('return 1')()",
       }) {
    EXPECT_EQ(evaluate(way), "TypeError: eval is not supported") << way;
  }
  EXPECT_EQ(evaluate("new RegExp('a+').exec('caat')[0]"), "aa");
}

TEST(ContextTest, HasDomExceptionInEveryContextOfARuntime) {
  World world;
  world.load("export const run = () => { try { atob('*'); } catch (e) { return e instanceof "
             "DOMException && e.name; } };");
  EXPECT_EQ(world.turn("run").text, "InvalidCharacterError");
  Context& second = world.addContext();
  const auto bytecode = compile("export const ok = (() => { try { atob('*'); } catch (e) { return "
                                "e instanceof DOMException; } })();",
                                "f.js", {});
  auto loaded = second.load(*bytecode, kAmple);
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(
      JS_ToBool(second.raw(),
                Value(second.raw(), JS_GetPropertyStr(second.raw(), loaded->get(), "ok")).get()),
      1);
}

TEST(ContextTest, DrawsRandomNumbersThatDifferAndSpread) {
  World one;
  World two;
  constexpr std::string_view kSource = "export function run() { const all = []; for (let i = 0; i "
                                       "< 100; i++) all.push(Math.random()); return all.join(); }";
  one.load(kSource);
  two.load(kSource);
  std::set<std::string> seen;
  double sum = 0;
  for (World* world : {&one, &two, &one}) {
    std::string text = world->turn("run", kAmple).text + ',';
    for (size_t comma; (comma = text.find(',')) != text.npos; text.erase(0, comma + 1)) {
      const double number = std::stod(text);
      EXPECT_GE(number, 0);
      EXPECT_LT(number, 1);
      sum += number;
      seen.insert(text.substr(0, comma));
    }
  }
  EXPECT_EQ(seen.size(), 300u);
  EXPECT_NEAR(sum / 300, 0.5, 0.12);
  // The engine's own generator has one bit less.
  EXPECT_EQ(evaluate("Array.from({ length: 100 }, Math.random).some((n) => n * 2 ** 53 % 2 === 1)"),
            "true");
  EXPECT_EQ(evaluate("Math.random.name + Math.random.length + "
                     "Object.getOwnPropertyDescriptor(Math, 'random').enumerable"),
            "random0false");
}

TEST(ContextTest, SharesARuntimeButNotItsGlobals) {
  World world;
  world.load("globalThis.mine = 1; export const run = () => typeof mine;");
  Context& second = world.addContext();
  const auto bytecode = compile("export const seen = typeof mine;", "f.js", {});
  auto loaded = second.load(*bytecode, kAmple);
  ASSERT_TRUE(loaded);
  EXPECT_EQ(Utf8(second.raw(),
                 Value(second.raw(), JS_GetPropertyStr(second.raw(), loaded->get(), "seen")).get())
                .view(),
            "undefined");
  EXPECT_EQ(world.turn("run").text, "number");
}

TEST(ContextTest, IsMadeWholeWhateverTheMemoryLimit) { // R30
  World world;
  for (size_t extra = 0; extra < 100'000; extra += 1000) {
    world.runtime().setMemoryLimit(world.runtime().heapBytes() + extra);
    ASSERT_NE(Context::create(world.runtime(), Context::Kind::Filter), nullptr) << extra;
  }
}

TEST(ContextTest, CanBeReadAndWrittenOutsideAnEntry) {
  World world;
  world.load("export const run = () => 1;");
  world.turn("run");
  // What the host does polls too, and these are more polls than the engine has between two.
  const Value object(world.ctx(), JS_NewObject(world.ctx()));
  for (int i = 0; i < 30'000; ++i) {
    const Value function(world.ctx(), JS_GetPropertyStr(world.ctx(), object.get(), "toString"));
    const Value text(world.ctx(),
                     JS_Call(world.ctx(), function.get(), object.get(), 0, nullptr));
    ASSERT_TRUE(text.isString()) << i;
  }
}

TEST(ContextTest, TakesItsQueuedJobsAndRejectionsAlong) {
  World world;
  world.load("export const run = () => 'alive';");
  {
    const auto other = Context::create(world.runtime(), Context::Kind::Filter);
    const auto bytecode = compile("export function run() { Promise.reject(new Error('x')); "
                                  "queueMicrotask(() => { throw 1; }); }",
                                  "f.js", {});
    auto loaded = other->load(*bytecode, kAmple);
    ASSERT_TRUE(loaded);
    Entry entry(world.runtime(), kBudget, 1);
    const Value function(other->raw(), JS_GetPropertyStr(other->raw(), loaded->get(), "run"));
    const Value result(other->raw(),
                       JS_Call(other->raw(), function.get(), JS_UNDEFINED, 0, nullptr));
    EXPECT_TRUE(world.runtime().hasJobs());
  }
  EXPECT_FALSE(world.runtime().hasJobs());
  const auto turn = world.turn("run");
  EXPECT_EQ(turn.text, "alive");
  EXPECT_TRUE(turn.unhandled.empty());
}

// --- CPU ---

TEST(CpuTest, ReadsNoClockForAShortHook) {
  World world;
  world.load("export function run() { return 1; }\nexport function loop() { for (let i = 0; i < "
             "1000; i++); }");
  EXPECT_EQ(world.turn("run").cpuUsedNs, 0u);
  EXPECT_GT(world.turn("loop").cpuUsedNs, 0u);
}

class StopTest : public testing::TestWithParam<const char*> {};

TEST_P(StopTest, StopsItAndTheRuntimeGoesOn) { // H101 H102 H103 H105
  World world;
  world.load(std::string("import { note } from 'fairlead';\nexport const fine = () => 'fine';\n") +
             GetParam());
  const auto turn = world.turn("run");
  EXPECT_EQ(turn.fault, Fault::Cpu);
  EXPECT_EQ(turn.faultOwner, 1u);
  EXPECT_GE(turn.cpuUsedNs, kBudget.cpuNs);
  EXPECT_LT(turn.cpuUsedNs, kBudget.cpuNs + 50 * kMs);
  EXPECT_NE(turn.state, JS_PROMISE_FULFILLED);
  if (turn.thrown) {
    EXPECT_EQ(turn.thrownFault, Fault::Cpu);
    EXPECT_EQ(turn.thrown->code, "E_CPU_LIMIT");
  }
  EXPECT_EQ(world.notes(), "") << "no catch and no finally ran";
  world.runtime().dropJobsOf(1);
  EXPECT_FALSE(world.runtime().hasJobs());
  EXPECT_EQ(world.turn("fine").text, "fine");
}

INSTANTIATE_TEST_SUITE_P(
    Loops, StopTest,
    testing::Values(
        "export function run() { while (true) {} }",
        "export function run() { for (;;) { try { try { while (true) {} } catch { note('c'); } "
        "finally { note('f'); } }"
        " catch { note('C'); } finally { note('F'); } } }",
        "export async function run() { try { for (;;) {} } finally { note('f'); } }",
        "export function run() { return (async () => { await 0; for (;;) {} })().catch(() => "
        "note('c')); }",
        "export function run() { for (const x of (function* () { for (;;) {} })()) note(x); }",
        "export function run() { return ({ get x() { for (;;) {} } }).x; }",
        "export function run() { return `${{ toString() { for (;;) {} } }}`; }",
        "export function run() { return new Proxy({}, { get() { for (;;) {} } }).x; }",
        "export function run() { return [2, 1].sort(() => { for (;;) {} }); }",
        "export function run() { return class { static { for (;;) {} } }; }",
        "export function run() { return new Promise(() => { for (;;) {} }); }",
        "export function run() { for (;;) new Promise(() => { for (;;) {} }); }",
        "export function run() { JSON.parse('[1]', () => { for (;;) {} }); }",
        "export function run() { return /(a+)+$/.test('a'.repeat(40) + 'b'); }",
        "export function run() { for (;;) { /(a+)+$/.test('a'.repeat(40) + 'b'); } }",
        "export async function run() { for (;;) await 0; }",
        "export async function run() { for await (const x of (async function* () { for (;;) yield "
        "1; })()); }",
        "export async function run() { await (async function* () { for (;;) {} })().next(); }",
        "export async function run() { await { then() { for (;;) {} } }; }",
        "export async function run() { const t = { then(r) { r(t); } }; await t; }",
        "export async function run() { await { get then() { for (;;) {} } }; }",
        "export function run() { const again = () => Promise.resolve().then(again); return "
        "again(); }",
        "export function run() { Error.prepareStackTrace = () => { for (;;) {} }; return new "
        "Error('x').stack; }"));

/// One call of a built-in that takes long: `make` gives its `input` while the script loads.
struct LongCall {
  const char* make;
  const char* call;
};

void PrintTo(const LongCall& form, std::ostream* out) { *out << form.make << ": " << form.call; }

class BuiltinStopTest : public testing::TestWithParam<LongCall> {};

// The rows H109 to H117 in sizes that a sanitized build makes in bounded time.
TEST_P(BuiltinStopTest, StopsItWhereverItIsAndLeavesAWholeHeap) {
  // F069 H109 H110 H111 H112 H113 H114 H115 H116 H117
  World world;
  world.runtime().setMemoryLimit(128 << 20);
  world.load(std::string("export const fine = () => ['fine', 'as', 'before'].sort().join(' ');\n") +
             "const input = " + GetParam().make + ";\n" + "export const run = () => { " +
             GetParam().call + " };");
  for (const uint64_t budgetNs : {uint64_t{0}, 1 * kMs, 5 * kMs}) {
    const auto turn = world.turn("run", {budgetNs, 200 * kMs});
    EXPECT_EQ(turn.fault, Fault::Cpu);
    EXPECT_LT(turn.cpuUsedNs, budgetNs + 50 * kMs);
    EXPECT_TRUE(turn.thrown && turn.thrownFault == Fault::Cpu);
    EXPECT_EQ(world.turn("fine").text, "as before fine");
  }
}

const LongCall kLongCalls[] = {
    // BigInt
    {"7n ** 20000n", "return input ** 16n"},
    {"(1n << 500000n) - 1n", "return input * input"},
    {"[(1n << 1000000n) - 1n, (1n << 500000n) - 1n]", "return input[0] / input[1]"},
    {"[(1n << 1000000n) - 1n, (1n << 500000n) - 1n]", "return input[0] % input[1]"},
    {"(1n << 500000n) - 1n", "return input.toString()"},
    {"-(1n << 500000n)", "return input.toString(3)"},
    {"'9'.repeat(300000)", "return BigInt(input)"},
    {"'9'.repeat(300000)", "return 1n == input"},
    {"(1n << 999999n) - 1n", "for (;;) { input << 1n; input >> 1n; -input; input & 1n; }"},
    // JSON
    {"'[' + '1,'.repeat(1e6) + '1]'", "return JSON.parse(input)"},
    {"'[' + '{\"a\":[\"b\"]},'.repeat(2e5) + '1]'", "return JSON.parse(input)"},
    {"'[' + '{\"a\":[\"b\"]},'.repeat(5e4) + '1]'",
     "return JSON.parse(input, (key, value) => value)"},
    {"'\"' + '\\\\u0041'.repeat(2e6) + '\"'", "return JSON.parse(input)"},
    {"' '.repeat(3e7)", "return JSON.parse(input)"},
    {"Array.from({ length: 2e5 }, (_, i) => i)", "return JSON.stringify(input)"},
    {"Array.from({ length: 5e4 }, (_, i) => ({ i }))", "return JSON.stringify(input, null, 4)"},
    {"'\\n\\u0100'.repeat(2e6)", "return JSON.stringify(input)"},
    {"Array.from({ length: 2e4 }, (_, i) => 'k' + i)", "return JSON.stringify({}, input)"},
    // sorts
    {"Array.from({ length: 1e5 }, (_, i) => (i * 7919) % 100003)", "return input.slice().sort()"},
    {"Array.from({ length: 1e5 }, (_, i) => (i * 7919) % 100003)", "return input.toSorted()"},
    {"Array.from({ length: 1e5 }, (_, i) => 'x' + i)",
     "return input.sort(() => Math.random() - 0.5)"},
    {"Array.from({ length: 1e5 }, (_, i) => i)", "return input.toSorted(Math.max)"},
    {"Array.from({ length: 100 }, (_, i) => 'x'.repeat(1e5) + i)", "for (;;) input.sort()"},
    {"0", "return Array.prototype.sort.call({ length: 2 ** 53 - 1 })"},
    {"new Float64Array(1e6).map((_, i) => (i * 7919) % 1000003)", "return input.slice().sort()"},
    {"new Int16Array(3e6).map((_, i) => i * 7919)", "return input.toSorted()"},
    {"new Uint32Array(1e5).map((_, i) => i * 7919)", "return input.sort((a, b) => b - a)"},
    // strings
    {"'ab'.repeat(1e6)", "return input.replaceAll('a', 'b')"},
    {"'ab'.repeat(1e6)", "return input.replaceAll('a', () => 'b')"},
    {"'ab'.repeat(1e6)", "return input.replaceAll('', '$$')"},
    {"'ab'.repeat(1e6)", "return input.replace(/a/g, '$&$&')"},
    {"'ab'.repeat(1e6)", "return input.split('')"},
    {"'ab'.repeat(1e6)", "return input.split('a')"},
    {"'ab'.repeat(1e6)", "return input.split(/a/)"},
    {"'ab'.repeat(1e6)", "return [...input]"},
    {"'ab'.repeat(1e6)", "return input.match(/a/g)"},
    {"'a\\u0301'.repeat(5e5)", "return input.normalize()"},
    {"'\\u0301\\u0327'.repeat(1e5)", "return input.normalize('NFD')"},
    {"'\\ufdfa'.repeat(1e5)", "return input.normalize('NFKC')"},
    {"0", "return 'x'.repeat(6e7)"},
    {"0", "return 'ab'.repeat(3e7)"},
    {"0", "return '\\u0100bc'.repeat(1e7)"},
    {"0", "return ''.padStart(6e7, 'ab')"},
    {"0", "return 'x'.padEnd(6e7)"},
    {"'\\u00e9'.repeat(1e6)", "return encodeURIComponent(input)"},
    {"'%41'.repeat(2e6)", "return decodeURIComponent(input)"},
    {"'\\u00e9'.repeat(2e6)", "return escape(input)"},
    {"'%41'.repeat(2e6)", "return unescape(input)"},
    {"'\"'.repeat(2e6)", "return 'x'.anchor(input)"},
    {"'x'.repeat(2e6)", "return RegExp.escape(input)"},
    {"'\\u00e9'.repeat(2e6)", "return input.toLocaleUpperCase()"},
    {"'A\\u03a3'.repeat(1e6)", "return input.toLowerCase()"},
    {"'\\u00e9\\u0301'.repeat(5e5)", "return (input + '1').localeCompare(input + '2')"},
    {"'\\u0100'.repeat(2e6)", "for (;;) input.isWellFormed()"},
    {"0", "return String.raw({ raw: { length: 2 ** 53 - 1 } })"},
    // search
    {"['a'.repeat(2e5), 'a'.repeat(1e5) + 'b']", "return input[0].indexOf(input[1])"},
    {"['a'.repeat(2e5), 'a'.repeat(1e5) + 'b']", "return input[0].includes(input[1])"},
    {"['a'.repeat(2e5), 'a'.repeat(1e5) + 'b']", "return input[0].lastIndexOf(input[1])"},
    {"['a'.repeat(2e5), 'a'.repeat(1e5) + 'b']", "return input[0].split(input[1])"},
    {"['a'.repeat(2e5), 'a'.repeat(1e5) + 'b']", "return input[0].replaceAll(input[1], '')"},
    {"['a'.repeat(2e5) + '\\u0100', 'a'.repeat(1e5) + 'b']", "return input[0].indexOf(input[1])"},
    {"'a'.repeat(3e7)", "for (;;) input.indexOf('b')"},
    {"Array.from({ length: 1e5 }, (_, i) => i)",
     "for (;;) { input.includes(-1); input.indexOf(-1); input.lastIndexOf(-1); }"},
    // lengths without elements
    {"Array.prototype", "return input.reverse.call({ length: 2 ** 53 - 1 })"},
    {"Array.prototype", "return input.join.call({ length: 2 ** 53 - 1 })"},
    {"Array.prototype", "return input.copyWithin.call({ length: 2 ** 53 - 1 }, 0, 1)"},
    {"Array.prototype", "return input.fill.call({ length: 2 ** 53 - 1 })"},
    {"Array.prototype", "return input.slice.call({ length: 2 ** 53 - 1 }, 0, 2 ** 32 - 1)"},
    {"Array.prototype", "return input.splice.call({ length: 2 ** 53 - 1 }, 0, 1)"},
    {"Array.prototype", "return input.splice.call({ length: 2 ** 53 - 2 }, 0, 0, 1)"},
    {"Array.prototype", "return input.unshift.call({ length: 2 ** 53 - 2 }, 1)"},
    {"Array.prototype", "return input.flat.call({ length: 2 ** 53 - 1 })"},
    {"Array.prototype", "return input.toReversed.call({ length: 1e6 })"},
    {"Array.prototype", "return input.toSpliced.call({ length: 1e6 }, 0, 1)"},
    {"Array.prototype", "return input.with.call({ length: 1e6 }, 0, 1)"},
    {"Array.prototype",
     "return [].concat({ length: 2 ** 53 - 1, [Symbol.isConcatSpreadable]: true })"},
    // many elements
    {"0", "return new Array(5e6).fill(0)"},
    {"0", "return Array.from({ length: 1e7 })"},
    {"0", "return new Float64Array({ length: 1e7 })"},
    {"Array.from({ length: 5e5 }, (_, i) => i)", "return [...input, ...input, ...input]"},
    {"Array.from({ length: 5e5 }, (_, i) => i)", "for (;;) input.concat(input)"},
    {"Array.from({ length: 5e5 }, (_, i) => i)", "for (;;) input.reverse()"},
    {"Array.from({ length: 5e5 }, (_, i) => i)", "for (;;) input.copyWithin(1, 0)"},
    {"Object.fromEntries(Array.from({ length: 5e4 }, (_, i) => ['k' + i, i]))",
     "return { ...input, ...input }"},
    {"Object.fromEntries(Array.from({ length: 5e4 }, (_, i) => ['k' + i, i]))",
     "return Object.getOwnPropertyDescriptors(input)"},
    {"new Uint8Array(8e6)", "for (;;) input.toReversed()"},
    {"new Uint8Array(8e6)",
     "for (;;) { input.reverse(); input.fill(1); input.indexOf(2); input.copyWithin(1, 0); }"},
    {"[new Uint8Array(2e6), new Float64Array(2e6)]", "return input[0].set(input[1])"},
    {"new Uint8Array(2e6)", "return input.join()"},
    // expressions
    {"'a|'.repeat(1e5)", "return new RegExp(input)"},
    {"'\\\\k<a>'.repeat(1e4) + '(?<a>x)'", "return new RegExp(input)"},
    {"'[a-z\\\\d]'.repeat(1e5)", "return new RegExp(input)"},
    {"`[${Array.from({ length: 2e4 }, (_, i) => String.fromCharCode(256 + 2 * i)).join('')}]`",
     "return new RegExp(input)"},
    {"'[\\\\p{L}' + '--\\\\p{Lu}'.repeat(1e3) + ']'", "return new RegExp(input, 'v')"},
    {"'(?<=' + 'a'.repeat(1e5) + ')'", "return new RegExp(input)"},
};

INSTANTIATE_TEST_SUITE_P(Builtins, BuiltinStopTest, testing::ValuesIn(kLongCalls));

TEST(CpuTest, StopsARegexpOfManyStates) { // H103
  World world;
  world.runtime().setMemoryLimit(16 << 20);
  world.load("export function run() { return /(x+x+)+y/.test('x'.repeat(5000)); }");
  EXPECT_NE(world.turn("run").fault, Fault::None);
}

TEST(CpuTest, LeavesThePromiseOfAStoppedTurnPendingForEver) { // R32
  World world;
  world.load("import { note } from 'fairlead'; let p; export async function run() { await 0; for "
             "(;;) {} }\n"
             "export function start() { p = run(); p.then(() => note('settled'), () => "
             "note('settled')); }\n"
             "export const fine = () => 'fine';");
  EXPECT_EQ(world.turn("start").fault, Fault::Cpu);
  world.runtime().dropAllJobs();
  EXPECT_EQ(world.turn("fine").text, "fine");
  EXPECT_EQ(world.notes(), "");
}

TEST(CpuTest, CountsTheSmallerOfBothBudgets) {
  World world;
  world.load("export function run() { for (;;) {} }");
  const auto stream = world.turn("run", {1000 * kMs, 3 * kMs});
  EXPECT_EQ(stream.fault, Fault::Cpu);
  EXPECT_LT(stream.cpuUsedNs, 40 * kMs);
  const auto empty = world.turn("run", {1000 * kMs, 0});
  EXPECT_EQ(empty.fault, Fault::Cpu);
  EXPECT_LT(empty.cpuUsedNs, 30 * kMs);
}

TEST(CpuTest, LeavesALoopWithinItsBudgetAlone) {
  World world;
  world.load(
      "export function run() { let n = 0; for (let i = 0; i < 20000; i++) n += i; return n; }");
  const auto turn = world.turn("run", {2000 * kMs, 2000 * kMs});
  EXPECT_EQ(turn.fault, Fault::None);
  EXPECT_EQ(turn.text, "199990000");
}

TEST(CpuTest, CountsTheTimeOfTheThreadAndNotOfTheClock) {
  World world;
  world.load("export function run() { for (let i = 0; i < 3000; i++); }");
  Entry entry(world.runtime(), {30 * kMs, 30 * kMs}, 1);
  EXPECT_FALSE(world.call("run").isException());
  // Time goes by without the thread running, as on a busy machine.
  const timespec pause{0, 60 * static_cast<long>(kMs)};
  nanosleep(&pause, nullptr);
  EXPECT_FALSE(world.call("run").isException());
  EXPECT_EQ(entry.fault(), Fault::None);
}

TEST(CpuTest, KeepsAFaultForTheRestOfTheEntry) {
  World world;
  world.load("import { note } from 'fairlead'; export function run() { for (;;) {} }\n"
             "export function after() { for (let i = 0; i < 500; i++); note('ran'); }");
  Entry entry(world.runtime(), kBudget, 1);
  EXPECT_TRUE(world.call("run").isException());
  EXPECT_EQ(entry.fault(), Fault::Cpu);
  EXPECT_TRUE(world.call("after").isException());
  EXPECT_EQ(entry.drain(), Fault::Cpu);
  EXPECT_EQ(world.notes(), "");
}

TEST(CpuTest, BoundsTheNumberOfJobs) { // H104
  World world;
  world.load(
      "export function most() { for (let i = 0; i < 100000; i++) queueMicrotask(() => {}); }\n"
      "export function more() { for (let i = 0; i < 100001; i++) queueMicrotask(() => {}); }\n"
      "export function endless() { const again = () => queueMicrotask(again); again(); }");
  EXPECT_EQ(world.turn("most", kAmple).fault, Fault::None);
  EXPECT_EQ(world.turn("more", kAmple).fault, Fault::Cpu);
  world.runtime().dropAllJobs();
  EXPECT_EQ(world.turn("endless", kAmple).fault, Fault::Cpu);
  EXPECT_TRUE(world.runtime().hasJobs());
}

// --- Memory ---

class MemoryTest : public testing::TestWithParam<const char*> {};

TEST_P(MemoryTest, EndsTheRuntimeEvenIfTheScriptCaughtIt) { // H118 H120 R29
  World world;
  world.runtime().setMemoryLimit(4 << 20);
  world.load(std::string("import { note } from 'fairlead';\n") + GetParam());
  const auto turn = world.turn("run", kAmple, 7);
  EXPECT_EQ(turn.fault, Fault::Memory);
  EXPECT_EQ(turn.faultOwner, 7u);
  EXPECT_TRUE(world.runtime().outOfMemory());
  if (turn.thrown) {
    EXPECT_EQ(turn.thrownFault, Fault::Memory);
    EXPECT_EQ(turn.thrown->code, "E_MEMORY_LIMIT");
  }
  EXPECT_EQ(world.notes(), "");
  EXPECT_LE(world.runtime().heapBytes(), (4u << 20) + 128 * 1024);
}

INSTANTIATE_TEST_SUITE_P(
    Growth, MemoryTest,
    testing::Values(
        "export function run() { let s = 'x'; for (;;) { s += s; s.at(-1); } }",
        "export function run() { return 'x'.repeat(2 ** 29); }",
        "export function run() { const all = []; for (;;) all.push(new ArrayBuffer(1 << 20)); }",
        "export function run() { return new ArrayBuffer(1e9); }", // F070
        "export function run() { return new Uint8Array(1e8); }",
        "export function run() { const b = new ArrayBuffer(8, { maxByteLength: 1e9 }); "
        "b.resize(9e8); }",
        "export function run() { const m = new Map(); for (let i = 0; ; i++) m.set(i, () => i); }",
        "export function run() { const a = []; for (;;) a.push({}); }",
        "export function run() { const a = []; for (;;) { try { a.push({ a: [a] }); } catch {} } }",
        "export function run() { for (;;) { try { new ArrayBuffer(1e8); } catch (e) { e = null; } "
        "} }",
        "export function run() { try { new ArrayBuffer(1e8); } catch { return 'caught'; } }",
        "export async function run() { const a = []; for (;;) { try { await 0; a.push(new "
        "Array(1000).fill(a)); } catch {} } }",
        "export function run() { const a = []; const go = () => { try { for (;;) a.push([a]); } "
        "finally { go(); } }; go(); }",
        "export function run() { return /(x+x+)+y/.test('x'.repeat(2e6)); }",
        "export async function run() { const a = []; for (;;) { const p = new Promise(() => {}); "
        "a.push(p, p.then(() => a)); } }"));

TEST(MemoryLimitTest, IsNotNeededForStringsLongerThanTheEngineAllows) { // H120
  World world;
  world.runtime().setMemoryLimit(4 << 20);
  world.load("export function run() { let s = 'x'; for (;;) s += s; }");
  const auto turn = world.turn("run");
  EXPECT_EQ(turn.fault, Fault::None);
  EXPECT_EQ(turn.thrown->message, "InternalError: string too long");
}

TEST(MemoryLimitTest, LetsThroughWhatFitsUnderIt) {
  World world;
  world.runtime().setMemoryLimit(4 << 20);
  world.load("export function under() { return new ArrayBuffer(3 << 20).byteLength; }\n"
             "export function over() { return new ArrayBuffer(4 << 20).byteLength; }");
  const auto under = world.turn("under");
  EXPECT_EQ(under.fault, Fault::None);
  EXPECT_EQ(under.text, "3145728");
  EXPECT_EQ(world.turn("over").fault, Fault::Memory);
}

TEST(MemoryLimitTest, CountsWhatIsThereAndForgetsWhatIsFreed) {
  World world;
  world.load("let kept; export function keep() { kept = new ArrayBuffer(1 << 20); }\n"
             "export function drop() { kept = null; }");
  const size_t before = world.runtime().heapBytes();
  world.turn("keep");
  EXPECT_GE(world.runtime().heapBytes(), before + (1 << 20));
  world.turn("drop");
  EXPECT_LT(world.runtime().heapBytes(), before + (1 << 16));
}

TEST(MemoryLimitTest, StopsWhatLeavesNoRoomForTheStop) {
  World world;
  world.runtime().setMemoryLimit(4 << 20);
  world.load("export let caught = false; export function run() { let head;\n"
             "  try { for (;;) { try { head = { head }; } catch {} } } catch { caught = true; } }");
  EXPECT_EQ(world.turn("run", kAmple).fault, Fault::Memory);
  EXPECT_EQ(JS_ToBool(world.ctx(), world.exported("caught").get()), 0);
}

TEST(MemoryLimitTest, IsStickyAcrossEntries) {
  World world;
  world.runtime().setMemoryLimit(4 << 20);
  world.load("export function run() { try { new ArrayBuffer(1e8); } catch {} }\nexport function "
             "later() { return 1; }");
  EXPECT_EQ(world.turn("run").fault, Fault::Memory);
  EXPECT_EQ(world.turn("later").fault, Fault::Memory);
}

TEST(MemoryLimitTest, NamesTheOwnerWhoseCodeHitIt) {
  World world;
  world.runtime().setMemoryLimit(4 << 20);
  world.load("import { wait } from 'fairlead'; export async function greedy() { await wait(); new "
             "ArrayBuffer(1e8); }");
  world.turn("greedy", kBudget, 5);
  Entry entry(world.runtime(), kBudget, 6);
  world.settleWaits();
  EXPECT_EQ(entry.drain(), Fault::Memory);
  EXPECT_EQ(entry.faultOwner(), 5u);
}

TEST(MemoryLimitTest, SurvivesEverySmallLimit) { // R30
  const auto bytecode = compile(R"(
    const keep = [];
    export async function run() {
      for (let i = 0; i < 6; i++) {
        keep.push({ i, s: 'x'.repeat(i * 10), m: new Map([[i, [i]]]), b: new Uint8Array(100) });
        try {
          JSON.parse('{"a":[1,2,{"b":"cé"}]}', /a(b)c/.exec('xabc'));
          await null;
          throw new TypeError('t' + i);
        } catch (e) {
          keep.push(e.stack, class extends Array {}, function* () { yield i; }, 10n ** 40n);
        }
      }
      return keep.length;
    })",
                                "filter.js", {});
  ASSERT_TRUE(bytecode);
  int failed = 0;
  int passed = 0;
  for (size_t extra = 0; extra < 80'000; extra += 16) {
    const auto runtime = Runtime::create();
    const auto context = Context::create(*runtime, Context::Kind::Filter);
    ASSERT_NE(context, nullptr);
    runtime->setMemoryLimit(runtime->heapBytes() + extra);
    const auto loaded = context->load(*bytecode, kAmple);
    if (!loaded) {
      EXPECT_EQ(loaded.error().code, "E_MEMORY_LIMIT") << extra << " " << loaded.error().message;
      ++failed;
      continue;
    }
    Entry entry(*runtime, kAmple, 1);
    const Value function(context->raw(), JS_GetPropertyStr(context->raw(), loaded->get(), "run"));
    const Value promise(context->raw(),
                        JS_Call(context->raw(), function.get(), JS_UNDEFINED, 0, nullptr));
    Fault fault;
    if (promise.isException()) takeException(context->raw(), fault);
    entry.drain();
    (void)runtime->takeUnhandled();
    ASSERT_NE(entry.fault(), Fault::Cpu);
    ++(entry.fault() == Fault::Memory ? failed : passed);
  }
  EXPECT_GT(failed, 1000);
  EXPECT_GT(passed, 100);
}

// --- Stack ---

TEST(StackTest, ThrowsARangeErrorThatScriptsCanCatch) { // H121
  World world;
  world.runtime().setStackLimit(256 << 10);
  world.load(R"(
    const deep = () => deep() + 1;
    const a = () => b() + 1, b = () => a() + 1;
    function nested() {
      let p = {};
      for (let i = 0; i < 2e4; i++) p = new Proxy(p, {});
      return p.x;
    }
    function classes() {
      let c = class {};
      for (let i = 0; i < 2e4; i++) c = class extends c {};
      return new c();
    }
    export function run() {
      const tries = [deep, a, nested, classes,
        () => JSON.stringify({ toJSON() { return JSON.stringify(this); } }),
        () => `${{ [Symbol.toPrimitive]() { return `${this}`; } }}`,
        () => 'a'.replace(/a/, function again() { return 'a'.replace(/a/, again); }),
        () => JSON.parse('['.repeat(1e5)),
        () => { let o = {}; for (let i = 0; i < 2e4; i++) o = { o }; return JSON.stringify(o); }];
      const attempt = (f) => { try { f(); return 'ok'; } catch (e) { return e.constructor.name; } };
      return tries.map(attempt).join();
    }
    export function uncaught() { deep(); }
    export async function rejected() { await 0; deep(); })");
  EXPECT_EQ(world.turn("run", kAmple).text,
            "RangeError,RangeError,RangeError,RangeError,RangeError,RangeError,RangeError,"
            "RangeError,RangeError");
  const auto turn = world.turn("uncaught");
  EXPECT_EQ(turn.fault, Fault::None) << "the runtime is fine";
  EXPECT_EQ(turn.thrownFault, Fault::Stack);
  EXPECT_EQ(turn.thrown->code, "E_STACK_LIMIT");
  EXPECT_EQ(turn.thrown->line, 2u);
  const auto rejected = world.turn("rejected");
  EXPECT_EQ(rejected.rejectionFault, Fault::Stack);
  EXPECT_EQ(world.turn("run", kAmple).fault, Fault::None);
}

/// Calls `run` with a stack that is this much deeper.
template <class Run> [[gnu::noinline]] void deeper(size_t bytes, Run run) {
  auto* space = static_cast<volatile char*>(alloca(bytes));
  for (size_t i = 0; i < bytes; i += 512) space[i] = 1;
  run();
}

TEST(StackTest, IsMeasuredFromEachEntry) { // R31
  World world;
  world.runtime().setStackLimit(256 << 10);
  world.load("const down = (n) => n && down(n - 1) + 1; export const run = () => down(10);");
  deeper(600 << 10, [&] { EXPECT_EQ(world.turn("run").text, "10"); });
  EXPECT_EQ(world.turn("run").text, "10");
  std::string fromThread;
  std::thread([&] { fromThread = world.turn("run").text; }).join();
  EXPECT_EQ(fromThread, "10");
  EXPECT_EQ(world.turn("run").text, "10");
}

// --- Exceptions ---

class ThrowTest : public testing::TestWithParam<std::pair<const char*, const char*>> {};

TEST_P(ThrowTest, GivesOneBoundedLineWithAPlace) { // H124 R35
  World world;
  world.load(std::string("import { note } from 'fairlead';\nexport function sync() {\n  throw ") +
             GetParam().first + ";\n}\nexport async function later() {\n  await null;\n  throw " +
             GetParam().first + ";\n}\n" + "export const fine = () => 'fine';");
  const auto sync = world.turn("sync");
  ASSERT_TRUE(sync.thrown);
  EXPECT_EQ(sync.thrownFault, Fault::Throw);
  EXPECT_EQ(sync.thrown->message, GetParam().second);
  EXPECT_EQ(sync.thrown->file, "filter.js");
  EXPECT_EQ(sync.thrown->line, 3u);
  const auto later = world.turn("later");
  ASSERT_TRUE(later.rejection);
  EXPECT_EQ(later.rejection->message, GetParam().second);
  EXPECT_EQ(later.rejection->line, 7u);
  EXPECT_EQ(world.notes(), "") << "no code of the script ran";
  EXPECT_EQ(world.turn("fine").text, "fine");
}

INSTANTIATE_TEST_SUITE_P(
    Values, ThrowTest,
    testing::Values(
        std::pair{"new Error('plain')", "Error: plain"}, std::pair{"new Error", "Error"},
        std::pair{"new TypeError('two\\nlines\\x07')", "TypeError: two\\nlines\\x07"},
        std::pair{"new (class Mine extends Error { get message() { note('m'); return 'x'; } get "
                  "name() { note('n'); } })",
                  "Error"},
        std::pair{"Object.defineProperty(new Error('x'), 'message', { get() { note('m'); } })",
                  "Error"},
        std::pair{"Object.defineProperty(new Error('x'), 'stack', { get() { note('s'); } })",
                  "Error: x"},
        std::pair{"Object.setPrototypeOf(new Error('x'), new Proxy({}, { get() { note('p'); } }))",
                  "Error: x"},
        std::pair{"new DOMException('gone', 'AbortError')", "AbortError: gone"},
        std::pair{"1", "1 was thrown, which is not an Error"},
        std::pair{"0.1", "0.1 was thrown, which is not an Error"},
        std::pair{"NaN", "NaN was thrown, which is not an Error"},
        std::pair{"true", "true was thrown, which is not an Error"},
        std::pair{"null", "null was thrown, which is not an Error"},
        std::pair{"undefined", "undefined was thrown, which is not an Error"},
        std::pair{"'te\\nxt'", "\"te\\nxt\" was thrown, which is not an Error"},
        std::pair{"'\\ud800'", "\"\xEF\xBF\xBD\" was thrown, which is not an Error"},
        std::pair{"Symbol('s')", "a symbol was thrown, which is not an Error"},
        std::pair{"10n ** 100n", "a BigInt was thrown, which is not an Error"},
        std::pair{"{}", "an object was thrown, which is not an Error"},
        std::pair{"{ message: 'm' }",
                  "an object with the message \"m\" was thrown, which is not an Error"},
        std::pair{"{ get message() { note('m'); } }",
                  "an object was thrown, which is not an Error"},
        std::pair{"[1]", "an array was thrown, which is not an Error"},
        std::pair{"() => note('f')", "a function was thrown, which is not an Error"},
        std::pair{
            "new Proxy({}, { get() { note('p'); }, getOwnPropertyDescriptor() { note('g'); } })",
            "a proxy was thrown, which is not an Error"},
        std::pair{"(() => { const r = Proxy.revocable({}, {}); r.revoke(); return r.proxy; })()",
                  "a proxy was thrown, which is not an Error"},
        std::pair{"Promise.resolve()", "an object was thrown, which is not an Error"}));

TEST(ExceptionTest, BoundsMessagesAndStacks) { // H124
  World world;
  world.load("export function long() { throw new Error('é'.repeat(5e6)); }\n"
             "export function rope() { let s = ''; for (let i = 0; i < 2000; i++) s += "
             "'x'.repeat(1000) + i; throw s; }\n"
             "export function name() { const f = { ['n'.repeat(1e5)]() { throw new Error('x'); } "
             "}; f['n'.repeat(1e5)](); }");
  for (const char* name : {"long", "rope", "name"}) {
    const auto turn = world.turn(name, kAmple);
    ASSERT_TRUE(turn.thrown) << name;
    EXPECT_LE(turn.thrown->message.size() + turn.thrown->stack.size(), 8192u + 64) << name;
    EXPECT_EQ(turn.thrown->message.find('\n'), std::string::npos);
  }
  EXPECT_TRUE(world.turn("long", kAmple).thrown->message.ends_with("é…"));
}

TEST(ExceptionTest, TakesOnlyCodesThatAreOwnText) {
  World world;
  world.load("export const mine = () => { throw Object.assign(new Error('x'), { code: "
             "'ERR_JWT_EXPIRED' }); };\n"
             "export const odd = () => { throw Object.assign(new Error('x'), { code: 'not a "
             "code\\n' }); };\n"
             "export const number = () => { throw Object.assign(new Error('x'), { code: 7 }); };\n"
             "export const getter = () => { throw Object.defineProperty(new Error('x'), 'code', { "
             "get: () => 'E_G' }); };\n"
             "export const object = () => { throw { code: 'E_OBJECT' }; };");
  EXPECT_EQ(world.turn("mine").thrown->code, "ERR_JWT_EXPIRED");
  EXPECT_EQ(world.turn("odd").thrown->code, "E_THROWN");
  EXPECT_EQ(world.turn("number").thrown->code, "E_THROWN");
  EXPECT_EQ(world.turn("getter").thrown->code, "E_THROWN");
  EXPECT_EQ(world.turn("object").thrown->code, "E_OBJECT");
}

TEST(ExceptionTest, IsNotFooledByPrepareStackTrace) { // H124
  for (const char* prepare : {"() => { throw 1; }", "() => ({})", "() => 5",
                              "(e) => { e.x = 1; return null; }", "() => { return prepare(); }"}) {
    World world;
    world.load(std::string("const prepare = Error.prepareStackTrace = ") + prepare +
               ";\nexport function run() { throw new Error('x'); }\nexport async function later() "
               "{ await 0; null.x; }\n"
               "export const fine = () => 'fine';");
    const auto turn = world.turn("run");
    ASSERT_TRUE(turn.thrown) << prepare;
    EXPECT_EQ(turn.thrown->message, "Error: x") << prepare;
    EXPECT_EQ(turn.thrown->stack, "") << prepare;
    EXPECT_TRUE(world.turn("later").rejection) << prepare;
    EXPECT_EQ(world.turn("fine").text, "fine") << prepare;
  }
}

TEST(ExceptionTest, FindsThePlaceBehindNativeFrames) {
  World world;
  world.load("export function run() {\n  [1].map(null);\n}");
  EXPECT_EQ(world.turn("run").thrown->line, 2u);
}

TEST(ExceptionTest, ForgetsThePlaceOfAnEarlierThrow) {
  World world;
  world.load("export function first() {\n  throw 1;\n}\nexport function second() {\n  throw 2;\n}\n"
             "export async function third() { first(); }\nexport function fourth() { return "
             "Promise.reject(4); }");
  EXPECT_EQ(world.turn("first").thrown->line, 2u);
  EXPECT_EQ(world.turn("second").thrown->line, 5u);
  EXPECT_EQ(world.turn("third").rejection->line, 2u);
  EXPECT_EQ(world.turn("fourth").rejection->line, 0u) << "nothing was thrown there";
}

TEST(ExceptionTest, DescribesACaughtValue) {
  World world;
  world.load("export const run = () => 1;");
  Entry entry(world.runtime(), kBudget, 1);
  const Value error(world.ctx(), JS_NewTypeError(world.ctx(), "host made"));
  Fault fault;
  EXPECT_EQ(describeError(world.ctx(), error.get(), fault).message, "TypeError: host made");
  EXPECT_EQ(fault, Fault::Throw);
}

// --- Unhandled rejections ---

TEST(UnhandledTest, IsReportedOnceAndForEveryStream) { // R02
  World world;
  world.load("export function run() { Promise.reject(new Error('lost')); }");
  for (uint64_t stream = 1; stream <= 1000; ++stream) {
    const auto turn = world.turn("run", kBudget, stream);
    ASSERT_EQ(turn.unhandled.size(), 1u) << stream;
    EXPECT_EQ(turn.unhandled[0].owner, stream);
    EXPECT_EQ(turn.unhandled[0].error.message, "Error: lost");
    EXPECT_EQ(turn.unhandled[0].error.line, 1u);
    ASSERT_TRUE(world.runtime().takeUnhandled().empty());
  }
}

TEST(UnhandledTest, IsNotReportedWhenHandledInTheSameTurn) {
  World world;
  world.load(R"(
    const fail = async () => { throw new Error('x'); };
    export async function awaited() {
      const p = fail();
      await null;
      await null;
      try { await p; } catch {}
    }
    export function caught() { const p = fail(); queueMicrotask(() => p.catch(() => {})); }
    export function all() { Promise.allSettled([fail(), fail()]); }
    export function many() { for (let i = 0; i < 5000; i++) fail().catch(() => {}); })");
  for (const char* name : {"awaited", "caught", "all", "many"}) {
    EXPECT_TRUE(world.turn(name, kAmple).unhandled.empty()) << name;
  }
}

TEST(UnhandledTest, KnowsThePlaceOfAThrownNonError) {
  World world;
  world.load("async function fail() {\n  throw 'text';\n}\nexport function run() { fail(); }");
  const auto turn = world.turn("run");
  ASSERT_EQ(turn.unhandled.size(), 1u);
  EXPECT_EQ(turn.unhandled[0].error.line, 2u);
}

TEST(UnhandledTest, IncludesThrowsOfMicrotasksAndGoesOn) {
  World world;
  world.load("import { note } from 'fairlead'; export function run() {\n"
             "  queueMicrotask(() => { throw new TypeError('micro'); });\n  queueMicrotask(() => "
             "note('next')); }");
  const auto turn = world.turn("run", kBudget, 3);
  EXPECT_EQ(turn.fault, Fault::None);
  ASSERT_EQ(turn.unhandled.size(), 1u);
  EXPECT_EQ(turn.unhandled[0].owner, 3u);
  EXPECT_EQ(turn.unhandled[0].error.message, "TypeError: micro");
  EXPECT_EQ(turn.unhandled[0].error.line, 2u);
  EXPECT_EQ(world.notes(), "next");
}

TEST(UnhandledTest, IsBounded) {
  World world;
  world.load("export function run() { for (let i = 0; i < 5000; i++) Promise.reject(i); }");
  EXPECT_EQ(world.turn("run", kAmple).unhandled.size(), 1024u);
  EXPECT_EQ(world.turn("run", kAmple).unhandled.size(), 1024u);
}

// --- Owners ---

TEST(OwnerTest, FollowsCodeThroughPromisesThatAnotherSettles) {
  World world;
  world.load(R"(
    import { note, wait, owner } from 'fairlead';
    const shared = wait();
    const say = (what) => note(what + owner());
    export async function awaits() { await shared; say('await'); await null; say('again'); }
    export async function catches() {
      try { await shared.then(() => { throw 1; }); }
      catch { say('catch'); } finally { say('finally'); }
    }
    export async function all() { await Promise.all([shared, Promise.resolve(1)]); say('all'); }
    export function reacts() { shared.then(() => say('then')).finally(() => say('end')); }
    export async function thenable() { await { then(r) { shared.then(r); } }; say('thenable'); }
    export async function iterates() { for await (const x of [shared]) say('for'); }
    export function micro() { shared.then(() => queueMicrotask(() => say('micro'))); })");
  const char* hooks[] = {"awaits", "catches", "all", "reacts", "thenable", "iterates", "micro"};
  for (uint64_t i = 0; i < std::size(hooks); ++i) {
    EXPECT_EQ(world.turn(hooks[i], kBudget, 10 + i).fault, Fault::None);
  }
  world.settleAll(99);
  std::string notes = " " + world.notes() + " ";
  for (const char* note : {"await10", "again10", "catch11", "finally11", "all12", "then13", "end13",
                           "thenable14", "for15", "micro16"}) {
    EXPECT_NE(notes.find(" " + std::string(note) + " "), notes.npos) << note << " in" << notes;
  }
  EXPECT_EQ(notes.find("99"), notes.npos);
  EXPECT_EQ(world.runtime().owner(), 0u);
}

TEST(OwnerTest, IsTheEntrysAgainAfterADrain) {
  World world;
  world.load("import { wait } from 'fairlead'; const shared = wait(); export async function run() "
             "{ await shared; }");
  world.turn("run", kBudget, 1);
  Entry entry(world.runtime(), kBudget, 2);
  world.settleWaits();
  EXPECT_TRUE(world.runtime().hasJobs());
  entry.drain();
  EXPECT_EQ(world.runtime().owner(), 2u);
}

TEST(OwnerTest, DropsOnlyTheJobsOfOne) {
  World world;
  world.load(
      "import { note, wait, owner } from 'fairlead'; const shared = wait();\n"
      "export async function run() { await shared; note(owner()); await 0; note(owner()); }");
  world.turn("run", kBudget, 1);
  world.turn("run", kBudget, 2);
  {
    Entry entry(world.runtime(), kBudget, 3);
    world.settleWaits();
    world.runtime().dropJobsOf(1);
    entry.drain();
  }
  EXPECT_EQ(world.notes(), "2 2");
}

TEST(OwnerTest, NamesWhoseJobMetTheLimit) {
  World world;
  world.load("import { wait, note } from 'fairlead'; const shared = wait();\n"
             "export async function bad() { await shared; for (;;) {} }\n"
             "export async function good() { await shared; note('good'); }");
  world.turn("bad", kBudget, 1);
  world.turn("good", kBudget, 2);
  {
    Entry entry(world.runtime(), kBudget, 2);
    world.settleWaits();
    EXPECT_EQ(entry.drain(), Fault::Cpu);
    EXPECT_EQ(entry.faultOwner(), 1u);
  }
  world.runtime().dropJobsOf(1);
  Entry entry(world.runtime(), kBudget, 2);
  EXPECT_EQ(entry.drain(), Fault::None);
  EXPECT_EQ(world.notes(), "good");
}

// --- Promises ---

TEST(PromiseTest, IsWatchedWithoutTouchingWhatScriptsReplaced) { // H123
  World world;
  world.load(R"(
    import { note } from 'fairlead';
    export async function run() { await null; return 'value'; }
    Object.prototype.then = function () { note('Object.then'); };
    Promise.prototype.then = function () { note('Promise.then'); };
    Object.defineProperty(Promise, Symbol.species, { get() { note('species'); } });
    Promise.prototype.constructor = class { constructor() { note('constructor'); } };)");
  Entry entry(world.runtime(), kBudget, 1);
  const Value promise = world.call("run");
  static std::string seen;
  seen.clear();
  const auto react = [](JSContext* ctx, JSValueConst, int, JSValueConst* argv) {
    seen += Utf8(ctx, argv[0]).view();
    return JS_UNDEFINED;
  };
  const Value function(world.ctx(), JS_NewCFunction(world.ctx(), +react, "", 1));
  ASSERT_TRUE(isPromise(promise.get()));
  ASSERT_TRUE(promiseThen(world.ctx(), promise.get(), function.get(), JS_UNDEFINED));
  entry.drain();
  EXPECT_EQ(seen, "value");
  EXPECT_EQ(world.notes(), "");
}

TEST(PromiseTest, IsSettledWithAValueAsItIs) { // H123
  World world;
  world.load(R"(
    import { note, wait, settle } from 'fairlead';
    export async function run() {
      const p = wait(), q = wait();
      settle(p, { get then() { note('then'); } });
      settle(p, 'late');
      settle(q, 'no', true);
      p.then((v) => note(typeof v));
      await q.catch((e) => note(e));
    })");
  const auto turn = world.turn("run");
  EXPECT_EQ(turn.state, JS_PROMISE_FULFILLED);
  EXPECT_EQ(world.notes(), "object no");
}

TEST(PromiseTest, CountsAsHandledOnceWatched) {
  World world;
  world.load("export async function run() { throw new Error('x'); }");
  Entry entry(world.runtime(), kBudget, 1);
  const Value watched = world.call("run");
  ASSERT_TRUE(promiseThen(world.ctx(), watched.get(), JS_UNDEFINED, JS_UNDEFINED));
  const Value marked = world.call("run");
  markHandled(world.ctx(), marked.get());
  entry.drain();
  EXPECT_TRUE(world.runtime().takeUnhandled().empty());
  EXPECT_EQ(promiseState(world.ctx(), marked.get()), JS_PROMISE_REJECTED);
}

TEST(PromiseTest, InACycleIsCollected) {
  World world;
  world.load("import { wait } from 'fairlead';\n"
             "export function run() { const p = wait(); p.self = p; p.then(() => p); }");
  world.turn("run");
  world.settleAll(1);
  JS_RunGC(world.runtime().raw());
  const size_t before = world.runtime().heapBytes();
  for (int i = 0; i < 100; ++i) {
    world.turn("run");
    world.settleAll(1);
  }
  JS_RunGC(world.runtime().raw());
  EXPECT_LE(world.runtime().heapBytes(), before + 1024);
}

// --- Collector ---

TEST(CollectorTest, RunsRarelyAndIsArmedAnewAfterEachRun) { // R28
  World world;
  world.runtime().setMemoryLimit(16 << 20);
  world.load("const live = []; for (let i = 0; i < 4000; i++) live.push({ a: [i] });\n"
             "export function run() { for (let i = 0; i < 10; i++) { const o = { b: new "
             "ArrayBuffer(1000) }; o.self = o; } }");
  const size_t live = world.runtime().heapBytes();
  ASSERT_GT(live, 800u << 10);
  size_t highest = 0;
  for (int i = 0; i < 3000; ++i) {
    ASSERT_EQ(world.turn("run").fault, Fault::None);
    highest = std::max(highest, world.runtime().heapBytes());
  }
  // About 36 MB of cyclic garbage went by.
  EXPECT_GE(world.runtime().collections(), 5u);
  EXPECT_LE(world.runtime().collections(), 20u);
  EXPECT_LE(highest, std::max<size_t>(4 << 20, 3 * live) + (64 << 10));
}

TEST(CollectorTest, RunsBeforeASmallLimitIsMet) {
  World world;
  world.runtime().setMemoryLimit(2 << 20);
  world.load("export function run() { for (let i = 0; i < 10; i++) { const o = { b: new "
             "ArrayBuffer(1000) }; o.self = o; } }");
  for (int i = 0; i < 3000; ++i) ASSERT_EQ(world.turn("run").fault, Fault::None) << i;
}

TEST(CollectorTest, CanBeMadeToRunAtEveryObjectInTestBuilds) { // R04
  const char* set = std::getenv("FAIRLEAD_COLLECT_EVERY");
  const std::optional<std::string> before = set == nullptr ? std::nullopt : std::optional(set);
  setenv("FAIRLEAD_COLLECT_EVERY", "1", 1);
  {
    World world;
    world.load("export function run() { const o = { b: new ArrayBuffer(100000) }; o.self = o; }");
    const size_t live = world.runtime().heapBytes();
    for (int i = 0; i < 10; ++i) {
      world.turn("run", kAmple);
      EXPECT_LE(world.runtime().heapBytes(), live + 110'000) << i;
    }
  }
  if (before)
    setenv("FAIRLEAD_COLLECT_EVERY", before->c_str(), 1);
  else
    unsetenv("FAIRLEAD_COLLECT_EVERY");
}

// --- Entries ---

TEST(EntryTest, DoesNotNest) {
  World world;
  world.load("export const run = () => 1;");
  Entry outer(world.runtime(), kBudget, 1);
#ifdef NDEBUG
  {
    Entry inner(world.runtime(), kBudget, 2);
    EXPECT_EQ(inner.fault(), Fault::Throw);
    EXPECT_EQ(inner.drain(), Fault::Throw);
  }
  EXPECT_EQ(world.runtime().owner(), 1u);
#else
  EXPECT_DEATH(Entry(world.runtime(), kBudget, 2), "entered_");
#endif
  EXPECT_EQ(outer.fault(), Fault::None);
}

TEST(EntryTest, LeavesNoExceptionBehind) {
  World world;
  world.load(
      "export const bad = () => { throw new Error('x'); };\nexport const fine = () => 'fine';");
  {
    Entry entry(world.runtime(), kBudget, 1);
    EXPECT_TRUE(world.call("bad").isException());
  }
  EXPECT_FALSE(JS_HasException(world.ctx()));
  EXPECT_EQ(world.turn("fine").text, "fine");
}

TEST(RuntimeTest, CanBeFreedWithJobsAndPromisesPending) {
  World world;
  world.load("import { wait } from 'fairlead'; export async function run() { queueMicrotask(() => "
             "{}); await wait(); }");
  Entry entry(world.runtime(), kBudget, 1);
  (void)world.call("run");
  EXPECT_TRUE(world.runtime().hasJobs());
}

// --- Text ---

TEST(TextTest, CarriesEveryByteAsOneCodeUnit) {
  World world;
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
  const Value string = newByteString(world.ctx(), bytes);
  ByteString back;
  ASSERT_TRUE(back.read(world.ctx(), string.get()));
  EXPECT_EQ(back.get(), bytes);
  const Value empty = newByteString(world.ctx(), "");
  ASSERT_TRUE(back.read(world.ctx(), empty.get()));
  EXPECT_EQ(back.get(), "");
}

TEST(TextTest, RefusesCodeUnitsAboveAByte) {
  World world;
  ByteString out;
  EXPECT_FALSE(out.read(world.ctx(), newUtf8(world.ctx(), "a\xC4\x80").get())); // U+0100
  const Value highest = newUtf8(world.ctx(), "a\xC3\xBF");                        // U+00FF
  EXPECT_TRUE(out.read(world.ctx(), highest.get()));
  EXPECT_EQ(out.get(), "a\xFF");
  const uint16_t narrow[] = {'a', 0xFF};
  const Value wide(world.ctx(), JS_NewStringUTF16(world.ctx(), narrow, 2));
  EXPECT_TRUE(out.read(world.ctx(), wide.get()));
  EXPECT_EQ(out.get(), "a\xFF");
}

TEST(TextTest, ReadsStringsThatAreMadeOfPieces) {
  World world;
  world.load("export function run() { let s = ''; for (let i = 0; i < 30; i++) s = s + "
             "'x'.repeat(1000) + '\\xe9'; return s; }");
  Entry entry(world.runtime(), kAmple, 1);
  const Value rope = world.call("run");
  ByteString out;
  ASSERT_TRUE(out.read(world.ctx(), rope.get()));
  EXPECT_EQ(out.get().size(), 30030u);
  EXPECT_EQ(out.get()[1000], '\xe9');
  EXPECT_EQ(out.get()[30029], '\xe9');
}

TEST(TextTest, ReplacesBadBytesAndLoneSurrogates) {
  World world;
  EXPECT_EQ(Utf8(world.ctx(), newUtf8(world.ctx(), "a\xFFz\xC3\xA9").get()).view(),
            "a\xEF\xBF\xBDz\xC3\xA9");
  const uint16_t units[] = {0xD800, 'a', 0xDC00, 0xD83D, 0xDE00, 0xD7FF, 0xDBFF};
  const Value string(world.ctx(), JS_NewStringUTF16(world.ctx(), units, std::size(units)));
  EXPECT_EQ(Utf8(world.ctx(), string.get()).view(),
            "\xEF\xBF\xBD"
            "a\xEF\xBF\xBD\xF0\x9F\x98\x80\xED\x9F\xBF\xEF\xBF\xBD");
  EXPECT_EQ(Utf8(world.ctx(), newUtf8(world.ctx(), std::string_view("a\0b", 3)).get()).view(),
            std::string_view("a\0b", 3));
}

TEST(TextTest, SaysWhenAValueHasNoText) {
  World world;
  world.load("export const run = () => ({ toString() { throw new Error('no text'); } });");
  Entry entry(world.runtime(), kBudget, 1);
  const Value value = world.call("run");
  EXPECT_FALSE(Utf8(world.ctx(), value.get()));
  Fault fault;
  EXPECT_EQ(takeException(world.ctx(), fault).message, "Error: no text");
}

// --- JSON ---

TEST(JsonTest, GivesValues) {
  World world;
  const std::string text = "{\"a\":[1,\"\xC3\xA9\",null]} trailing";
  const auto value =
      parseJson(world.ctx(), std::string_view(text).substr(0, text.size() - 9), "config");
  ASSERT_TRUE(value);
  const Value back(world.ctx(),
                   JS_JSONStringify(world.ctx(), value->get(), JS_UNDEFINED, JS_UNDEFINED));
  EXPECT_EQ(Utf8(world.ctx(), back.get()).view(), "{\"a\":[1,\"\xC3\xA9\",null]}");
}

TEST(JsonTest, NamesThePlaceOfAnError) {
  World world;
  const auto result = parseJson(world.ctx(), "{\n  \"a\": 1,\n  \"b\": x\n}", "config");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, "E_JSON");
  EXPECT_EQ(result.error().file, "config");
  EXPECT_EQ(result.error().line, 3u);
  EXPECT_EQ(result.error().column, 8u);
}

TEST(JsonTest, RefusesBrokenAndDeepTextAndPollutesNothing) { // H205 H401
  World world;
  for (const std::string& text :
       {std::string(), std::string("nul"), std::string("{} x"), std::string("[1,]"),
        std::string("\"a\0b\"", 5), std::string(100'000, '['), std::string("{\"a\":1"),
        std::string("'a'"), std::string("01"), std::string("\"\n\"")}) {
    const auto result = parseJson(world.ctx(), text, "config");
    ASSERT_FALSE(result) << text.substr(0, 20);
    EXPECT_EQ(result.error().code, "E_JSON");
  }
  ASSERT_TRUE(parseJson(world.ctx(), "{\"__proto__\":{\"polluted\":1}}", "config"));
  world.load("export const run = () => typeof {}.polluted;");
  EXPECT_EQ(world.turn("run").text, "undefined");
}

// --- What spares the request path work ---

TEST(KeptShapeTest, OutlivesItsObjectsUntilItIsShownAnother) {
  World world;
  world.load("export function run() { return { status: 403, details: 'no' }; }");
  KeptShape kept;
  Entry entry(world.runtime(), kAmple, 1);
  const auto literal = [&] { return world.call("run"); };
  const auto heap = [&] { return world.runtime().heapBytes(); };
  literal();
  const size_t bare = heap();
  kept.of(world.ctx(), literal().get());
  const size_t held = heap();
  EXPECT_GT(held, bare);
  kept.of(world.ctx(), literal().get());
  EXPECT_EQ(heap(), held) << "it is the same again";
  kept.of(world.ctx(), JS_UNDEFINED);
  EXPECT_EQ(heap(), bare);
  kept.of(world.ctx(), literal().get());  // and goes before its runtime
}

TEST(CallTest, AGetterOfTheHostMayTakeItselfAway) {
  World world;
  world.load("export const object = {};\n"
             "export function run() { return object.gone + typeof object.gone; }");
  const auto get = [](JSContext* ctx, JSValueConst receiver, int, JSValueConst*) -> JSValue {
    const JSAtom name = JS_NewAtom(ctx, "gone");
    JS_DeleteProperty(ctx, receiver, name, 0);
    JS_FreeAtom(ctx, name);
    return JS_NewString(ctx, "once ");
  };
  const JSAtom name = JS_NewAtom(world.ctx(), "gone");
  JS_DefinePropertyGetSet(world.ctx(), world.exported("object").get(), name,
                          JS_NewCFunction(world.ctx(), +get, "gone", 0), JS_UNDEFINED,
                          JS_PROP_CONFIGURABLE);
  JS_FreeAtom(world.ctx(), name);
  EXPECT_EQ(world.turn("run").text, "once undefined");
}

TEST(CallTest, AFunctionOfTheHostSeesAsManyArgumentsAsItDeclares) {
  World world;
  world.load("export let host; export function give(f) { host = f; }\n"
             "export function run() { return host() + host(1) + host(1, 2, 3); }");
  const auto look = [](JSContext* ctx, JSValueConst, int argc, JSValueConst* argv) -> JSValue {
    const bool padded = argc >= 2 || JS_IsUndefined(argv[1]);
    return JS_NewString(ctx, (std::to_string(argc) + (padded ? "+" : "-")).c_str());
  };
  {
    Entry entry(world.runtime(), kAmple, 1);
    const Value give = world.exported("give");
    const Value function(world.ctx(), JS_NewCFunction(world.ctx(), +look, "look", 2));
    JSValueConst arguments[] = {function.get()};
    const Value done(world.ctx(), JS_Call(world.ctx(), give.get(), JS_UNDEFINED, 1, arguments));
  }
  EXPECT_EQ(world.turn("run").text, "0+1+3+");
}

} // namespace
} // namespace fairlead::js
