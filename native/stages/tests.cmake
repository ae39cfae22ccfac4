ringtap_test(decap SOURCES ${CMAKE_SOURCE_DIR}/native/test/decap_test.cc LINK ringtap_stages ringtap_libpcap)
if(CMAKE_SYSTEM_NAME STREQUAL "Linux")
  ringtap_test(share SOURCES ${CMAKE_SOURCE_DIR}/native/test/share_test.cc LINK ringtap_stages ringtap_test_traffic)
endif()
