// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// The engine's main file with a few functions of ours behind it, which reach what its interface
// hides.

#include "quickjs.c"

#include "quickjs/engine_unit.h"

void fairlead_set_polls(JSRuntime* rt, int polls) {
  struct list_head* el;
  list_for_each(el, &rt->context_list) {
    list_entry(el, JSContext, link)->interrupt_counter = polls;
  }
}

void fairlead_enter(JSRuntime* rt, uint64_t owner, int polls) {
  JS_UpdateStackTop(rt);
  rt->fairlead_owner = owner;
  fairlead_set_polls(rt, polls);
}

void fairlead_spend_text(JSContext* ctx, size_t bytes) { fairlead_spend(ctx, bytes >> 7); }

size_t fairlead_leave(JSRuntime* rt) {
  rt->fairlead_owner = 0;
  if (unlikely(!JS_IsUninitialized(rt->current_exception))) {
    JSValue exception = rt->current_exception;
    rt->current_exception = JS_UNINITIALIZED;
    JS_FreeValueRT(rt, exception);
  }
  return rt->malloc_gc_threshold;
}

bool fairlead_in_function(JSRuntime* rt) { return rt->current_stack_frame != NULL; }

uint64_t fairlead_owner(JSRuntime* rt) { return rt->fairlead_owner; }

void fairlead_set_owner(JSRuntime* rt, uint64_t owner) { rt->fairlead_owner = owner; }

JSValue fairlead_swap_context(JSRuntime* rt, JSValue context) {
  JSValue before = rt->fairlead_context;
  rt->fairlead_context = context;
  return before;
}

JSValueConst fairlead_context(JSRuntime* rt) { return rt->fairlead_context; }

void fairlead_drop_jobs(JSRuntime* rt, const uint64_t* owner, JSContext* ctx) {
  struct list_head dropped, *el, *next;
  init_list_head(&dropped);
  // First unlinked, then freed: freeing values can run finalizers.
  list_for_each_safe(el, next, &rt->job_list) {
    JSJobEntry* job = list_entry(el, JSJobEntry, link);
    if ((owner && job->fairlead_owner != *owner) || (ctx && job->ctx != ctx)) continue;
    list_del(&job->link);
    list_add_tail(&job->link, &dropped);
  }
  list_for_each_safe(el, next, &dropped) {
    JSJobEntry* job = list_entry(el, JSJobEntry, link);
    list_del(&job->link);
    JS_FreeValueRT(rt, job->fairlead_context);
    for (int i = 0; i < job->argc; i++) JS_FreeValueRT(rt, job->argv[i]);
    js_free_rt(rt, job);
  }
}

bool fairlead_as_made(JSContext* ctx, JSValueConst object, bool extensible) {
  JSObject* p = JS_VALUE_GET_OBJ(object);
  return JS_REF_COUNT(p) == 1 && p->shape->prop_count == 0 && p->first_weak_ref == NULL &&
         p->extensible == extensible && !p->is_prototype &&
         p->shape->proto == JS_VALUE_GET_OBJ(ctx->class_proto[p->class_id]);
}

void* fairlead_keep_shape(JSRuntime* rt, void* kept, JSValueConst object) {
  JSShape* before = kept;
  JSShape* shape = JS_VALUE_GET_TAG(object) == JS_TAG_OBJECT ? JS_VALUE_GET_OBJ(object)->shape : NULL;
  if (shape && !shape->is_hashed) shape = NULL;
  if (shape == before) return kept;
  if (shape) js_dup_shape(shape);
  if (before) js_free_shape(rt, before);
  return shape;
}

int fairlead_arguments_seen(JSValueConst function) {
  if (JS_VALUE_GET_TAG(function) != JS_TAG_OBJECT) return INT_MAX;
  JSObject* p = JS_VALUE_GET_OBJ(function);
  if (!js_class_has_bytecode(p->class_id)) return INT_MAX;
  JSFunctionBytecode* b = p->u.func.function_bytecode;
  const uint8_t* code = b->byte_code_buf;
  for (int at = 0; at < b->byte_code_len; at += short_opcode_info(code[at]).size) {
    if (code[at] == OP_rest ||
        (code[at] == OP_special_object && (code[at + 1] == OP_SPECIAL_OBJECT_ARGUMENTS ||
                                           code[at + 1] == OP_SPECIAL_OBJECT_MAPPED_ARGUMENTS)))
      return INT_MAX;
  }
  return b->arg_count;
}

#ifndef NDEBUG
void fairlead_collect_every(JSRuntime* rt, uint32_t objects) { rt->fairlead_collect_every = objects; }
#endif

size_t fairlead_heap_bytes(JSRuntime* rt) { return rt->malloc_state.malloc_size; }

bool fairlead_charge(JSRuntime* rt, size_t before, size_t after) {
  JSMallocState* s = &rt->malloc_state;
  if (after > before && s->malloc_size + (after - before) > s->malloc_limit - 1) {
    fairlead_refuse(rt);
    return false;
  }
  s->malloc_size += after - before;
  if (after > before) fairlead_spend_bytes(rt, after - before);
  return true;
}

const bool* fairlead_refused(JSRuntime* rt) { return &rt->fairlead_refused; }

uint64_t fairlead_refused_owner(JSRuntime* rt) { return rt->fairlead_refused_owner; }

void fairlead_seed(JSContext* ctx, uint32_t seed) { ctx->hash_seed = seed; }

int fairlead_link_module(JSContext* ctx, JSValueConst module) {
  JSModuleDef* m = JS_VALUE_GET_PTR(module);
  if (js_create_module_function(ctx, m) < 0) return -1;
  return js_link_module(ctx, m);
}

JSValue fairlead_new_string8(JSContext* ctx, const char* bytes, size_t length) {
  if (length == 0) return js_empty_string(ctx->rt);
  if (length > JS_STRING_LEN_MAX) return JS_ThrowRangeError(ctx, "invalid string length");
  return js_new_string8_len(ctx, bytes, (int)length);
}

bool fairlead_byte_string(JSValueConst value, const char** bytes, size_t* length) {
  if (JS_VALUE_GET_TAG(value) != JS_TAG_STRING) return false;
  JSString* p = JS_VALUE_GET_STRING(value);
  if (p->is_wide_char) return false;
  *bytes = likely(p->kind == JS_STRING_KIND_NORMAL) ? (const char*)&p[1] : strv(p);
  *length = p->len;
  return true;
}

bool fairlead_flat_string(JSValueConst string, const void** units, size_t* length, bool* wide) {
  if (JS_VALUE_GET_TAG(string) != JS_TAG_STRING) return false;
  JSString* p = JS_VALUE_GET_STRING(string);
  *units = strv(p);
  *length = p->len;
  *wide = p->is_wide_char;
  return true;
}

size_t fairlead_string_begin(JSValueConst string, uint16_t* units, size_t capacity) {
  // Right halves that wait for their turn. A rope is kept shallower than this by the engine; should
  // one be deeper, the copy ends early.
  JSValueConst waiting[JS_STRING_ROPE_MAX_DEPTH + 4];
  size_t depth = 0, length = 0;
  JSValueConst at = string;
  for (;;) {
    if (JS_VALUE_GET_TAG(at) == JS_TAG_STRING_ROPE) {
      JSStringRope* rope = JS_VALUE_GET_STRING_ROPE(at);
      if (depth == countof(waiting)) return length;
      waiting[depth++] = rope->right;
      at = rope->left;
      continue;
    }
    if (JS_VALUE_GET_TAG(at) != JS_TAG_STRING) return length;
    JSString* p = JS_VALUE_GET_STRING(at);
    size_t n = min_int64(p->len, capacity - length);
    for (size_t i = 0; i < n; i++) units[length++] = p->is_wide_char ? str16(p)[i] : str8(p)[i];
    if (length == capacity || depth == 0) return length;
    at = waiting[--depth];
  }
}

JSValue fairlead_new_promise(JSContext* ctx) {
  JSValue promise = JS_NewObjectClass(ctx, JS_CLASS_PROMISE);
  if (JS_IsException(promise)) return JS_EXCEPTION;
  JSPromiseData* s = js_mallocz(ctx, sizeof(*s));
  if (!s) {
    JS_FreeValue(ctx, promise);
    return JS_EXCEPTION;
  }
  s->promise_state = JS_PROMISE_PENDING;
  init_list_head(&s->promise_reactions[0]);
  init_list_head(&s->promise_reactions[1]);
  s->promise_result = JS_UNDEFINED;
  s->fairlead_backtrace = JS_UNDEFINED;
  JS_SetOpaqueInternal(promise, s);
  return promise;
}

void fairlead_settle_promise(JSContext* ctx, JSValueConst promise, JSValueConst value,
                             bool reject) {
  fulfill_or_reject_promise(ctx, promise, value, reject);
}

int fairlead_promise_then(JSContext* ctx, JSValueConst promise, JSValueConst on_fulfilled,
                          JSValueConst on_rejected) {
  JSValueConst handlers[2] = {on_fulfilled, on_rejected};
  JSValueConst nobody[2] = {JS_UNDEFINED, JS_UNDEFINED};
  return perform_promise_then(ctx, promise, handlers, nobody);
}

bool fairlead_promise_is_handled(JSValueConst promise) {
  JSPromiseData* s = JS_GetOpaque(promise, JS_CLASS_PROMISE);
  return s && s->is_handled;
}

JSValueConst fairlead_promise_backtrace(JSValueConst promise) {
  JSPromiseData* s = JS_GetOpaque(promise, JS_CLASS_PROMISE);
  return s ? s->fairlead_backtrace : JS_UNDEFINED;
}

JSValueConst fairlead_error_stack(JSValueConst value) {
  if (JS_VALUE_GET_TAG(value) != JS_TAG_OBJECT) return JS_UNDEFINED;
  JSObject* p = JS_VALUE_GET_OBJ(value);
  if (p->class_id == JS_CLASS_ERROR) return p->u.object_data;
  if (p->class_id == JS_CLASS_DOM_EXCEPTION) {
    JSProperty* property;
    JSShapeProperty* shape = find_own_property(&property, p, JS_ATOM_stack);
    if (shape && (shape->flags & JS_PROP_TMASK) == JS_PROP_NORMAL) return property->u.value;
  }
  return JS_UNDEFINED;
}

JSValue fairlead_take_backtrace(JSContext* ctx) {
  JSValue backtrace = ctx->error_back_trace;
  ctx->error_back_trace = JS_UNDEFINED;
  return backtrace;
}

bool fairlead_dom_exception(JSValueConst value, JSValueConst* name, JSValueConst* message) {
  JSDOMExceptionData* s = JS_GetOpaque(value, JS_CLASS_DOM_EXCEPTION);
  if (!s) return false;
  *name = s->name;
  *message = s->message;
  return true;
}

int fairlead_iterate(JSContext* ctx, JSValueConst iterable, fairlead_visit visit, void* opaque) {
  JSValue method = JS_GetProperty(ctx, iterable, JS_ATOM_Symbol_iterator);
  if (JS_IsException(method)) return -1;
  if (JS_IsUndefined(method) || JS_IsNull(method)) return 0;
  JSValue iterator = JS_GetIterator2(ctx, iterable, method);
  JS_FreeValue(ctx, method);
  if (JS_IsException(iterator)) return -1;
  int result = -1;
  JSValue next = JS_GetProperty(ctx, iterator, JS_ATOM_next);
  while (!JS_IsException(next)) {
    int done;
    // An array can be long, and its iterator runs no script that would be interrupted.
    if (js_poll_interrupts(ctx)) break;
    JSValue item = JS_IteratorNext(ctx, iterator, next, 0, NULL, &done);
    if (JS_IsException(item)) break;
    if (done) {
      result = 1;
      break;
    }
    bool more = visit(ctx, item, opaque);
    JS_FreeValue(ctx, item);
    if (!more) {
      JS_IteratorClose(ctx, iterator, true);
      break;
    }
  }
  JS_FreeValue(ctx, next);
  JS_FreeValue(ctx, iterator);
  return result;
}

JSValueConst fairlead_iterator_prototype(JSContext* ctx) {
  return ctx->class_proto[JS_CLASS_ITERATOR];
}

int fairlead_set_tag(JSContext* ctx, JSValueConst prototype, const char* tag) {
  return JS_DefinePropertyValue(ctx, prototype, JS_ATOM_Symbol_toStringTag, JS_NewString(ctx, tag),
                                JS_PROP_CONFIGURABLE);
}

int fairlead_bytes(JSValueConst value, uint8_t** bytes, size_t* length) {
  if (JS_VALUE_GET_TAG(value) != JS_TAG_OBJECT) return 0;
  JSObject* p = JS_VALUE_GET_OBJ(value);
  if (p->class_id == JS_CLASS_ARRAY_BUFFER) {
    JSArrayBuffer* buffer = p->u.array_buffer;
    *bytes = buffer->data;
    *length = buffer->byte_length;
    return buffer->detached ? -1 : 1;
  }
  bool typed = is_typed_array(p->class_id);
  if (!typed && p->class_id != JS_CLASS_DATAVIEW) return 0;
  if (typed ? typed_array_is_oob(p) : dataview_is_oob(p)) return -1;
  JSTypedArray* view = p->u.typed_array;
  JSArrayBuffer* buffer = view->buffer->u.array_buffer;
  *bytes = buffer->data + view->offset;
  // A view without a length of its own follows its buffer, in whole elements.
  *length = view->length;
  if (view->track_rab) {
    size_t rest = buffer->byte_length - view->offset;
    *length = typed
                  ? rest >> typed_array_size_log2(p->class_id) << typed_array_size_log2(p->class_id)
                  : rest;
  }
  return 1;
}

size_t fairlead_string_length(JSValueConst string) {
  switch (JS_VALUE_GET_TAG(string)) {
  case JS_TAG_STRING:
    return JS_VALUE_GET_STRING(string)->len;
  case JS_TAG_STRING_ROPE:
    return JS_VALUE_GET_STRING_ROPE(string)->len;
  default:
    return 0;
  }
}

bool fairlead_caller(JSContext* ctx, uint32_t index, JSValueConst* name, JSAtom* file, int* line,
                     int* column) {
  for (JSStackFrame* sf = ctx->rt->current_stack_frame; sf; sf = sf->prev_frame) {
    JSObject* p = JS_VALUE_GET_OBJ(sf->cur_func);
    if (!js_class_has_bytecode(p->class_id) || !sf->cur_pc || index-- > 0) continue;
    JSFunctionBytecode* b = p->u.func.function_bytecode;
    *line = find_line_num(ctx, b, sf->cur_pc - b->byte_code_buf - 1, column);
    *file = b->filename;
    JSProperty* property;
    JSShapeProperty* shape = find_own_property(&property, p, JS_ATOM_name);
    bool isData = shape && (shape->flags & JS_PROP_TMASK) == JS_PROP_NORMAL;
    *name = isData ? property->u.value : JS_UNDEFINED;
    return true;
  }
  return false;
}

/// Defines those functions of a table of the engine whose names are among `names`, each with a blank
/// before and behind it. The engine makes them when they are first read.
static int define_some(JSContext* ctx, JSValueConst object, const char* names,
                       const JSCFunctionListEntry* entries, int count) {
  char word[40];
  for (int i = 0; i < count; i++) {
    snprintf(word, sizeof(word), " %s ", entries[i].name);
    if (strstr(names, word) && JS_SetPropertyFunctionList(ctx, object, &entries[i], 1) < 0) return -1;
  }
  return 0;
}

bool fairlead_function_place(JSValueConst function, JSAtom* file, int* line, int* column) {
  JSFunctionBytecode* b = JS_GetFunctionBytecode(function);
  if (!b) return false;
  *file = b->filename;
  *line = b->line_num;
  *column = b->col_num;
  return true;
}

JSValue fairlead_intrinsics(JSContext* ctx) {
#define FUNCTIONS(entries, group, names) {group, names, entries, countof(entries)}
  static const struct {
    const char* group;
    const char* names;
    const JSCFunctionListEntry* entries;
    int count;
  } tables[] = {
      FUNCTIONS(js_reflect_funcs, "Reflect",
                " apply construct defineProperty getOwnPropertyDescriptor getPrototypeOf ownKeys "
                "setPrototypeOf "),
      FUNCTIONS(js_global_funcs, "global", " parseInt parseFloat "),
      FUNCTIONS(js_string_proto_funcs, "String", " concat indexOf slice valueOf "),
      FUNCTIONS(js_number_proto_funcs, "Number", " valueOf "),
      FUNCTIONS(js_boolean_proto_funcs, "Boolean", " valueOf "),
      FUNCTIONS(js_bigint_proto_funcs, "BigInt", " valueOf "),
      FUNCTIONS(js_symbol_proto_funcs, "Symbol", " toString valueOf "),
      FUNCTIONS(js_date_proto_funcs, "Date", " getTime toISOString "),
      FUNCTIONS(js_regexp_proto_funcs, "RegExp",
                " source hasIndices global ignoreCase multiline dotAll unicode unicodeSets sticky "),
      FUNCTIONS(js_map_proto_funcs, "Map", " entries size "),
      FUNCTIONS(js_map_iterator_proto_funcs, "MapIterator", " next "),
      FUNCTIONS(js_set_proto_funcs, "Set", " values size "),
      FUNCTIONS(js_set_iterator_proto_funcs, "SetIterator", " next "),
      FUNCTIONS(js_typed_array_base_proto_funcs, "TypedArray", " length "),
      FUNCTIONS(js_array_buffer_proto_funcs, "ArrayBuffer", " byteLength "),
  };
#undef FUNCTIONS
  JSValue intrinsics = JS_NewObjectProto(ctx, JS_NULL);
  if (JS_IsException(intrinsics)) return JS_EXCEPTION;
  for (size_t i = 0; i < countof(tables); i++) {
    JSValue group = JS_NewObjectProto(ctx, JS_NULL);
    if (JS_IsException(group) ||
        define_some(ctx, group, tables[i].names, tables[i].entries, tables[i].count) < 0 ||
        JS_DefinePropertyValueStr(ctx, intrinsics, tables[i].group, JS_DupValue(ctx, group),
                                  JS_PROP_C_W_E) < 0) {
      JS_FreeValue(ctx, group);
      JS_FreeValue(ctx, intrinsics);
      return JS_EXCEPTION;
    }
    JS_FreeValue(ctx, group);
  }
  if (JS_DefinePropertyValueStr(ctx, intrinsics, "toStringTag",
                                JS_AtomToValue(ctx, JS_ATOM_Symbol_toStringTag),
                                JS_PROP_C_W_E) < 0) {
    JS_FreeValue(ctx, intrinsics);
    return JS_EXCEPTION;
  }
  return intrinsics;
}

// --- structuredClone ---

typedef struct {
  JSContext* ctx;
  // Each object that was met and its clone, in the order in which they were met: what is to be filled
  // yet stands behind what is filled.
  JSMapState* met;
  fairlead_clone_host clone_host;
  void* opaque;
  // Why something cannot be cloned.
  const char* refused;
} FairleadClone;

static JSValue clone_refuse(FairleadClone* clone, const char* what) {
  clone->refused = what;
  return JS_EXCEPTION;
}

static JSValue clone_buffer(FairleadClone* clone, JSArrayBuffer* buffer) {
  if (buffer->detached) return clone_refuse(clone, "a detached ArrayBuffer");
  uint64_t most = buffer->max_byte_length;
  JSValue copy = js_array_buffer_constructor1(clone->ctx, JS_UNDEFINED, buffer->byte_length,
                                              array_buffer_is_resizable(buffer) ? &most : NULL);
  if (!JS_IsException(copy))
    memcpy(JS_VALUE_GET_OBJ(copy)->u.array_buffer->data, buffer->data, buffer->byte_length);
  return copy;
}

static JSValue clone_value(FairleadClone* clone, JSValueConst value);

static JSValue clone_view(FairleadClone* clone, JSObject* p) {
  JSTypedArray* view = p->u.typed_array;
  bool is_array = p->class_id != JS_CLASS_DATAVIEW;
  if (is_array ? typed_array_is_oob(p) : dataview_is_oob(p))
    return clone_refuse(clone, "a view whose buffer is detached or too short");
  JSContext* ctx = clone->ctx;
  JSValue buffer = clone_value(clone, JS_MKPTR(JS_TAG_OBJECT, view->buffer));
  if (JS_IsException(buffer)) return buffer;
  int shift = is_array ? typed_array_size_log2(p->class_id) : 0;
  JSValueConst args[] = {buffer, js_int64(view->offset),
                         view->track_rab ? JS_UNDEFINED : js_int64(view->length >> shift)};
  JSValue copy = is_array ? js_typed_array_constructor(ctx, JS_UNDEFINED, 3, args, p->class_id)
                          : js_dataview_constructor(ctx, JS_UNDEFINED, 3, args);
  JS_FreeValue(ctx, buffer);
  return copy;
}

static JSValue clone_error(FairleadClone* clone, JSValueConst error) {
  static const char* const names[] = {"EvalError",   "RangeError", "ReferenceError",
                                      "SyntaxError", "TypeError",  "URIError"};
  static const JSErrorEnum kinds[] = {JS_EVAL_ERROR,   JS_RANGE_ERROR, JS_REFERENCE_ERROR,
                                      JS_SYNTAX_ERROR, JS_TYPE_ERROR,  JS_URI_ERROR};
  JSContext* ctx = clone->ctx;
  JSValue name = JS_GetProperty(ctx, error, JS_ATOM_name);
  const char* text = JS_IsException(name) ? NULL : JS_ToCString(ctx, name);
  JS_FreeValue(ctx, name);
  if (!text) return JS_EXCEPTION;
  JSValue proto = ctx->class_proto[JS_CLASS_ERROR];
  for (size_t i = 0; i < countof(names); i++) {
    if (!strcmp(text, names[i])) proto = ctx->native_error_proto[kinds[i]];
  }
  JS_FreeCString(ctx, text);
  JSValue copy = JS_NewObjectProtoClass(ctx, proto, JS_CLASS_ERROR);
  JSPropertyDescriptor message;
  int has = JS_IsException(copy) ? -1 : JS_GetOwnProperty(ctx, &message, error, JS_ATOM_message);
  if (has > 0) {
    JSValue string =
        message.flags & JS_PROP_GETSET ? JS_UNDEFINED : JS_ToString(ctx, message.value);
    js_free_desc(ctx, &message);
    has = JS_IsException(string) ? -1
          : JS_IsUndefined(string)
              ? 0
              : JS_DefinePropertyValue(ctx, copy, JS_ATOM_message, string,
                                       JS_PROP_WRITABLE | JS_PROP_CONFIGURABLE);
  }
  if (has < 0) {
    JS_FreeValue(ctx, copy);
    return JS_EXCEPTION;
  }
  // The stack, which the engine keeps apart.
  JSValue* stack = &JS_VALUE_GET_OBJ(copy)->u.object_data;
  JS_FreeValue(ctx, *stack);
  *stack = js_dup(JS_VALUE_GET_OBJ(error)->u.object_data);
  return copy;
}

/* The clone of an object, without what it holds. */
static JSValue clone_shell(FairleadClone* clone, JSValueConst value) {
  JSContext* ctx = clone->ctx;
  JSObject* p = JS_VALUE_GET_OBJ(value);
  switch (p->class_id) {
  case JS_CLASS_OBJECT: {
    JSValue copy = clone->clone_host(ctx, value, clone->opaque);
    if (JS_IsNull(copy)) return clone_refuse(clone, "an object of the host");
    if (!JS_IsUndefined(copy)) return copy;
  }
    /* fall through */
  case JS_CLASS_ARGUMENTS:
  case JS_CLASS_MAPPED_ARGUMENTS:
    return JS_NewObject(ctx);
  case JS_CLASS_ARRAY:
    return JS_NewArray(ctx);
  case JS_CLASS_NUMBER:
  case JS_CLASS_STRING:
  case JS_CLASS_BOOLEAN:
  case JS_CLASS_BIG_INT:
    return JS_ToObject(ctx, p->u.object_data);
  case JS_CLASS_DATE: {
    double ms;
    return JS_ToFloat64(ctx, &ms, p->u.object_data) ? JS_EXCEPTION : JS_NewDate(ctx, ms);
  }
  case JS_CLASS_REGEXP:
    return js_regexp_constructor_internal(ctx, JS_UNDEFINED,
                                          js_dup(JS_MKPTR(JS_TAG_STRING, p->u.regexp.pattern)),
                                          js_dup(JS_MKPTR(JS_TAG_STRING, p->u.regexp.bytecode)));
  case JS_CLASS_MAP:
    return js_map_constructor(ctx, JS_UNDEFINED, 0, NULL, 0);
  case JS_CLASS_SET:
    return js_map_constructor(ctx, JS_UNDEFINED, 0, NULL, MAGIC_SET);
  case JS_CLASS_ERROR:
    return clone_error(clone, value);
  case JS_CLASS_DOM_EXCEPTION: {
    JSDOMExceptionData* data = JS_GetOpaque(value, JS_CLASS_DOM_EXCEPTION);
    JSValueConst args[] = {data->message, data->name};
    return js_domexception_constructor0(ctx, JS_UNDEFINED, 2, args, 0);
  }
  case JS_CLASS_ARRAY_BUFFER:
    return clone_buffer(clone, p->u.array_buffer);
  case JS_CLASS_DATAVIEW:
    return clone_view(clone, p);
  default: {
    if (is_typed_array(p->class_id)) return clone_view(clone, p);
    JSValue copy = clone->clone_host(ctx, value, clone->opaque);
    if (!JS_IsNull(copy) && !JS_IsUndefined(copy)) return copy;
    return clone_refuse(clone, JS_IsFunction(ctx, value) ? "a function" : "an object of this kind");
  }
  }
}

/* Puts an object beside its clone; false: no memory. */
static bool clone_remember(FairleadClone* clone, JSValueConst value, JSValue copy) {
  JSMapRecord* record = map_add_record(clone->ctx, clone->met, value);
  if (record) record->value = js_dup(copy);
  return record != NULL;
}

static JSValue clone_value(FairleadClone* clone, JSValueConst value) {
  if (JS_IsSymbol(value)) return clone_refuse(clone, "a symbol");
  if (!JS_IsObject(value)) return js_dup(value);
  JSMapRecord* known = map_find_record(clone->ctx, clone->met, value);
  if (known) return js_dup(known->value);
  JSValue copy = clone_shell(clone, value);
  if (JS_IsException(copy) || clone_remember(clone, value, copy)) return copy;
  JS_FreeValue(clone->ctx, copy);
  return JS_EXCEPTION;
}

static bool clone_properties(FairleadClone* clone, JSValueConst from, JSValueConst to) {
  JSContext* ctx = clone->ctx;
  JSPropertyEnum* names;
  uint32_t count;
  if (JS_GetOwnPropertyNames(ctx, &names, &count, from, JS_GPN_STRING_MASK | JS_GPN_ENUM_ONLY) < 0)
    return false;
  bool done = true;
  for (uint32_t i = 0; done && i < count; i++) {
    // A getter of an earlier one may have taken it away.
    int has = fairlead_poll(ctx, 1) ? -1 : JS_GetOwnProperty(ctx, NULL, from, names[i].atom);
    if (has == 0) continue;
    JSValue member = has < 0 ? JS_EXCEPTION : JS_GetProperty(ctx, from, names[i].atom);
    JSValue copy = JS_IsException(member) ? JS_EXCEPTION : clone_value(clone, member);
    JS_FreeValue(ctx, member);
    done = !JS_IsException(copy) &&
           JS_DefinePropertyValue(ctx, to, names[i].atom, copy, JS_PROP_C_W_E) >= 0;
  }
  JS_FreePropertyEnum(ctx, names, count);
  return done;
}

static bool clone_entries(FairleadClone* clone, JSValueConst from, JSValueConst to, bool is_set) {
  JSContext* ctx = clone->ctx;
  JSMapState* s = JS_VALUE_GET_OBJ(from)->u.map_state;
  // Keys and values in turn, as they are now: cloning an error can run code of the script.
  JSValue* entries = js_malloc(ctx, sizeof(*entries) * 2 * (s->record_count + 1));
  if (!entries) return false;
  uint32_t count = 0;
  struct list_head* el;
  list_for_each(el, &s->records) {
    JSMapRecord* record = list_entry(el, JSMapRecord, link);
    if (record->empty) continue;
    entries[count++] = js_dup(record->key);
    entries[count++] = js_dup(record->value);
  }
  bool done = true;
  for (uint32_t i = 0; i < count; i += 2) {
    done = done && fairlead_poll(ctx, 1) == 0;
    JSValue key = done ? clone_value(clone, entries[i]) : JS_EXCEPTION;
    JSValue value = JS_IsException(key) ? JS_EXCEPTION : clone_value(clone, entries[i + 1]);
    done = !JS_IsException(value);
    if (done) {
      JSValueConst args[] = {key, value};
      JSValue map = js_map_set(ctx, to, 2, args, is_set ? MAGIC_SET : 0);
      done = !JS_IsException(map);
      JS_FreeValue(ctx, map);
    }
    JS_FreeValue(ctx, key);
    JS_FreeValue(ctx, value);
    JS_FreeValue(ctx, entries[i]);
    JS_FreeValue(ctx, entries[i + 1]);
  }
  js_free(ctx, entries);
  return done;
}

static bool clone_content(FairleadClone* clone, JSValueConst from, JSValueConst to) {
  switch (JS_VALUE_GET_OBJ(from)->class_id) {
  case JS_CLASS_OBJECT:
  case JS_CLASS_ARGUMENTS:
  case JS_CLASS_MAPPED_ARGUMENTS:
    return clone_properties(clone, from, to);
  case JS_CLASS_ARRAY: {
    int64_t length;
    return clone_properties(clone, from, to) && js_get_length64(clone->ctx, &length, from) == 0 &&
           JS_SetProperty(clone->ctx, to, JS_ATOM_length, js_int64(length)) >= 0;
  }
  case JS_CLASS_MAP:
  case JS_CLASS_SET:
    return clone_entries(clone, from, to, JS_VALUE_GET_OBJ(from)->class_id == JS_CLASS_SET);
  default:
    return true;
  }
}

static bool clone_transferred(FairleadClone* clone, JSValueConst buffer) {
  JSArrayBuffer* from = JS_VALUE_GET_OBJ(buffer)->u.array_buffer;
  if (JS_VALUE_GET_OBJ(buffer)->class_id != JS_CLASS_ARRAY_BUFFER || from->detached || from->immutable ||
      map_find_record(clone->ctx, clone->met, buffer)) {
    clone_refuse(clone, "a transferred value that is no ArrayBuffer, is detached, or is named twice");
    return false;
  }
  JSValue copy = clone_buffer(clone, from);
  bool done = !JS_IsException(copy) && clone_remember(clone, buffer, copy);
  JS_FreeValue(clone->ctx, copy);
  return done;
}

JSValue fairlead_clone(JSContext* ctx, JSValueConst value, JSValueConst* transfer, size_t count,
                       fairlead_clone_host clone_host, void* opaque, const char** refused) {
  JSValue map = js_map_constructor(ctx, JS_UNDEFINED, 0, NULL, 0);
  if (JS_IsException(map)) return map;
  FairleadClone clone = {ctx, JS_VALUE_GET_OBJ(map)->u.map_state, clone_host, opaque, NULL};
  bool done = true;
  for (size_t i = 0; done && i < count; i++) done = clone_transferred(&clone, transfer[i]);
  JSValue copy = done ? clone_value(&clone, value) : JS_EXCEPTION;
  struct list_head* el;
  done = !JS_IsException(copy);
  list_for_each(el, &clone.met->records) {
    JSMapRecord* record = list_entry(el, JSMapRecord, link);
    done = done && fairlead_poll(ctx, 1) == 0 && clone_content(&clone, record->key, record->value);
  }
  for (size_t i = 0; done && i < count; i++) {
    done = !JS_VALUE_GET_OBJ(transfer[i])->u.array_buffer->detached;
    if (!done) clone_refuse(&clone, "a transferred ArrayBuffer that was detached meanwhile");
  }
  for (size_t i = 0; done && i < count; i++) {
    // What the script's getters have written meanwhile comes along.
    JSArrayBuffer* from = JS_VALUE_GET_OBJ(transfer[i])->u.array_buffer;
    JSMapRecord* record = map_find_record(ctx, clone.met, transfer[i]);
    JSArrayBuffer* to = JS_VALUE_GET_OBJ(record->value)->u.array_buffer;
    memcpy(to->data, from->data, min_int(from->byte_length, to->byte_length));
    JS_DetachArrayBuffer(ctx, transfer[i]);
  }
  JS_FreeValue(ctx, map);
  *refused = clone.refused;
  if (done) return copy;
  JS_FreeValue(ctx, copy);
  return JS_EXCEPTION;
}
