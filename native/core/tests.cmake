ringtap_test(core SOURCES ${CMAKE_SOURCE_DIR}/native/test/core_test.cc ${CMAKE_SOURCE_DIR}/native/test/lease_test.cc
             ${CMAKE_SOURCE_DIR}/native/test/gather_test.cc ${CMAKE_SOURCE_DIR}/native/test/checksum_test.cc
             LINK ringtap_core ringtap_test_traffic)
