ringtap_fuzz(http SOURCES ${CMAKE_SOURCE_DIR}/native/protocol/http/http_fuzz.cc LINK ringtap_protocol)
