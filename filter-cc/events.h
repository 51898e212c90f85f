// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// AbortSignals for the core. They are made in TypeScript (builtins/events.ts); what a script does
// to the prototypes of its world changes nothing here.
//
// Requires, of every function but the last two: an open Entry.

#pragma once

#include "filter-cc/bind.h"

namespace fairlead {

/**
 * An AbortSignal; `abort` gets the function that aborts it, with an AbortError when it is called
 * without a reason. An exception value: out of memory.
 */
js::Value newStreamSignal(Runtime& runtime, js::Value& abort);

/**
 * An AbortSignal that follows another one; an exception value: out of memory.
 * Requires: isAbortSignal(signal).
 */
js::Value followSignal(Runtime& runtime, JSValueConst signal);

/** False with an exception pending when memory ran out. */
bool isAbortSignal(Runtime& runtime, JSValueConst value);

/** Requires: isAbortSignal(signal). */
bool isAborted(Runtime& runtime, JSValueConst signal);

/** Undefined while the signal is not aborted. Requires: isAbortSignal(signal). */
js::Value abortReason(Runtime& runtime, JSValueConst signal);

/**
 * Has `function` called with the reason when the signal is aborted: once, before the script's own
 * listeners, never for one that is aborted already. `remove` gets a function that takes it back;
 * call it when nobody waits any more, for a signal can live long. False with an exception pending:
 * out of memory. Requires: isAbortSignal(signal).
 */
bool onAbort(Runtime& runtime, JSValueConst signal, JSValueConst function,
             js::Value* remove = nullptr);

/** Whether an object is one of those that are made in builtins/events.ts. */
bool isEventObject(Runtime& runtime, JSValueConst object);

/** What builtins/events.ts imports: newDomException, reportException. False: out of memory. */
bool defineEventNatives(Runtime& runtime, JSValueConst exports);

}  // namespace fairlead
