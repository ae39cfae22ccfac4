ringtap_test(http SOURCES ${CMAKE_SOURCE_DIR}/native/protocol/http/http_test.cc ${CMAKE_SOURCE_DIR}/native/protocol/http/http2_test.cc LINK ringtap_protocol)
