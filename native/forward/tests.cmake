ringtap_test(forward SOURCES ${CMAKE_SOURCE_DIR}/native/test/forward_test.cc ${CMAKE_SOURCE_DIR}/native/test/forward_engine_test.cc ${CMAKE_SOURCE_DIR}/native/test/forward_nat_test.cc
                     ${CMAKE_SOURCE_DIR}/native/test/forward_geneve_test.cc
             LINK ringtap_forward)
if(CMAKE_SYSTEM_NAME STREQUAL "Linux")
  target_sources(test_forward PRIVATE ${CMAKE_SOURCE_DIR}/native/test/forward_thread_test.cc)
endif()
