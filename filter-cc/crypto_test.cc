// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// What crypto and structuredClone cost, and when it goes. What they do is tested from outside: test/webapi/,
// test/crypto.test.ts.

#include <gtest/gtest.h>

#include <algorithm>
#include <ctime>

#include "filter-cc/answering_test.h"
#include "filter-cc/runtime.h"

namespace fairlead {
namespace {

using CryptoTest = AnsweringTest;

// F068, W13
TEST_F(CryptoTest, TheCpuLimitStopsWhatAScriptCanMakeLong) {
  load(R"(const { subtle } = crypto;
    const rsa = { name: "RSA-PSS", hash: "SHA-256", modulusLength: 8192, publicExponent: new Uint8Array([1, 0, 1]) };
    const long = {
      async "/pbkdf2"() {
        const key = await subtle.importKey("raw", new Uint8Array(1), "PBKDF2", false, ["deriveBits"]);
        const algorithm = { name: "PBKDF2", hash: "SHA-512", salt: new Uint8Array(), iterations: 4e9 };
        await subtle.deriveBits(algorithm, key, 512);
      },
      async "/salt"() {
        const key = await subtle.importKey("raw", new Uint8Array(1), "PBKDF2", false, ["deriveBits"]);
        const algorithm = { name: "PBKDF2", hash: "SHA-512", salt: new Uint8Array(12e6), iterations: 1 };
        await subtle.deriveBits(algorithm, key, 512_000);
      },
      async "/info"() {
        const key = await subtle.importKey("raw", new Uint8Array(1), "HKDF", false, ["deriveBits"]);
        const algorithm = { name: "HKDF", hash: "SHA-512", salt: new Uint8Array(), info: new Uint8Array(12e6) };
        await subtle.deriveBits(algorithm, key, 255 * 512);
      },
      async "/uses"() {
        const jwk = { kty: "oct", k: "AAAAAAAAAAAAAAAAAAAAAA", key_ops: new Array(2 ** 32 - 1) };
        await subtle.importKey("jwk", jwk, "AES-GCM", false, ["encrypt"]);
      },
      "/rsa": () => subtle.generateKey(rsa, false, ["sign"]),
      async "/many"() { for (;;) await subtle.digest("SHA-256", new Uint8Array(1e6)); },
    };
    const run = (path) => long[path]?.() ?? "served";)",
       16, 50);
  for (const char* path : {"/pbkdf2", "/salt", "/info", "/uses", "/rsa", "/many"}) {
    envoy_.clearLog();
    const std::clock_t before = std::clock();
    EXPECT_EQ(request(path).first, 500u) << path;
    // Far more than a step of any of them takes, far less than all.
    EXPECT_LT(std::clock() - before, 2 * CLOCKS_PER_SEC) << path;
    EXPECT_TRUE(logHolds("E_CPU_LIMIT")) << path;
    EXPECT_EQ(request("/"), std::pair(200u, std::string("served"))) << path;
  }
}

// F070, W13, W15
TEST_F(CryptoTest, WhatKeysAndClonesHoldCountsAgainstMemoryMb) {
  load(R"(const { subtle } = crypto;
    const hmac = { name: "HMAC", hash: "SHA-256" };
    const endless = {
      async "/keys"() { const keys = []; for (;;) keys.push(await subtle.importKey("raw", new Uint8Array(1e5), hmac, false, ["sign"])); },
      async "/pairs"() { const pairs = []; for (;;) pairs.push(await subtle.generateKey("X25519", false, ["deriveBits"])); },
      async "/wide"() {
        const key = await subtle.importKey("raw", new Uint8Array(1), "PBKDF2", false, ["deriveBits"]);
        const algorithm = { name: "PBKDF2", hash: "SHA-1", salt: new Uint8Array(), iterations: 1 };
        await subtle.deriveBits(algorithm, key, 0xFFFFFFF8);
      },
      async "/jwk"() {
        const n = "A".repeat(1e6);
        await subtle.importKey("jwk", { kty: "RSA", n, e: n, d: n, p: n, q: n }, { name: "RSA-PSS", hash: "SHA-1" }, true, []);
      },
      "/one": () => subtle.generateKey({ ...hmac, length: 2 ** 31 }, false, ["sign"]),
      async "/clones"() { const data = [new Uint8Array(1e5)]; for (;;) data.push(structuredClone(data[0])); },
    };
    const run = (path) => endless[path]?.() ?? "served";)",
       4, 5'000);
  for (const char* path : {"/keys", "/pairs", "/wide", "/jwk", "/one", "/clones"}) {
    envoy_.clearLog();
    EXPECT_EQ(request(path).first, 500u) << path;
    EXPECT_TRUE(logHolds("E_MEMORY_LIMIT")) << path;
    EXPECT_EQ(request("/"), std::pair(200u, std::string("served"))) << path;
  }
}

// R04, R27, W13, W15
TEST_F(CryptoTest, KeysAndClonesThatNobodyHoldsGoCyclesToo) {
  load(R"(const { subtle } = crypto;
    async function run() {
      crypto.self = crypto;
      subtle.crypto = crypto;
      for (let i = 0; i < 100; i++) {
        const hmac = await subtle.importKey("raw", new Uint8Array(1e5), { name: "HMAC", hash: "SHA-256" }, true, ["sign"]);
        hmac.algorithm.key = hmac.usages.key = hmac.self = hmac;
        const { privateKey, publicKey } = await subtle.generateKey("Ed25519", true, ["sign", "verify"]);
        privateKey.other = publicKey;
        publicKey.other = privateKey;
        const circle = new Map();
        circle.set(circle, new Error("a")).set("bytes", new Uint8Array(1e4));
        structuredClone(structuredClone(circle));
      }
      return "done";
    })",
       4);
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(request("/"), std::pair(200u, std::string("done")));
}

// W15
TEST_F(CryptoTest, ACloneOutlivesWhatAGetterTakesAway) {
  load(R"(function run() {
      const error = new Error("first");
      const map = new Map([[{ key: 1 }, error], ["second", {}]]);
      Object.defineProperty(error, "name", { get() { map.clear(); return "RangeError"; } });
      const buffer = new ArrayBuffer(8);
      const holder = { get first() { buffer.transfer(); return 1; }, buffer };
      let lost;
      try { structuredClone(holder, { transfer: [buffer] }); lost = buffer.byteLength; } catch (error) { lost = error.code; }
      return [...structuredClone(map)].map(([key, value]) => JSON.stringify(key) + value) + " " + lost;
    })",
       16);
  EXPECT_EQ(request("/").first, 200u);
  EXPECT_EQ(request("/").second, "{\"key\":1}RangeError: first,\"second\"[object Object] E_DATA_CLONE");
}

}  // namespace
}  // namespace fairlead
