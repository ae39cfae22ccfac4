ringtap_test(forward SOURCES ${CMAKE_SOURCE_DIR}/native/test/forward_test.cc ${CMAKE_SOURCE_DIR}/native/test/forward_engine_test.cc ${CMAKE_SOURCE_DIR}/native/test/forward_nat_test.cc
                     ${CMAKE_SOURCE_DIR}/native/test/forward_geneve_test.cc
             LINK ringtap_forward)
