// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

#include "filter-cc/script.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <thread>

#include "filter-cc/host_fake.h"
#include "filter-cc/runtime.h"
#include "quickjs/bytecode.h"

namespace fairlead {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPasses = "export default { onRequest() {} }";

class ScriptTest : public testing::Test {
protected:
  ScriptTest() {
    char name[] = "/tmp/fairlead-script-test-XXXXXX";
    folder_ = mkdtemp(name);
  }
  ~ScriptTest() override { fs::remove_all(folder_); }

  static Config configOf(Source::Kind kind, std::string_view text) {
    Config config = *parseConfig("auth", kPasses);
    config.source = {kind, std::string(text)};
    return config;
  }
  static Config inlined(std::string_view source) { return configOf(Source::Kind::Inline, source); }
  static Config fileOf(const std::string& path) { return configOf(Source::Kind::File, path); }

  static std::shared_ptr<Script> loaded(const Config& config) {
    auto script = Script::load(config);
    EXPECT_TRUE(script.ok()) << (script.ok() ? "" : script.error().message);
    return script.ok() ? *script : nullptr;
  }

  /** What load() says, as `CODE file:line:column`. */
  static std::string refused(const Config& config) {
    auto script = Script::load(config);
    if (script.ok())
      return "nothing";
    last_ = std::move(script).error();
    EXPECT_EQ(last_.message.find('\n'), std::string::npos) << last_.message;
    std::string place = last_.code;
    if (!last_.file.empty())
      place += ' ' + last_.file;
    if (last_.line != 0)
      place += ':' + std::to_string(last_.line) + ':' + std::to_string(last_.column);
    return place;
  }

  std::string path(std::string_view name) const { return folder_ + '/' + std::string(name); }

  std::string write(std::string_view name, std::string_view content) const {
    std::ofstream(path(name), std::ios::binary) << content;
    return path(name);
  }

  static size_t logged(const FakeEnvoy& envoy, std::string_view text) {
    size_t count = 0;
    for (const LogLine& line : envoy.log())
      count += line.message.find(text) != std::string::npos ? 1 : 0;
    return count;
  }

  static inline Error last_;
  std::string folder_;
};

std::string container(std::string_view source, const std::string& moduleName,
                      std::optional<std::string_view> sourceMap = std::nullopt,
                      uint32_t contract = contractVersion()) {
  const auto bytecode = js::compile(source, moduleName, importableModules());
  EXPECT_TRUE(bytecode.ok());
  const Manifest manifest{"auth", {}, {"src/auth.ts"}};
  const auto bytes = writeBytecode({manifest, *bytecode, sourceMap, contract, contractHash()});
  return {bytes.begin(), bytes.end()};
}

// --- The contract ---

/** The rows of host_api.def as the file has them. */
std::vector<std::string> rowsOfTheFile() {
  const fs::path file = fs::path(__FILE__).parent_path() / "../sdk-types/host_api.def";
  std::ifstream in(file);
  std::vector<std::string> rows;
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with("HOST_") || line.starts_with("HOST_CONTRACT"))
      continue;
    const size_t open = line.find('(');
    const size_t close = line.rfind(')');
    rows.push_back(line.substr(5, open - 5) + ' ' + line.substr(open + 1, close - open - 1));
  }
  return rows;
}

TEST(ContractTest, TheHashIsOverEveryRowOfTheFile) {
  const std::vector<std::string> rows = rowsOfTheFile();
  ASSERT_FALSE(rows.empty());
  uint64_t hash = 0xCBF29CE484222325;
  for (const std::string& row : rows) {
    for (const char c : row + '\n')
      hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001B3;
  }
  EXPECT_EQ(contractHash(), hash);
  EXPECT_EQ(contractVersion(), 1U);
}

TEST(ContractTest, ScriptsCanImportWhatTheRowsOfFairleadName) {
  std::set<std::string> names;
  for (const std::string& row : rowsOfTheFile()) {
    constexpr std::string_view kStart = "FN fairlead, ";
    if (row.starts_with(kStart))
      names.insert(row.substr(kStart.size(), row.find(',', kStart.size()) - kStart.size()));
  }
  names.insert("shared");  // an object of the module, whose row is no function
  const auto modules = importableModules();
  ASSERT_EQ(modules.size(), 1U);
  EXPECT_EQ(modules[0].name, "fairlead");
  EXPECT_EQ(std::set(modules[0].exportNames.begin(), modules[0].exportNames.end()), names);
  EXPECT_TRUE(names.contains("defineFilter"));
}

TEST(ContractTest, EveryHookHasItsName) {
  EXPECT_EQ(hookName(Hook::Configure), "configure");
  EXPECT_EQ(hookName(Hook::OnRequest), "onRequest");
  EXPECT_EQ(hookName(Hook::OnResponse), "onResponse");
  EXPECT_EQ(hookName(Hook::OnLog), "onLog");
}

// --- F053: where the code comes from ---

TEST_F(ScriptTest, InlineSourceIsCompiled) {
  const auto script = loaded(inlined(R"(
    import { defineFilter } from "fairlead";
    export default defineFilter({ onRequest() {}, onLog() {} });
  )"));
  ASSERT_NE(script, nullptr);
  EXPECT_FALSE(script->hasHook(Hook::Configure));
  EXPECT_TRUE(script->hasHook(Hook::OnRequest));
  EXPECT_FALSE(script->hasHook(Hook::OnResponse));
  EXPECT_TRUE(script->hasHook(Hook::OnLog));
  EXPECT_EQ(script->filterName(), "auth");
  EXPECT_FALSE(script->bytecode().empty());
}

TEST_F(ScriptTest, AFileIsReadByItsFirstBytes) {
  const std::string bytes = container(kPasses, "auth.js");
  // Names say nothing.
  const auto fromBytecode = loaded(fileOf(write("auth.js", bytes)));
  const auto fromSource = loaded(fileOf(write("auth.qjb", kPasses)));
  ASSERT_TRUE(fromBytecode != nullptr && fromSource != nullptr);
  EXPECT_TRUE(fromBytecode->hasHook(Hook::OnRequest));
  EXPECT_TRUE(fromSource->hasHook(Hook::OnRequest));
  EXPECT_NE(fromBytecode, fromSource);
  // The same bytes in the config are the same script.
  EXPECT_EQ(loaded(configOf(Source::Kind::Bytecode, bytes)), fromBytecode);
}

TEST_F(ScriptTest, AFileMayBeASymbolicLink) {
  const std::string target = write("v2.js", kPasses);
  fs::create_symlink(target, path("current.js"));
  EXPECT_NE(loaded(fileOf(path("current.js"))), nullptr);
}

// --- One script for equal configs ---

TEST_F(ScriptTest, EqualCodeAndEqualLimitsAreOneScript) {
  const Config config = inlined(kPasses);
  const auto script = loaded(config);
  ASSERT_NE(script, nullptr);

  // What belongs to the stream makes no other script.
  Config other = config;
  other.configJson = R"({"realm":"edge"})";
  other.limits.cpuMs = 21;
  other.limits.streamCpuMs = 201;
  other.limits.waitMs = 1;
  other.limits.fetches = 1;
  other.limits.loadMs = 2'000;
  other.onError = {OnError::Mode::Open, 503, 503};
  EXPECT_EQ(loaded(other), script);

  const auto differs = [&](auto&& change) {
    Config changed = config;
    change(changed);
    const auto found = loaded(changed);
    EXPECT_NE(found, nullptr);
    return found != script;
  };
  EXPECT_TRUE(differs([](Config& changed) { changed.filterName = "other"; }));
  EXPECT_TRUE(differs([](Config& changed) { changed.limits.memoryMb = 17; }));
  EXPECT_TRUE(differs([](Config& changed) { changed.limits.stackKb = 511; }));
  EXPECT_TRUE(differs([](Config& changed) { changed.clusters["a"] = "a"; }));
  // Bytecode knows nothing of white space at the end.
  EXPECT_FALSE(differs([](Config& changed) { changed.source.text += ' '; }));
  EXPECT_TRUE(differs([](Config& changed) { changed.source.text = "export default {}"; }));

  Config one = config, two = config;
  one.clusters["a"] = "b";
  two.clusters["a"] = "c";
  EXPECT_NE(loaded(one), loaded(two));
}

TEST_F(ScriptTest, TheTopLevelRunsOnceForEqualScripts) {
  const FakeEnvoy envoy;
  const Config config = inlined("console.info('top level'); export default { onRequest() {} }");
  auto script = loaded(config);
  EXPECT_EQ(logged(envoy, "top level"), 1U);
  auto again = loaded(config);
  EXPECT_EQ(logged(envoy, "top level"), 1U);
  EXPECT_EQ(script, again);

  // When nobody holds it any more it is made anew.
  script.reset();
  again.reset();
  script = loaded(config);
  EXPECT_EQ(logged(envoy, "top level"), 2U);
}

TEST_F(ScriptTest, EveryConfigGoesThroughConfigure) {
  Config config = inlined(R"(export default {
    configure(config) { if (config.bad) throw new Error("bad config"); },
  })");
  const auto script = loaded(config);
  ASSERT_NE(script, nullptr);
  config.configJson = R"({"bad":true})";
  EXPECT_EQ(refused(config), "E_CONFIGURE_THROW inline:2:51");
  EXPECT_EQ(last_.message, "configure() threw: Error: bad config");
  config.configJson = R"({"bad":false})";
  EXPECT_EQ(loaded(config), script);
}

TEST_F(ScriptTest, ConfigureIsToldWhetherTheProxyOnlyValidates) {  // F058
  const Config config = inlined(R"(export default {
    configure(config, env) { console.info(`validating ${env.validating} ${env.filterName}`); },
  })");
  for (const bool validating : {true, false}) {
    FakeEnvoyOptions options;
    options.validating = validating;
    const FakeEnvoy envoy(options);
    EXPECT_EQ(loaded(config)->validating(), validating);
    EXPECT_EQ(logged(envoy, validating ? "validating true auth" : "validating false auth"), 1U);
  }
}

// --- Workers ---

TEST_F(ScriptTest, EveryWorkerHasAPlaceOfItsOwn) {
  FakeEnvoyOptions options;
  options.concurrency = 3;
  const FakeEnvoy envoy(options);
  const auto script = loaded(inlined("export default { onLog() { 'workers'; } }"));
  ASSERT_NE(script, nullptr);
  std::set<const WorkerSlot*> slots;
  for (uint32_t worker = 0; worker < 3; ++worker) {
    WorkerSlot& slot = script->slot(worker);
    EXPECT_EQ(slot.parked.load(), nullptr);
    EXPECT_EQ(slot.active, nullptr);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(&slot) % alignof(WorkerSlot), 0U);
    slots.insert(&slot);
  }
  EXPECT_EQ(slots.size(), 3U);
}

TEST_F(ScriptTest, ParkedRuntimesGoWithTheScript) {
  // The leak check of the build sees one that stays.
  auto script = loaded(inlined(kPasses));
  ASSERT_NE(script, nullptr);
  auto runtime = Runtime::create(*script);
  ASSERT_TRUE(runtime.ok());
  script->slot(0).parked.store(runtime->release());
  std::thread([&] { script.reset(); }).join();
  EXPECT_EQ(script, nullptr);
}

// --- H404: scripts that cannot be ---

TEST_F(ScriptTest, TypeScriptIsRefusedWithTheWayToBundleIt) {
  EXPECT_EQ(refused(inlined("export default {\n  onRequest(request: Request) {},\n};")),
            "E_SCRIPT_SYNTAX inline:2:20");
  EXPECT_NE(last_.message.find("`fairlead build` or `fairlead inline`"), std::string::npos);

  const std::string file = write("auth.ts", "interface Options {}\nexport default {};\n");
  EXPECT_EQ(refused(fileOf(file)), "E_SCRIPT_SYNTAX " + file + ":1:1");
}

TEST_F(ScriptTest, ASyntaxErrorIsPlaced) {
  EXPECT_EQ(refused(inlined("export default {\n  onRequest() { if (a { } },\n};")),
            "E_SCRIPT_SYNTAX inline:2:23");
  EXPECT_TRUE(last_.message.starts_with("SyntaxError: ")) << last_.message;
  EXPECT_EQ(refused(inlined(std::string_view("export default {}\0;", 19))).substr(0, 22),
            "E_SCRIPT_SYNTAX inline");
  EXPECT_EQ(refused(inlined(std::string(1'000'000, '['))).substr(0, 15), "E_SCRIPT_SYNTAX");
  EXPECT_TRUE(last_.message.starts_with("the source is nested too deep; ")) << last_.message;
}

TEST_F(ScriptTest, OnlyFairleadCanBeImported) {
  EXPECT_EQ(refused(inlined("\nimport _ from \"lodash\";\nexport default {};")),
            "E_SCRIPT_IMPORT inline:2:16");
  EXPECT_EQ(last_.message, "TypeError: there is no module 'lodash'; only \"fairlead\" can be "
                           "imported, everything else is bundled first with `fairlead build`");
  EXPECT_EQ(refused(inlined("import { slep } from \"fairlead\"; export default {};")),
            "E_SCRIPT_IMPORT inline:1:10");
  EXPECT_NE(last_.message.find("'slep'"), std::string::npos) << last_.message;
}

TEST_F(ScriptTest, CommonJsIsRefused) {
  EXPECT_EQ(refused(inlined("module.exports = { onRequest() {} };")), "E_SCRIPT_THROW inline:1:1");
  EXPECT_EQ(last_.message, "the top level threw: ReferenceError: module is not defined");
}

TEST_F(ScriptTest, WhatIsExportedMustBeAFilter) {
  const auto code = [](std::string_view source) {
    refused(inlined(source));
    return last_.code;
  };
  EXPECT_EQ(code("export const filter = { onRequest() {} };"), "E_SCRIPT_EXPORT");
  EXPECT_EQ(code("export default 7;"), "E_SCRIPT_EXPORT");
  EXPECT_EQ(code("export default null;"), "E_SCRIPT_EXPORT");
  EXPECT_EQ(code("export default () => {};"), "E_SCRIPT_EXPORT");
  EXPECT_EQ(code("export default { onRequest: 7 };"), "E_SCRIPT_HOOK");
  EXPECT_EQ(refused(inlined("export default {\n  onRequests() {},\n};")),
            "E_SCRIPT_HOOK inline:2:3");
  EXPECT_NE(last_.message.find("onRequests"), std::string::npos) << last_.message;
}

TEST_F(ScriptTest, ATopLevelThatFailsIsPlaced) {
  EXPECT_EQ(refused(inlined("const a = 1;\nthrow new RangeError(`not ${a}`);\nexport default {};")),
            "E_SCRIPT_THROW inline:2:29");
  EXPECT_EQ(last_.message, "the top level threw: RangeError: not 1");
  EXPECT_EQ(refused(inlined("throw 7; export default {};")), "E_SCRIPT_THROW inline:1:6");
  EXPECT_EQ(refused(inlined("await new Promise(() => {}); export default {};")).substr(0, 19),
            "E_TOP_LEVEL_PENDING");
  Config endless = inlined("for (;;) {} export default {};");
  endless.limits.loadMs = 10;
  EXPECT_EQ(refused(endless).substr(0, 12), "E_LOAD_LIMIT");
  EXPECT_EQ(last_.message, "the top level used more than load_ms (10 ms)");
}

TEST_F(ScriptTest, ASourceThatIsRefusedIsNotKept) {
  const FakeEnvoy envoy;
  const Config config = inlined("console.info('again'); throw new Error('no'); export default {};");
  EXPECT_EQ(refused(config), "E_SCRIPT_THROW inline:1:34");
  EXPECT_EQ(refused(config), "E_SCRIPT_THROW inline:1:34");
  EXPECT_EQ(logged(envoy, "again"), 2U);
}

// --- H408: configure() that refuses ---

TEST_F(ScriptTest, ConfigureCanRefuseInEveryWay) {
  const auto configured = [](std::string_view body) {
    Config config = inlined("export default {\n  " + std::string(body) + ",\n};");
    config.limits.loadMs = 10;
    config.limits.memoryMb = 2;
    return refused(config);
  };
  EXPECT_EQ(configured("configure() { throw new Error('no'); }"), "E_CONFIGURE_THROW inline:2:27");
  EXPECT_EQ(configured("async configure() { await 0; throw new Error('no'); }"),
            "E_CONFIGURE_THROW inline:2:42");
  EXPECT_EQ(configured("configure() { return Promise.reject(7); }").substr(0, 17),
            "E_CONFIGURE_THROW");
  EXPECT_EQ(configured("configure() { for (;;) {} }").substr(0, 12), "E_LOAD_LIMIT");
  EXPECT_EQ(configured("configure() { return new Promise(() => {}); }").substr(0, 19),
            "E_TOP_LEVEL_PENDING");
  const Config greedy = inlined(
      "export default { configure() { for (const a = [];;) a.push(new Uint8Array(100000)); } };");
  EXPECT_EQ(refused(greedy).substr(0, 14), "E_MEMORY_LIMIT");
}

// --- H405: files ---

TEST_F(ScriptTest, AFileThatCannotBeReadIsRefusedWithItsPathAndCause) {
  const auto cause = [](const std::string& file) {
    EXPECT_EQ(refused(fileOf(file)), "E_CONFIG_FILE");
    const std::string start = "file " + file + ": ";
    EXPECT_TRUE(last_.message.starts_with(start)) << last_.message;
    return last_.message.substr(std::min(start.size(), last_.message.size()));
  };
  EXPECT_EQ(cause(path("missing.qjb")), std::strerror(ENOENT));
  EXPECT_EQ(cause(write("plain.js", kPasses) + "/below.js"), std::strerror(ENOTDIR));
  EXPECT_EQ(cause(folder_), "it is a directory");
  EXPECT_EQ(cause("/dev/null"), "it is not a regular file");
  EXPECT_EQ(cause("/dev/zero"), "it is not a regular file");
  EXPECT_EQ(cause(write("empty.js", "")), "it is empty");
  EXPECT_EQ(cause(write("text.js", "export default {} // \xE9")),
            "it is neither a .qjb file nor JavaScript in UTF-8");
  EXPECT_EQ(cause(path(std::string(300, 'n'))), std::strerror(ENAMETOOLONG));

  // Nobody writes to it; a plain open would wait for ever.
  ASSERT_EQ(mkfifo(path("fifo.js").c_str(), 0600), 0);
  EXPECT_EQ(cause(path("fifo.js")), "it is not a regular file");

  fs::create_symlink(path("b.js"), path("a.js"));
  fs::create_symlink(path("a.js"), path("b.js"));
  EXPECT_EQ(cause(path("a.js")), std::strerror(ELOOP));

  const std::string huge = write("huge.js", "//");
  fs::resize_file(huge, 64 * 1024 * 1024 + 1);
  EXPECT_EQ(cause(huge), "it has 67108865 bytes, more than 65536 KiB");
}

TEST_F(ScriptTest, AFileWithoutPermissionIsRefused) {
  const std::string file = write("secret.js", kPasses);
  fs::permissions(file, fs::perms::none);
  fs::permissions(folder_, fs::perms::all);
  // Root may read everything: be somebody else for the moment.
  const bool isRoot = geteuid() == 0;
  ASSERT_EQ(isRoot ? seteuid(65534) : 0, 0);
  EXPECT_EQ(refused(fileOf(file)), "E_CONFIG_FILE");
  ASSERT_EQ(isRoot ? seteuid(0) : 0, 0);
  EXPECT_EQ(last_.message, "file " + file + ": " + std::strerror(EACCES));
}

TEST_F(ScriptTest, AFileThatChangesWhileItIsReadIsRefused) {
  constexpr off_t kBytes = 32 * 1024 * 1024;
  const std::string file = write("growing.js", "//");
  fs::resize_file(file, kBytes);
  std::atomic<bool> done{false};
  std::thread writer([&] {
    for (off_t size = kBytes; !done; size ^= kBytes ^ (kBytes - 1))
      fs::resize_file(file, static_cast<uintmax_t>(size));
  });
  const auto giveUp = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  bool seen = false;
  while (!seen && std::chrono::steady_clock::now() < giveUp) {
    refused(fileOf(file));
    seen = last_.code == "E_CONFIG_FILE";
  }
  done = true;
  writer.join();
  EXPECT_EQ(last_.message,
            "file " + file + ": it changed while it was read; write a new file and rename it");
}

TEST_F(ScriptTest, BytecodeThatIsDamagedIsRefusedWithItsFile) {
  const std::string bytes = container(kPasses, "auth.js");
  std::string flipped = bytes;
  flipped.back() ^= 1;
  EXPECT_EQ(refused(fileOf(write("a.qjb", flipped))), "E_BYTECODE_HASH " + path("a.qjb"));
  EXPECT_EQ(refused(fileOf(write("a.qjb", bytes.substr(0, bytes.size() / 2)))),
            "E_BYTECODE_TRUNCATED " + path("a.qjb"));
  EXPECT_EQ(refused(fileOf(write("a.qjb", bytes.substr(0, 5)))), "E_CONFIG_FILE");
  EXPECT_EQ(refused(fileOf(write("a.qjb", bytes + 'x'))), "E_BYTECODE_TRAILING " + path("a.qjb"));
  EXPECT_EQ(refused(configOf(Source::Kind::Bytecode, flipped)), "E_BYTECODE_HASH");
  EXPECT_EQ(refused(configOf(Source::Kind::Bytecode, kPasses)), "E_BYTECODE_MAGIC");
  const std::string newer = container(kPasses, "auth.js", std::nullopt, contractVersion() + 1);
  EXPECT_EQ(refused(configOf(Source::Kind::Bytecode, newer)), "E_BYTECODE_CONTRACT");
}

// --- Positions of the user's files ---

// Two TypeScript files as esbuild bundles and minifies them.
constexpr std::string_view kBundle =
    R"(function findTenant(name){if(name.includes("-"))throw new TypeError(`no tenant ${name}`);return{name}}var auth_default={configure(config){return findTenant(config.tenant)}};export{auth_default as default};
)";
constexpr std::string_view kBundleMap = R"({
  "version": 3,
  "sources": ["src/tenants.ts", "src/auth.ts"],
  "mappings": "AAIO,SAAS,WAAW,KAAsB,CAE/C,GAAI,KAAK,SAAS,GAAG,EAAG,MAAM,IAAI,UAAU,aAAa,IAAI,EAAE,EAC/D,MAAO,CAAE,IAAK,CAChB,CCJA,IAAO,aAAQ,CACb,UAAU,OAAwB,CAChC,OAAO,WAAW,OAAO,MAAM,CACjC,CACF",
  "names": []
}
)";

TEST_F(ScriptTest, ErrorsOfABundleNameTheLinesOfItsSources) {
  Config config = configOf(Source::Kind::Bytecode, container(kBundle, "auth.js", kBundleMap));
  config.configJson = R"({"tenant":"a-b"})";
  // The engine places the throw of a new error at the error's arguments.
  EXPECT_EQ(refused(config), "E_CONFIGURE_THROW src/tenants.ts:7:60");
  EXPECT_EQ(last_.message, "configure() threw: TypeError: no tenant a-b");
  EXPECT_EQ(last_.stack, "    at findTenant (src/tenants.ts:7:60)\n"
                         "    at configure (src/auth.ts:7:23)");

  // Without a map the bundle itself is named.
  config.source.text = container(kBundle, "auth.js");
  EXPECT_EQ(refused(config).substr(0, 28), "E_CONFIGURE_THROW auth.js:1:");
}

TEST_F(ScriptTest, OnlyPositionsOfTheBundleAreMapped) {
  Config config = configOf(Source::Kind::Bytecode, container(kBundle, "auth.js", kBundleMap));
  config.configJson = R"({"tenant":"a"})";
  const auto script = loaded(config);
  ASSERT_NE(script, nullptr);

  const auto mapped = [&](std::string file, uint32_t line, uint32_t column) {
    script->mapPosition(file, line, column);
    return file + ':' + std::to_string(line) + ':' + std::to_string(column);
  };
  EXPECT_EQ(mapped("auth.js", 1, 55), "src/tenants.ts:7:33");
  EXPECT_EQ(mapped("console", 1, 55), "console:1:55");
  EXPECT_EQ(mapped("", 0, 0), ":0:0");

  Error error{.code = "E_THROW", .message = "no", .file = "auth.js", .line = 1, .column = 55};
  error.stack = "    at findTenant (auth.js:1:55)\n"
                "    at auth.js:1:148\n"
                "    at log (console:1:55)\n"
                "    at forEach (native)\n"
                "    at odd (auth.js:1)\n"
                "no frame (auth.js:1:55)\n"
                "    at a (b) (auth.js:1:55)\n";
  const std::string expected = "    at findTenant (src/tenants.ts:7:33)\n"
                               "    at src/auth.ts:7:12\n"
                               "    at log (console:1:55)\n"
                               "    at forEach (native)\n"
                               "    at odd (auth.js:1)\n"
                               "no frame (auth.js:1:55)\n"
                               "    at a (b) (src/tenants.ts:7:33)\n";
  for (int round = 0; round < 2; ++round) {  // a second time changes nothing
    script->mapPositions(error);
    EXPECT_EQ(error.file, "src/tenants.ts");
    EXPECT_EQ(error.line, 7U);
    EXPECT_EQ(error.column, 33U);
    EXPECT_EQ(error.stack, expected);
  }
}

TEST_F(ScriptTest, AMapThatIsNoMapDoesNotMatter) {
  const auto script =
      loaded(configOf(Source::Kind::Bytecode, container(kPasses, "auth.js", "no map")));
  ASSERT_NE(script, nullptr);
  std::string file = "auth.js";
  uint32_t line = 1, column = 2;
  script->mapPosition(file, line, column);
  EXPECT_EQ(file + std::to_string(line) + std::to_string(column), "auth.js12");
}

// --- All together ---

TEST_F(ScriptTest, AFilterConfigIsParsedAndLoaded) {
  const auto config = FilterConfig::create("auth", kPasses);
  ASSERT_TRUE(config.ok());
  EXPECT_EQ((*config)->config.filterName, "auth");
  EXPECT_TRUE((*config)->config.source.text.empty());
  EXPECT_TRUE((*config)->script->hasHook(Hook::OnRequest));

  const std::string file = write("auth.js", kPasses);
  const auto withFile = FilterConfig::create(
      "auth", "{\"file\":\"" + file + "\",\"config\":{\"a\":1},\"limits\":{\"cpu_ms\":5}}");
  ASSERT_TRUE(withFile.ok());
  EXPECT_EQ((*withFile)->config.configJson, "{\"a\":1}");
  EXPECT_EQ((*withFile)->config.source.text, file);
  EXPECT_EQ((*withFile)->config.limits.cpuMs, 5U);

  EXPECT_EQ(FilterConfig::create("auth", "{\"limit\":1}").error().code, "E_CONFIG_KEY");
  EXPECT_EQ(FilterConfig::create("auth", "export default 7").error().code, "E_SCRIPT_EXPORT");
  EXPECT_EQ(FilterConfig::create("auth", "not json").error().code, "E_SCRIPT_SYNTAX");
}

}  // namespace
}  // namespace fairlead
