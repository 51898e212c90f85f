// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// What the wrapper needs from inside the engine. For engine.cc and engine_unit.c only.
// Requires: quickjs.h included before.

#pragma once

#ifdef __cplusplus
extern "C" {
#endif

// --- Entry ---

/// Records the caller's stack, makes `owner` current and has every context poll after `polls`
/// polls.
void fairlead_enter(JSRuntime* rt, uint64_t owner, int polls);
/// Makes no owner current and frees a pending exception; gives the collector's threshold.
size_t fairlead_leave(JSRuntime* rt);
void fairlead_set_polls(JSRuntime* rt, int polls);
/// Counts text that the host goes on to read: the next poll comes the sooner.
void fairlead_spend_text(JSContext* ctx, size_t bytes);
/// Whether a function runs.
bool fairlead_in_function(JSRuntime* rt);

uint64_t fairlead_owner(JSRuntime* rt);
void fairlead_set_owner(JSRuntime* rt, uint64_t owner);

/// Makes `context` the asynchronous context and gives the one before; the owner of both changes.
JSValue fairlead_swap_context(JSRuntime* rt, JSValue context);
/// The asynchronous context, on loan.
JSValueConst fairlead_context(JSRuntime* rt);

/// Frees queued jobs: those of `owner`, or of any owner when null; those of `ctx`, or of any
/// context.
void fairlead_drop_jobs(JSRuntime* rt, const uint64_t* owner, JSContext* ctx);

// --- Memory ---

size_t fairlead_heap_bytes(JSRuntime* rt);
#ifndef NDEBUG
/// Has the collector run at every so many objects made, more rarely in a heap above 1 MB; 0: only
/// when the heap has grown.
void fairlead_collect_every(JSRuntime* rt, uint32_t objects);
#endif
/// Counts memory outside the heap as if it were in it: `before` bytes became `after`. False: it is
/// refused like an allocation, and nothing has changed.
bool fairlead_charge(JSRuntime* rt, size_t before, size_t after);
/// Where it stands whether an allocation was refused.
const bool* fairlead_refused(JSRuntime* rt);
/// Whose code wanted that memory.
uint64_t fairlead_refused_owner(JSRuntime* rt);

/// Seeds the hashes of Map and Set, which the engine itself seeds from the clock.
void fairlead_seed(JSContext* ctx, uint32_t seed);

// --- Modules ---

/// Links a module without running it; negative with an exception pending.
int fairlead_link_module(JSContext* ctx, JSValueConst module);

// --- Strings ---

/// A string of code units 0-255.
JSValue fairlead_new_string8(JSContext* ctx, const char* bytes, size_t length);
/// The code units of a string that is stored in one piece of bytes; false for any other value.
bool fairlead_byte_string(JSValueConst value, const char** bytes, size_t* length);
/// The code units of a string that is stored in one piece, 8 or 16 bits wide; false for a rope.
bool fairlead_flat_string(JSValueConst string, const void** units, size_t* length, bool* wide);
/// Copies at most `capacity` code units from the string's begin; allocates nothing. Gives their
/// number.
size_t fairlead_string_begin(JSValueConst string, uint16_t* units, size_t capacity);

// --- Promises ---

JSValue fairlead_new_promise(JSContext* ctx);
void fairlead_settle_promise(JSContext* ctx, JSValueConst promise, JSValueConst value, bool reject);
/// Negative with an exception pending.
int fairlead_promise_then(JSContext* ctx, JSValueConst promise, JSValueConst on_fulfilled,
                          JSValueConst on_rejected);
bool fairlead_promise_is_handled(JSValueConst promise);
/// The place of the throw that rejected a promise, as stack text, or undefined.
JSValueConst fairlead_promise_backtrace(JSValueConst promise);

// --- Errors ---

/// The stack text that the engine keeps inside an Error, or undefined.
JSValueConst fairlead_error_stack(JSValueConst value);
/// Takes the place of the last throw that nothing caught, as stack text, or undefined.
JSValue fairlead_take_backtrace(JSContext* ctx);
/// Gives name and message of a DOMException; false for anything else.
bool fairlead_dom_exception(JSValueConst value, JSValueConst* name, JSValueConst* message);

// --- Iteration ---

/// False: an exception is pending, stop.
typedef bool (*fairlead_visit)(JSContext* ctx, JSValueConst item, void* opaque);
/// Visits what an iterable gives. 1: all; 0: it is not iterable; -1: an exception is pending.
int fairlead_iterate(JSContext* ctx, JSValueConst iterable, fairlead_visit visit, void* opaque);
/// What every iterator inherits from.
JSValueConst fairlead_iterator_prototype(JSContext* ctx);

// --- Classes ---

/// Whether an object of an embedder's class is held once, and is as JS_NewObjectClass made it but
/// for its opaque pointer and, where `extensible` is false, JS_PreventExtensions.
bool fairlead_as_made(JSContext* ctx, JSValueConst object, bool extensible);

/// Holds the shape of `object`, a value of any kind, in the place of the one that is held (null: none);
/// gives what is held now.
void* fairlead_keep_shape(JSRuntime* rt, void* kept, JSValueConst object);

/// Gives a prototype its Symbol.toStringTag. Negative with an exception pending.
int fairlead_set_tag(JSContext* ctx, JSValueConst prototype, const char* tag);

// --- Buffers ---

/// Finds the memory of an ArrayBuffer or of a view of one. 1: found; 0: another value; -1: the
/// buffer was detached, or the view does not lie in it any more.
int fairlead_bytes(JSValueConst value, uint8_t** bytes, size_t* length);

/// Code units of a string; 0 for what is none.
size_t fairlead_string_length(JSValueConst string);

// --- structuredClone ---

/// The clone of an object that the engine takes for an ordinary one, or of a class that is not its own:
/// undefined where it is not the host's either, null where the host has no clone of it.
typedef JSValue (*fairlead_clone_host)(JSContext* ctx, JSValueConst object, void* opaque);
/// Clones a value as HTML's structuredClone does, but breadth first: that shows only in the order in
/// which getters are called. JS_EXCEPTION: with `refused` null an exception is pending; else that
/// cannot be cloned.
JSValue fairlead_clone(JSContext* ctx, JSValueConst value, JSValueConst* transfer, size_t count,
                       fairlead_clone_host clone_host, void* opaque, const char** refused);

// --- What runs ---

/// Function `index` of script code on the stack, the innermost first: its name (undefined if it has
/// none), file and place. Borrows name and file. False when there are fewer.
bool fairlead_caller(JSContext* ctx, uint32_t index, JSValueConst* name, JSAtom* file, int* line,
                     int* column);

/// How many of its arguments a function can see; INT_MAX when that cannot be told.
int fairlead_arguments_seen(JSValueConst function);

/// Where a function of a script is defined. Borrows the file's name. False for other values.
bool fairlead_function_place(JSValueConst function, JSAtom* file, int* line, int* column);

// --- Intrinsics ---

/// Functions of the engine itself, made anew, in groups by what they belong to: those that built-ins
/// want (filter-cc/builtins/native.d.ts).
JSValue fairlead_intrinsics(JSContext* ctx);

#ifdef __cplusplus
}
#endif
