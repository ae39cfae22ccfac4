ringtap_test(decap SOURCES ${CMAKE_SOURCE_DIR}/native/test/decap_test.cc LINK ringtap_stages ringtap_libpcap)
