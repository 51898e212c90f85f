// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Expands the rows of one stem of host_api.def into kRows. Include it in the anonymous namespace of
// api_<stem>.cc, below the stem's functions, with HOST_<stem> defined. <class>_Self names what a
// receiver is, or void where there is none. (No include guard: it is text, not declarations.)

namespace rows {
using namespace bind::kinds;
using namespace phase;

#define HOST_KINDS(...) bind::Args<__VA_ARGS__>
#define HOST_CONTRACT(version)
// The constructor of a class that has no HOST_NEW.
#define HOST_CLASS(cls, parent, since)                                                             \
  bind::Row{#cls, bind::Place::Class,                                                              \
            bind::constructorEntry(#cls, 0, bind::illegalConstructor<#cls>)},
#define HOST_OBJECT(cls, since)
#define HOST_ATTRIBUTE(cls, name, type, id, release, since)
#define HOST_NEW(cls, args, phases, since)                                                         \
  bind::Row{#cls, bind::Place::Class,                                                              \
            bind::constructorEntry(#cls, HOST_KINDS args ::kRequired,                              \
                                   bind::constructor<#cls, HOST_KINDS args, (phases), cls##_new>)},
#define HOST_FN(cls, member, args, returns, phases, since)                                         \
  bind::Row{#cls, bind::Place::Prototype,                                                          \
            bind::functionEntry(                                                                   \
                #member, HOST_KINDS args ::kRequired,                                              \
                bind::method<#cls "." #member, bind::results::returns, cls##_Self,                 \
                             HOST_KINDS args, (phases), cls##_##member>)},
#define HOST_STATIC(cls, member, args, returns, phases, since)                                     \
  bind::Row{#cls, bind::Place::Constructor,                                                        \
            bind::functionEntry(                                                                   \
                #member, HOST_KINDS args ::kRequired,                                              \
                bind::method<#cls "." #member, bind::results::returns, void, HOST_KINDS args,      \
                             (phases), cls##_##member>)},
#define HOST_GET(cls, member, type, phases, since)                                                 \
  bind::Row{#cls, bind::Place::Prototype,                                                          \
            bind::accessorEntry(#member,                                                           \
                                bind::getter<#cls "." #member, bind::results::type, cls##_Self,    \
                                             (phases), cls##_##member>,                            \
                                nullptr)},
#define HOST_GETSET(cls, member, type, phases, since)                                              \
  bind::Row{#cls, bind::Place::Prototype,                                                          \
            bind::accessorEntry(#member,                                                           \
                                bind::getter<#cls "." #member, bind::results::type, cls##_Self,    \
                                             (phases), cls##_##member>,                            \
                                bind::setter<#cls "." #member, bind::kinds::type, cls##_Self,      \
                                             (phases), cls##_set_##member>)},
#define HOST_ALIAS(cls, member, other, since)                                                      \
  bind::Row{#cls, bind::Place::Prototype, bind::aliasEntry("[" #member "]", #other)},

constexpr bind::Row kAll[] = {
#include "sdk-types/host_api.def"
};

#undef HOST_KINDS
#undef HOST_CONTRACT
#undef HOST_CLASS
#undef HOST_OBJECT
#undef HOST_ATTRIBUTE
#undef HOST_NEW
#undef HOST_FN
#undef HOST_STATIC
#undef HOST_GET
#undef HOST_GETSET
#undef HOST_ALIAS
}  // namespace rows

constexpr std::span<const bind::Row> kRows = rows::kAll;
