// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Compiles built-in modules at build time:
//
//   builtins_compiler OUT.inc [--module=NAME:EXPORT,EXPORT...] name=file.js ...
//
// OUT.inc, for inclusion inside a namespace of C++, has one array of bytecode for each file and
//   struct Builtin { const char* name; const unsigned char* bytes; size_t size; };
//   constexpr Builtin kBuiltins[] = {{"name", bytes, size}, ...};   (null when there is none)
//   constexpr size_t kBuiltinCount = ...;
// `--module` names a host module that the files may import.

#include <cstdio>
#include <fstream>
#include <iterator>
#include <sstream>

#include "quickjs/engine.h"

namespace {

using fairlead::js::HostModule;

struct Input {
  std::string name;
  std::string path;
};

std::optional<std::string> readFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  return std::string(std::istreambuf_iterator<char>(file), {});
}

HostModule parseModule(std::string_view text) {
  // The name of the module has a colon of its own.
  const size_t colon = text.rfind(':');
  HostModule module{.name = std::string(text.substr(0, colon)), .exportNames = {}};
  std::istringstream names(std::string(colon == text.npos ? "" : text.substr(colon + 1)));
  for (std::string name; std::getline(names, name, ',');) module.exportNames.push_back(name);
  return module;
}

int fail(const std::string& message) {
  std::fprintf(stderr, "builtins_compiler: %s\n", message.c_str());
  return 1;
}

void writeArray(std::ostream& out, size_t index, const std::vector<uint8_t>& bytes) {
  constexpr size_t kBytesPerLine = 24;
  out << "constexpr unsigned char kBuiltin" << index << "[] = {";
  for (size_t i = 0; i < bytes.size(); ++i) {
    out << (i % kBytesPerLine == 0 ? "\n" : "") << static_cast<unsigned>(bytes[i]) << ',';
  }
  out << "\n};\n";
}

} // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    return fail("usage: builtins_compiler OUT.inc [--module=NAME:EXPORT,...] name=file.js ...");
  }
  std::vector<HostModule> modules;
  std::vector<Input> inputs;
  for (int i = 2; i < argc; ++i) {
    const std::string_view argument = argv[i];
    constexpr std::string_view kModule = "--module=";
    const size_t equals = argument.find('=');
    if (argument.starts_with(kModule)) {
      modules.push_back(parseModule(argument.substr(kModule.size())));
    } else if (equals == 0 || equals == argument.npos || equals + 1 == argument.size()) {
      return fail("'" + std::string(argument) + "' is not name=file.js");
    } else {
      inputs.push_back(
          {std::string(argument.substr(0, equals)), std::string(argument.substr(equals + 1))});
    }
  }

  std::ostringstream out;
  out << "// Made by builtins_compiler; do not edit.\n"
         "struct Builtin { const char* name; const unsigned char* bytes; size_t size; };\n";
  std::vector<size_t> sizes;
  for (const Input& input : inputs) {
    const auto source = readFile(input.path);
    if (!source) return fail("cannot read " + input.path);
    const auto bytecode = fairlead::js::compile(*source, "fairlead:" + input.name, modules);
    if (!bytecode) {
      const fairlead::Error& error = bytecode.error();
      return fail(input.path + ":" + std::to_string(error.line) + ":" +
                  std::to_string(error.column) + ": " + error.message);
    }
    writeArray(out, sizes.size(), *bytecode);
    sizes.push_back(bytecode->size());
  }
  if (inputs.empty()) {
    out << "constexpr const Builtin* kBuiltins = nullptr;\n";
  } else {
    out << "constexpr Builtin kBuiltins[] = {\n";
    for (size_t i = 0; i < inputs.size(); ++i) {
      out << "    {\"" << inputs[i].name << "\", kBuiltin" << i << ", " << sizes[i] << "},\n";
    }
    out << "};\n";
  }
  out << "constexpr size_t kBuiltinCount = " << inputs.size() << ";\n";

  std::ofstream file(argv[1], std::ios::binary);
  file << out.str();
  file.close();
  return file ? 0 : fail(std::string("cannot write ") + argv[1]);
}
