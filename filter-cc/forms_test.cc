// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// What forms and blobs cost, when that goes, and that no body harms the parser. What they do is tested from outside:
// test/webapi/, test/forms.test.ts.

#include <gtest/gtest.h>

#include <algorithm>

#include "filter-cc/answering_test.h"
#include "filter-cc/runtime.h"

namespace fairlead {
namespace {

using FormsTest = AnsweringTest;

TEST_F(FormsTest, WhatBlobsAndFormsHoldCountsAgainstMemoryMb) {
  // W24, F070
  load(R"(const endless = {
      "/blobs"() { const all = []; for (;;) all.push(new Blob(["x".repeat(100_000)])); },
      "/parts": () => new Blob(function* () { for (;;) yield "x".repeat(100_000); }()),
      "/form"() { const form = new FormData(); for (;;) form.append("a", "x".repeat(10_000)); },
      "/names"() { const form = new FormData(); for (;;) form.append("a", ""); },
      "/text"() { const form = new FormData(); form.set("a", "x".repeat(1e6)); const all = []; for (;;) all.push(new Response(form)); },
    };
    const run = (path) => endless[path]?.() ?? "served";)",
       4);
  for (const char* path : {"/blobs", "/parts", "/form", "/names", "/text"}) {
    envoy_.clearLog();
    EXPECT_EQ(request(path).first, 500u) << path;
    EXPECT_TRUE(logHolds("E_MEMORY_LIMIT")) << path;
    EXPECT_EQ(request("/"), std::pair(200u, std::string("served"))) << path;
  }
}

TEST_F(FormsTest, WhatIsNotHeldAnyMoreIsGivenBackAndSlicesShareTheirBytes) {
  // W24
  load(R"(async function run(path) {
      const large = new Blob(["x".repeat(1e6)]);
      const kept = [];
      for (let i = 0; i < 1000; i++) {
        if (path === "/slices") kept.push(large.slice(i));
        else if (path === "/clones") kept.push(structuredClone(large));
        else if (path === "/blobs") new Blob([large]);
        else if (path === "/forms") {
          const form = new FormData();
          form.append("file", large, "a");
          form.append("self", new File([form.get("file").slice(0, 10)], "b"));
          form.form = form;
        }
      }
      return kept.length;
    })",
       6);
  EXPECT_EQ(request("/slices"), std::pair(200u, std::string("1000")));
  EXPECT_EQ(request("/clones"), std::pair(200u, std::string("1000")));
  EXPECT_EQ(request("/blobs"), std::pair(200u, std::string("0")));
  EXPECT_EQ(request("/forms"), std::pair(200u, std::string("0")));
}

TEST_F(FormsTest, NoBodyHarmsTheParser) {
  // W24, H202
  load(R"(let state = 1;
    const below = (limit) => ((state = (state * 16807) % 2147483647) >> 8) % limit;
    const words = ["--b", "--b--", "\r\n", "\r", "\n", "--", "Content-Disposition: form-data; name=\"a\"", "; filename=\"c\"",
      "; filename*=UTF-8''%e2%82", "%", "\"", "\\", ";", "=", ":", "x", "\u00e9", "Content-Type: a/b", "\0", " ", "--b\r\n", "\r\n\r\n"];
    async function run() {
      const counts = { read: 0, E_FORM: 0 };
      for (let i = 0; i < 4000; i++) {
        let body = below(4) ? "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n" : "";
        for (let left = below(14); left > 0; left--) body += words[below(words.length)];
        if (below(2)) body += "\r\n--b--";
        const type = below(8) ? "multipart/form-data; boundary=b" : "multipart/form-data; " + words[below(words.length)] + "=b";
        const message = new Response(body.slice(0, body.length - below(3)), { headers: { "content-type": type.replace(/[\r\n\0]/g, "") } });
        counts[await message.formData().then(() => "read", (error) => error.code)]++;
      }
      return Object.keys(counts).join() + (counts.read > 100 && counts.E_FORM > 100);
    })",
       16);
  EXPECT_EQ(request("/"), std::pair(200u, std::string("read,E_FORMtrue")));
}

}  // namespace
}  // namespace fairlead
