# SPDX-License-Identifier: Apache-2.0
# Copyright The fairlead Authors

"""The C++ rules that Bazel 4 has built in, under the names that it and BUILD.bazel load. See WORKSPACE."""

cc_binary = native.cc_binary
cc_library = native.cc_library
cc_proto_library = native.cc_proto_library
cc_test = native.cc_test
cc_toolchain = native.cc_toolchain
cc_toolchain_suite = native.cc_toolchain_suite
objc_library = native.objc_library
