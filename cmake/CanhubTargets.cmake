# Flags shared by every target, and the functions that make them.

add_library(canhub_flags INTERFACE)
target_compile_features(canhub_flags INTERFACE cxx_std_20)
target_include_directories(canhub_flags INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_options(canhub_flags INTERFACE -Wall -Wextra -Werror -Wno-missing-field-initializers)
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  target_compile_options(canhub_flags INTERFACE -Wthread-safety)
endif()
if(CANHUB_SANITIZE_THREAD)
  add_compile_options(-fsanitize=thread -fno-omit-frame-pointer)
  add_link_options(-fsanitize=thread)
endif()
if(CANHUB_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
                      -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
endif()

# canhub_library(NAME [DEPS …]): a library of all *.cc of this folder, without *_test.cc, *_fuzz.cc
# and main programs (*_main.cc). Its tests, *_test.cc, become NAME_test; drivers/iseg/edcp_fuzz.cc
# becomes the fuzz target iseg_edcp.
function(canhub_library name)
  cmake_parse_arguments(ARG "" "" "DEPS;TEST_DEPS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  set(tests ${sources})
  set(fuzzers ${sources})
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  list(FILTER fuzzers INCLUDE REGEX "_fuzz\\.cc$")
  list(FILTER sources EXCLUDE REGEX "_(test|fuzz|main)\\.cc$|/main\\.cc$")
  add_library(${name} STATIC ${sources})
  set_target_properties(${name} PROPERTIES LINKER_LANGUAGE CXX)
  target_link_libraries(${name} PUBLIC canhub_flags Threads::Threads ${ARG_DEPS})
  if(tests)
    canhub_test(${name}_test SOURCES ${tests} DEPS ${name} ${ARG_TEST_DEPS})
  endif()
  string(REGEX REPLACE "^canhub_(driver_)?" "" short ${name})
  foreach(fuzzer ${fuzzers})
    get_filename_component(base ${fuzzer} NAME_WE)
    string(REGEX REPLACE "_fuzz$" "" base ${base})
    canhub_fuzz(${short}_${base} SOURCES ${fuzzer} DEPS ${name} ${ARG_TEST_DEPS})
  endforeach()
endfunction()

# canhub_test(NAME SOURCES … DEPS …): a gtest program; every case is a ctest test.
function(canhub_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS;LABELS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  if(CANHUB_SANITIZE_THREAD)
    target_sources(${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests/harness/tsan_grpc.cc)
    target_link_libraries(${name} PRIVATE PkgConfig::GRPC absl::synchronization)
  endif()
  target_link_libraries(${name} PRIVATE canhub_flags ${ARG_DEPS} GTest::gmock GTest::gtest_main)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  # Ends what hangs. ThreadSanitizer makes the longest test, of tens of seconds, ten times as long.
  set(timeout_s 120)
  if(CANHUB_SANITIZE_THREAD)
    set(timeout_s 360)
  endif()
  include(GoogleTest)
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST TEST_PREFIX "${name}."
                       PROPERTIES TIMEOUT ${timeout_s} LABELS "${ARG_LABELS}")
endfunction()

# canhub_fuzz(NAME SOURCES … DEPS …): one fuzz target (tests/fuzz/README.md). With CANHUB_FUZZ a
# libFuzzer program, part of the target fuzz_targets; otherwise a ctest case that gives the same
# function every file of the corpus, which is the folder corpus/NAME beside the sources.
function(canhub_fuzz name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  set(corpus ${CMAKE_CURRENT_SOURCE_DIR}/corpus/${name})
  list(APPEND ARG_DEPS canhub_driver_testing)
  if(NOT CANHUB_FUZZ)
    canhub_test(${name}_fuzz_test
                SOURCES ${ARG_SOURCES} ${CMAKE_SOURCE_DIR}/tests/fuzz/replay_test.cc
                DEPS ${ARG_DEPS} LABELS fuzz)
    target_compile_definitions(${name}_fuzz_test PRIVATE CANHUB_FUZZ_CORPUS="${corpus}")
    return()
  endif()
  if(NOT TARGET fuzz_targets)
    add_custom_target(fuzz_targets)
  endif()
  add_executable(${name}_fuzz EXCLUDE_FROM_ALL ${ARG_SOURCES})
  target_link_libraries(${name}_fuzz PRIVATE canhub_flags ${ARG_DEPS})
  target_link_options(${name}_fuzz PRIVATE -fsanitize=fuzzer)
  set_target_properties(${name}_fuzz PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/targets)
  add_dependencies(fuzz_targets ${name}_fuzz)
  # scripts/fuzz finds the targets and their corpora by these files.
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/targets/${name}.corpus CONTENT "${corpus}\n")
endfunction()
