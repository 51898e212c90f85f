// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors
//
// A plugin for qemu-user that counts executed instructions into a file another process maps or reads:
//
//   qemu-x86_64 -plugin libbench_instructions.so,counters=FILE PROGRAM
//
// FILE is an array of 64-bit counters, one cache line per guest thread, so that threads need no lock. The few plugin
// functions used are declared here; names and meaning are qemu's.

#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

enum { kPluginApi = 1, kCallbackTouchesNoRegisters = 0 };

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id,
                                           void (*translated)(qemu_plugin_id_t, struct qemu_plugin_tb*));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb* block,
                                          void (*executed)(unsigned thread, void* data), int flags, void* data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb* block);

EXPORT int qemu_plugin_version = kPluginApi;

// qemu gives the lowest free number to a new thread.
enum { kThreads = 4096, kCountersPerThread = 8 };

static uint64_t (*counters)[kCountersPerThread];

static void onExecuted(unsigned thread, void* instructions) {
  // Relaxed: only this thread writes here, and the reader waits until nothing changes any more.
  uint64_t* counter = &counters[thread % kThreads][0];
  __atomic_store_n(counter, *counter + (uintptr_t)instructions, __ATOMIC_RELAXED);
}

static void onTranslated(qemu_plugin_id_t id, struct qemu_plugin_tb* block) {
  (void)id;
  void* const instructions = (void*)(uintptr_t)qemu_plugin_tb_n_insns(block);
  qemu_plugin_register_vcpu_tb_exec_cb(block, onExecuted, kCallbackTouchesNoRegisters, instructions);
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const void* info, int argc, char** argv) {
  (void)info;
  static const char kKey[] = "counters=";
  if (argc != 1 || strncmp(argv[0], kKey, sizeof kKey - 1) != 0) {
    fprintf(stderr, "bench_instructions: the one argument is counters=FILE\n");
    return -1;
  }
  const char* const path = argv[0] + sizeof kKey - 1;
  const size_t size = kThreads * sizeof *counters;
  const int file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
  if (file < 0 || ftruncate(file, (off_t)size) != 0) {
    perror(path);
    return -1;
  }
  void* const map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (map == MAP_FAILED) {
    perror(path);
    return -1;
  }
  counters = map;
  qemu_plugin_register_vcpu_tb_trans_cb(id, onTranslated);
  return 0;
}
