ringtap_test(tls SOURCES ${CMAKE_SOURCE_DIR}/native/protocol/tls/tls_test.cc LINK ringtap_protocol)
