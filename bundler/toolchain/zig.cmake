# SPDX-License-Identifier: Apache-2.0
# Copyright The fairlead Authors
#
# CMake toolchain: zig as C and C++ compiler for FAIRLEAD_ZIG_TARGET (a preset sets it).

if(FAIRLEAD_ZIG_TARGET MATCHES wasi)
  set(CMAKE_SYSTEM_NAME WASI)
  set(CMAKE_SYSTEM_PROCESSOR wasm32)
endif()
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES FAIRLEAD_ZIG_TARGET)
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)

set(zig "${CMAKE_CURRENT_LIST_DIR}/zig.sh")
set(CMAKE_C_COMPILER "${zig};cc")
set(CMAKE_CXX_COMPILER "${zig};c++")
set(CMAKE_C_COMPILER_TARGET "${FAIRLEAD_ZIG_TARGET}")
set(CMAKE_CXX_COMPILER_TARGET "${FAIRLEAD_ZIG_TARGET}")
foreach(language C CXX)
  set(CMAKE_${language}_ARCHIVE_CREATE "\"${zig}\" ar qc <TARGET> <OBJECTS>")
  set(CMAKE_${language}_ARCHIVE_APPEND "\"${zig}\" ar q <TARGET> <OBJECTS>")
  set(CMAKE_${language}_ARCHIVE_FINISH "\"${zig}\" ranlib <TARGET>")
  # zig turns on the undefined behaviour sanitizer unless told not to.
  set(CMAKE_${language}_FLAGS_INIT "-fno-sanitize=all")
endforeach()
