ringtap_fuzz(tls SOURCES ${CMAKE_SOURCE_DIR}/native/protocol/tls/tls_fuzz.cc LINK ringtap_protocol)
